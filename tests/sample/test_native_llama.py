"""The C decoder's Llama-like models against a second implementation and against CTranslate2 in float32."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
import pytest
from ctranslate2.specs import attention_spec, common_spec

from tests.helpers import llama, tiny
from tests.helpers.llama import ODD, USUAL, Size, divergence
from tests.sample.test_native import (
    CHANCE,
    TOKENS,
    chi_square,
    counted,
    drawn,
    joint,
    load,
    logits_of_kernel,
    sampler,
)
from training.common.errors import DeepproverbsError
from training.sample.native.architecture import shape_of, unsupported
from training.sample.native.sampler import Counter as Numbers

SIZES = {
    "usual": USUAL,
    "odd": ODD,
    "untied": Size(tied=False, layers=1),
    "wide heads": Size(heads=6, kv_heads=2, size=24),
}


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return llama.model(tmp_path_factory.mktemp("llama"), USUAL)


def float32(folder: Path, s: Size, tokens: list[int]) -> Any:
    """CTranslate2's logits."""
    names = llama.names(s)
    generator = ctranslate2.Generator(str(folder), compute_type="float32")
    return np.array(generator.forward_batch([[names[token] for token in tokens]]))[0].astype(np.float64)


@pytest.mark.parametrize("name", SIZES)
def test_logits_are_those_of_the_second_implementation(tmp_path: Path, name: str) -> None:
    s, tokens = SIZES[name], TOKENS[:12]
    a, folder = llama.arrays(s), llama.model(tmp_path, s)
    assert unsupported(folder) is None
    found = sampler(load(folder), most=50).logits(tokens)
    rounded, exact = (llama.logits(s, a, tokens, rounding) for rounding in ("native", "exact"))
    assert np.abs(float32(folder, s, tokens) - exact).max() < 2e-4, "the second implementation is CTranslate2's model"
    off = np.abs(found[1:] - exact[1:]).mean()
    # 1e-6 is what is mostly seen; a number that lies just between two steps may round the other way in float32, and
    # move others. Rounded in another way, the difference would be as large as `off` or larger.
    assert np.abs(found - rounded).mean() < off / 2
    assert np.abs(found[0] - exact[0]).max() < 2e-4, "the start is exact"
    assert 0.003 < off < 0.1 < exact.std() / 5
    assert divergence(exact, found).mean() < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("kernel", ["avx2", "portable"])
def test_every_kernel_gives_the_same(tmp_path: Path, kernel: str) -> None:
    for s in (USUAL, ODD):
        folder = llama.model(tmp_path / str(s.size), s)
        exact = llama.logits(s, llama.arrays(s), TOKENS)
        assert divergence(exact, logits_of_kernel(kernel, folder).astype(np.float64)).mean() < 0.01


def test_massive_activations_do_no_harm(tmp_path: Path) -> None:
    """At the end token that starts a text, and in all that attend to it, where int8 as GPT-2's fails."""
    a = llama.massive(USUAL)
    folder = llama.model(tmp_path, USUAL, a)
    exact = float32(folder, USUAL, TOKENS)
    plain = divergence(exact, llama.logits(USUAL, a, TOKENS, "int8"))
    found = divergence(exact, sampler(load(folder), most=50).logits(TOKENS).astype(np.float64))
    assert plain[0] > 5 and plain[1:].mean() > 0.03
    assert found[0] < 1e-6 and found[1:].mean() < 0.012


def test_a_start_that_is_no_end_token_is_computed_too(usual: Path) -> None:
    tokens = TOKENS[1:]
    exact = llama.logits(USUAL, llama.arrays(USUAL), tokens)
    assert divergence(exact, sampler(load(usual), most=50).logits(tokens).astype(np.float64)).mean() < 0.02


def test_a_text_depends_on_its_number_alone(usual: Path) -> None:
    settings: dict[str, Any] = {"temperatures": [0.4, 1.0], "prefixes": [[tiny.END], [tiny.END, 104]], "top_p": 0.9}
    model = load(usual)
    one = drawn(sampler(model, **settings), 400)
    assert sorted(one) == list(range(400)) and len(set(one.values())) > 250
    for seats in (1, 7, 96):
        assert drawn(sampler(load(usual), seats=seats, **settings), 400) == one
    for number in range(0, 400, 23):  # one that remembers no beginnings
        assert drawn(sampler(model, seats=1, **settings), 1, first=number) == {number: one[number]}


def test_frequencies_are_the_exact_probabilities(usual: Path) -> None:
    """The first two tokens of 100,000 texts, by the decoder's own logits."""
    model, case, total = load(usual), {"temperature": 0.8, "top_k": 40, "top_p": 0.9}, 100_000
    exact = joint(sampler(model, most=8).logits, [tiny.END], tiny.END, **case)
    source = sampler(model, most=2, temperatures=[0.8], top_k=40, top_p=0.9)
    assert chi_square(counted(source.run(Numbers(0), total, total)), exact, total) > CHANCE


def test_a_token_s_keys_are_those_of_the_grouped_heads(usual: Path, small: Path) -> None:
    assert shape_of(usual).place == 2 * 2 * 1 * 64 * 2, "layers, keys and values, heads, size, bytes"
    assert shape_of(small).place == 2 * 2 * 64 * 2


EXTRAS: dict[str, tuple[dict[str, Any], str]] = {
    "scaled rotary positions": (
        {"rotary_scaling_type": attention_spec.RotaryScalingType.Linear, "rotary_scaling_factor": 2},
        "it has decoder/layer_0/self_attention/rotary_scaling",
    ),
    "a window": ({"sliding_window": 9}, "sliding_window"),
    "neighbours": ({"rotary_interleave": True}, "its rotary positions turn neighbours, not halves"),
    "some of a head": ({"rotary_dim": 32}, "its rotary positions turn 32 of 64 numbers"),
    "gated GELU": ({"activation": common_spec.Activation.GELUTanh}, "its activation is CTranslate2's number 1"),
    "ALiBi": ({"alibi": True}, "decoder/alibi is 1"),
}


@pytest.mark.parametrize("name", EXTRAS)
def test_what_it_cannot_do_is_named(tmp_path: Path, name: str) -> None:
    settings, reason = EXTRAS[name]
    assert reason in str(unsupported(llama.model(tmp_path, USUAL, **settings)))


def test_norms_of_queries_and_scaled_embeddings_are_named(tmp_path: Path) -> None:
    spec = llama.specification(USUAL, llama.arrays(USUAL), qk_norm=True)
    for layer in spec.decoder.layer:
        layer.self_attention.q_norm.gamma = layer.self_attention.k_norm.gamma = np.ones(64, np.float32)
    assert unsupported(llama.save(spec, tmp_path / "a")) == "it has decoder/layer_0/self_attention/k_norm/gamma"
    spec = llama.specification(USUAL, llama.arrays(USUAL))
    spec.decoder.scale_embeddings = True
    assert unsupported(llama.save(spec, tmp_path / "b")) == "decoder/scale_embeddings is 1"


def test_layers_that_differ_are_named(tmp_path: Path) -> None:
    spec = llama.specification(USUAL, llama.arrays(USUAL))
    spec.decoder.layer[1].self_attention.rotary_base = np.float32(5e5)
    assert unsupported(llama.save(spec, tmp_path)) == "self_attention/rotary_base differs from layer to layer"


def test_rounded_weights_are_named(tmp_path: Path) -> None:
    spec = llama.specification(USUAL, llama.arrays(USUAL))
    folder = llama.save(spec, tmp_path, quantization="int8")
    assert "_scale" in str(unsupported(folder)) or "is not in float32" in str(unsupported(folder))


def test_the_model_itself_refuses_in_a_sentence(tmp_path: Path, small: Path) -> None:
    assert unsupported(small) is None, "a GPT-2"
    folder = llama.model(tmp_path, USUAL, rotary_interleave=True)
    with pytest.raises(
        DeepproverbsError, match=r"cannot sample .* \(its rotary .*set \[sample\] engine to ctranslate2"
    ):
        load(folder)
    (folder / "config.json").write_text("[]")
    with pytest.raises(DeepproverbsError, match=r"is not part of a converted model .* converts again"):
        unsupported(folder)
