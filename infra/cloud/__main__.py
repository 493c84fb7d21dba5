"""`python -m infra.cloud COMMAND` is `deepproverbs cloud COMMAND`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from training.cli import main as program


def main(argv: Sequence[str] | None = None) -> int:
    return program.main(["cloud", *(sys.argv[1:] if argv is None else argv)])


if __name__ == "__main__":
    sys.exit(main())
