"""Settings: one commented TOML file a bot in, frozen dataclasses out.

`load(Path("data/proverbs/bot.toml"))` reads the file; what it leaves out keeps the default here.
Command-line options override single values with `override(bot, "finetune", epochs=2)`.
"""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from training.common.errors import WrongUse


@dataclass(frozen=True)
class CorpusSettings:
    file: str = "corpus.txt"
    """The texts: delimited, one a line, CSV or JSONL. Relative to the bot's folder."""
    prepare: str = ""
    """A Python file in the bot's folder that writes `file` when it is missing. Empty: none."""
    reference: tuple[str, ...] = ()
    """More texts that nothing in the pool may copy (the rest of the book, earlier posts)."""
    field: str = "text"
    """The column or key that holds the text in CSV and JSONL."""
    style: Literal["keep", "plain"] = "keep"
    """`plain`: lower case, only , . ' - stay, one full stop at the end. `keep`: as written."""
    hold_out: float = 0.1
    """Share of the texts that are kept back to measure the loss, 0.01 to 0.5."""
    seed: int = 1
    """Chooses which texts are held out."""


@dataclass(frozen=True)
class FinetuneSettings:
    recipe: Literal["texts", "windows"] = "texts"
    """`texts`: batches of whole texts, as sampling uses them. `windows`: gpt-2-simple's finetune()."""
    epochs: int = 4
    """At most so many passes over the training texts; more copies the corpus."""
    batch_size: int = 0
    """Texts (or windows of 1,024 tokens) a step. 0: the default of the model's size."""
    learning_rate: float = 0.0
    """Peak rate of Adam. 0: the default of the model's size."""
    layers: Literal["auto", "all", "transformer"] = "auto"
    """Which weights train: all, or all but the embeddings. auto: by the model's size."""
    memory_saving: Literal["auto", "on", "off"] = "auto"
    """Recompute activations in the backward pass: slower, a fraction of the memory."""
    seed: int = 1
    """Order of the texts."""


@dataclass(frozen=True)
class SampleSettings:
    budget: int = 0
    """Stop after so many candidates, even when too few were kept. 0: 20 times the wanted texts."""
    temperatures: tuple[float, ...] = (0.9,)
    """Candidates are divided evenly among these."""
    top_k: int = 0
    """Sample among the k most probable tokens. 0: all."""
    top_p: float = 1.0
    """Sample among the most probable tokens that together hold this probability, 0 < p <= 1."""
    prefixes: tuple[str, ...] = ("",)
    """Every text starts with one of these, in turn. Empty: the model is free."""
    max_tokens: int = 96
    """A text that has not ended by then is cut off (and dropped as unfinished)."""
    seed: int = 1
    """The same seed, settings and machine give the same candidates."""
    engine: Literal["auto", "native", "ctranslate2", "gpt-2-simple"] = "auto"
    """What samples. auto: CTranslate2 on a GPU, the native one on a processor."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: a GPU where CTranslate2 sees one."""
    compute_type: str = "auto"
    """CTranslate2's: int8, float32, float16, int8_float16. The native engine always computes in int8."""
    workers: int = 0
    """Batches that are decoded at a time. 0: by a short trial on the model."""
    threads: int = 0
    """Processor threads a worker, CTranslate2 alone. 0: the processors divided by the workers."""
    batch: int = 0
    """Texts that a worker decodes side by side. 0: by a short trial on the model."""
    vocabulary: Literal["auto", "full"] = "auto"
    """auto: leave out tokens that this bot does not need, where that is harmless. full: keep all."""
    early_stop: bool = True
    """Give a text up as soon as it breaks a rule of [filter] that more words cannot mend (native engine)."""


@dataclass(frozen=True)
class FilterSettings:
    skip: tuple[str, ...] = ()
    """Rules that are not asked, by their names in the table that a run prints: "hashtag", "band"."""
    own: tuple[str, ...] = ()
    """Rules of your own: "FILE.py:FUNCTION" in the bot's folder; text in, None or the reason out."""
    characters: str = "abcdefghijklmnopqrstuvwxyz ,.'-"
    """Every character that a text may hold. Empty: anything printable (digits are a rule of their own)."""
    max_length: int = 280
    """Longest text, in X's weighted characters; X takes 280."""
    min_words: int = 4
    """Shortest text."""
    repetition: tuple[float, ...] = (0.36, 0.28, 0.22)
    """Most of a text's runs of 2, 3, 4, … words that may be repeats: 1 - different / all runs."""
    dangling: tuple[str, ...] = (
        "a", "an", "and", "as", "at", "because", "but", "doth", "every", "for", "from", "hath", "if", "into", "its",
        "lest", "my", "nor", "of", "or", "our", "shall", "than", "the", "their", "thy", "to", "unto", "upon", "when",
        "which", "while", "who", "whom", "whose", "with", "your",
    )  # fmt: skip
    """Words that no text may end on."""
    closed_vocabulary: bool = True
    """Every word must be known: occur in the corpus, its reference texts or among the common words."""
    common_words: int = 30_000
    """So many of the language's most frequent words, less those on a blocklist, are known."""
    language: str = "en"
    """Of the common words and the blocklist: a code of two letters."""
    block: tuple[str, ...] = ()
    """Words and phrases beside the blocklist; *word* anywhere inside one."""
    allow: tuple[str, ...] = ()
    """Words of the blocklist that this bot may say."""
    set_apart: tuple[str, ...] = ()
    """Names for a person to read before they are published, beside those of peoples and religions."""
    copy_ratio: float = 75.0
    """A text this like one of the corpus or reference is a copy: rapidfuzz's ratio, 0 to 100."""
    copy_run: int = 8
    """So many words in a row from the corpus or reference are a copy."""
    band: float = 3.0
    """How far a text's log-probability may lie from the mean of the held-out texts, in their standard deviations."""
    aim: float = 0.99
    """The best texts are as probable as this quantile of the held-out ones: less is nonsense, more platitudes."""
    ratio: bool = True
    """Ask the base model, too: a text that it finds as probable is not of this corpus."""
    choose_from: float = 2.0
    """Texts that pass for each one that is chosen: the worse ones stay out of the pool."""
    near_ratio: float = 75.0
    """Two texts of the pool this like one another: the better one stays."""
    opening_words: int = 2
    """So many words are a text's opening."""
    opening_share: float = 0.05
    """Most of the wanted texts that may open alike; 1: any."""


@dataclass(frozen=True)
class Bot:
    name: str
    """Names the run's folder."""
    folder: Path
    """Where the bot's files lie."""
    model: str = "124M"
    """Base model: 124M, 355M, 774M, 1558M, nano, or a folder in OpenAI's layout."""
    count: int = 20_000
    """Texts wanted in the pool."""
    pool: str = "pool"
    """Where the pool lies: s3://bucket/prefix or a directory."""
    corpus: CorpusSettings = field(default_factory=CorpusSettings)
    finetune: FinetuneSettings = field(default_factory=FinetuneSettings)
    sample: SampleSettings = field(default_factory=SampleSettings)
    filter: FilterSettings = field(default_factory=FilterSettings)

    @property
    def corpus_file(self) -> Path:
        return self.folder / self.corpus.file

    @property
    def reference_files(self) -> list[Path]:
        return [self.folder / name for name in self.corpus.reference]


SECTIONS = {"corpus": CorpusSettings, "finetune": FinetuneSettings, "sample": SampleSettings, "filter": FilterSettings}
TOP = ("name", "model", "count", "pool")
RANGES: dict[str, tuple[float, float]] = {
    "count": (1, 10_000_000),
    "corpus.hold_out": (0.01, 0.5),
    "finetune.epochs": (1, 1000),
    "finetune.batch_size": (0, 4096),
    "finetune.learning_rate": (0, 1),
    "sample.budget": (0, 10**9),
    "sample.top_k": (0, 100_000),
    "sample.top_p": (1e-6, 1),
    "sample.max_tokens": (2, 1023),
    "sample.temperatures": (0.01, 10),
    "sample.workers": (0, 1024),
    "sample.threads": (0, 1024),
    "sample.batch": (0, 4096),
    "filter.max_length": (1, 280),
    "filter.min_words": (1, 100),
    "filter.copy_ratio": (1, 101),
    "filter.copy_run": (2, 1000),
    "filter.near_ratio": (1, 101),
    "filter.repetition": (0, 1),
    "filter.common_words": (0, 1_000_000),
    "filter.band": (0.1, 1000),
    "filter.aim": (0, 1),
    "filter.choose_from": (1, 100),
    "filter.opening_words": (1, 10),
    "filter.opening_share": (0.0001, 1),
}


def load(path: Path) -> Bot:
    """Read a bot's TOML file.

    Raises:
        WrongUse: the file is missing, is no TOML, or holds an unknown name or a value out of range.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise WrongUse(
            f"Cannot read the bot's settings {path}: {error.strerror}; name another file with --bot."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise WrongUse(f"{path} is not a TOML file: {error}") from error
    known = [*TOP, *SECTIONS]
    for name in raw:
        if name not in known:
            raise WrongUse(f"{path}: unknown setting {name!r}{_nearest(name, known)}.")
    values: dict[str, Any] = {
        name: _checked(name, raw[name], get_type_hints(Bot)[name], path) for name in TOP if name in raw
    }
    values.setdefault("name", path.parent.resolve().name)
    for section, cls in SECTIONS.items():
        values[section] = _section(section, cls, raw.get(section, {}), path)
    return Bot(folder=path.parent, **values)


def override(bot: Bot, section: str, **values: Any) -> Bot:
    """Return `bot` with `values` (those that are not None) set in `section`; "" is the top."""
    given = {name: value for name, value in values.items() if value is not None}
    hints = get_type_hints(SECTIONS[section] if section else Bot)
    where = Path("the command line")
    given = {
        name: _checked(f"{section}.{name}" if section else name, value, hints[name], where)
        for name, value in given.items()
    }
    if not section:
        return dataclasses.replace(bot, **given)
    return dataclasses.replace(bot, **{section: dataclasses.replace(getattr(bot, section), **given)})


def plain(settings: Any) -> dict[str, Any]:
    """A dataclass as JSON-ready values, for manifests."""
    return {
        name: str(value) if isinstance(value, Path) else value for name, value in dataclasses.asdict(settings).items()
    }


def _section(section: str, cls: type[Any], raw: Any, path: Path) -> Any:
    if not isinstance(raw, dict):
        raise WrongUse(f"{path}: [{section}] must be a table.")
    hints = get_type_hints(cls)
    for name in raw:
        if name not in hints:
            raise WrongUse(f"{path}: unknown setting {name!r} in [{section}]{_nearest(name, list(hints))}.")
    return cls(**{name: _checked(f"{section}.{name}", value, hints[name], path) for name, value in raw.items()})


def _checked(name: str, value: Any, kind: Any, path: Path) -> Any:
    """`value` as the type `kind` of setting `name`, or WrongUse."""
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise WrongUse(f"{path}: {name} must be one of {', '.join(get_args(kind))}, not {value!r}.")
        return value
    if get_origin(kind) is tuple:
        inner = get_args(kind)[0]
        items = value if isinstance(value, list | tuple) else [value]
        if not items and inner is not str and name != "filter.repetition":
            raise WrongUse(f"{path}: {name} must not be empty.")
        return tuple(_checked(name, item, inner, path) for item in items)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind) or isinstance(value, bool) != (kind is bool):
        raise WrongUse(f"{path}: {name} must be a {kind.__name__}, not {value!r}.")
    low, high = RANGES.get(name, (float("-inf"), float("inf")))
    if isinstance(value, int | float) and not low <= value <= high:
        raise WrongUse(f"{path}: {name} must lie between {low:g} and {high:g}, not {value!r}.")
    return value


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(known)}"
