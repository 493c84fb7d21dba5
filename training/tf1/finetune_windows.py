"""Fine-tune with gpt-2-simple's own `finetune()`: the recipe `windows`, the tutorial's way.

Argument: {base, corpus, checkpoint, metrics, epochs, batch_size, learning_rate, layers, seed}.
A step eats `batch_size` windows of 1,024 tokens drawn at random. A checkpoint is kept an epoch;
`evaluate.py` says afterwards which is the best.
"""

import os
import random
import re
import shutil
import tempfile
import time

import gpt_2_simple
from common import arguments, emit, leave_with_parent, np, tf
from gpt_2_simple import gpt_2

LINE = re.compile(r"\[(\d+) \| [\d.]+\] loss=([\d.]+)")
a = arguments()


def main():
    random.seed(a["seed"])
    np.random.seed(a["seed"])
    tf.compat.v1.set_random_seed(a["seed"])
    corpus = np.load(a["corpus"])
    tokens = len(corpus["train"])
    per_epoch = max(1, round(tokens / (1024.0 * a["batch_size"])))
    steps = per_epoch * a["epochs"]
    done = counted(a["checkpoint"])
    if done:
        emit("resumed", epoch=done // per_epoch + 1, batch=done % per_epoch)
    started = time.time()

    def listen(*words):
        found = LINE.match(" ".join(map(str, words)))
        if found:
            emit(
                "step", step=int(found.group(1)), steps=steps, loss=float(found.group(2)), tokens=1024 * a["batch_size"]
            )
        leave_with_parent()

    gpt_2.print = listen
    with tempfile.TemporaryDirectory() as work:
        # finetune() takes any name but 124M for a large model and then trains fewer layers.
        name = "124M" if a["layers"] == "all" else "large"
        os.symlink(os.path.abspath(a["base"]), os.path.join(work, name))
        np.savez(os.path.join(work, "tokens.npz"), corpus["train"])
        checkpoint_dir, run_name = os.path.split(os.path.abspath(a["checkpoint"]))
        if done < steps:
            gpt_2_simple.finetune(
                gpt_2_simple.start_tf_sess(),
                os.path.join(work, "tokens.npz"),
                steps=steps - done,
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
    if counted(a["checkpoint"]) < steps:
        emit("interrupted", epoch=counted(a["checkpoint"]) // per_epoch + 1, batch=0)
        raise SystemExit(130)
    for path in os.listdir(a["checkpoint"]):
        if path.startswith("events."):
            os.remove(os.path.join(a["checkpoint"], path))
    emit("done", seconds=round(time.time() - started, 1), per_epoch=per_epoch, steps=steps)


def counted(folder):
    """Steps that the folder's checkpoint has behind it, 0 when there is none."""
    path = os.path.join(folder, "counter")
    if not os.path.exists(path):
        shutil.rmtree(folder, ignore_errors=True)
        return 0
    with open(path) as file:
        return int(file.read())


main()
