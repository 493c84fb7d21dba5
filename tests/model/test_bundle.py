"""Checkpoints read without TensorFlow: the same bits as TensorFlow reads, and no damage unseen."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import bundles, tiny
from tests.helpers.fine_tuned import Line
from training.common.errors import DeepproverbsError, WrongUse
from training.model import bundle, crc32c
from training.model.bundle import read
from training.model.layout import checkpoint_path

ARRAYS = {
    "model/h0/attn/w": np.arange(12, dtype=np.float32).reshape(1, 3, 4),
    "model/h0/attn/b": np.array([1, -0.0, np.inf, 1e-45], np.float32),
    "model/wpe": np.arange(8, dtype=np.float32).reshape(4, 2),
    "model/wte": -np.arange(10, dtype=np.float32).reshape(5, 2),
    "model/wte/Adam": np.ones((5, 2), np.float32),
    "model/wte/Adam_1": np.ones((5, 2), np.float32),
    "beta1_power": np.ones((), np.float32),
}
MODEL = {name: values for name, values in ARRAYS.items() if name.startswith("model/") and "Adam" not in name}

BY_TENSORFLOW = """
import json, sys, warnings; warnings.filterwarnings("ignore")
import numpy as np, tensorflow as tf
reader = tf.train.load_checkpoint(sys.argv[1])
np.savez(sys.argv[2], **{name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()})
"""
TRAINED_BY_TENSORFLOW = """
import json, sys, warnings; warnings.filterwarnings("ignore")
import tensorflow as tf
from gpt_2_simple.src import model
tf = tf.compat.v1
params = model.default_hparams()
params.override_from_dict(json.loads(sys.argv[1]))
with tf.device(lambda op: "/cpu:%d" % (hash(op.name) % 3)):
    loss = tf.reduce_mean(model.model(hparams=params, X=tf.zeros([1, 4], tf.int32))["logits"] ** 2)
    step = tf.train.AdamOptimizer(0.1).minimize(loss)
    if "sliced" in sys.argv:
        tf.get_variable("model/halves", [4, 2], partitioner=tf.fixed_size_partitioner(2))
session = tf.Session(config=tf.ConfigProto(device_count={"CPU": 3}))
session.run(tf.global_variables_initializer())
session.run(step)
tf.train.Saver(sharded=True, save_relative_paths=True).save(session, sys.argv[2] + "/model", global_step=7)
"""


def same(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> bool:
    """The same names, shapes and bits."""
    assert list(found) == sorted(wanted)
    return all(
        values.dtype == np.float32 and values.shape == wanted[name].shape and values.tobytes() == wanted[name].tobytes()
        for name, values in found.items()
    )


@pytest.mark.parametrize("shards", [1, 3])
def test_the_models_own_variables_are_read(tmp_path: Path, shards: int) -> None:
    found = read(bundles.write(tmp_path, ARRAYS, shards))
    assert same(found, MODEL)
    assert not any(values.flags.writeable or values.flags.owndata for values in found.values())  # mapped


def test_a_run_that_was_moved_is_read_where_it_lies(tmp_path: Path) -> None:
    """TensorFlow wrote the path that it had then."""
    bundles.write(tmp_path, ARRAYS)
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "/content/checkpoint/run1/model-7"\n')
    assert same(read(tmp_path), MODEL)


def test_no_damage_goes_unseen(tmp_path: Path) -> None:
    """Every byte changed, every length cut: refused in a sentence, or the values are right all the same."""
    bundles.write(tmp_path, ARRAYS)
    unseen = 0
    for file in ("model-7.index", "model-7.data-00000-of-00001"):
        path, body = tmp_path / file, (tmp_path / file).read_bytes()
        changed = [body[:at] + bytes([body[at] ^ 1 << at % 8]) + body[at + 1 :] for at in range(len(body))]
        for other in [*changed, *(body[:length] for length in range(0, len(body), 3))]:
            path.write_bytes(other)
            try:
                assert same(read(tmp_path), MODEL), f"{file}: {other!r}"
                unseen += len(other) == len(body)
            except DeepproverbsError as error:
                assert "\n" not in str(error) and "again" in str(error)
        path.write_bytes(body)
    others = sum(ARRAYS[name].nbytes for name in ARRAYS.keys() - MODEL.keys())
    # Values that are not the model's, the footer's padding, and the metaindex, which is not read.
    assert unseen <= others + bundle.FOOTER + 8 + bundle.TRAILER


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (bundles.entry((5, 2), 0, 0, bytes(20), dtype=19), "model/wte in .* is not stored whole in float32"),
        (bundles.entry((5, 2), 0, 0, b"", more=bundles.field(7, b"x")), "model/wte in .* is not stored whole"),
        (bundles.entry((5, 2), 4, 0, bytes(40)), "data-00004-of-00001 cannot be read .No such file"),
        (bundles.entry((5, 3), 0, 0, bytes(40)), "values of model/wte in .* are damaged or cut short"),
        (bundles.entry((2**62, 2**62), 0, 0, bytes(40)), "are damaged or cut short"),
        (bundles.field(3, b"x") + b"\x08", "index is damaged"),
        (b"\x0f", "index is damaged .a field of no known type"),
    ],
)
def test_entries_that_cannot_be_read(tmp_path: Path, changed: bytes, words: str) -> None:
    with pytest.raises(DeepproverbsError, match=words):
        read(bundles.write(tmp_path, ARRAYS, changed={"model/wte": changed}))


def test_other_checkpoints_are_refused(tmp_path: Path) -> None:
    index = bundles.write(tmp_path, {"encoder/w": np.ones(2)}) / "model-7.index"
    with pytest.raises(WrongUse, match="names no variables model/"):
        read(tmp_path)
    index.write_bytes(bundles.table({b"": bundles.field(1, 1)}, compression=1))
    with pytest.raises(WrongUse, match="is compressed, which TensorFlow never does"):
        read(tmp_path)
    index.write_bytes(bundles.table({b"": bundles.field(1, 1) + bundles.field(2, 1), b"model/w": b""}))
    with pytest.raises(WrongUse, match="little-endian"):
        read(tmp_path)
    index.unlink()
    with pytest.raises(WrongUse, match=r"model-7\.index cannot be read"):
        read(tmp_path)
    (tmp_path / "checkpoint").unlink()
    with pytest.raises(WrongUse, match="names no checkpoint"):
        read(tmp_path)


def by_tensorflow(tf1: Path, prefix: Path, out: Path) -> dict[str, np.ndarray]:
    subprocess.run([tf1, "-c", BY_TENSORFLOW, str(prefix), str(out)], check=True, capture_output=True)
    return dict(np.load(out))


def test_tensorflow_reads_the_same_of_nano_and_of_a_fine_tuned_model(
    tf1: Path, line: Line, tuned: Path, tmp_path: Path
) -> None:
    for folder in (line.base.folder, tuned):
        theirs = by_tensorflow(tf1, folder / checkpoint_path(folder).name, tmp_path / "theirs.npz")
        assert len(theirs) == 52 and same(read(folder), theirs)


def test_shards_and_moments_that_tensorflow_wrote(tf1: Path, tmp_path: Path) -> None:
    hparams = json.dumps(tiny.HPARAMS)
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    subprocess.run(
        [tf1, "-c", TRAINED_BY_TENSORFLOW, hparams, str(tmp_path)], check=True, capture_output=True, env=environment
    )
    assert len(list(tmp_path.glob("model-7.data-*-of-00003"))) == 3
    theirs = by_tensorflow(tf1, tmp_path / "model-7", tmp_path / "theirs.npz")
    assert {"beta1_power", "model/wte/Adam", "model/h1/ln_2/g/Adam_1"} <= set(theirs)
    model = {name: values for name, values in theirs.items() if name in tiny.arrays()}
    assert same(read(tmp_path), model) and set(model) == set(tiny.arrays())
    subprocess.run(
        [tf1, "-c", TRAINED_BY_TENSORFLOW, hparams, str(tmp_path), "sliced"],
        check=True,
        capture_output=True,
        env=environment,
    )
    with pytest.raises(WrongUse, match=r"model/halves in .* is not stored whole"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("data", "crc"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),  # this and the next three: RFC 3720, B.4
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_published_checksums(data: bytes, crc: int) -> None:
    assert crc32c.crc32c(data) == bundles.crc32c(data) == crc


STEP = crc32c.A - crc32c.B


@pytest.mark.parametrize(
    "length",
    [1, 3, 5, crc32c.A - 1, crc32c.A + 1, 4 * crc32c.A + 7, 4 * (crc32c.A + crc32c.BLOCKS * STEP) + 2, 400_001],
)
def test_checksums_of_every_length(length: int) -> None:
    data = np.random.default_rng(length).bytes(length)
    assert crc32c.crc32c(data) == bundles.crc32c(data)


def test_the_four_terms_are_a_multiple_of_the_polynomial() -> None:
    multiple = 1 << crc32c.A | 1 << crc32c.B | 1 << crc32c.C | 1
    for place in range(crc32c.A, 31, -1):
        if multiple >> place & 1:
            multiple ^= 0x11EDC6F41 << place - 32
    assert multiple == 0
