"""What the TensorFlow programs share: events out, arguments in, gpt-2-simple's model, batches."""

import json
import os
import signal
import sys
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
warnings.filterwarnings("ignore")

# Libraries print to standard output; the parent reads JSON lines there. Keep the real one aside.
_events = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from gpt_2_simple.src import model as gpt2  # noqa: E402

tf.compat.v1.logging.set_verbosity(tf.compat.v1.logging.ERROR)
_parent = os.getppid()
# A background job of a shell inherits "ignore"; the parent's SIGINT must reach us all the same.
signal.signal(signal.SIGINT, signal.default_int_handler)


def emit(event, **facts):
    """Write one event as a JSON line. Ends the program when nobody reads any more."""
    try:
        _events.write(json.dumps(dict(event=event, **facts)) + "\n")
        _events.flush()
    except (BrokenPipeError, ValueError):
        os._exit(1)


def leave_with_parent():
    """End when the process that started this one is gone: a killed run must not keep writing unseen."""
    if os.getppid() != _parent:
        os._exit(1)


def arguments():
    return json.loads(sys.argv[1])


def hparams(folder):
    values = gpt2.default_hparams()
    with open(os.path.join(folder, "hparams.json")) as file:
        values.override_from_dict(json.load(file))
    return values


def session():
    config = tf.compat.v1.ConfigProto()
    config.gpu_options.allow_growth = True
    return tf.compat.v1.Session(config=config)


def latest(folder):
    """The checkpoint that `folder`'s `checkpoint` file names, wherever the folder lies now."""
    found = tf.train.latest_checkpoint(folder)
    if found is None:
        raise SystemExit("No checkpoint in {}.".format(folder))
    return found


def model_variables():
    return [v for v in tf.compat.v1.global_variables() if v.name.startswith("model/") and "Adam" not in v.name]


def whole_text_loss(params):
    """Build the model over whole texts.

    Returns placeholders tokens [B, T+1] and mask [B, T], and the summed negative log-likelihood
    (nats) of tokens[:, 1:] where the mask is 1.
    """
    tokens = tf.compat.v1.placeholder(tf.int32, [None, None])
    mask = tf.compat.v1.placeholder(tf.float32, [None, None])
    logits = gpt2.model(hparams=params, X=tokens[:, :-1])["logits"]
    nll = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=tokens[:, 1:], logits=logits)
    return tokens, mask, tf.reduce_sum(nll * mask)


class Texts:
    """Whole texts of a corpus.npz, as padded batches that start with the end token."""

    def __init__(self, corpus, part, longest=1023):
        self.end = int(corpus["end"])
        tokens, offsets = corpus[part], corpus[part + "_offsets"]
        self.rows = [tokens[a:b][:longest] for a, b in zip(offsets[:-1], offsets[1:])]

    def batch(self, indexes):
        """(tokens [B, T+1], mask [B, T]): row = end token, the text, its own end token, padding."""
        width = max(len(self.rows[i]) for i in indexes)
        tokens = np.full((len(indexes), width + 1), self.end, dtype=np.int32)
        mask = np.zeros((len(indexes), width), dtype=np.float32)
        for row, i in enumerate(indexes):
            tokens[row, 1 : len(self.rows[i]) + 1] = self.rows[i]
            mask[row, : len(self.rows[i])] = 1
        return tokens, mask

    def by_length(self, size):
        order = sorted(range(len(self.rows)), key=lambda i: len(self.rows[i]))
        return [order[i : i + size] for i in range(0, len(order), size)]

    def epoch(self, size, seed, number):
        """Batches of epoch `number`: the same for the same seed, so that a resumed run goes on with
        the very batches that were left. Texts of eight batches at a time are sorted by length:
        three quarters of the padding gone, the order still random."""
        rng = np.random.RandomState([seed, number])
        order = rng.permutation(len(self.rows))
        batches = []
        for start in range(0, len(order), 8 * size):
            group = sorted(order[start : start + 8 * size], key=lambda i: len(self.rows[i]))
            batches += [group[i : i + size] for i in range(0, len(group), size)]
        rng.shuffle(batches)
        return batches


def held_out_loss(sess, texts, tokens, mask, total, size=32):
    """Nats a token over whole texts, each alone after the end token: as sampling uses the model."""
    nll, count = 0.0, 0.0
    for indexes in texts.by_length(size):
        rows, counted = texts.batch(indexes)
        nll += sess.run(total, {tokens: rows, mask: counted})
        count += counted.sum()
    return float(nll / count)
