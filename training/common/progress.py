"""What a person sees of long work: lines, and a bar with rates."""

from __future__ import annotations

import time
from collections.abc import Callable

from tqdm import tqdm

Say = Callable[[str], None]
"""Takes one line for the person at the terminal."""


class Progress:
    """A bar of the texts that are wanted, with the rates of what has been sampled since it began."""

    def __init__(self, wanted: int, what: str) -> None:
        self.bar = tqdm(total=wanted, unit="text", desc=what, mininterval=1.0)
        self.wanted, self.texts, self.tokens, self.started, self.shown = wanted, 0, 0, 0.0, 0.0

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self._show_rates(time.monotonic())
        self.bar.close()

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self.bar.write(text)

    def _show_rates(self, now: float) -> None:
        if self.started and now > self.started:
            self.shown, seconds = now, now - self.started
            self.bar.set_postfix_str(
                f"{self.texts:,} sampled, {self.texts / seconds:,.0f} texts/s, {self.tokens / seconds:,.0f} tokens/s"
            )

    def want(self, wanted: int) -> None:
        self.wanted = self.bar.total = wanted

    def update(self, have: int, texts: int = 0, tokens: int = 0) -> None:
        """`have` of the wanted texts are there; `texts` more were sampled, of so many tokens."""
        now = time.monotonic()
        if texts:
            self.started = self.started or now
            self.texts, self.tokens = self.texts + texts, self.tokens + tokens
        self.bar.update(min(self.wanted, have) - self.bar.n)
        if now - self.shown >= 1 and now - self.started >= 1:
            self._show_rates(now)
