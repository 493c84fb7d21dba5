"""gpt-2-simple on TensorFlow 1.15, in two ways (run in .venvs/tf1).

tutorial: generate() of one text of 200 tokens, as the tutorials have it: a new graph at every call.
batched: its sampler with the graph built once, on the fastest of some batch sizes.
"""

import json
import os
import sys

import common
import numpy as np
import tensorflow as tf
from gpt_2_simple import gpt_2
from gpt_2_simple.src import model as gpt2
from gpt_2_simple.src import sample

tf.compat.v1.logging.set_verbosity(tf.compat.v1.logging.ERROR)
a = common.arguments()
params = gpt2.default_hparams()
with open(os.path.join(a["folder"], "hparams.json")) as file:
    params.override_from_dict(json.load(file))
with open(os.path.join(a["folder"], "encoder.json")) as file:
    END = json.load(file)["<|endoftext|>"]


def restored(build):
    graph = tf.Graph()
    with graph.as_default():
        output = build()
        sess = tf.compat.v1.Session(graph=graph)
        names = [v for v in tf.compat.v1.global_variables() if v.name.startswith("model/")]
        tf.compat.v1.train.Saver(names).restore(sess, tf.train.latest_checkpoint(a["folder"]))
    return sess, output


def count(rows):
    """Tokens up to and with the end token: what is thrown away does not count."""
    ends = [int(np.argmax(row == END)) + 1 if END in row else len(row) for row in rows]
    return sum(ends), len(ends)


def batched():
    sessions = {}

    def run(size):
        if size not in sessions:
            sessions[size] = restored(
                lambda: sample.sample_sequence(
                    hparams=params, length=a["length"], start_token=END, batch_size=size, temperature=1.0
                )
            )
        sess, output = sessions[size]
        return count(sess.run(output)[:, 1:])

    size = common.best(a["batches"], run)
    common.serve({"batch": size}, lambda: run(size))


def tutorial():
    checkpoint, run_name = os.path.split(a["folder"])

    def run():
        tf.compat.v1.reset_default_graph()
        sess = gpt_2.start_tf_sess()
        gpt_2.load_gpt2(sess, checkpoint_dir=checkpoint, run_name=run_name)
        # Loading is not what is measured: it is paid once a program.
        started = common.time.time()
        gpt_2.generate(
            sess,
            checkpoint_dir=checkpoint,
            run_name=run_name,
            length=a["tutorial"],
            temperature=1.0,
            return_as_list=True,
        )
        return common.time.time() - started

    def serve():
        common.ready({"batch": 1, "length": a["tutorial"]})
        for _ in sys.stdin:
            seconds = run()
            texts = a["tutorial"] / a["length"]
            common.answer({"tokens": a["tutorial"], "texts": texts, "seconds": seconds, "peak_mb": common.peak_mb()})

    serve()


{"batched": batched, "tutorial": tutorial}[a["way"]]()
