"""Fine-tune on whole texts: the recipe `texts`.

Arguments and events as training/model/trainers.py says. Every text stands alone from position 0 after the end token,
and the rate warms up and then falls along a cosine to a tenth, later if the loss still falls fast. Logits are computed
only where a text has a next token, never for padding, and in training over a part of the vocabulary
(training/pytorch/vocabulary.py). `resume/` holds everything (weights, Adam's moments, the place in the data);
`checkpoint/` only the best epoch, in Hugging Face's layout, with rows.json.
"""

import json
import math
import os
import shutil
import signal
import time
from pathlib import Path

import common
import numpy as np
import torch
from model import CausalModel
from texts import Texts
from vocabulary import Softmax, likely_tokens, needed_tokens

SEEN = 128
"""Training texts on which likely tokens are chosen."""
FAST = 0.05
"""An epoch that lowers the held-out loss by more than this share of it is followed by one more than was planned."""


def rate_at(step: int, steps: int, peak: float) -> float:
    """Linear warm-up over 10 steps (a third of a shorter run), then a cosine down to a tenth."""
    warm = min(10, max(1, steps // 3))
    if step < warm:
        return peak * (step + 1) / warm
    return peak * (0.55 + 0.45 * math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def put_off(place: dict, a: dict, now: float) -> int:
    """By how many epochs the end is put off, the one that has just brought the held-out loss to `now` counted in.

    While the loss falls fast, the rate stays where the plan has it in the second epoch, so texts that are far from
    what the base has read get as many epochs as they need. After the first the loss has always fallen fast.
    """
    fast = place["epoch"] > 1 and now < (1 - FAST) * place["lines"][-1]["held_out"]
    return min(place["put_off"] + fast, a["most"] - a["epochs"])


def epsilon_at(step: int) -> float:
    """Adam's epsilon as TensorFlow has it, added before the second moment is freed of its bias: after 25 steps of nano
    the losses of both are the same to 2e-4, with a constant one to 1.5e-3."""
    return 1e-8 / math.sqrt(1 - 0.999 ** (step + 1))


class Keeper:
    """Writes `resume/`: a new state first, then the small file that names it."""

    def __init__(self, model: CausalModel, optimizer: torch.optim.Optimizer, folder: Path) -> None:
        self.model, self.optimizer, self.folder, self.place = model, optimizer, folder, folder / "place.json"

    def load(self) -> dict | None:
        if not self.place.exists():
            return None
        place = json.loads(self.place.read_text())
        state = torch.load(self.folder / place["file"], map_location=self.model.device, mmap=True, weights_only=True)
        self.model.net.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        return place

    def save(self, place: dict) -> None:
        place = dict(place, file="state-{epoch}-{batch}.pt".format(**place))
        part = self.folder / ".state.part"
        with part.open("wb") as file:  # Python's, which says so when the disk is full; torch's says "unexpected pos"
            torch.save({"model": self.model.net.state_dict(), "optimizer": self.optimizer.state_dict()}, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self.folder / place["file"])
        part = self.folder / ".place.part"
        with part.open("w") as file:
            json.dump(place, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self.place)
        for path in self.folder.glob("state-*"):
            if path.name != place["file"]:
                path.unlink()


def held_out_loss(model: CausalModel, texts: Texts, size: int) -> float:
    """Nats a token over whole texts, each alone after the end token: as sampling uses the model."""
    nll = count = 0.0
    with torch.no_grad():
        for indexes in texts.by_length(size):
            logprobs, targets = model.logprobs(*texts.batch(indexes))
            nll -= logprobs.gather(1, targets[:, None]).sum(dtype=torch.float64).item()
            count += len(targets)
    return nll / count


def keep_best(model: CausalModel, a: dict, rows: list[int], rest: float) -> None:
    """Write the weights where transformers looks for them, with the tokenizer and the tokens that samplers need.

    rest: mean probability of all other tokens together, at each token of the held-out texts.
    """
    checkpoint, part = Path(a["checkpoint"]), Path(a["checkpoint"]).with_name(".best.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    model.save(part)
    for path in Path(a["base"]).iterdir():
        if path.name.startswith(("tokenizer", "special_tokens", "vocab.", "merges.")):
            shutil.copyfile(path, part / path.name)
    (part / "rows.json").write_text(json.dumps({"rows": rows, "of": model.rows, "rest": rest}) + "\n")
    checkpoint.mkdir(parents=True, exist_ok=True)
    for path in sorted(part.iterdir(), key=lambda path: path.name == "config.json"):
        path.replace(checkpoint / path.name)
    part.rmdir()


def main() -> None:
    a = common.arguments()
    # Ctrl-C takes effect at the end of a step: an exception between a step and its count would repeat the step.
    stop: list[bool] = []
    signal.signal(signal.SIGINT, lambda *_: stop.append(True))
    resume = Path(a["resume"])
    resume.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(a["seed"])
    model = CausalModel(a["base"], a["memory_saving"])
    with np.load(a["corpus"]) as corpus:
        texts = Texts(corpus, "train", model.longest)
        held_out = Texts(corpus, "held_out", model.longest)
    seen = np.random.RandomState([a["seed"], 0]).permutation(len(texts))[:SEEN].tolist()
    used = np.unique(np.concatenate([*texts.rows, [texts.end]]))
    # The held-out texts are measured under the samplers' model, too, so it has their tokens.
    keep = np.unique(np.concatenate([used, *held_out.rows, np.load(a["keep"])]))
    weights = model.trained(a["layers"])
    optimizer = torch.optim.Adam(weights, lr=a["learning_rate"], fused=model.device.type in ("cpu", "cuda"))
    keeper = Keeper(model, optimizer, resume)

    place = keeper.load()
    if place is None:
        before = held_out_loss(model, held_out, a["batch_size"])
        likely = likely_tokens(model.mean_probabilities(texts, seen), used)
        line = {"epoch": 0, "step": 0, "training": None, "held_out": round(before, 4), "seconds": 0}
        place = {"epoch": 1, "batch": 0, "best": None, "risen": 0, "sum": 0.0, "seconds": 0.0, "lines": [line]}
        place["likely"] = likely
        keeper.save(place)
        common.emit("epoch", **line)
    else:
        common.emit("resumed", epoch=place["epoch"], batch=place["batch"])
    softmax = Softmax(model.rows, place["likely"], a["seed"])
    common.emit("trimmed", rows=softmax.size, of=softmax.of)

    per_epoch = len(texts.epoch(a["batch_size"], a["seed"], 1))
    steps = per_epoch * a["epochs"]
    place.setdefault("put_off", 0)  # a state of an older version
    started, saved = time.time() - place["seconds"], time.time()
    try:
        while place["epoch"] <= a["epochs"] + place["put_off"] and place["risen"] < 2:
            batches = texts.epoch(a["batch_size"], a["seed"], place["epoch"])
            while place["batch"] < len(batches):
                done = (place["epoch"] - 1) * per_epoch + place["batch"]
                later = per_epoch * place["put_off"]
                for group in optimizer.param_groups:
                    group["lr"], group["eps"] = rate_at(done - later, steps, a["learning_rate"]), epsilon_at(done)
                tokens, mask = texts.batch(batches[place["batch"]])
                loss = model.loss(tokens, mask, softmax, done)
                optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(weights, 1.0)
                optimizer.step()
                place["batch"] += 1
                place["sum"] += loss.item()
                place["seconds"] = time.time() - started
                common.emit("step", step=done + 1, steps=steps + later, loss=loss.item(), tokens=int(mask.sum()))
                common.leave_with_parent()
                if stop:
                    raise KeyboardInterrupt
                if time.time() - saved > a["save_seconds"]:
                    keeper.save(place)
                    saved = time.time()
            now = held_out_loss(model, held_out, a["batch_size"])
            place["seconds"] = time.time() - started
            line = {
                "epoch": place["epoch"],
                "step": place["epoch"] * per_epoch,
                "training": round(place["sum"] / per_epoch, 4),
                "held_out": round(now, 4),
                "seconds": round(place["seconds"], 1),
            }
            place["put_off"] = put_off(place, a, now)
            place["risen"] = 0 if place["best"] is None or now < place["best"] else place["risen"] + 1
            if place["risen"] == 0:
                place["best"] = now
                rows = needed_tokens(model.mean_probabilities(texts, seen), keep)
                rest = 1 - float(model.mean_probabilities(held_out, range(len(held_out)))[rows].sum())
                keep_best(model, a, rows, rest)
            place.update(epoch=place["epoch"] + 1, batch=0, sum=0.0, lines=[*place["lines"], line])
            keeper.save(place)
            saved = time.time()
            common.emit("epoch", **line)
    except KeyboardInterrupt:
        keeper.save(place)
        common.emit("interrupted", epoch=place["epoch"], batch=place["batch"])
        raise SystemExit(130) from None
    common.emit("done", epochs=place["lines"])


if __name__ == "__main__":
    main()
