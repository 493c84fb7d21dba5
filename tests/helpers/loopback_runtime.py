"""Lambda's Runtime API on loopback: the built function under AWS's own awslambdaric, in a process of its own.

with runtime(folder, environment) as function: function.invoke(event, "request-1")
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.helpers.loopback import KeepAlive, served

VERSION = "/2018-06-01/runtime"


class Function:
    """One warm instance."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self.environment = folder, environment
        self.events: queue.Queue[tuple[str, Any]] = queue.Queue()
        self.answers: queue.Queue[tuple[str, Any]] = queue.Queue()
        self.address, self.log = "", bytearray()
        self.process: subprocess.Popen[bytes] | None = None
        self.listener = threading.Thread()

    def start(self) -> None:
        """A cold start."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "awslambdaric", "post_tweet.app.handler"],
            cwd=self.folder,
            # Only what the artefact holds; boto3 is the runtime's, here the one beside awslambdaric.
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(self.folder),
                "PYTHONSAFEPATH": "1",
                "AWS_LAMBDA_RUNTIME_API": self.address,
                "AWS_LAMBDA_FUNCTION_NAME": "post",
                "AWS_EC2_METADATA_DISABLED": "true",
                **self.environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.listener = threading.Thread(target=self._listen, args=(self.process,), daemon=True)
        self.listener.start()

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout
        with process.stdout:
            for line in process.stdout:
                self.log += line

    def send(self, event: Any, request: str) -> None:
        self.events.put((request, event))

    def receive(self, seconds: float = 60) -> tuple[str, Any]:
        """("response" | "error", what the handler returned, or errorType and errorMessage)."""
        return self.answers.get(timeout=seconds)

    def invoke(self, event: Any, request: str) -> tuple[str, Any]:
        self.send(event, request)
        return self.receive()

    def kill(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait()
        self.listener.join()


@contextmanager
def runtime(folder: Path, environment: dict[str, str]) -> Iterator[Function]:
    function = Function(folder, environment)

    class Handler(KeepAlive):
        def reply(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            assert self.path == f"{VERSION}/invocation/next"
            request, event = function.events.get()
            if request:
                headers = {
                    "Lambda-Runtime-Aws-Request-Id": request,
                    "Lambda-Runtime-Deadline-Ms": str(int((time.time() + 45) * 1000)),
                    "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-central-1:1:function:post",
                    "Lambda-Runtime-Trace-Id": "Root=1-0-0",
                    "Content-Type": "application/json",
                }
                self.reply(200, json.dumps(event).encode(), headers)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            function.answers.put((self.path.rpartition("/")[2], json.loads(body)))
            self.reply(202, b"", {})

    with served(Handler) as function.address:
        function.start()
        try:
            yield function
        finally:
            function.kill()
            function.events.put(("", None))
