"""The C decoder against a second implementation, and its sampling against exact probabilities."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tests.helpers import tiny
from training.common.errors import DeepproverbsError
from training.common.paths import ROOT
from training.model.convert import write_model
from training.sample.native import build
from training.sample.native.sampler import Counter as Numbers
from training.sample.native.sampler import Model, Sampler, Texts, decoder
from training.sample.native.weights import read_weights

TOKENS = [tiny.END, *np.random.default_rng(3).integers(0, 256, 40).tolist()]


def load(folder: Path, end: int = tiny.END) -> Model:
    return Model(folder, end)


def sampler(model: Model, **settings: Any) -> Sampler:
    end = settings.pop("end", tiny.END)
    return Sampler(model, **({"seats": 48, "most": 8, "prefixes": [[end]], "temperatures": [1.0]} | settings))


def test_weights_are_read_as_they_were_written(small: Path) -> None:
    written, read = tiny.arrays(), read_weights(small / "model.bin")
    assert np.array_equal(read["decoder/embeddings/weight"], written["model/wte"])
    assert np.array_equal(read["decoder/layer_1/ffn/linear_0/weight"], written["model/h1/mlp/c_fc/w"][0].T)
    assert np.array_equal(read["decoder/layer_0/self_attention/layer_norm/beta"], written["model/h0/ln_1/b"])


@pytest.mark.parametrize("keep", [0, 3, 50, 5000])
def test_a_damaged_model_gets_a_sentence(small: Path, tmp_path: Path, keep: int) -> None:
    (tmp_path / "model.bin").write_bytes((small / "model.bin").read_bytes()[:keep])
    with pytest.raises(DeepproverbsError, match=r"is not a converted model .* converts again"):
        read_weights(tmp_path / "model.bin")


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_logits_are_those_of_the_second_implementation(tmp_path: Path, heads: int) -> None:
    """Heads of 64, as all of OpenAI's models have, and of other sizes."""
    found = sampler(load(tiny.model(tmp_path, heads=heads)), most=50).logits(TOKENS)
    rounded, exact = (tiny.logits(tiny.arrays(), TOKENS, int8, heads) for int8 in (True, False))
    # 1e-7 is what is seen; a number that lies just between two steps may round the other way in float32.
    assert np.abs(found - rounded).mean() < 1e-3
    assert 0.01 < np.abs(found - exact).mean() < 0.1 < exact.std() / 20


def compiler_for(kernel: str) -> tuple[str, str]:
    """CC that makes this kernel, and the kernel; where the processor lacks AVX2, the portable one for both."""
    if platform.machine() != "x86_64":
        return "cc", "portable"
    if kernel == "avx2" and " avx2 " in Path("/proc/cpuinfo").read_text():
        return "cc -march=haswell", kernel
    return "cc -march=x86-64-v2", "portable"


def logits_of_kernel(kernel: str, folder: Path) -> Any:
    """Logits after TOKENS, in a process of its own, for the compiled library stays loaded."""
    compiler, kernel = compiler_for(kernel)
    code = (
        "import sys; from pathlib import Path; import numpy as np; from tests.sample import test_native as t\n"
        "from training.sample.native.sampler import decoder\n"
        "m = t.load(Path(sys.argv[1])); print(decoder().kernel().decode())\n"
        "np.save(sys.argv[2], t.sampler(m, most=50).logits(t.TOKENS))"
    )
    out = folder / f"{kernel}.npy"
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder), str(out)],
        cwd=ROOT,
        env={**os.environ, "CC": compiler, "PYTHONPATH": f"{ROOT}:{ROOT / 'functions'}"},
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == [kernel], done.stderr
    return np.load(out)


@pytest.mark.slow
@pytest.mark.parametrize("kernel", ["avx2", "portable"])
def test_every_kernel_gives_the_same(small: Path, kernel: str) -> None:
    found = logits_of_kernel(kernel, small)
    assert np.abs(found - sampler(load(small), most=50).logits(TOKENS)).mean() < 0.01


def drawn(source: Sampler, count: int, first: int = 0) -> dict[int, tuple[int, ...]]:
    texts = source.run(Numbers(first), count, first + count)
    rows = zip(texts.number.tolist(), texts.length.tolist(), texts.tokens.tolist(), strict=True)
    return {number: tuple(row[:length]) for number, length, row in rows}


def test_a_text_depends_on_its_number_alone(small: Path) -> None:
    model = load(small)
    one = drawn(sampler(model), 500)
    assert sorted(one) == list(range(500)) and len(set(one.values())) > 490
    for seats in (1, 7, 96):
        assert drawn(sampler(model, seats=seats), 500) == one
    later = drawn(sampler(model, seats=5), 100, first=333)
    assert later == {n: one[n] for n in range(333, 433) if n in one} | {n: later[n] for n in later if n >= 500}
    assert drawn(sampler(model, seed=2), 500) != one


def test_remembered_beginnings_change_no_text(small: Path) -> None:
    """At a low temperature most texts begin alike: each is drawn by a sampler that remembers 2,000 others, and by a
    new one that knows none."""
    model, warm = load(small), {"temperatures": [0.4], "prefixes": [[tiny.END], [tiny.END, 104]]}
    together = drawn(sampler(model, **warm), 2000)
    assert len({text[:2] for text in together.values()}) < 300
    for number in range(0, 2000, 50):
        assert drawn(sampler(model, seats=1, **warm), 1, first=number) == {number: together[number]}


def test_two_threads_share_the_numbers(small: Path) -> None:
    model, counter, begun = load(small), Numbers(0), threading.Barrier(2, timeout=60)

    def work(source: Sampler) -> list[int]:
        first = source.run(counter, 1000, 20_000)
        begun.wait()  # or a busy machine lets one of them do all
        return [*first.number.tolist(), *source.run(counter, 10**6, 20_000).number.tolist()]

    with ThreadPoolExecutor(2) as pool:
        halves = list(pool.map(work, [sampler(model), sampler(model)]))
    assert sorted(number for half in halves for number in half) == list(range(20_000))
    assert min(map(len, halves)) >= 1000, "both have worked"


def test_a_stopped_run_returns_soon_and_goes_on(small: Path) -> None:
    source, counter = sampler(load(small)), Numbers(0)
    counter.stop.value = 1
    assert len(source.run(counter, 10**6).number) == 0
    counter.stop.value = 0
    parts = [source.run(counter, 100, 1000) for _ in range(12)]
    assert sorted(np.concatenate([p.number for p in parts]).tolist()) == list(range(1000))


def test_a_text_must_fit_the_model(small: Path) -> None:
    with pytest.raises(DeepproverbsError, match="do not fit the model's 64"):
        sampler(load(small), most=64)


@pytest.mark.parametrize("name", ["model/wte", "model/ln_f/g", "model/h1/mlp/c_fc/w"])
def test_a_diverged_model_is_told(tmp_path: Path, name: str) -> None:
    arrays = tiny.arrays()
    arrays[name].flat[3] = np.nan
    write_model(arrays, tiny.source(tmp_path / "source"), tmp_path / "model")
    with pytest.raises(DeepproverbsError, match=r"has diverged\. Fine-tune again"):
        load(tmp_path / "model")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Two empty folders for compiled libraries; the compiled one is forgotten before and after."""
    monkeypatch.setattr(build, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(build.tempfile, "gettempdir", lambda: str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    build.library.cache_clear()
    yield tmp_path / "cache"
    build.library.cache_clear()


def test_a_damaged_library_is_compiled_again(cache: Path) -> None:
    made = build.library()
    assert made.parent == cache and [path.name for path in cache.iterdir()] == [made.name], "no parts are left"
    made.write_bytes(made.read_bytes()[:1000])
    build.library.cache_clear()
    assert build.library() == made and made.stat().st_size > 10_000


def test_a_cache_that_cannot_be_used_is_passed_over(cache: Path) -> None:
    cache.write_text("a file where the small should be")
    made = build.library()
    assert made.parent.name.startswith("deepproverbs-")
    made.parent.chmod(0o777)  # anyone could have put it there
    build.library.cache_clear()
    with pytest.raises(build.NoCompiler, match=r"cannot be compiled anywhere .* belongs to somebody else"):
        build.library()


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o777])
def test_a_cache_that_others_can_write_is_not_loaded_from(cache: Path, mode: int) -> None:
    cache.mkdir()
    cache.chmod(mode)
    made = build.library()
    assert made.parent.parent == cache.parent / "tmp" and not list(cache.iterdir())


def test_nor_is_one_that_is_a_link(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    cache.symlink_to(tmp_path / "theirs")
    assert build.library().parent.parent == tmp_path / "tmp" and not list((tmp_path / "theirs").iterdir())


def test_nor_one_of_somebody_else(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.mkdir()
    monkeypatch.setattr(build.os, "getuid", lambda: cache.stat().st_uid + 1)  # nor is the other folder
    with pytest.raises(build.NoCompiler, match=r"cache: belongs to somebody .*deepproverbs-.*: belongs to somebody"):
        build.library()


@pytest.mark.parametrize("how", ["mode", "link"])
def test_a_library_that_others_could_have_put_there_is_compiled_again(cache: Path, how: str, tmp_path: Path) -> None:
    made = build.library()
    if how == "mode":
        made.chmod(0o777)
    else:
        made.rename(tmp_path / "theirs.so")
        made.symlink_to(tmp_path / "theirs.so")
    build.library.cache_clear()
    assert build.library() == made and made.lstat().st_mode & 0o777 == 0o755 and not made.is_symlink()


def test_no_compiler_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    build.library.cache_clear()
    with pytest.raises(build.NoCompiler, match="no-such-compiler does not run"):
        build.library()
    monkeypatch.setenv("CC", "false")
    with pytest.raises(build.NoCompiler, match="failed"):
        build.library()
    build.library.cache_clear()


def test_the_log_probability_is_the_models_own(small: Path) -> None:
    """At temperature 1, over the whole vocabulary, whatever the text was sampled with."""
    source = sampler(load(small), temperatures=[0.5], top_k=20)
    texts = source.run(Numbers(0), 5, 5)
    for length, row, logprob in zip(texts.length, texts.tokens.tolist(), texts.logprob, strict=True):
        rows = source.logits([tiny.END, *row[: length - 1]])
        exact = [np.log(tiny.distribution(r.astype(np.float64)))[t] for r, t in zip(rows, row, strict=False)]
        assert logprob == pytest.approx(np.mean(exact), abs=1e-4)


CHANCE = 1e-6
"""The p-value that every test of a distribution must exceed. Each kind of processor rounds, and so draws, differently:
1e-4 would fail on one in a thousand of them."""


def chi_square(counts: dict[tuple[int, ...], int], expected: dict[tuple[int, ...], float], total: int) -> float:
    """p-value; cells that expect fewer than 5 are put together."""
    assert set(counts) <= {cell for cell, p in expected.items() if p > 0}, "a token that cannot come"
    large = [cell for cell, p in expected.items() if p * total >= 5]
    seen = np.array([counts.get(cell, 0) for cell in large], dtype=float)
    wanted = np.array([expected[cell] * total for cell in large])
    if (rest := total - wanted.sum()) > 1e-6 * total:
        seen, wanted = np.append(seen, total - seen.sum()), np.append(wanted, rest)
    return float(stats.chisquare(seen, wanted * seen.sum() / wanted.sum()).pvalue)


CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "cold": {"temperature": 0.5},
    "hot": {"temperature": 1.7},
    "top-k": {"top_k": 7},
    "top-p": {"top_p": 0.6},
    "all three": {"temperature": 0.8, "top_k": 40, "top_p": 0.9},
}


def joint(rows_after: Any, prefix: list[int], end: int, **case: Any) -> dict[tuple[int, ...], float]:
    """Exact probabilities of the first two tokens after `prefix`; (end,) where the text is over after one."""
    first = tiny.distribution(rows_after(prefix)[-1].astype(np.float64), **case)
    cells: dict[tuple[int, ...], float] = {}
    for token in np.flatnonzero(first).tolist():
        if token == end:
            cells[(token,)] = first[token]
            continue
        second = tiny.distribution(rows_after([*prefix, token])[-1].astype(np.float64), **case)
        cells |= {(token, other): first[token] * second[other] for other in np.flatnonzero(second).tolist()}
    return cells


def counted(texts: Texts, among: Any = slice(None)) -> Counter[tuple[int, ...]]:
    """How often each text came, `among` those of these places."""
    rows = zip(texts.length[among].tolist(), texts.tokens[among].tolist(), strict=True)
    return Counter(tuple(row[:length]) for length, row in rows)


@pytest.mark.parametrize("name", CASES)
def test_frequencies_are_the_exact_probabilities(small: Path, name: str) -> None:
    """The first two tokens of 400,000 texts, so that the second draw and the cache are tested as well."""
    case, total = CASES[name], 400_000
    settings = {"temperatures": [case.get("temperature", 1.0)]} | {k: v for k, v in case.items() if k != "temperature"}
    model = load(small)
    counts = counted(sampler(model, most=2, **settings).run(Numbers(0), total, total))
    exact = joint(sampler(model, most=8).logits, [tiny.END], tiny.END, **case)
    assert chi_square(counts, exact, total) > CHANCE
    wrong = joint(sampler(model, most=8).logits, [tiny.END], tiny.END, **(case | {"temperature": 1.03}))
    if name == "plain":
        assert chi_square(counts, wrong, total) < CHANCE, "the test sees a temperature that is 3 % off"


def test_frequencies_after_prefixes(small: Path) -> None:
    """Two prefixes of different length and two temperatures take turns; each pair has its own distribution."""
    prefixes, model, total = [[tiny.END, 104, 105], [tiny.END, 120]], load(small), 400_000
    source = sampler(model, most=2, prefixes=prefixes, temperatures=[0.7, 1.2])
    texts = source.run(Numbers(0), total, total)
    for pair in range(4):
        mine = np.flatnonzero(texts.number % 4 == pair)
        exact = joint(sampler(model, most=8).logits, prefixes[pair % 2], tiny.END, temperature=[0.7, 1.2][pair // 2])
        assert chi_square(counted(texts, mine), exact, len(mine)) > CHANCE


def test_a_trimmed_vocabulary_keeps_relative_probabilities(small: Path, tmp_path: Path) -> None:
    rows = sorted({*range(0, 256, 3), tiny.END})
    trimmed = load(tiny.model(tmp_path, rows), end=len(rows) - 1)
    whole, total = load(small), 400_000
    ids = [tiny.END, rows[5], rows[17]]
    part = sampler(trimmed, most=8, end=len(rows) - 1).logits([len(rows) - 1, 5, 17])
    assert np.array_equal(part, sampler(whole).logits(ids)[:, rows]), "the very same logits"

    def after(tokens: list[int]) -> Any:
        return sampler(whole).logits([rows[token] for token in tokens])[:, rows]

    exact = joint(after, [len(rows) - 1], len(rows) - 1)
    texts = sampler(trimmed, most=2, end=len(rows) - 1).run(Numbers(0), total, total)
    assert chi_square(counted(texts), exact, total) > CHANCE


def test_this_machine_has_a_fast_kernel() -> None:
    assert decoder().kernel() in (b"avx512-vnni", b"avx-vnni", b"avx2")
