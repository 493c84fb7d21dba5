"""A server for one person on this machine, until Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import webbrowser
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from training.common.errors import WrongUse
from training.pages.review.guard import Guard


def serve(app: ASGIApp, port: int, on_start: Callable[[Guard], None]) -> None:
    """Serve on 127.0.0.1 until Ctrl-C. `port`: 0 for any free one; `on_start`: called once it listens.

    Raises:
        WrongUse: the port is taken.
    """
    # asyncio turns Nagle's algorithm off only where the protocol is named; else each answer waits 40 ms.
    with socket.socket(proto=socket.IPPROTO_TCP) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("127.0.0.1", port))
        except OSError as error:
            raise WrongUse(f"Cannot listen on port {port}: {error.strerror}; name another with --port.") from error
        listening.listen(128)
        guard = Guard(app, listening.getsockname()[1])
        config = uvicorn.Config(
            guard,
            log_config=None,
            log_level="critical",  # what fails, the app tells; what Ctrl-C cuts off is no news
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            timeout_graceful_shutdown=2,
        )
        # Ctrl-C may come before uvicorn listens for it, as an exception that something swallows; and uvicorn sends
        # itself the signal again when it has ended.
        server = uvicorn.Server(config)
        before = signal.signal(signal.SIGINT, lambda *_: setattr(server, "should_exit", True))
        try:
            with contextlib.suppress(KeyboardInterrupt):
                on_start(guard)
                server.run(sockets=[listening])
        finally:
            signal.signal(signal.SIGINT, before)


def open_browser(address: str) -> bool:
    """Open the address if there is a browser with windows. One in the terminal would take the terminal."""
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    try:
        browser = webbrowser.get()
        return type(browser) is not webbrowser.GenericBrowser and browser.open(address)
    except webbrowser.Error:
        return False
