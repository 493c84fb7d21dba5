"""Fine-tune with gpt-2-simple's own `finetune()`: the recipe `windows`, the tutorial's way.

Arguments and events as training/model/trainers.py says; memory_saving and save_seconds do nothing here. A step takes
`batch_size` windows of 1,024 tokens drawn at random. A checkpoint is kept for each epoch; at the end the best by
held-out loss stays.
"""

import glob
import os
import random
import re
import shutil
import tempfile
import time

import common
import gpt_2_simple
from common import np, tf
from gpt_2_simple import gpt_2

LINE = re.compile(r"\[(\d+) \| [\d.]+\] loss=([\d.]+)")
a = common.arguments()


def main():
    corpus = np.load(a["corpus"])
    per_epoch = max(1, round(len(corpus["train"]) / (1024.0 * a["batch_size"])))
    steps = per_epoch * a["epochs"]
    done = counted(a["checkpoint"])
    (before,) = held_out_losses(a["base"], [common.latest(a["base"])], corpus)
    epochs = [{"epoch": 0, "step": 0, "training": None, "held_out": before, "seconds": 0}]
    if done:
        common.emit("resumed", epoch=done // per_epoch + 1, batch=done % per_epoch)
    else:
        common.emit("epoch", **epochs[0])
    started, losses = time.time(), {}

    def listen(*words):
        found = LINE.match(" ".join(map(str, words)))
        if found:
            step, loss = int(found.group(1)), float(found.group(2))
            losses[step] = loss
            common.emit("step", step=step, steps=steps, loss=loss, tokens=1024 * a["batch_size"])
        common.leave_with_parent()

    gpt_2.print = listen
    if done < steps:
        finetune(corpus["train"], steps - done, per_epoch)
    seconds = time.time() - started
    if counted(a["checkpoint"]) < steps:
        common.emit("interrupted", epoch=counted(a["checkpoint"]) // per_epoch + 1, batch=0)
        raise SystemExit(130)
    for path in glob.glob(os.path.join(a["checkpoint"], "events.*")):
        os.remove(path)

    prefixes = {n: os.path.join(a["checkpoint"], "model-{}".format(n * per_epoch)) for n in range(1, a["epochs"] + 1)}
    prefixes = {n: prefix for n, prefix in prefixes.items() if os.path.exists(prefix + ".index")}
    for n, loss in zip(prefixes, held_out_losses(a["base"], prefixes.values(), corpus)):
        part = [losses[step] for step in range((n - 1) * per_epoch + 1, n * per_epoch + 1) if step in losses]
        line = {
            "epoch": n,
            "step": n * per_epoch,
            "training": round(sum(part) / len(part), 4) if part else None,
            "held_out": loss,
            "seconds": round(seconds * n / a["epochs"], 1),
        }
        epochs.append(line)
        common.emit("epoch", **line)
    keep(prefixes[min(epochs[1:], key=lambda line: line["held_out"])["epoch"]])
    common.emit("done", epochs=epochs)


def finetune(tokens, steps, per_epoch):
    random.seed(a["seed"])
    np.random.seed(a["seed"])
    tf.compat.v1.set_random_seed(a["seed"])
    with tempfile.TemporaryDirectory() as work:
        # finetune() takes any name but 124M for a large model and then trains fewer layers.
        name = "124M" if a["layers"] == "all" else "large"
        os.symlink(os.path.abspath(a["base"]), os.path.join(work, name))
        np.savez(os.path.join(work, "tokens.npz"), tokens)
        checkpoint_dir, run_name = os.path.split(os.path.abspath(a["checkpoint"]))
        gpt_2_simple.finetune(
            gpt_2_simple.start_tf_sess(),
            os.path.join(work, "tokens.npz"),
            steps=steps,
            model_name=name,
            model_dir=work,
            batch_size=a["batch_size"],
            accumulate_gradients=1,
            learning_rate=a["learning_rate"],
            checkpoint_dir=checkpoint_dir,
            run_name=run_name,
            sample_every=10**9,
            save_every=per_epoch,
            max_checkpoints=a["epochs"] + 1,
            restore_from="latest",
        )


def held_out_losses(folder, prefixes, corpus):
    """Nats a token under each of these checkpoints of one shape, in a graph of their own."""
    texts = common.Texts(corpus, "held_out")
    with tf.Graph().as_default(), common.session() as sess:
        tokens, mask, total = common.whole_text_loss(common.hparams(folder))
        saver = tf.compat.v1.train.Saver(var_list=common.model_variables())
        for prefix in prefixes:
            saver.restore(sess, prefix)
            yield round(common.held_out_loss(sess, texts, tokens, mask, total), 4)


def counted(folder):
    """Steps that the folder's checkpoint has behind it, 0 when there is none."""
    path = os.path.join(folder, "counter")
    if not os.path.exists(path):
        shutil.rmtree(folder, ignore_errors=True)
        return 0
    with open(path) as file:
        return int(file.read())


def keep(prefix):
    """Delete the checkpoints of the other epochs and name this one in `checkpoint`."""
    folder, name = os.path.split(prefix)
    for path in glob.glob(os.path.join(folder, "model-*")):
        if not os.path.basename(path).startswith(name + "."):
            os.remove(path)
    path = os.path.join(folder, "checkpoint")
    with open(path + ".part", "w") as file:
        file.write('model_checkpoint_path: "{0}"\nall_model_checkpoint_paths: "{0}"\n'.format(name))
    os.replace(path + ".part", path)


main()
