"""The command line."""

from __future__ import annotations

import sys


def start() -> int:
    """The program `deepproverbs`. Its modules take half a second to load, and Ctrl-C may come in that time, too."""
    try:
        from training.cli.main import main as run

        return run()
    except KeyboardInterrupt:
        print("Stopped before anything was done.", file=sys.stderr)
        return 130
