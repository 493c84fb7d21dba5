"""What can go wrong, as a user reads it. The command line prints the message and exits with `exit_code`.

DeepproverbsError        1  the work could not be done: no network, no space, a broken file
└── WrongUse             2  the call itself is wrong: an unknown name, a missing or unsuitable file
"""

from __future__ import annotations


class DeepproverbsError(Exception):
    """The message is one sentence that says what to do."""

    exit_code = 1


class WrongUse(DeepproverbsError):
    """The user asked for something that cannot be: an unknown option, name or kind of file."""

    exit_code = 2


def brief(error: BaseException) -> str:
    """What an error of somebody else's says, for a sentence of ours: some quote whole files."""
    text = " ".join(str(error).split())
    return text if len(text) <= 120 else f"{text[:119]}…"
