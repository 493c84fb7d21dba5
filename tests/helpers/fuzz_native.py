"""The program of tests/sample/test_damaged_models.py: `python -m tests.helpers.fuzz_native SCRATCH MODEL…`.

It loads every damaged form of each model, samples a few texts, and calls the decoder with arguments that are none. Each
attempt ends in a sentence that names the file and says what to do, in the texts of the whole model or, where numbers
were damaged, in other texts with finite probabilities. Anything else is printed and makes it fail; what the sanitizers
find ends it at once, and the attempt's name is the last line. Prints a JSON object: kind → outcome → how often.
"""

from __future__ import annotations

import json
import math
import random
import shutil
import sys
import warnings
from collections import Counter as Tally
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import byref, c_char_p
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from tests.helpers import damage
from tests.helpers.damage import Damaged
from training.common.errors import DeepproverbsError
from training.sample.native import sampler as native
from training.sample.native.sampler import Counter, Model, Sampler, Watch, decoder
from training.sample.stop_rules import StopRules

END = 256
ADVICE = ("delete it and convert again", "the next run converts again", "set [sample] engine to ctranslate2")
WRONG = (DeepproverbsError, ValueError, OverflowError, MemoryError)
"""What a call with arguments that are none may raise."""


class Fuzz:
    def __init__(self) -> None:
        self.tally: dict[str, Tally[str]] = {}
        self.failures: list[str] = []

    def note(self, kind: str, outcome: str) -> None:
        self.tally.setdefault(kind, Tally())[outcome] += 1

    def fail(self, what: str) -> None:
        self.failures.append(what)

    def load(self, kind: str, folder: Path, cases: Iterator[Damaged], whole: bytes) -> None:
        for case in cases:
            print(folder, case.how, file=sys.stderr, flush=True)
            (folder / "model.bin").write_bytes(case.data)
            try:
                found = texts_of(folder)
            except DeepproverbsError as error:
                self.note(kind, "told")
                sentence = str(error)
                named = str(folder) in sentence or "hparams.json" in sentence
                if "\n" in sentence or not named or not any(words in sentence for words in ADVICE):
                    self.fail(f"{case.how}: {sentence}")
            except Exception as error:
                self.fail(f"{case.how}: {type(error).__name__}: {error}")
            else:
                self.note(kind, "no change" if found == whole else "other numbers")
                if found != whole and not case.other:
                    self.fail(f"{case.how}: other texts, and not a word")

    def call(self, kind: str, what: str, function: Any) -> None:
        print(what, file=sys.stderr, flush=True)
        try:
            function()
            self.note(kind, "done")
        except WRONG:
            self.note(kind, "told")
        except Exception as error:
            self.fail(f"{what}: {type(error).__name__}: {error}")


def texts_of(folder: Path) -> bytes:
    """A few texts and their probabilities."""
    model = Model(folder, END)
    sampler = Sampler(
        model, seats=2, most=5, prefixes=[[END], [END, 104]], temperatures=[0.7, 1.3], top_k=40, top_p=0.9
    )
    texts = sampler.run(Counter(0), 4, 4)
    order = np.argsort(texts.number)
    assert np.isfinite(texts.logprob).all(), "its probabilities are no numbers"
    return b"".join(array[order].tobytes() for array in (texts.number, texts.length, texts.logprob))


HARM = (0, -1, 1, 2, 3, 63, 64, 65, 2304, 2**13, 2**16, 2**17 + 1, 2**22, 2**31 - 1, -(2**31))
"""Numbers that are likely to do harm where they do not belong."""


def shapes(fuzz: Fuzz, rng: random.Random) -> None:
    """The C functions with shapes and arrays that do not belong together: they believe no size."""
    lib = decoder()

    def attempt(odds: float, llama: int) -> None:
        """Each number and each array is another one at these odds."""

        def maybe(right: Any, *wrong: Any) -> Any:
            return rng.choice(wrong) if rng.random() < odds else right

        def arrays(*sizes: int) -> Any:
            made = [np.full(maybe(n, 0, 1, n - 1, n + 1, 2 * n), 0.1, np.float32) for n in sizes]
            kept.extend(made)
            return native._arrays([maybe(array, None) if array.size else None for array in made])

        kept: list[Any] = []
        layers, heads, kv_heads, size, width, hidden, tokens = 2, 4, 2 if llama else 4, 16, 64, 100, 33
        qkv, queries, context = (heads + 2 * kv_heads) * size, heads * size, 0 if llama else 32
        fields = [llama, layers, heads, kv_heads, size, width, hidden, tokens, 32, context]
        fields = [maybe(llama, 1 - llama), *(maybe(field, *HARM) for field in fields[1:])]
        numbers = maybe(1e4, math.nan, 0, -1, math.inf), maybe(1e-5, math.nan, -1, math.inf)
        shape, why = native._Shape(*fields, *numbers), c_char_p()
        handle = lib.model_new(byref(shape), arrays(tokens * width, context * width), byref(why))
        if not handle:
            raise DeepproverbsError(str(why.value))
        model = object.__new__(Model)
        model.lib, model.handle, model.path, model.context, model.vocabulary = lib, handle, Path("m"), 32, tokens
        weights = [(qkv, width), (width, queries), (hidden, width), (width, hidden), (hidden, width)]
        for _ in range(maybe(layers, 0, 1, 3)):
            sizes = [out * inputs for out, inputs in weights]
            biases = arrays(*(out for out, _ in weights))
            native._check(lib.model_layer(handle, arrays(*sizes), biases, arrays(*[width] * 4)))
        if maybe(True, False):
            native._check(lib.model_head(handle, arrays(width, width, tokens * width)))
        sampler = Sampler(model, seats=2, most=4, prefixes=[[32]], temperatures=[1.0])
        sampler.run(Counter(0), 3, 3)

    for n in range(600):
        odds = (0, 0.01, 0.05, 0.3)[n % 4]
        fuzz.call("shapes", f"shape {n}", lambda o=odds, llama=n // 4 % 2: attempt(o, llama))


def calls(fuzz: Fuzz, rng: random.Random, folder: Path) -> None:
    """A whole model, and settings, tokens and stop rules that are none."""
    model = Model(folder, END)
    letters = [bytes([i % 256]) for i in range(257)]
    rules = StopRules(bytes(range(256)), 9, False, 3, ("a b c d e f g",))
    watch, others = Watch(letters, rules), [Watch(some, rules) for some in (letters[:100], [], [*letters, b"x"])]

    def attempt(odds: float) -> None:
        def maybe(right: Any, *wrong: Any) -> Any:
            return rng.choice(wrong) if rng.random() < odds else right

        def tokens() -> list[int]:
            return [maybe(END, 257, *HARM), *(maybe(5, *HARM) for _ in range(maybe(2, 0, 60, 100)))]

        sampler = Sampler(
            model,
            seats=maybe(rng.choice([1, 2, 7, 96]), 0, -1, 2**14 + 1, 2**31 - 1),
            most=maybe(rng.choice([1, 5, 60]), 0, -1, 62, 63, 64, 2**17 + 1, 2**31 - 1),
            prefixes=maybe([tokens(), tokens()], [], [[]], [tokens(), []]),
            temperatures=maybe([0.5, 1.0], [], [0.0], [-1.0], [1e-45], [1e4], [math.nan], [math.inf]),
            top_k=maybe(rng.choice([0, 40]), *HARM),
            top_p=maybe(0.9, 0.0, -1.0, 2.0, math.nan, math.inf, 1e-45, 1.0),
            seed=rng.choice(HARM),
            watch=maybe(rng.choice([None, watch]), *others),
        )
        found = sampler.run(Counter(maybe(0, -1, 2**62, -(2**63), 2**63)), maybe(7, 0, -5), 40)
        assert np.isfinite(found.logprob).all(), "its probabilities are no numbers"
        sampler.reset()
        sampler.logits_of(maybe([tokens()], [], [[]], [tokens(), []]))

    for n in range(300):
        odds = (0, 0.03, 0.1)[n % 3]
        fuzz.call("settings", f"settings {n}", lambda o=odds: attempt(o))
    for end in (-1, 257, 2**31 - 1, 2**31, -(2**40)):
        fuzz.call("settings", f"end {end}", lambda e=end: Model(folder, e))
    for at in (10**6, -5, 2**31 - 1):
        fuzz.call("settings", f"offset {at}", lambda a=at: watched(a))


def watched(at: int) -> None:
    """Stop rules whose tokens leave their bytes."""
    offsets, table = np.arange(258, dtype=np.int32), np.ones(256, np.uint8)
    offsets[100] = at
    handle = decoder().watch_new(b"x" * 257, 257, native._ints(offsets), 257, native._bytes(table), 0, 0, 0)
    native._made(handle, c_char_p())


def configs(fuzz: Fuzz, folder: Path, whole: bytes) -> None:
    texts = ["", "[]", "{", "null", "3", "[" * 10**5, '{"layer_norm_epsilon": %s}', "\ud800", "{}\0"]
    values = ["1e400", "-1e400", "NaN", "-1", "2", '"x"', "[]", "{}", "true", "1" * 5000, "1e-5"]
    path = folder / "config.json"
    before = path.read_bytes()
    for text in [*texts, *(texts[6] % value for value in values)]:
        print("config.json", text[:60], file=sys.stderr, flush=True)
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            found = texts_of(folder)
            fuzz.note("config.json", "no change" if found == whole else "other numbers")
        except DeepproverbsError as error:
            fuzz.note("config.json", "told")
            if str(folder) not in str(error) or not any(words in str(error) for words in ADVICE):
                fuzz.fail(f"config.json {text[:60]}: {error}")
        except Exception as error:
            fuzz.fail(f"config.json {text[:60]}: {type(error).__name__}: {error}")
    path.write_bytes(before)


@contextmanager
def unchecked() -> Iterator[None]:
    """Weights that are no numbers reach the C code, which must bear them."""
    before, native._sane = native._sane, lambda array: True
    try:
        yield
    finally:
        native._sane = before


def main(scratch: Path, models: list[Path]) -> int:
    warnings.simplefilter("error")
    fuzz, rng = Fuzz(), random.Random(1)
    shapes(fuzz, rng)
    for n, model in enumerate(models):
        folder = scratch / model.parent.name
        shutil.copytree(model, folder)
        whole, file = texts_of(folder), damage.parsed((model / "model.bin").read_bytes())
        calls(fuzz, rng, folder)
        configs(fuzz, folder, whole)
        fuzz.load("bytes", folder, damage.bytes_damaged(file, rng), whole)
        # Every second and third of thousands, beginning elsewhere for each model: half a minute is enough.
        fuzz.load("parts", folder, islice(damage.parts_damaged(file), n, None, 2), whole)
        fuzz.load("numbers", folder, islice(damage.numbers_damaged(file, rng), n, None, 3), whole)
        with unchecked():
            fuzz.load("numbers in C", folder, islice(damage.numbers_damaged(file, rng), n, None, 2), whole)
    print(json.dumps(fuzz.tally))
    print(*fuzz.failures, sep="\n", file=sys.stderr)
    return bool(fuzz.failures)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), [Path(word) for word in sys.argv[2:]]))
