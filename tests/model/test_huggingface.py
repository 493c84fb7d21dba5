"""GPT-2 in Hugging Face's layout: transformers computes the same, and nothing is lost on the way and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers import by_transformers, nano, tiny
from training.common.errors import DeepproverbsError, WrongUse
from training.corpus.tokenizer import load_tokenizer
from training.model.convert import write_model
from training.model.huggingface import hf_names, read_gpt2, shapes, write_gpt2, write_vocabulary
from training.model.layout import Hparams, read_hparams

HPARAMS = Hparams(**tiny.HPARAMS)
TEXTS = ["A wise son maketh a glad father.", "  Ünïcode — “quotes” 🙂\n\n  3.14 don't", "", "a\tb", "x<|endoftext|>y"]
ROWS = [[tiny.END], [tiny.END, 65, 66, 67, 0, 255], [*range(64)]]


@pytest.fixture
def written(tmp_path: Path) -> Path:
    write_gpt2(tiny.arrays(), HPARAMS, tiny.source(tmp_path / "source"), tmp_path / "out")
    return tmp_path / "out"


def tensors_of(path: Path) -> dict[str, Any]:
    from safetensors.numpy import load_file

    return dict(load_file(path))


def rewrite(folder: Path, tensors: dict[str, Any], name: str = "model.safetensors") -> None:
    from safetensors.numpy import save_file

    save_file(tensors, folder / name)


def configure(folder: Path, **changed: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changed))


def assert_same(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert set(found) == set(wanted)
    for name, values in found.items():
        assert values.dtype == np.float32 and values.shape == wanted[name].shape, name
        assert values.tobytes() == wanted[name].tobytes(), name


def test_there_and_back_every_bit_is_the_same(written: Path) -> None:
    arrays, hparams = read_gpt2(written)
    assert hparams == HPARAMS
    assert_same(arrays, tiny.arrays())
    assert {name: values.shape for name, values in arrays.items()} == shapes(HPARAMS)


def test_what_comes_back_computes_what_was_written(written: Path, tmp_path: Path) -> None:
    """CTranslate2 in float32 against a second implementation in NumPy."""
    import ctranslate2

    write_model(read_gpt2(written)[0], tmp_path / "source", tmp_path / "model")
    generator = ctranslate2.Generator(str(tmp_path / "model"), compute_type="float32")
    names = json.loads((tmp_path / "source/encoder.json").read_text())
    token = {number: name for name, number in names.items()}
    for row in ROWS:
        found = np.asarray(generator.forward_batch([[token[number] for number in row]]))[0]
        assert np.abs(found - tiny.logits(tiny.arrays(), row)).max() < 1e-4


def test_transformers_computes_the_same(torch: Path, written: Path, tmp_path: Path) -> None:
    found, facts = by_transformers.run(torch, written, ROWS, TEXTS, tmp_path / "found")
    for row, logits in zip(ROWS, found, strict=True):
        assert np.abs(logits - tiny.logits(tiny.arrays(), row)).max() < 1e-4
    assert facts["parameters"] == HPARAMS.parameters and facts["dtype"] == "torch.float32"


def test_transformers_has_nanos_tokens_and_logits(torch: Path, tmp_path: Path) -> None:
    import ctranslate2

    with np.load(nano.NANO / "weights.npz") as weights:
        arrays = {name: weights[name].astype(np.float32) for name in weights.files}
    hparams = read_hparams(nano.NANO)
    write_gpt2(arrays, hparams, nano.NANO, tmp_path / "out")
    tokenizer = load_tokenizer(nano.NANO)
    end = int(tokenizer.token_to_id("<|endoftext|>") or 0)
    row = [end, *tokenizer.encode(TEXTS[0]).ids]
    (logits,), facts = by_transformers.run(torch, tmp_path / "out", [row], TEXTS, tmp_path / "found")
    model = nano.model(tmp_path)
    generator = ctranslate2.Generator(str(model), compute_type="float32")
    theirs = np.asarray(generator.forward_batch([["<|endoftext|>", *tokenizer.encode(TEXTS[0]).tokens]]))[0]
    assert np.abs(logits - theirs).max() < 1e-4 and np.abs(theirs).max() > 1
    assert facts["tokens"][:-1] == [tokenizer.encode(text).ids for text in TEXTS[:-1]]
    assert facts["tokens"][-1] == [*tokenizer.encode("x").ids, end, *tokenizer.encode("y").ids]
    assert facts["texts"] == TEXTS
    assert facts["end"] == ["<|endoftext|>", end, end, end] and facts["special"] == ["<|endoftext|>"]
    assert facts["longest"] == hparams.n_ctx


def test_names_without_the_prefix_and_what_older_versions_added(written: Path) -> None:
    """OpenAI's own models on the hub are like this."""
    tensors = {
        name.removeprefix("transformer."): values for name, values in tensors_of(written / "model.safetensors").items()
    }
    tensors["h.0.attn.bias"] = np.tri(64, dtype=np.uint8)[None, None]
    tensors["h.1.attn.masked_bias"] = np.array(-1e4, np.float32)
    tensors["lm_head.weight"] = tensors["wte.weight"].copy()
    rewrite(written, tensors)
    assert_same(read_gpt2(written)[0], tiny.arrays())


def test_the_vocabulary_comes_back(written: Path, tmp_path: Path) -> None:
    write_vocabulary(written, HPARAMS, tmp_path / "back")
    assert read_hparams(tmp_path / "back") == HPARAMS
    for name in ("encoder.json", "vocab.bpe"):
        text = (tmp_path / "back" / name).read_text()
        theirs = (tmp_path / "source" / name).read_text()
        assert json.loads(text) == json.loads(theirs) if name == "encoder.json" else text == theirs


def test_nanos_vocabulary_comes_back(tmp_path: Path) -> None:
    with np.load(nano.NANO / "weights.npz") as weights:
        arrays = {name: weights[name].astype(np.float32) for name in weights.files}
    hparams = read_hparams(nano.NANO)
    write_gpt2(arrays, hparams, nano.NANO, tmp_path / "out")
    write_vocabulary(tmp_path / "out", hparams, tmp_path / "back")
    assert json.loads((tmp_path / "back/encoder.json").read_text()) == json.loads(
        (nano.NANO / "encoder.json").read_text()
    )
    assert (tmp_path / "back/vocab.bpe").read_text() == (nano.NANO / "vocab.bpe").read_text()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"pre_tokenizer": {"type": "Whitespace"}}, "is not a tokenizer like GPT-2's"),
        ({"normalizer": {"type": "NFC"}}, "is not a tokenizer like GPT-2's"),
        ({"added_tokens": [{"content": "<pad>", "id": 300}]}, "is not a tokenizer like GPT-2's"),
        ({"added_tokens": [{"content": "<pad>", "id": 257}]}, "has 258 tokens, more than the model's 257"),
        ({"model": {"type": "Unigram", "vocab": []}}, "cannot be read as a tokenizer"),
        ({"model": {"type": "WordLevel", "vocab": {"<|endoftext|>": 0}}}, "is not a tokenizer like GPT-2's"),
    ],
)
def test_other_tokenizers(written: Path, tmp_path: Path, changed: dict[str, Any], words: str) -> None:
    path = written / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    with pytest.raises(DeepproverbsError, match=words):
        write_vocabulary(written, HPARAMS, tmp_path / "back")


def test_parts(written: Path) -> None:
    tensors = tensors_of(written / "model.safetensors")
    (written / "model.safetensors").unlink()
    places = {name: f"model-0000{1 + i % 2}-of-00002.safetensors" for i, name in enumerate(sorted(tensors))}
    for part in set(places.values()):
        rewrite(written, {name: tensors[name] for name in tensors if places[name] == part}, part)
    (written / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    assert_same(read_gpt2(written)[0], tiny.arrays())
    (written / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(WrongUse, match=r"model-00002-of-00002.safetensors cannot be read .*; copy it again"):
        read_gpt2(written)
    (written / "model.safetensors.index.json").write_text("[]")
    with pytest.raises(DeepproverbsError, match=r"index\.json is damaged"):
        read_gpt2(written)


def test_halves_become_the_same_numbers_in_float32(written: Path) -> None:
    tensors = tensors_of(written / "model.safetensors")
    rewrite(written, {name: values.astype(np.float16) for name, values in tensors.items()})
    halves = {name: values.astype(np.float16).astype(np.float32) for name, values in tiny.arrays().items()}
    assert_same(read_gpt2(written)[0], halves)
    # bfloat16, which NumPy lacks: the file byte by byte.
    body, header = b"", {}
    for name, values in tensors.items():
        own = (np.ascontiguousarray(tiny.halves(values), np.float32).view(np.uint32) >> 16).astype("<u2").tobytes()
        header[name] = {"dtype": "BF16", "shape": values.shape, "data_offsets": [len(body), len(body) + len(own)]}
        body += own
    text = json.dumps(header).encode()
    (written / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + body)
    assert_same(read_gpt2(written)[0], {name: tiny.halves(v).astype(np.float32) for name, v in tiny.arrays().items()})


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"model_type": "llama"}, "holds a model of type 'llama', not a GPT-2"),
        ({"activation_function": "relu"}, "is not a plain GPT-2: activation_function is 'relu'"),
        ({"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx is True"),
        ({"scale_attn_weights": False}, "scale_attn_weights is False"),
        ({"n_inner": 100}, "n_inner is 100"),
        ({"layer_norm_epsilon": 1e-6}, "layer_norm_epsilon is 1e-06"),
        ({"tie_word_embeddings": False}, "tie_word_embeddings is False"),
        ({"quantization_config": {"bits": 4}}, "quantization_config is"),
        ({"n_layer": 3}, "lacks h.2.attn.c_attn.bias: it is not a plain GPT-2 of 3 layers"),
        ({"n_layer": 1}, "has h.1.attn.c_attn.bias"),
        ({"n_layer": None}, "cannot be read as a GPT-2's description"),
        ({"n_positions": 128}, r"wpe.weight in .* has the shape \(64, 64\), not \(128, 64\)"),
    ],
)
def test_what_is_no_plain_gpt_2(written: Path, changed: dict[str, Any], words: str) -> None:
    configure(written, **changed)
    with pytest.raises(WrongUse, match=words):
        read_gpt2(written)


def test_weights_that_are_something_else(written: Path) -> None:
    path = written / "model.safetensors"
    tensors = tensors_of(path)
    rewrite(written, tensors | {"lm_head.weight": tensors["transformer.wte.weight"] + 1})
    with pytest.raises(WrongUse, match="has its own output layer"):
        read_gpt2(written)
    rewrite(written, tensors | {"transformer.wpe.weight": np.ones((64, 64), np.int8)})
    with pytest.raises(WrongUse, match=r"holds transformer.wpe.weight as I8; only F32, F16, BF16 are read"):
        read_gpt2(written)
    rewrite(written, tensors)
    for body in (b"", b"<html>404</html>", path.read_bytes()[:-1]):
        path.write_bytes(body)
        with pytest.raises(DeepproverbsError, match=r"model\.safetensors is damaged .*; copy it again"):
            read_gpt2(written)
    path.unlink()
    with pytest.raises(WrongUse, match=r"has no model\.safetensors"):
        read_gpt2(written)
    (written / "config.json").unlink()
    with pytest.raises(WrongUse, match=r"config\.json cannot be read"):
        read_gpt2(written)


def test_every_name_is_there_once() -> None:
    names = hf_names(12)
    assert len(names) == len(set(names.values())) == 148 and names["model/h11/mlp/c_fc/w"] == "h.11.mlp.c_fc.weight"
    of_124m = Hparams(50257, 1024, 768, 12, 12)
    assert sum(int(np.prod(shape)) for shape in shapes(of_124m).values()) == of_124m.parameters == 124_439_808
