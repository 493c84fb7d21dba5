"""PyTorch's trainer: TensorFlow's losses, its sampled softmax, no work on padding, what it keeps and how it fails; and
that CTranslate2 computes what transformers does from its checkpoints."""

from __future__ import annotations

import ast
import math
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers import by_transformers, in_torch
from tests.helpers.fine_tuned import QUIET, Line, goes_on_after_kill_9, metrics
from training.common.errors import DeepproverbsError
from training.corpus.read import load_corpus
from training.corpus.tokenizer import load_tokenizer
from training.model import convert
from training.model.converted import Converted
from training.model.events import Done, Epoch, Event, Resumed, Step, Trimmed
from training.model.finetune import finetune
from training.model.trainers import TENSORFLOW, TORCH, Trainer
from training.sample.engines.ctranslate2 import forward
from training.sample.precision import rows_of
from training.settings import FinetuneSettings, SampleSettings


def events_of(line: Line, name: str, **changed: object) -> list[Event]:
    return list(line.trainer.events("finetune_texts", line.arguments(name, **changed), line.folder / "test.log"))


def texts_of(line: Line, count: int = 4) -> list[str]:
    return [text for text in load_corpus(line.bot.corpus_file) if len(text) > 60][:count]


def test_the_losses_are_tensorflow_s(line: Line, torch_line: Line) -> None:
    """The same batches at the same rate: every one of 26 steps, and the held-out losses before and after."""
    found: list[list[float]] = []
    for each in (line, torch_line):
        events = events_of(each, "compared", epochs=1, batch_size=8)
        steps = [event for event in events if isinstance(event, Step)]
        assert [event.step for event in steps] == [*range(1, 27)] and {event.steps for event in steps} == {26}
        held_out = [event.held_out for event in events if isinstance(event, Epoch)]
        found.append([*(event.loss for event in steps), *held_out, *(event.tokens for event in steps)])
    assert found[0] == pytest.approx(found[1], abs=1e-3)
    assert found[0][25] < found[0][0] - 0.1  # it learns


def schedule(trainer: Trainer) -> dict[str, Any]:
    """The functions of a trainer's program that decide on rates and epochs, which can be called without its library."""
    tree = ast.parse((trainer.programs / "finetune_texts.py").read_text())
    wanted = [x for x in tree.body if getattr(x, "name", "") in ("rate_at", "put_off") or "FAST" in ast.unparse(x)[:4]]
    found: dict[str, Any] = {"math": math}
    exec(compile(ast.Module(wanted, []), "schedule", "exec"), found)
    return found


def test_both_trainers_have_one_schedule() -> None:
    """And its figures: a warm-up of 10 steps or a third of the run, a cosine to a tenth; what puts the end off."""
    ours, theirs = schedule(TORCH), schedule(TENSORFLOW)
    for steps in (1, 4, 18, 104, 500):
        for step in range(steps):
            assert ours["rate_at"](step, steps, 3e-4) == theirs["rate_at"](step, steps, 3e-4)
    rates = [ours["rate_at"](step, 104, 1.0) for step in range(105)]
    assert rates[:11] == pytest.approx([*(n / 10 for n in range(1, 11)), 1.0]) and rates[104] == pytest.approx(0.1)
    assert rates[10:] == sorted(rates[10:], reverse=True) and rates[57] == pytest.approx(0.55)
    assert [ours["rate_at"](step, 18, 1.0) for step in range(7)] == pytest.approx(
        [n / 6 for n in (1, 2, 3, 4, 5, 6, 6)]
    )
    for each in (ours, theirs):
        cases = [
            (1, 0, 4.0, 1.0, 0),
            (2, 0, 4.0, 3.79, 1),
            (2, 0, 4.0, 3.81, 0),
            (5, 3, 4.0, 3.0, 4),
            (9, 6, 4.0, 3.0, 6),
        ]
        for epoch, already, last, now, expected in cases:
            place = {"epoch": epoch, "put_off": already, "lines": [{"held_out": last}]}
            assert each["put_off"](place, {"epochs": 4, "most": 10}, now) == expected


@pytest.fixture(scope="module")
def strange(line: Line) -> Path:
    """A corpus that nano has never seen the like of: other tokens for all that there are. Its loss falls for long."""
    path = line.folder.parent / "strange.npz"
    with np.load(line.folder / "corpus.npz") as corpus:
        arrays = dict(corpus)
    for part in ("train", "held_out"):
        other = (arrays[part].astype(np.int64) * 7 + 3) % 4095
        arrays[part] = np.where(arrays[part] == arrays["end"], arrays["end"], other).astype(arrays[part].dtype)
    np.savez(path, **arrays)
    return path


def test_the_end_is_put_off_while_the_loss_falls_fast(line: Line, torch_line: Line, strange: Path) -> None:
    """The same epochs with both trainers, more than planned; killed in one of them, the run comes to the same end."""
    changed = {"corpus": strange, "epochs": 2, "most": 4, "batch_size": 32, "learning_rate": 1e-3}
    found: list[list[float]] = []
    for each in (line, torch_line):
        events = events_of(each, "put-off", **changed)
        steps = [event for event in events if isinstance(event, Step)]
        assert [step.step for step in steps] == [*range(1, 29)]
        assert [step.steps for step in steps] == [14] * 14 + [21] * 7 + [28] * 7
        found.append([event.held_out for event in events if isinstance(event, Epoch)])
    assert found[0] == pytest.approx(found[1], abs=2e-2)
    assert all(after < 0.95 * before for before, after in pairwise(found[0][:4]))
    killed = torch_line.arguments("put-off-killed", **changed)
    torch_line.kill_after(18, killed)
    resumed, *events = TORCH.events("finetune_texts", killed, torch_line.folder / "killed.log")
    assert isinstance(resumed, Resumed) and resumed.epoch == 3 and resumed.batch >= 3
    done = events[-1]
    assert isinstance(done, Done) and [x.held_out for x in done.epochs] == pytest.approx(found[1], abs=2e-3)


def test_the_logits_are_tensorflow_s(line: Line, torch_line: Line, torch: Path, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(torch_line.base.folder)
    rows = [[4095, *tokenizer.encode(text).ids][:12] for text in texts_of(line, 8)]
    arguments = {"rows": rows, "out": tmp_path / "theirs.npy"}
    list(TENSORFLOW.events("logits", {"folder": line.base.folder, **arguments}, tmp_path / "log"))
    ours, _ = by_transformers.run(torch, torch_line.base.folder, rows, [], tmp_path / "ours")
    theirs = np.load(tmp_path / "theirs.npy")
    assert theirs.shape == (8, 12, 4096) and np.abs(np.array(ours) - theirs).max() < 1e-4


def test_kill_9_with_a_sampled_softmax(llama_line: Line) -> None:
    """Which tokens a step draws depends on the step alone."""
    goes_on_after_kill_9(llama_line)
    (trimmed,) = [event for event in events_of(llama_line, "drawn", epochs=1) if isinstance(event, Trimmed)]
    assert trimmed == Trimmed(4096 + 4096, 12_288)


GRADIENT = """
import json, sys, torch
from torch.nn import functional as F
from vocabulary import DRAWN, Softmax
torch.manual_seed(1)
of, draws = 12_288, 400
logits = torch.randn(3, of).double().requires_grad_()
likely = sorted(torch.randperm(of)[:4096].tolist())
targets = torch.tensor(likely[5:8])
softmax = Softmax(of, likely, seed=3)
def gradient(loss):
    return torch.autograd.grad(loss, logits)[0]
exact = gradient(F.cross_entropy(logits, targets))
found, rows = [], []
for step in range(draws):
    rows.append(softmax.rows(step))
    found.append(gradient(softmax.loss(logits[:, rows[-1]], targets)))
mean, deviation = torch.stack(found).mean(0), torch.stack(found).std(0)
others = torch.ones(of, dtype=torch.bool); others[likely] = False
z = (mean - exact) / (deviation / draws**0.5)
few, all_of_few = Softmax(4096, likely[:2048], 3), Softmax(of, list(range(7500)), 3)
same = [bool(torch.equal(s.loss(logits[:, :s.of], torch.tensor([1, 2, 3])),
        F.cross_entropy(logits[:, :s.of], torch.tensor([1, 2, 3])))) for s in (few, all_of_few)]
print(json.dumps({
    "z": float((z[:, others] ** 2).mean()),
    "likely": float((mean - exact)[:, ~others].abs().sum() / exact[:, ~others].abs().sum()),
    "others": float((mean - exact)[:, others].sum().abs() / exact[:, others].sum().abs()),
    "size": softmax.size, "first": rows[0][:4096].tolist() == likely,
    "drawn": bool(others[rows[0][4096:]].all()), "anew": not torch.equal(rows[0], rows[1]),
    "again": torch.equal(softmax.rows(7), rows[7]),
    "whole": [few.rows(0) is None, all_of_few.rows(0) is None, *same, few.size == 4096, all_of_few.size == of]}))
"""


def test_the_sampled_softmax_is_right_in_the_mean(torch: Path) -> None:
    """400 draws: the gradient of a logit that is drawn now and then is off by what its spread explains, and not more;
    with everything likely the loss is that of the full softmax, bit for bit."""
    found = in_torch.run(torch, GRADIENT)
    assert 0.9 < found["z"] < 1.1
    assert found["likely"] < 0.005 and found["others"] < 0.02
    assert found["size"] == 8192 and found["first"] and found["drawn"] and found["anew"] and found["again"]
    assert found["whole"] == [True] * 6


PADDING = """
import json, sys, numpy as np, torch
from model import CausalModel, load
from texts import Texts
from vocabulary import Softmax
model, net, counted = CausalModel(sys.argv[1], False), load(sys.argv[1]), []
with np.load(sys.argv[2]) as corpus:
    texts = Texts(corpus, "train", model.longest)
plain = model._logits
def watched(states, rows=None):
    counted.append(len(states))
    return plain(states, rows)
model._logits = watched
tokens, mask = texts.batch([0, 5, 9, 30, 44])
loss = float(model.loss(tokens, mask, Softmax(model.rows, [*range(4000)], 1), 0)) if model.rows < 5000 else None
logprobs, targets = model.logprobs(tokens, mask)
alone = []
with torch.no_grad():
    for row in ([texts.end, *map(int, texts.rows[i])] for i in (0, 5, 9, 30, 44)):
        logits = net(input_ids=torch.tensor([row[:-1]])).logits[0].double()
        alone += torch.log_softmax(logits, -1)[range(len(row) - 1), row[1:]].tolist()
ours = logprobs.gather(1, targets[:, None])[:, 0].tolist()
print(json.dumps({"plain": model.plain, "counted": counted, "needed": int(mask.sum()), "places": mask.numel(),
                  "off": float(np.abs(np.array(ours) - alone).max()), "loss": loss, "alone": -float(np.mean(alone))}))
"""


@pytest.mark.parametrize("name", ["torch_line", "llama_line"])
def test_padding_costs_no_logits_and_changes_none(name: str, torch: Path, request: pytest.FixtureRequest) -> None:
    line = request.getfixturevalue(name)
    found = in_torch.run(torch, PADDING, line.base.folder, line.folder / "corpus.npz")
    assert found["plain"] and set(found["counted"]) == {found["needed"]} and found["needed"] < 0.9 * found["places"]
    assert found["off"] < 1e-4
    if found["loss"] is not None:  # nano's softmax is always the full one
        assert found["loss"] == pytest.approx(found["alone"], abs=1e-4)


def test_the_best_epoch_stays_and_two_rises_are_the_end(torch_line: Line, tmp_path: Path) -> None:
    """At a rate that is far too high; the checkpoint's loss is measured by CTranslate2."""
    shutil.copy(torch_line.folder / "corpus.npz", tmp_path)
    settings = FinetuneSettings("torch", epochs=12, batch_size=16, learning_rate=4e-3)
    checkpoint = finetune(tmp_path, torch_line.base, settings, QUIET.append)
    losses = [line["held_out"] for line in metrics(tmp_path)]
    best = losses.index(min(losses[1:]))
    assert best == len(losses) - 3 < 10 and losses[best] < losses[-2] - 0.1
    model = Converted(convert.convert(tmp_path, checkpoint, QUIET.append))
    total = count = 0.0
    for row in rows_of(model, tmp_path / "corpus.npz"):
        (logits,) = forward(model, "cpu", "float32", [row])
        logs = logits.astype(np.float64) - np.logaddexp.reduce(logits.astype(np.float64), axis=1, keepdims=True)
        following = [*row[1:], model.end]
        total -= logs[range(len(row)), following].sum()
        count += len(row)
    assert total / count == pytest.approx(losses[best], abs=2e-3)


@pytest.mark.parametrize("name", ["torch_line", "llama_line"])
def test_ctranslate2_computes_what_transformers_does(
    name: str, torch: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """From the checkpoint as from the converted model, with all rows and with some of them."""
    line: Line = request.getfixturevalue(name)
    shutil.copy(line.folder / "corpus.npz", tmp_path)
    checkpoint = finetune(tmp_path, line.base, FinetuneSettings("torch", epochs=1, batch_size=32), QUIET.append)
    tokenizer = load_tokenizer(checkpoint)
    end = int(tokenizer.token_to_id("<|endoftext|>") or 0)
    rows = [[end, *tokenizer.encode(text).ids] for text in texts_of(line)]
    texts = texts_of(line)
    theirs, facts = by_transformers.run(torch, checkpoint, rows, texts, tmp_path / "theirs")
    assert facts["tokens"] == [row[1:] for row in rows] and facts["texts"] == texts
    whole = Converted(convert.convert(tmp_path / "whole", checkpoint, QUIET.append))
    for ours, logits in zip(forward(whole, "cpu", "float32", rows), theirs, strict=True):
        assert ours.shape == logits.shape and np.abs(ours - logits).max() < 1e-4
    kept = sorted({*range(0, end, 3), *(token for row in rows for token in row)})
    convert.source_of(checkpoint, tmp_path)[1](tmp_path / "cut", kept, 1.0)
    cut = Converted(tmp_path / "cut")
    assert cut.ids.tolist() == kept and cut.hottest == 1.0
    for ours, logits in zip(
        forward(cut, "cpu", "float32", [[cut.row[token] for token in row] for row in rows]), theirs, strict=True
    ):
        assert np.abs(ours - logits[:, kept]).max() < 1e-4


@pytest.mark.usefixtures("verbose")
def test_the_rows_that_the_trainer_chose_are_converted(torch: Path, llama_line: Line, tmp_path: Path) -> None:
    """If the rest is harmless on held-out texts; a model of noise needs them all."""
    shutil.copy(llama_line.folder / "corpus.npz", tmp_path)
    settings = FinetuneSettings("torch", epochs=1, batch_size=32)
    checkpoint = finetune(tmp_path, llama_line.base, settings, QUIET.append, keep=[7, 11])
    noise = convert.trained_rows(checkpoint)
    assert noise and not noise.harmless
    assert convert.trained_rows(tmp_path) is None
    said: list[str] = []
    model = Converted(convert.convert(tmp_path, checkpoint, said.append, sampling=SampleSettings()))
    assert len(model.ids) == 12_288 and said[0].startswith("Vocabulary: all 12,288 tokens stay")
    (checkpoint / "rows.json").write_text('{"rows": [7, 11, 4095], "of": 12288, "rest": 0.001}')
    found = convert.trained_rows(checkpoint)
    assert found and found.harmless and found.rows == [7, 11, 4095]
    said.clear()
    model = Converted(convert.convert(tmp_path, checkpoint, said.append, sampling=SampleSettings()))
    assert model.ids.tolist() == [7, 11, 4095] and "3 of 12,288 tokens; the others hold 1.0e-03" in said[0]
    for text in ("{", "[]", '{"rows": [7]}'):
        (checkpoint / "rows.json").write_text(text)
        assert convert.trained_rows(checkpoint) is None


NEEDED = """
import json, numpy as np, torch
from vocabulary import LIKELY, TARGET, likely_tokens, needed_tokens
share = torch.from_numpy(np.random.default_rng(1).dirichlet(np.full(50000, 0.01)))
keep = np.array([3, 49999, 12345])
needed, likely = needed_tokens(share, keep), likely_tokens(share, keep)
rest = 1 - float(share[needed].sum())
fewer = sorted(needed, key=lambda i: (i in keep, float(share[i])))[33:]
print(json.dumps([len(needed), rest, 1 - float(share[fewer].sum()), set(keep.tolist()) <= set(needed),
    len(likely), set(keep.tolist()) <= set(likely), len(needed_tokens(torch.full((640,), 1 / 640), keep[:1])), TARGET]))
"""


def test_needed_tokens_leave_the_target_and_no_more(torch: Path) -> None:
    count, rest, with_fewer, kept, likely, kept_too, flat, target = in_torch.run(torch, NEEDED)
    assert count % 32 == 0 and rest <= target < with_fewer and kept
    assert likely == 4096 and kept_too
    assert flat == 640  # nearly all would stay, so all do


def failing(torch: Path, folder: Path, code: str) -> Trainer:
    (folder / "fails.py").write_text(code)
    return replace(TORCH, python=torch, programs=folder)


def failure(trainer: Trainer, log: Path) -> str:
    with pytest.raises(DeepproverbsError) as caught:
        list(trainer.events("fails", {}, log))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "code",
    [
        "import torch; raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 20.00 MiB.')",
        "import resource, torch; resource.setrlimit(resource.RLIMIT_AS, (1 << 34,) * 2); torch.ones(1 << 40)",
    ],
    ids=["on a GPU", "on a processor"],
)
def test_out_of_memory_says_what_to_set(torch: Path, tmp_path: Path, code: str) -> None:
    told = failure(failing(torch, tmp_path, code), tmp_path / "log")
    assert told.startswith("Out of memory in fails: choose a smaller --batch-size or --model, or memory_saving = ")


def test_an_earlier_failure_in_the_log_is_not_the_reason(torch: Path, tmp_path: Path) -> None:
    failure(failing(torch, tmp_path, "raise MemoryError"), tmp_path / "log")
    told = failure(failing(torch, tmp_path, "raise SystemExit('the moon is full')"), tmp_path / "log")
    assert told.startswith("The PyTorch program fails failed (code 1): the moon is full (all of it: ")


def test_a_full_disk_is_told_and_goes_on_from_there(torch_line: Line) -> None:
    """/dev/full takes no byte and says ENOSPC."""
    arguments = torch_line.arguments("full", epochs=1, batch_size=64)
    part = torch_line.folder.parent / "full" / "resume" / ".state.part"
    part.parent.mkdir()
    part.symlink_to("/dev/full")
    with pytest.raises(DeepproverbsError, match=r"^The disk is full: free some space and start again, it goes on"):
        list(TORCH.events("finetune_texts", arguments, torch_line.folder / "full.log"))
    part.unlink()
    assert isinstance(list(TORCH.events("finetune_texts", arguments, torch_line.folder / "full.log"))[-1], Done)
