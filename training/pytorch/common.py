"""What the PyTorch programs share: events out, arguments in, the texts of a corpus as batches."""

import json
import os
import signal
import sys
import warnings

# The project's progress bar is the only one; nothing is sent anywhere.
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
warnings.filterwarnings("ignore")

# Libraries print to standard output; the parent reads JSON lines there. Keep the real one aside.
_events = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)
_parent = os.getppid()
# A background job of a shell inherits "ignore"; the parent's SIGINT must reach us all the same.
signal.signal(signal.SIGINT, signal.default_int_handler)


def emit(event: str, **facts: object) -> None:
    """Write one event as a JSON line. Ends the program when nobody reads any more."""
    try:
        _events.write(json.dumps({"event": event, **facts}) + "\n")
        _events.flush()
    except (BrokenPipeError, ValueError):
        os._exit(1)


def leave_with_parent() -> None:
    """End when the process that started this one is gone: a killed run must not keep working unseen."""
    if os.getppid() != _parent:
        os._exit(1)


def arguments() -> dict:
    return json.loads(sys.argv[1])
