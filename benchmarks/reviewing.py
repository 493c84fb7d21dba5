"""How fast `deepproverbs review` is with a thousand texts and with a hundred thousand: from the command to its address,
from there to the first paint, from a key to the next text (the decision is on the disk by then), a search, a change of
order; and its memory.

The texts are random words, 8 to 30 each, and a twentieth of them is set apart. A real browser shows them. Medians; in
brackets the slowest.

    .venvs/project/bin/python -m benchmarks.reviewing [--texts 1000 100000] [--keys 200]
"""

from __future__ import annotations

import argparse
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from wordfreq import top_n_list

from tests.helpers.browser import FLAGS, NAMES, page
from tests.helpers.reviewed import BOT, Run, server
from training.common import jsonl
from training.common.text import text_id

SHOWN = """key => new Promise(done => {
  const text = document.getElementById("text");
  new MutationObserver((_, watch) => {
    watch.disconnect();
    requestAnimationFrame(() => done(performance.now() - from));
  }).observe(text, {childList: true, characterData: true, subtree: true});
  const from = performance.now();
  document.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
})"""
ASK = """async path => {
  const from = performance.now();
  const found = await (await fetch(path)).json();
  return [performance.now() - from, found.total];
}"""
PAINT = '() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime'


def made(folder: Path, count: int) -> Run:
    """A run's folder with so many texts."""
    words, draw = top_n_list("en", 5000), random.Random(1)
    bot, at = folder / "bot", folder / "run"
    bot.mkdir()
    at.mkdir()
    (bot / "bot.toml").write_text(BOT.format(publish="after-review"))
    texts = [" ".join(draw.choices(words, k=draw.randrange(8, 30))) + "." for _ in range(count + 1000)]
    corpus, texts = texts[:1000], texts[1000:]
    for file in (bot / "corpus.txt", at / "corpus.txt"):
        file.write_text("\n==========\n".join(corpus))
    records = [
        {"id": text_id(text), "text": text, "score": round(draw.gauss(-2, 0.4), 4)}
        | {"nearest": draw.choice(corpus), "nearest_ratio": round(draw.uniform(30, 75), 1)}
        for text in texts
    ]
    jsonl.write(at / "pool.jsonl", records[count // 20 :])
    jsonl.write(at / "review.jsonl", ({**record, "names": "israel"} for record in records[: count // 20]))
    return Run(at, bot, texts, corpus)


def memory(pid: int) -> int:
    """Resident megabytes of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) // 1024


def several(measure: Callable[[], float], times: int) -> str:
    """`median (slowest)` in milliseconds."""
    found = [measure() for _ in range(times)]
    return f"{statistics.median(found):,.0f} ({max(found):,.0f})"


def bench(chromium: Any, count: int, keys: int) -> list[str]:
    """A row of the table."""
    with tempfile.TemporaryDirectory() as folder:
        run, started = made(Path(folder), count), time.monotonic()
        started = time.monotonic()
        with server(run) as running, page(chromium) as opened:
            start, light = time.monotonic() - started, memory(running.process.pid)

            def paint() -> float:
                opened.goto(running.base)
                while (found := opened.evaluate(PAINT)) is None:
                    time.sleep(0.01)
                return float(found)

            opened.goto(running.address)
            opened.locator("#read:not(:empty)").wait_for()
            first = several(paint, 10)
            opened.locator("#like li:not(.soft)").first.or_(opened.get_by_text("nothing like it")).first.wait_for()
            opened.locator("#source").select_option("all")
            opened.locator("#matches", has_text=f"{count:,}").wait_for()
            key = several(lambda: float(opened.evaluate(SHOWN, "k")), keys)
            ask = "texts?view=all&source=all&after=-1&count=12"
            rare = several(lambda: float(opened.evaluate(ASK, f"{ask}&sort=file&q=umbrella")[0]), 20)
            often = several(lambda: float(opened.evaluate(ASK, f"{ask}&sort=file&q=e")[0]), 20)
            order = several(lambda: float(opened.evaluate(ASK, f"{ask}&sort=score&q=")[0]), 20)
            heavy = memory(running.process.pid)
        return [f"{count:,}", f"{start:.1f}", first, key, rare, often, order, f"{light:,}", f"{heavy:,}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, nargs="+", default=[1_000, 100_000], help="texts that wait")
    parser.add_argument("--keys", type=int, default=200, help="decisions to measure (default: 200)")
    args = parser.parse_args()
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if not path:
        sys.exit("There is no browser; install Chromium or Chrome.")
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        sys.exit("playwright is missing; run `scripts/setup dev`.")
    print(
        "| texts | start, s | first paint, ms | key to next text, ms | rare word, ms | letter, ms | other order, ms "
        "| memory at first, MB | with likeness, MB |\n|---|---|---|---|---|---|---|---|---|"
    )
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=path, args=FLAGS) as chromium:
        for count in args.texts:
            print(f"| {' | '.join(bench(chromium, count, args.keys))} |", flush=True)


if __name__ == "__main__":
    main()
