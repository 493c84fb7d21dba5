"""Runs with texts that wait for a person, and the review's server as a program of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.helpers import corpora
from training.common import jsonl
from training.common.paths import ROOT
from training.common.text import text_id
from training.curate import write

BOT = """
name = "plain"
publish = "{publish}"

[filter]
closed_vocabulary = false
near_ratio = 90.0
copy_ratio = 90.0
"""
NAMES = ["the king of israel is wise", "the jews went up in the morning", "an egyptian found bread", "the greeks eat"]


@dataclass(frozen=True)
class Run:
    folder: Path
    bot: Path
    texts: list[str]
    """Of the pool, in their order."""
    corpus: list[str]

    @property
    def pool(self) -> Path:
        return self.folder / "pool"

    def options(self) -> list[str]:
        return ["--bot", str(self.bot), "--run", str(self.folder), "--pool", str(self.pool)]


def run(folder: Path, count: int = 40, names: int = 4, publish: str = "at-once", kind: str = "few") -> Run:
    """A run's folder with a corpus, `count` texts in pool.jsonl, and some set apart."""
    bot = folder / "bot"
    bot.mkdir(parents=True)
    texts = [*{text_id(text): text for text in corpora.texts(kind, 2 * count + 30, seed=5)}.values()][: count + 30]
    assert len(texts) == count + 30
    corpus, made = texts[:30], texts[30:]
    (bot / "bot.toml").write_text(BOT.format(publish=publish))
    (bot / "corpus.txt").write_text("\n==========\n".join(corpus))
    at = folder / "run"
    at.mkdir()
    (at / "corpus.txt").write_text("\n==========\n".join(corpus))
    scores = [-1.0 - (n * 7 % 50) / 50 for n in range(count)]
    jsonl.write(at / "pool.jsonl", write.records(made, scores, corpus))
    if names:
        apart = write.records(NAMES[:names], [-2.0] * names, corpus)
        jsonl.write(at / "review.jsonl", ({**record, "names": "israel"} for record in apart))
    return Run(at, bot, made, corpus)


@dataclass
class Server:
    """`deepproverbs review`, running."""

    process: subprocess.Popen[str]
    address: str

    @property
    def base(self) -> str:
        return self.address.partition("/?")[0]

    def kill(self) -> None:
        """As a loss of power would."""
        self.process.kill()
        self.process.communicate()

    def end(self) -> str:
        """Ctrl-C. Returns what it said then."""
        self.process.send_signal(signal.SIGINT)
        out, _ = self.process.communicate(timeout=120)
        return out


@contextmanager
def server(run: Run, *options: str) -> Iterator[Server]:
    command = [sys.executable, "-m", "training.cli.main", "review", *run.options(), "--no-browser", *options]
    paths = os.pathsep.join([str(ROOT), str(ROOT / "functions")])
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    ) as process:
        try:
            assert process.stdout
            line = process.stdout.readline()
            found = re.search(r"http\S+", line)
            assert found, line
            yield Server(process, found[0])
        finally:
            process.kill()
