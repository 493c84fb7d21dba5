"""`python -m tests.simulation`. The program is in runs.py: a worker process cannot import a `__main__`."""

import sys

from tests.simulation.runs import main

if __name__ == "__main__":
    sys.exit(main())
