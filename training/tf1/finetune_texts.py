"""Fine-tune on whole texts: the recipe `texts`.

Arguments and events as training/model/trainers.py says. Every text stands alone from position 0 after the end token,
padding counts for nothing, and the rate warms up and then falls along a cosine to a tenth, later if the loss still
falls fast. `resume/` holds everything (weights, Adam's moments, the place in the data); `checkpoint/` only the best
epoch, in gpt-2-simple's layout.
"""

import glob
import json
import math
import os
import shutil
import signal
import time

import common
from common import np, tf

FAST = 0.05
"""An epoch that lowers the held-out loss by more than this share of it is followed by one more than was planned."""


def rate_at(step, steps, peak):
    """Linear warm-up over 10 steps (a third of a shorter run), then a cosine down to a tenth."""
    warm = min(10, max(1, steps // 3))
    if step < warm:
        return peak * (step + 1) / warm
    return peak * (0.55 + 0.45 * math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def put_off(place, a, now):
    """By how many epochs the end is put off, the one that has just brought the held-out loss to `now` counted in.

    While the loss falls fast, the rate stays where the plan has it in the second epoch, so texts that are far from
    what the base has read get as many epochs as they need. After the first the loss has always fallen fast.
    """
    fast = place["epoch"] > 1 and now < (1 - FAST) * place["lines"][-1]["held_out"]
    return min(place["put_off"] + fast, a["most"] - a["epochs"])


def training_step(total, mask, train_vars, memory_saving, rate):
    """Adam on the mean loss a token, gradients clipped to norm 1. Returns (step, loss)."""
    loss = total / tf.reduce_sum(mask)
    if memory_saving:
        from gpt_2_simple.src import memory_saving_gradients

        grads = memory_saving_gradients.gradients(loss, train_vars)
    else:
        grads = tf.gradients(loss, train_vars)
    grads, _ = tf.clip_by_global_norm(grads, 1.0)
    return tf.compat.v1.train.AdamOptimizer(rate).apply_gradients(zip(grads, train_vars)), loss


class Keeper:
    """Writes `resume/`: a new set of files first, then the small file that names it."""

    def __init__(self, sess, folder):
        self.sess, self.folder = sess, folder
        self.saver = tf.compat.v1.train.Saver(max_to_keep=None)
        self.place = os.path.join(folder, "place.json")

    def load(self):
        if not os.path.exists(self.place):
            return None
        with open(self.place) as file:
            place = json.load(file)
        self.saver.restore(self.sess, os.path.join(self.folder, place["files"]))
        return place

    def save(self, place):
        place = dict(place, files="state-{epoch}-{batch}".format(**place))
        self.saver.save(
            self.sess, os.path.join(self.folder, place["files"]), write_meta_graph=False, latest_filename="state"
        )
        with open(self.place + ".part", "w") as file:
            json.dump(place, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(self.place + ".part", self.place)
        for path in glob.glob(os.path.join(self.folder, "state-*")):
            if not os.path.basename(path).startswith(place["files"] + "."):
                os.remove(path)


def main():
    a = common.arguments()
    # Ctrl-C takes effect at the end of a step: an exception between a step and its count would repeat the step.
    stop = []
    signal.signal(signal.SIGINT, lambda *_: stop.append(True))
    for folder in (a["checkpoint"], a["resume"]):
        os.makedirs(folder, exist_ok=True)
    params = common.hparams(a["base"])
    corpus = np.load(a["corpus"])
    texts, held_out = common.Texts(corpus, "train"), common.Texts(corpus, "held_out")
    tokens, mask, total = common.whole_text_loss(params)
    base_vars = common.model_variables()
    train_vars = [v for v in base_vars if "/h" in v.name] if a["layers"] == "transformer" else base_vars
    rate = tf.compat.v1.placeholder(tf.float32, [])
    step_op, loss_op = training_step(total, mask, train_vars, a["memory_saving"], rate)
    sess = common.session()
    sess.run(tf.compat.v1.global_variables_initializer())
    best_saver = tf.compat.v1.train.Saver(var_list=base_vars, max_to_keep=1)
    keeper = Keeper(sess, a["resume"])

    place = keeper.load()
    if place is None:
        tf.compat.v1.train.Saver(var_list=base_vars).restore(sess, common.latest(a["base"]))
        place = {"epoch": 1, "batch": 0, "best": None, "risen": 0, "sum": 0.0, "seconds": 0.0, "lines": []}
        before = common.held_out_loss(sess, held_out, tokens, mask, total)
        place["lines"].append({"epoch": 0, "step": 0, "training": None, "held_out": round(before, 4), "seconds": 0})
        keeper.save(place)
        common.emit("epoch", **place["lines"][-1])
    else:
        common.emit("resumed", epoch=place["epoch"], batch=place["batch"])

    per_epoch = len(texts.epoch(a["batch_size"], a["seed"], 1))
    steps = per_epoch * a["epochs"]
    place.setdefault("put_off", 0)  # a state of an older version
    started, saved = time.time() - place["seconds"], time.time()
    try:
        while place["epoch"] <= a["epochs"] + place["put_off"] and place["risen"] < 2:
            batches = texts.epoch(a["batch_size"], a["seed"], place["epoch"])
            while place["batch"] < len(batches):
                done = (place["epoch"] - 1) * per_epoch + place["batch"]
                rows, counted = texts.batch(batches[place["batch"]])
                later = per_epoch * place["put_off"]
                now = rate_at(done - later, steps, a["learning_rate"])
                _, loss = sess.run([step_op, loss_op], {tokens: rows, mask: counted, rate: now})
                place["batch"] += 1
                place["sum"] += float(loss)
                place["seconds"] = time.time() - started
                common.emit("step", step=done + 1, steps=steps + later, loss=float(loss), tokens=int(counted.sum()))
                common.leave_with_parent()
                if stop:
                    raise KeyboardInterrupt
                if time.time() - saved > a["save_seconds"]:
                    keeper.save(place)
                    saved = time.time()
            now = common.held_out_loss(sess, held_out, tokens, mask, total)
            place["seconds"] = time.time() - started
            line = {
                "epoch": place["epoch"],
                "step": place["epoch"] * per_epoch,
                "training": round(place["sum"] / per_epoch, 4),
                "held_out": round(now, 4),
                "seconds": round(place["seconds"], 1),
            }
            place["put_off"] = put_off(place, a, now)
            place["risen"] = 0 if place["best"] is None or now < place["best"] else place["risen"] + 1
            if place["risen"] == 0:
                place["best"] = now
                keep_best(sess, best_saver, a, line["step"])
            place.update(epoch=place["epoch"] + 1, batch=0, sum=0.0, lines=place["lines"] + [line])
            keeper.save(place)
            saved = time.time()
            common.emit("epoch", **line)
    except KeyboardInterrupt:
        keeper.save(place)
        common.emit("interrupted", epoch=place["epoch"], batch=place["batch"])
        raise SystemExit(130) from None
    common.emit("done", epochs=place["lines"])


def keep_best(sess, saver, a, step):
    """Write the weights where gpt-2-simple looks for them, with the small files that it reads."""
    for name in ("hparams.json", "encoder.json", "vocab.bpe"):
        shutil.copyfile(os.path.join(a["base"], name), os.path.join(a["checkpoint"], name))
    saver.save(sess, os.path.join(a["checkpoint"], "model"), global_step=step)
    with open(os.path.join(a["checkpoint"], "counter"), "w") as file:
        file.write("{}\n".format(step))
    # A killed run may have left an older set that this saver does not know.
    for path in glob.glob(os.path.join(a["checkpoint"], "model-*")):
        if not os.path.basename(path).startswith("model-{}.".format(step)):
            os.remove(path)


main()
