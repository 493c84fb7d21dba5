"""Sampling through every engine: order, seeds, distribution, early stops; and the run's filter loop."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
import pytest

from tests import nano, tiny
from tests.test_native import CASES, chi_square, joint
from training import calibrate
from training import run as line
from training.calibrate import Plan
from training.candidates import Candidate
from training.config import Bot, CorpusSettings, FilterSettings, SampleSettings
from training.convert import write_model
from training.converted import Converted
from training.corpus import load_corpus
from training.engines import Drawn, StopRules
from training.engines.ct2 import CTranslate2Engine, Partial, Replica
from training.errors import DeepproverbsError, WrongUse
from training.filters import KEPT, Judge
from training.filters.early import stop_rules
from training.sample import sample
from training.text import END_OF_TEXT

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = SampleSettings(max_tokens=16)
NATIVE = Plan("native", workers=2, batch=24)
CT2 = Plan("ctranslate2", compute_type="float32", workers=2, threads=1, batch=16)
PLANS = [NATIVE, CT2]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return nano.model(tmp_path_factory.mktemp("nano"))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.model(tmp_path_factory.mktemp("tiny"))


def some(
    folder: Path, plan: Plan, settings: SampleSettings, count: int, first: int = 0, rules: StopRules | None = None
) -> list[Candidate]:
    """Candidates `first` to `first` + `count`."""
    converted = Converted(folder)
    engine = calibrate.make(plan, converted, settings, rules, folder)
    found: list[Candidate] = []
    with closing(sample(engine, converted, settings, first)) as batches:
        for batch in batches:
            found += batch
            if len(found) >= count:
                return found[:count]
    raise AssertionError("the source ran dry")


def texts(candidates: list[Candidate]) -> list[str]:
    return [candidate.text for candidate in candidates]


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.engine)
def test_a_seed_repeats_a_run_and_another_does_not(model: Path, plan: Plan) -> None:
    one = texts(some(model, plan, SETTINGS, 600))
    assert one == texts(some(model, plan, SETTINGS, 600))
    assert one != texts(some(model, plan, replace(SETTINGS, seed=2), 600))
    assert len(set(one)) > 500, "two workers must not share a random stream"


def test_a_resumed_native_run_goes_on_exactly(model: Path) -> None:
    one = some(model, NATIVE, SETTINGS, 600)
    assert some(model, Plan("native", workers=1, batch=5), SETTINGS, 300, first=300) == one[300:]


def test_a_resumed_ctranslate2_run_draws_anew(model: Path) -> None:
    one = texts(some(model, CT2, SETTINGS, 600))
    again = [text for text in texts(some(model, CT2, SETTINGS, 300, first=300)) if text in one]
    assert len(again) < 15, "a formula of the Bible may well come twice, a random stream may not"


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.engine)
def test_temperatures_and_prefixes_take_turns(model: Path, plan: Plan) -> None:
    prefixes = ("thou shall not", "", "he that")
    found = some(model, plan, replace(SETTINGS, temperatures=(0.5, 1.0), prefixes=prefixes), 120)
    for n, candidate in enumerate(found):
        assert candidate.temperature == (0.5, 1.0)[n // 3 % 2]
        assert candidate.text.startswith(prefixes[n % 3])


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.engine)
def test_finished_means_that_the_end_token_came(model: Path, plan: Plan) -> None:
    found = some(model, plan, SETTINGS, 400)
    assert {c.finished for c in found} == {True, False}
    assert all(c.tokens == SETTINGS.max_tokens for c in found if not c.finished)
    assert all(END_OF_TEXT not in c.text and c.tokens <= SETTINGS.max_tokens for c in found)


def test_log_probabilities_are_ctranslate2s_own(model: Path) -> None:
    """Scored once more, in float32, by another library."""
    found = [c for c in some(model, NATIVE, SETTINGS, 200) if c.finished and c.text]
    converted = Converted(model)
    rows = [[END_OF_TEXT, *converted.tokenizer.encode(c.text).tokens, END_OF_TEXT] for c in found]
    same = [(c, row) for c, row in zip(found, rows, strict=True) if len(row) == c.tokens + 1]
    assert len(same) > len(found) / 2, "the others were sampled in pieces that the encoder would not choose"
    scores = ctranslate2.Generator(str(model), compute_type="float32").score_batch([row for _, row in same])
    differences = [c.logprob - np.mean(s.log_probs) for (c, _), s in zip(same, scores, strict=True)]
    assert abs(np.mean(differences)) < 0.01 and np.abs(differences).mean() < 0.05


@pytest.mark.parametrize("name", CASES)
def test_ctranslate2s_frequencies_are_the_exact_probabilities(small: Path, name: str) -> None:
    case, total = CASES[name], 60_000
    settings = SampleSettings(
        max_tokens=2,
        temperatures=(case.get("temperature", 1.0),),
        top_k=case.get("top_k", 0),
        top_p=case.get("top_p", 1.0),
    )
    engine = calibrate.make(replace(CT2, batch=500), Converted(small), settings, None, small)
    counts: dict[tuple[int, ...], int] = {}
    with closing(engine.draw(0)) as batches:
        drawn: list[Drawn] = [d for batch in islice(batches, total // 2000) for d in batch]
    for text in drawn:
        counts[tuple(text.rows)] = counts.get(tuple(text.rows), 0) + 1
    exact = joint(lambda tokens: tiny.logits(tiny.arrays(), tokens), [tiny.END], tiny.END, **case)
    assert chi_square(counts, exact, len(drawn)) > 1e-4


@pytest.mark.parametrize("workers", [1, 2])
def test_stages_of_a_call_change_no_distribution(small: Path, workers: int) -> None:
    """As on a GPU: a call takes texts one step further and they wait for the next; both tokens of 60,000 texts. Every
    number comes once, with its prefix and temperature."""
    settings = SampleSettings(max_tokens=2, temperatures=(0.8, 1.2), prefixes=("hi", ""))
    converted = Converted(small)
    engine = calibrate.make(replace(CT2, batch=500, workers=workers), converted, settings, None, small)
    assert isinstance(engine, CTranslate2Engine)
    engine.steps = 1
    drawn: list[Drawn] = []
    with closing(engine.draw(0)) as batches:
        while len(drawn) < 60_000:
            drawn += next(batches)
    numbers = [d.number for d in drawn]
    assert len(set(numbers)) == len(numbers) and max(numbers) < len(numbers) + 12_000
    for n, (prefix, temperature) in enumerate([("hi", 0.8), ("", 0.8), ("hi", 1.2), ("", 1.2)]):
        counts: dict[tuple[int, ...], int] = {}
        mine = [d for d in drawn if d.number % 4 == n and d.number < 40_000]
        for d in mine:
            counts[tuple(d.rows)] = counts.get(tuple(d.rows), 0) + 1
        exact = joint(
            lambda tokens: tiny.logits(tiny.arrays(), tokens),
            converted.prompt(prefix),
            tiny.END,
            temperature=temperature,
        )
        assert chi_square(counts, exact, len(mine)) > 1e-4


def test_stages_keep_batches_full_and_nobody_waits_for_ever(model: Path) -> None:
    """Real texts of nano, by stages of 8 steps as a GPU would have them and in one go: how many of the seats of a
    step are taken, and the log-probabilities, which are summed up over the stages."""
    settings, shares = replace(SETTINGS, max_tokens=60), {}
    for steps in (8, 60):
        engine = calibrate.make(replace(CT2, batch=32), Converted(model), settings, None, model)
        assert isinstance(engine, CTranslate2Engine)
        engine.steps = steps
        calls: list[tuple[int, int]] = []
        further = Replica.further

        def watched(self: Replica, texts: list[Partial], *rest: Any) -> None:
            before = [len(text.rows) for text in texts]
            further(self, texts, *rest)  # noqa: B023
            grown = [len(text.rows) - old for text, old in zip(texts, before, strict=True)]
            calls.append((sum(grown), max(grown) * engine.batch))  # noqa: B023

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Replica, "further", watched)
            patch.setattr("training.engines.ct2.LAG", 12)
            with closing(sample(engine, Converted(model), settings)) as batches:
                found = []
                while len(found) < 800:
                    found += next(batches)
        late = len(calls) // 2  # the first calls only fill the stages
        shares[steps] = sum(done for done, _ in calls[late:]) / sum(seats for _, seats in calls[late:])
        assert found
    assert shares[8] > 0.75 > 0.65 > shares[60]
    rows = [[END_OF_TEXT, *Converted(model).tokenizer.encode(c.text).tokens, END_OF_TEXT] for c in found]
    same = [(c, row) for c, row in zip(found, rows, strict=True) if c.finished and len(row) == c.tokens + 1]
    scores = ctranslate2.Generator(str(model), compute_type="float32").score_batch([row for _, row in same])
    close = np.isclose([c.logprob for c, _ in same], [np.mean(s.log_probs) for s in scores], atol=1e-3)
    assert len(close) > 100 and close.mean() > 0.95, "some were sampled in other pieces than the encoder's, as many"


class Scripted:
    """An engine that hands out its texts in a bad order."""

    about = "scripted"

    def __init__(self, order: list[list[int]]) -> None:
        self.order, self.closed = order, False

    def draw(self, first: int) -> Any:
        try:
            for numbers in self.order:
                yield [Drawn(n, [104 + n, tiny.END], -1.0, "finished") for n in numbers]
        finally:
            self.closed = True


def test_texts_come_in_the_order_of_their_numbers(small: Path) -> None:
    engine = Scripted([[3, 1], [4], [0], [2, 6], [5]])
    batches = list(sample(engine, Converted(small), SETTINGS))
    assert [texts(batch) for batch in batches] == [["h", "i"], ["j", "k", "l"], ["m", "n"]] and engine.closed


def originals() -> list[str]:
    return load_corpus(ROOT / "data" / "proverbs" / "corpus.txt") + load_corpus(ROOT / "data" / "proverbs" / "kjv.txt")


@pytest.fixture(scope="module")
def bible() -> list[str]:
    line.prepare(
        Bot("t", ROOT / "data" / "proverbs", corpus=CorpusSettings(prepare="prepare.py", reference=("kjv.txt",)))
    )
    return originals()


STRICT = FilterSettings(max_length=120, copy_run=5)


@pytest.mark.parametrize("kind", ["closed", "open", "beyond ASCII"])
def test_early_stops_lose_no_text_that_would_have_been_kept(model: Path, bible: list[str], kind: str) -> None:
    """With and without: text by text the same verdict, and the kept texts are the same ones."""
    settings = {
        "closed": STRICT,
        "open": replace(STRICT, characters="", closed_vocabulary=False),
        "beyond ASCII": replace(STRICT, characters=STRICT.characters + "éß"),
    }[kind]
    sampling, count = SampleSettings(max_tokens=60, temperatures=(1.0, 1.3)), 3000
    known = bible[::2]  # half of the Bible's words are unknown to this one
    whole = some(model, NATIVE, sampling, count)
    early = some(model, NATIVE, sampling, count, rules=stop_rules(settings, known))
    one, other = Judge(settings, known), Judge(settings, known)
    stopped: set[str] = set()
    for full, part in zip(whole, early, strict=True):
        verdict = one.judge(full.text, full.finished)
        if part.stopped:
            assert verdict.verdict != KEPT, (full.text, part)
            assert full.text.startswith(part.text) and part.tokens <= full.tokens and not part.finished
            stopped.add(part.stopped)
        else:
            assert part == full
        assert (other.judge(part.text, part.finished, part.stopped).verdict == KEPT) == (verdict.verdict == KEPT)
    wanted = {"closed": {"vocabulary", "length", "copied-run"}, "open": {"copied-run"}, "beyond ASCII": {"copied-run"}}
    assert wanted[kind] <= stopped
    saved = 1 - sum(c.tokens for c in early) / sum(c.tokens for c in whole)
    assert saved > (0.1 if kind == "closed" else 0)


def test_a_forbidden_character_stops_a_text(small: Path) -> None:
    rules = StopRules(allowed=bytes(range(97, 123)), longest=5, vocabulary=False, run=0, originals=())
    found = some(small, NATIVE, SampleSettings(max_tokens=30), 500, rules=rules)
    whole = some(small, NATIVE, SampleSettings(max_tokens=30), 500)
    assert {c.stopped for c in found} >= {"characters"}
    for part, full in zip(found, whole, strict=True):
        if part.stopped == "characters":
            assert not all("a" <= c <= "z" for c in part.text) and full.text.startswith(part.text.rstrip("\ufffd"))


def test_an_error_in_a_worker_reaches_the_caller(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from training.native.sampler import Sampler

    def broken(*_: object) -> object:
        raise DeepproverbsError("broken")

    monkeypatch.setattr(Sampler, "run", broken)
    with pytest.raises(DeepproverbsError, match="broken"):
        some(model, NATIVE, SETTINGS, 10)


def test_calibration_chooses_remembers_and_says(model: Path) -> None:
    said: list[str] = []
    converted = Converted(model)
    first = calibrate.choose(converted, SETTINGS, said.append)
    assert first.engine == "native" and first.speed > 0 and "settings" in said[0] and "tokens/s" in said[0]
    assert calibrate.choose(converted, SETTINGS, said.append) == first and len(said) == 1
    calibrate.choose(converted, replace(SETTINGS, max_tokens=20), said.append)
    assert len(said) == 2
    (model / "calibration.json").write_text("{broken")
    calibrate.choose(converted, SETTINGS, said.append)
    assert len(said) == 3


def test_what_is_set_by_hand_is_not_tried(model: Path) -> None:
    by_hand = replace(SETTINGS, engine="ctranslate2", compute_type="int8", workers=3, threads=2, batch=9)
    assert calibrate.choose(Converted(model), by_hand, print) == Plan("ctranslate2", "cpu", "int8", 3, 2, 9)
    assert calibrate.choose(Converted(model), replace(SETTINGS, batch=9, workers=1)).batch == 9
    exact = replace(SETTINGS, compute_type="float32", workers=1, batch=8)
    assert calibrate.choose(Converted(model), exact).engine == "ctranslate2", "the native engine has int8 alone"


def test_without_a_compiler_ctranslate2_takes_over(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from training.native.build import NoCompiler

    def missing() -> object:
        raise NoCompiler("There is no C compiler.")

    said: list[str] = []
    monkeypatch.setattr(calibrate, "decoder", missing)
    assert calibrate.choose(Converted(model), replace(SETTINGS, batch=16), said.append).engine == "ctranslate2"
    assert "no C compiler" in said[0] and "CTranslate2 instead" in said[0]
    with pytest.raises(DeepproverbsError, match="no C compiler"):
        calibrate.choose(Converted(model), replace(SETTINGS, engine="native"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"engine": "gpt-2-simple", "top_k": 5, "top_p": 0.5}, "top_k or top_p, not both"),
        ({"engine": "gpt-2-simple"}, "checkpoint of this model, .* is not there any more"),
        (
            {"engine": "ctranslate2", "workers": 1, "batch": 8, "max_tokens": 1023, "prefixes": ("he that",)},
            "do not fit",
        ),
        ({"device": "cuda"}, "no GPU"),
        ({"device": "cuda", "engine": "native"}, "no GPU|runs on processors"),
        ({"compute_type": "int4"}, "cannot compute in 'int4' here; .* float32, int8"),
    ],
)
def test_what_is_not_there_is_told(model: Path, settings: dict[str, Any], message: str) -> None:
    asked, converted = replace(SETTINGS, **settings), Converted(model)
    with pytest.raises(WrongUse, match=message):
        calibrate.make(calibrate.choose(converted, asked), converted, asked, None, model)


def test_a_gpu_is_used_where_there_is_one(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which plans would be tried; no GPU runs here."""
    monkeypatch.setattr(calibrate.ct2, "gpu", lambda: True)
    monkeypatch.setattr(calibrate.ct2, "supported", lambda _: ["float16", "float32", "int8_float16"])
    plans = list(calibrate._open_plans(SETTINGS, print))
    assert {(p.engine, p.device) for p in plans} == {("ctranslate2", "cuda")}
    assert {p.compute_type for p in plans} == {"float16", "int8_float16"} and len(plans) == 8


def test_plans_that_do_not_fit_the_memory_are_not_tried(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plans = [Plan("native", workers=2, batch=batch) for batch in (96, 48, 24)]
    # 24 places of 2 layers x 2 x 64 x 2 bytes and 257 logits of 4 are 13,316 bytes a text; 96 of them twice 2.56 MB.
    monkeypatch.setattr(calibrate, "REMEMBERED", 0)
    for free, left in ((2.6e6 * 2, [96, 48, 24]), (2.5e6 * 2, [48, 24]), (1000, [24])):
        monkeypatch.setattr(calibrate, "_free_memory", lambda free=free: free)
        assert [p.batch for p in calibrate._that_fit(plans, Converted(small), SETTINGS)] == left


def test_a_trimmed_model_is_not_sampled_hotter_than_it_was_trimmed_for(tmp_path: Path) -> None:
    write_model(tiny.arrays(), tiny.source(tmp_path / "source"), tmp_path / "model", [*range(100), tiny.END], 0.9)
    converted = Converted(tmp_path / "model")
    calibrate.make(NATIVE, converted, SETTINGS, None, tmp_path)
    with pytest.raises(WrongUse, match=r"up to 0.9; run `deepproverbs convert` again with --temperature 1.5"):
        calibrate.make(NATIVE, converted, replace(SETTINGS, temperatures=(0.9, 1.5)), None, tmp_path)


def test_more_top_k_than_tokens_are_all_tokens(small: Path) -> None:
    for plan in PLANS:
        assert len(some(small, plan, replace(SETTINGS, top_k=100_000), 20)) == 20


def test_texts_given_up_under_other_filters_do_not_count(model: Path, tmp_path: Path) -> None:
    """With too narrow filters all are given up; with wider ones, sampling goes on and finds texts."""
    wide = replace(bot(tmp_path), count=20)
    narrow = replace(wide, filter=replace(wide.filter, characters="xyz"), sample=replace(wide.sample, budget=300))
    said: list[str] = []
    with pytest.raises(DeepproverbsError, match=r"verdicts.jsonl for the reasons"):
        line.sample_and_filter(narrow, tmp_path, model, [], said.append)
    assert len((tmp_path / "verdicts.jsonl").read_text().splitlines()) == 300
    given_up = (tmp_path / "candidates.jsonl").read_text().count('"stopped"')
    assert given_up >= 300
    assert len(line.sample_and_filter(wide, tmp_path, model, [], said.append).read_text().splitlines()) == 20
    out = tmp_path / "out.jsonl"
    line.filter_file(tmp_path / "candidates.jsonl", ["a b c d e"], wide, out, tmp_path / "v.jsonl", [], said.append)
    assert f"{given_up} candidates were given up under other [filter] settings" in said[-1]
    assert len(out.read_text().splitlines()) >= 20


def test_a_prefix_that_cannot_pass_is_told(model: Path, tmp_path: Path) -> None:
    wrong = replace(bot(tmp_path), filter=FilterSettings(), sample=replace(SETTINGS, prefixes=("Thou",)))
    with pytest.raises(WrongUse, match=r"starts with 'Thou' can pass: it holds 'T'"):
        line.sample_and_filter(wrong, tmp_path, model, [])


def bot(tmp_path: Path, **settings: Any) -> Bot:
    (tmp_path / "corpus.txt").write_text("\n".join(f"the saying {n} of the wise" for n in range(30)))
    return Bot(
        "t",
        tmp_path,
        corpus=CorpusSettings(),
        sample=replace(SETTINGS, workers=2, batch=24),
        count=300,
        filter=FilterSettings(characters="", closed_vocabulary=False, min_words=1, near_ratio=101),
        **settings,
    )


def test_the_loop_stops_when_enough_is_kept_and_is_not_done_twice(model: Path, tmp_path: Path) -> None:
    said: list[str] = []
    pool = line.sample_and_filter(bot(tmp_path), tmp_path, model, [], said.append)
    first, candidates = pool.read_bytes(), (tmp_path / "candidates.jsonl").read_bytes()
    verdicts = [json.loads(v) for v in (tmp_path / "verdicts.jsonl").read_text().splitlines()]
    assert len(first.splitlines()) == 300
    assert len(verdicts) <= len(candidates.splitlines()) < len(verdicts) + 500
    assert sum(v["verdict"] == "kept" for v in verdicts) == 300
    line.sample_and_filter(bot(tmp_path), tmp_path, model, [], said.append)
    assert "already done" in said[-1] and pool.read_bytes() == first
    more = replace(bot(tmp_path), count=2000)
    line.sample_and_filter(more, tmp_path, model, [], said.append)
    assert (tmp_path / "candidates.jsonl").read_bytes().startswith(candidates), "old samples are used again"


def test_the_budget_ends_the_loop(model: Path, tmp_path: Path) -> None:
    few = bot(tmp_path)
    few = replace(few, sample=replace(few.sample, budget=256), count=10_000)
    said: list[str] = []
    line.sample_and_filter(few, tmp_path, model, [], said.append)
    assert any("budget of 256 candidates is spent" in s for s in said)
    assert len((tmp_path / "verdicts.jsonl").read_text().splitlines()) == 256


def test_the_bar_tells_rates(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(line.time, "monotonic", lambda: now[0])
    with line.Progress(50, "kept") as progress:
        for n in range(40):
            now[0] += 0.1
            progress.update(n // 2, 20)
    shown = capsys.readouterr().err
    assert "19/50" in shown and "40 sampled, 10 texts/s, 205 tokens/s" in shown


MEMORY = """
import resource, sys
from pathlib import Path
from training import run
from training.config import Bot, SampleSettings
folder, model, count = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
settings = SampleSettings(max_tokens=12, workers=2, batch=24)
run.sample_only(Bot("t", folder, sample=settings), folder, model, count)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_stays_flat(small: Path, tmp_path: Path) -> None:
    """Peak kilobytes for 5,000 candidates and for 30 times as many."""
    peaks: list[int] = []
    for count in (5_000, 150_000):
        folder = tmp_path / str(count)
        folder.mkdir()
        done = subprocess.run(
            [sys.executable, "-c", MEMORY, str(folder), str(small), str(count)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'functions'}"},
            capture_output=True,
            text=True,
            check=True,
        )
        peaks.append(int(done.stdout.split()[-1]))
    assert peaks[1] - peaks[0] < 10_000, peaks
