"""What is told of a run whose texts are no good; the base model's own texts; nano with another corpus than its own."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from post_tweet.pool import Pool
from post_tweet.store import open_store

from data.proverbs import prepare
from tests.helpers.sampling import bot, quick_bot
from training.cli import main as cli
from training.common.errors import DeepproverbsError, WrongUse
from training.common.paths import NANO, ROOT
from training.corpus.read import load_corpus
from training.curate import choose
from training.curate.choose import BASE_LIKE, KEPT, TRIAL, Chooser
from training.judge import base_like
from training.judge.band import Spread
from training.judge.base_like import BaseLike
from training.judge.blocks import Passed, Tally, judge_some
from training.judge.judge import Judge, Judging
from training.model.score import of_held_out, of_training, text_scores
from training.runs import nano, stages
from training.runs.diagnosis import Diagnosis, shortage
from training.runs.until_enough import sample_and_filter
from training.sample.candidates import Candidate
from training.settings import Bot, CorpusSettings, FilterSettings

MODERN = ("forty.txt", "one-liners.txt", "posts.txt", "sayings-de.txt", "sayings.txt", "notes.txt")


def lines(file: str) -> list[str]:
    """Of a file of tests/corpora with a text a line."""
    return [line for line in (ROOT / "tests" / "corpora" / file).read_text(encoding="utf-8").splitlines() if line]


def built(folder: Path, texts: list[str]) -> Bot:
    """A bot of nano's with these texts, and its run's corpus in the same folder."""
    made = bot(folder, model="nano")
    made = replace(made, corpus=CorpusSettings(form="lines"))
    (folder / "corpus.txt").write_text("\n".join(texts) + "\n")
    stages.build_corpus(made, [made.corpus_file], folder, NANO, lambda _: None)
    return replace(made, filter=replace(made.filter, skip=(*made.filter.skip, "copy", "copied-run")))


def test_a_pool_is_not_filled_with_the_base_s_own_texts(model: Path, tmp_path: Path) -> None:
    """A model that has learnt nothing of forty modern sayings writes Bible: the run stops at the first look."""
    untaught = built(tmp_path, lines("forty.txt"))
    untaught = replace(untaught, sample=replace(untaught.sample, max_tokens=60))
    with pytest.raises(DeepproverbsError, match=r"% of the texts that pass are the base model's own.*--model smollm2"):
        sample_and_filter(untaught, tmp_path, model, [], lambda _: None, base=model)
    assert not (tmp_path / "pool.jsonl").exists()
    candidates = (tmp_path / "candidates.jsonl").read_text().splitlines()
    assert 500 <= len(candidates) < untaught.sample.budget / 5
    free = replace(untaught, count=20, filter=replace(untaught.filter, skip=(*untaught.filter.skip, "base-like")))
    assert sample_and_filter(free, tmp_path, model, [], lambda _: None, base=model).exists()


def test_the_bible_is_no_foreign_text_to_nano(model: Path, tmp_path: Path) -> None:
    """Its own texts are as probable as proverbs: with that corpus nothing tells them apart, and none is taken."""
    prepare.main(tmp_path)
    made = replace(built(tmp_path, load_corpus(tmp_path / "corpus.txt")), count=50)
    # Sampled as it is: cooler, half of its texts are likelier than any real one.
    made = replace(made, sample=replace(made.sample, temperatures=(1.0,), top_p=1.0))
    sample_and_filter(made, tmp_path, model, [], lambda _: None, base=model)
    assert len((tmp_path / "pool.jsonl").read_text().splitlines()) == 50


def test_what_real_texts_are_to_the_base(model: Path, tmp_path: Path) -> None:
    """Of four held-out texts alone nobody knows the deviation."""
    built(tmp_path, lines("forty.txt"))
    corpus = tmp_path / "corpus.npz"
    found = base_like.measure(FilterSettings(), model, corpus, model)
    held_out, training = of_held_out(model, corpus), of_training(model, corpus, 32)
    assert found and len(held_out) == 4 and len(training) == 32 and found.gain == 0
    assert found.real.mean == pytest.approx(np.mean([*held_out, *training]))
    texts = load_corpus(tmp_path / "corpus.txt")
    assert set(np.round(training, 3)) <= set(np.round(text_scores(model, texts), 3))
    assert base_like.measure(FilterSettings(skip=("base-like",)), model, corpus, model) is None
    assert base_like.measure(FilterSettings(), model, corpus, None) is None


def test_a_text_is_the_base_s_if_training_hardly_raised_it_or_the_base_loves_it() -> None:
    rule = BaseLike(Spread(-5.0, 0.5), gain=3.0)
    ours, base = zip((-2.0, -4.9), (-2.0, -3.1), (-2.0, -2.9), (-1.0, -3.1), (-1.0, -2.9), (np.nan, -4.0), strict=True)
    assert rule.among(np.array(ours), np.array(base)).tolist() == [False, False, True, False, True, False]
    # A base that is the model, on its own corpus: all gains are nothing, and only the base's love is left.
    same = BaseLike(Spread(-2.0, 0.5), gain=0.0).among(np.array([-1.0, 0.5]), np.array([-1.0, 0.5]))
    assert same.tolist() == [False, True]


def contenders(folder: Path, count: int) -> Passed:
    """So many texts that passed, each of two numbers in words."""
    words = ["gold", "silver", "iron", "copper", "wisdom", "folly", "bread", "water", "stone", "wind"]
    texts = [" ".join(words[int(digit)] for digit in f"{n:05d}") for n in range(count)]
    lines = [json.dumps({"text": text, "logprob": -2.0}) + "\n" for text in texts]
    (folder / "candidates.jsonl").write_text("".join(lines))
    offsets = np.cumsum([0, *map(len, lines[:-1])])
    logprobs, names = np.full(count, -2.0, np.float32), np.zeros(count, np.uint32)
    return Passed(offsets, np.arange(count, dtype=np.uint64), logprobs, logprobs, names)


@pytest.mark.parametrize("own", [0, 40])
def test_every_chosen_text_is_asked_once_one_is_the_base_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: int
) -> None:
    """Those whose number ends on less than `own` of a hundred are the base's: none of them is chosen, although that
    leaves too few; with none, TRIAL texts are enough to know."""
    passed, asked = contenders(tmp_path, 1000), Counter[str]()
    texts = [json.loads(line)["text"] for line in (tmp_path / "candidates.jsonl").read_text().splitlines()]
    number = {text: n for n, text in enumerate(texts)}

    def scores(_: Path, some: Sequence[str]) -> np.ndarray:
        asked.update(some)
        return np.array([-2.5 if number[text] % 100 < own else -6.0 for text in some])

    monkeypatch.setattr(choose, "text_scores", scores)
    settings = FilterSettings(skip=("band", "opening", "near-duplicate"))
    judging = Judging(Bot("t", tmp_path, count=700, filter=settings), base=tmp_path, base_like=BaseLike(SPREAD, 3.0))
    choice = Chooser(tmp_path / "candidates.jsonl", judging).choose(passed)
    kept, alike = choice.numbers(KEPT), choice.numbers(BASE_LIKE)
    assert max(asked.values()) == 1
    if own:
        assert len(kept) == 600 and all(n % 100 >= own for n in kept) and all(n % 100 < own for n in alike)
        assert choice.counts()["base-like"] == 400
    else:
        assert len(kept) == 700 and not alike and asked.total() == TRIAL


SPREAD = Spread(-6.0, 0.5)


def told(diagnosis: Diagnosis, own: float = 0.0, broken: int = 0, **counts: int) -> list[str]:
    said: list[str] = []
    tally = Tally(counts=Counter(counts), candidates=1000, broken=broken)
    diagnosis.look(tally, own, said.append)
    return said


def test_each_cause_is_told_once_with_one_cure(tmp_path: Path) -> None:
    metrics = [{"held_out": 9.0}, {"held_out": 5.0}, {"held_out": 4.0}]
    (tmp_path / "manifest.json").write_text(json.dumps({"finetune": {"metrics": metrics}}))
    diagnosis = Diagnosis(Bot("t", model="124M"), tmp_path)
    assert told(diagnosis, own=0.1, broken=100, unfinished=200) == []
    (broken,) = told(diagnosis, broken=620)
    assert broken == (
        "62% of the candidates break characters: the model has not learnt this script yet; train longer (--epochs 4), "
        "or take a base that has read more of this language (--model hf:NAME)."
    )
    unfinished, own = told(diagnosis, own=0.3, broken=620, unfinished=500)
    assert unfinished.startswith("50% of the candidates have no end after 96 tokens: the model has not learnt yet")
    assert own.startswith("30% of the texts that pass are the base model's own, not of this corpus")
    assert told(diagnosis, own=0.3, broken=620, unfinished=500) == []
    metrics.append({"held_out": 4.5})  # more epochs would not help
    (tmp_path / "manifest.json").write_text(json.dumps({"finetune": {"metrics": metrics}}))
    (other,) = told(Diagnosis(Bot("t", model="124M"), tmp_path), broken=620)
    assert "--epochs" not in other and "add texts to the corpus, or take a base" in other
    np.savez(tmp_path / "corpus.npz", train_offsets=np.arange(0, 20_000, 200))
    (longer,) = told(Diagnosis(Bot("t"), tmp_path), unfinished=900)
    assert longer.endswith("nor have many of the corpus; set [sample] max_tokens to 200.")
    with pytest.raises(DeepproverbsError, match=r"^60% of the texts.*; the pool is not filled with them\.$"):
        told(Diagnosis(Bot("t"), tmp_path), own=0.6)


def test_broken_characters_are_counted() -> None:
    texts = ["it is w\ufffd\ufffdl", "it is well", "half a \ufffd"]
    some = [Candidate(text, 5, -2.0, n < 2, 0.8) for n, text in enumerate(texts)]
    judged = judge_some(Judge(FilterSettings()), "", some, [0, 1, 2])
    tally = Tally()
    tally.add(judged)
    assert tally.broken == 1  # the last was cut off in the middle of one


def test_fewer_than_half_is_a_failure_and_what_there_is_goes_into_the_pool(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file, run, pool = quick_bot(tmp_path), tmp_path / "run", tmp_path / "pool"

    def train(bot: Bot, *_: object) -> tuple[Path, None]:
        stages.build_corpus(bot, [bot.corpus_file], run, NANO, lambda _: None)
        return model, None

    monkeypatch.setattr(stages, "train", train)
    line = ["run", "--bot", str(file), "--model", "nano", "--budget", "400", "--run", str(run), "--pool", str(pool)]
    assert cli.main([*line, "--count", "2000"]) == 1
    (sentence,) = [text for text in capsys.readouterr().err.splitlines() if text.startswith("deepproverbs: ")]
    kept = len((run / "pool.jsonl").read_text().splitlines())
    assert sentence.startswith(f"deepproverbs: Only {kept} of the 2,000 texts that were wanted are good; they are in")
    assert "% of the candidates fell to the rule '" in sentence and sentence.endswith(".")
    state, _ = Pool(open_store(str(pool))).load()
    assert state.remaining == kept > 0
    assert cli.main([*line, "--count", "2000"]) == 1, "again: done, and still too few"
    other = [*line[:-1], str(tmp_path / "other")]
    assert cli.main([*other, "--count", str(kept)]) == 0
    assert shortage(Bot("t", count=10), tmp_path / "nothing") is None


@pytest.mark.parametrize("file", MODERN)
def test_nano_is_refused_for_other_writing(file: str, tmp_path: Path) -> None:
    made, said = built(tmp_path, lines(file)), list[str]()
    with pytest.raises(WrongUse, match=r"^nano has read nothing but the King James.*--model smollm2-135m \(about"):
        nano.check(made, tmp_path, NANO, said.append, force=False)
    assert not said
    nano.check(made, tmp_path, NANO, said.append, force=True)
    assert len(said) == 1 and "expect gibberish" in said[0]
    nano.check(replace(made, model="smollm2-135m"), tmp_path, NANO, said.append, force=False)
    assert len(said) == 1


def test_nano_takes_the_bible(tmp_path: Path) -> None:
    """The Proverbs, and each tenth of the rest."""
    prepare.main(tmp_path)
    rest = load_corpus(tmp_path / "kjv.txt")
    assert nano.characters_a_token(load_corpus(tmp_path / "corpus.txt"), NANO) > nano.LEAST + 0.3
    for at in range(0, len(rest), 3100):
        assert nano.characters_a_token(rest[at : at + 3100], NANO) > nano.LEAST + 0.3
