"""Files of a model or a corpus that are damaged in hundreds of ways are read, or refused in one sentence that says
where they are: never with another error."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import bundles, tiny
from training.common.errors import DeepproverbsError
from training.corpus.read import load_arrays
from training.corpus.tokenizer import end_of_text, load_tokenizer
from training.model import huggingface
from training.model.converted import Converted, held_out
from training.model.layout import check_folder, hf_parameters
from training.model.score import Scorer

FOREIGN = (
    b"",
    b"\n",
    b"[]",
    b"{}",
    b"null",
    b"3",
    b'{"a": 1}',
    b"[" * 200_000,
    b'{"model": []}',
    b"\xff\xfe",
    bytes(64),
)
NAMES = ("train", "train_offsets", "held_out", "held_out_offsets", "end")


def damaged(data: bytes, rng: random.Random) -> bytes:
    """A bit flipped, a piece cut out, put in twice or overwritten, or something else altogether."""
    at, length = rng.randrange(len(data) + 1), rng.randrange(1, 40)
    match rng.randrange(7):
        case 0:
            return data[:at]
        case 1:
            return data[:at] + data[at + length :]
        case 2:
            return data[:at] + data[at : at + length] * 2 + data[at + length :]
        case 3:
            return data[:at] + rng.randbytes(length) + data[at + length :]
        case 4:
            return rng.choice(FOREIGN)
        case _:
            at = min(at, len(data) - 1)
            return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


def corpus(folder: Path) -> Path:
    rows = [[*f"a wise son {n}".encode(), tiny.END] for n in range(4)]
    tokens, offsets = np.concatenate(rows).astype(np.int32), np.cumsum([0, *map(len, rows)])
    parts = {"train": tokens, "held_out": tokens, "train_offsets": offsets, "held_out_offsets": offsets}
    np.savez(folder / "corpus.npz", allow_pickle=False, **parts, end=np.int32(tiny.END))
    return folder / "corpus.npz"


def made(folder: Path, what: str) -> tuple[Path, list[Path], Callable[[Path], object]]:
    """(a folder, the files in it that are damaged, what reads them)."""
    match what:
        case "corpus":
            path = corpus(folder)
            model = Converted(tiny.model(folder / "tiny"))
            return folder, [path], lambda at: (load_arrays(at / path.name, *NAMES), held_out(model, at / path.name))
        case "converted":
            model_folder = tiny.model(folder, [*range(97, 123), tiny.END])
            names = ("encoder.json", "vocab.bpe", "hparams.json", "kept.json")
            return model_folder, [model_folder / name for name in names], Converted
        case "ctranslate2":
            model_folder = tiny.model(folder)
            return model_folder, [model_folder / name for name in ("config.json", "vocabulary.json")], scored
        case "openai":
            at = bundles.write(tiny.source(folder / "base"), tiny.arrays())
            return at, [path for path in at.iterdir() if "data" not in path.name], check_folder
        case "huggingface":
            at = folder / "hf"
            at.mkdir()
            hparams = check_folder(bundles.write(tiny.source(folder / "base"), tiny.arrays()))
            huggingface.write_gpt2(tiny.arrays(), hparams, folder / "base", at)
            files = [path for path in at.iterdir() if path.suffix == ".json"]
            return at, files, lambda at: (check_folder(at), hf_parameters(at), load_tokenizer(at), end_of_text(at))
    raise ValueError(what)


def scored(folder: Path) -> object:
    return Scorer(folder).rows([["<|endoftext|>", "a", "<|endoftext|>"]])


@pytest.mark.parametrize("what", ["corpus", "converted", "ctranslate2", "openai", "huggingface"])
def test_damage_is_told_in_a_sentence(what: str, tmp_path: Path) -> None:
    rng = random.Random(1)
    folder, files, read = made(tmp_path, what)
    read(folder)
    told = 0
    for file in files:
        data = file.read_bytes()
        for number in range(40):
            file.write_bytes(damaged(data, rng))
            try:
                read(folder)
            except DeepproverbsError as error:
                told += 1
                text = str(error)
                assert len(text.splitlines()) == 1 and len(text) < 700 and str(folder) in text, (
                    file.name,
                    number,
                    text,
                )
        file.unlink()
        try:
            read(folder)
        except DeepproverbsError as error:
            told += 1
            assert str(folder) in str(error)
        file.write_bytes(data)
    assert told > 12 * len(files)
    read(folder)


def test_a_vocabulary_that_was_cut_between_two_lines_is_no_vocabulary(tmp_path: Path) -> None:
    from tests.helpers.nano import NANO

    for name in ("encoder.json", "vocab.bpe", "hparams.json"):
        shutil.copyfile(NANO / name, tmp_path / name)
    load_tokenizer(tmp_path)
    lines = (NANO / "vocab.bpe").read_text().splitlines(keepends=True)
    (tmp_path / "vocab.bpe").write_text("".join(lines[: len(lines) // 2]))
    with pytest.raises(DeepproverbsError, match="cut short"):
        load_tokenizer(tmp_path)
