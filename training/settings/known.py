"""What settings there are, each with its default, bounds and help, in a dataclass for each section of a bot.toml."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

UNBOUNDED = (float("-inf"), float("inf"))


def setting(default: Any, help: str, between: tuple[float, float] = UNBOUNDED) -> Any:
    """A field of a settings dataclass. `between`: the least and the greatest value; of a list, of each item."""
    return field(default=default, metadata={"help": help, "between": between})


@dataclass(frozen=True)
class CorpusSettings:
    """The texts that the bot learns from."""

    file: str = setting(
        "corpus.txt", "The texts, in any form that `deepproverbs corpus` reads. Relative to the bot's folder."
    )
    prepare: str = setting(
        "", "A Python program in the bot's folder, never outside it, that is run to write the files that are missing."
    )
    reference: tuple[str, ...] = setting(
        (), "More files of texts that nothing in the pool may copy: the rest of the book, earlier posts."
    )
    form: str = setting("", "The kind of file, as `deepproverbs corpus` names it. Empty: found by what is in it.")
    delimiter: str = setting(
        "", "What separates the columns of a table, or the line that separates texts. Empty: found."
    )
    field: str = setting("", "The column or key that holds the text in tables and JSON. Empty: found.")
    encoding: str = setting(
        "",
        "The file's encoding, such as cp1252. utf-8+cp1252: what is not UTF-8 is cp1252. utf-8+repair: texts that were "
        "encoded twice are mended. Empty: UTF-8, or UTF-16 where that is certain.",
    )
    author: str = setting("", 'Whose messages in a chat are the texts. Empty: the only one who writes. "*": all.')
    drop: tuple[Literal["reposts", "replies", "damaged"], ...] = setting(
        ("reposts", "replies"),
        "What to leave out, where the file says so: reposts, replies; damaged: rows of a table with too many or too "
        "few cells, which otherwise stop the reading.",
    )
    links: Literal["drop", "keep"] = setting(
        "drop", "Links in texts: drop takes them out, and leaves out a text that breaks without."
    )
    mentions: Literal["drop", "keep"] = setting(
        "drop", "@names and e-mail addresses in texts: drop takes them out, and leaves out a text that breaks without."
    )
    style: Literal["keep", "plain"] = setting(
        "keep", "keep: as written. plain: lower case, no marks but , . ' and -, one full stop at the end."
    )
    hold_out: float = setting(0.1, "Share of the texts that is held out to measure the loss.", (0.01, 0.5))
    seed: int = setting(1, "Chooses which texts are held out.")


NOTHING_SAID = CorpusSettings()
"""Every file is read by what is in it."""


@dataclass(frozen=True)
class FinetuneSettings:
    """How the base model is fine-tuned."""

    trainer: Literal["auto", "tensorflow", "torch"] = setting(
        "auto", "What fine-tunes. auto: TensorFlow 1.15 for GPT-2 where it is installed, else PyTorch."
    )
    recipe: Literal["texts", "windows"] = setting(
        "texts", "texts: batches of whole texts, which is how they are sampled. windows: gpt-2-simple's finetune()."
    )
    epochs: int = setting(
        0,
        "The most passes over the training texts; too many copy the corpus. 0: 4 for GPT-2, 2 for other models, at "
        "least 48 steps, and more while each lowers the loss by a twentieth.",
        (0, 1000),
    )
    batch_size: int = setting(
        0, "Texts a step, or windows of 1,024 tokens. 0: chosen by the size of the model and the corpus.", (0, 4096)
    )
    learning_rate: float = setting(0.0, "Peak learning rate of Adam. 0: chosen by the size of the model.", (0, 1))
    layers: Literal["auto", "all", "transformer"] = setting(
        "auto", "Which weights are trained: all, or all but the embeddings. auto: chosen by the size of the model."
    )
    memory_saving: Literal["auto", "on", "off"] = setting(
        "auto", "Recompute activations in the backward pass: slower, in a fraction of the memory."
    )
    seed: int = setting(1, "Sets the order of the texts.")


@dataclass(frozen=True)
class SampleSettings:
    """How candidates are sampled from the model."""

    budget: int = setting(
        0, "Stop after this many candidates, even if too few were kept. 0: 20 times the count.", (0, 10**9)
    )
    temperatures: tuple[float, ...] = setting(
        (0.8,), "Sampling temperatures; candidates are divided evenly among them. For nano: 0.6.", (0.01, 10)
    )
    top_k: int = setting(0, "Sample from the k most probable tokens. 0: from all of them.", (0, 100_000))
    top_p: float = setting(0.9, "Sample from the most probable tokens that together hold this probability.", (1e-6, 1))
    prefixes: tuple[str, ...] = setting(("",), "Texts start with these, in turn; empty: the model is free.")
    max_tokens: int = setting(
        96, "A text that has not ended after this many tokens is cut off and rejected.", (2, 1023)
    )
    seed: int = setting(1, "The same seed, settings and machine give the same candidates.")
    engine: Literal["auto", "native", "ctranslate2", "gpt-2-simple"] = setting(
        "auto", "What samples. auto: CTranslate2 on a GPU, the native decoder on a processor."
    )
    device: Literal["auto", "cpu", "cuda"] = setting("auto", "Where CTranslate2 runs. auto: on a GPU if it sees one.")
    compute_type: str = setting(
        "auto",
        "CTranslate2's number format: int8, float32, float16 or int8_float16. The native decoder always uses int8.",
    )
    workers: int = setting(0, "Batches decoded at the same time. 0: found by a short trial.", (0, 1024))
    threads: int = setting(
        0, "Processor threads of each worker of CTranslate2. 0: the processors divided by the workers.", (0, 1024)
    )
    batch: int = setting(0, "Texts that each worker decodes side by side. 0: found by a short trial.", (0, 4096))
    vocabulary: Literal["auto", "full"] = setting(
        "auto", "auto: leave out the tokens that this bot does not need, where that is harmless. full: keep them all."
    )
    early_stop: bool = setting(
        True, "Give up a text once it breaks a rule that more words cannot mend (native decoder)."
    )


@dataclass(frozen=True)
class FilterSettings:
    """Which candidates may go into the pool."""

    skip: tuple[str, ...] = setting(
        (), 'Rules to leave out, by the names in the table that a run prints: ["hashtag", "band"].'
    )
    own: tuple[str, ...] = setting(
        (),
        'Rules of your own, "FILE.py:FUNCTION" in the bot\'s folder, never outside it: Python that is run. It takes a '
        "text and returns None or the reason.",
    )
    characters: str = setting(
        "",
        "Every character that a text may hold. Empty: all printable ones (digits, @, # and $ have rules of their own).",
    )
    max_length: int = setting(280, "Longest text, in X's weighted characters.", (1, 280))
    min_words: int = setting(
        4,
        "Fewest words of a text; without spaces, 1.5 characters of Chinese and Japanese or 2.5 of Thai are one.",
        (1, 100),
    )
    lines: tuple[int, ...] = setting(
        (), "Fewest and most lines of a text. Empty: as many as the corpus's texts have, all but 1 in 100.", (1, 1000)
    )
    repetition: tuple[float, ...] = setting(
        (0.36, 0.28, 0.22),
        "Greatest share of a text's runs of 2, 3, 4 and so on words that may repeat an earlier run.",
        (0, 1),
    )
    dangling: tuple[str, ...] = setting(
        (),
        "Words that no text may end on, because another must follow: and, of, the. `deepproverbs new` finds them.",
    )
    closed_vocabulary: bool = setting(False, "Every word must be in the corpus, its references or the common words.")
    common_words: int = setting(
        30_000, "How many of the language's most frequent words are known, without those on the blocklist.", (0, 10**6)
    )
    language: str = setting(
        "en", "Language of the common words, the blocklist and the names of peoples, a code of two letters."
    )
    unlisted: Literal["review", "publish"] = setting(
        "review",
        "Texts in a language without a blocklist and names of peoples. review: a person reads each first. publish: "
        "English lists are enough.",
    )
    block: tuple[str, ...] = setting(
        (), "More words and phrases to block; *word* matches any word that contains it, word* any that begins so."
    )
    allow: tuple[str, ...] = setting((), "Words of the blocklist that this bot may use.")
    set_apart: tuple[str, ...] = setting(
        (), "Names to be read by a person before they are published, besides those of peoples and religions."
    )
    copy_ratio: float = setting(
        75.0, "A text this similar to one of the corpus or its references is a copy: rapidfuzz's ratio.", (1, 101)
    )
    copy_run: int = setting(8, "This many words in a row from the corpus or its references are a copy.", (2, 1000))
    band: float = setting(
        3.0,
        "How much less or more probable than real texts a text may be, in standard deviations from their mean; at "
        "the top the learnt texts count, too. Few texts make the band wider: they say little of the deviation.",
        (0.1, 1000),
    )
    aim: float = setting(
        0.99,
        "The best texts are as probable as this quantile of the held-out ones, or as the median of the learnt ones if "
        "that is more: below lies nonsense, above it platitudes.",
        (0, 1),
    )
    ratio: bool = setting(
        True,
        "Compare with the base model: a text just as probable there owes nothing to the corpus. For smollm2-135m: "
        "false.",
    )
    choose_from: float = setting(
        2.0,
        "Texts that must pass for each one that is chosen; the worse ones stay out of the pool. For smollm2-135m: 3.",
        (1, 100),
    )
    near_ratio: float = setting(
        75.0, "Of two texts this similar, only the better one goes into the pool: rapidfuzz's ratio.", (1, 101)
    )
    opening_words: int = setting(2, "How many words make up a text's opening.", (1, 10))
    opening_share: float = setting(
        0.05, "Greatest share of the wanted texts that may have the same opening. 1: any.", (0.0001, 1)
    )


@dataclass(frozen=True)
class RefillSettings:
    """When `deepproverbs refill` adds texts, and how many."""

    days: int = setting(30, "Add texts when those in the pool will last for fewer days than this.", (1, 3650))
    count: int = setting(0, "How many texts a refill adds. 0: the bot's count.", (0, 10_000_000))


@dataclass(frozen=True)
class Bot:
    """What to make, and where to put it."""

    name: str = setting(
        "",
        "Names the run's folder and the stack in AWS, so it has no / or \\. Default: the name of the bot's folder.",
    )
    folder: Path = Path()
    """Where the bot's files are; not a setting."""
    chosen: frozenset[str] = field(default=frozenset(), compare=False)
    """The keys that the bot's file or the command line set; not a setting."""
    model: str = setting(
        "124M",
        "Base model: 124M, 355M, 774M, 1558M, nano, smollm2-135m, hf:NAME from Hugging Face's hub, or a folder in "
        "OpenAI's or Hugging Face's layout.",
    )
    count: int = setting(20_000, "How many texts each run adds to the pool.", (1, 10_000_000))
    pool: str = setting("pool", "Where the pool is: s3://bucket/prefix or a directory.")
    publish: Literal["at-once", "after-review"] = setting(
        "at-once",
        "When a run's texts come into the pool. after-review: when a person has read them, with `deepproverbs review`.",
    )
    corpus: CorpusSettings = CorpusSettings()
    finetune: FinetuneSettings = FinetuneSettings()
    sample: SampleSettings = SampleSettings()
    filter: FilterSettings = FilterSettings()
    refill: RefillSettings = RefillSettings()

    @property
    def budget(self) -> int:
        """Most candidates that may be sampled."""
        return self.sample.budget or 20 * self.count

    @property
    def corpus_file(self) -> Path:
        return self.folder / self.corpus.file

    @property
    def reference_files(self) -> list[Path]:
        return [self.folder / name for name in self.corpus.reference]


FITTED: dict[str, dict[str, Any]] = {
    "nano": {"sample.temperatures": (0.6,)},
    "smollm2-135m": {"filter.ratio": False, "filter.choose_from": 3.0},
}
"""Base model → the settings that suit it better than the defaults, unless the bot chooses its own: what blind readings
found best (docs/benchmarks.md)."""

SECTIONS = {
    "corpus": CorpusSettings,
    "finetune": FinetuneSettings,
    "sample": SampleSettings,
    "filter": FilterSettings,
    "refill": RefillSettings,
}


@dataclass(frozen=True)
class Setting:
    """One setting, as its field describes it."""

    section: str
    """"" for the top of the file."""
    name: str
    type: Any
    default: Any
    help: str
    between: tuple[float, float]

    @property
    def key(self) -> str:
        return f"{self.section}.{self.name}" if self.section else self.name

    @property
    def many(self) -> bool:
        return get_origin(self.type) is tuple

    @property
    def item(self) -> Any:
        """The type of one value: int, float, str, bool or a Literal."""
        return get_args(self.type)[0] if self.many else self.type

    @property
    def choices(self) -> tuple[str, ...]:
        return get_args(self.item) if get_origin(self.item) is Literal else ()

    @property
    def bounds(self) -> str:
        """`1 to 1,000`, or "" if any value will do."""
        low, high = (f"{bound:,.6f}".rstrip("0").rstrip(".") for bound in self.between)
        return "" if self.between == UNBOUNDED else f"{low} to {high}"


@cache
def settings_of(section: str) -> dict[str, Setting]:
    """The settings of a section by their names, in the order of the file; "" is the top."""
    cls = SECTIONS[section] if section else Bot
    types = get_type_hints(cls)
    return {
        f.name: Setting(section, f.name, types[f.name], f.default, f.metadata["help"], f.metadata["between"])
        for f in dataclasses.fields(cls)
        if f.metadata
    }


def find(key: str) -> Setting:
    """`finetune.epochs` or `count`; KeyError if there is none."""
    section, _, name = key.rpartition(".")
    return settings_of(section)[name]


def plain(settings: Any) -> dict[str, Any]:
    """A settings dataclass as JSON-ready values. Keys of the manifest are hashes of these: see Manifest."""
    return {
        name: str(value) if isinstance(value, Path) else value for name, value in dataclasses.asdict(settings).items()
    }
