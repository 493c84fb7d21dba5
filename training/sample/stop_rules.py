"""What an engine knows of the filters: the rules by which a text can be given up while it is written."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from training.common.manifest import digest_of


@dataclass(frozen=True)
class StopRules:
    """The filters' rules, as far as a text's bytes show that one is broken."""

    allowed: bytes
    """Every byte that a text may hold."""
    longest: int
    """Bytes; 0: no limit."""
    vocabulary: bool
    """Every word must occur in the originals."""
    run: int
    """This many words in a row of the originals are a copy; 0: not checked."""
    originals: tuple[str, ...]
    """Corpus and references in normal form."""

    @cached_property
    def id(self) -> str:
        """8 hex digits; other rules have another id."""
        about = f"{self.allowed.hex()} {self.longest} {self.vocabulary} {self.run}"
        return digest_of([about, *self.originals])[:8]
