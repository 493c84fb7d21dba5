"""moto's S3 and SSM over real HTTP, a request at a time (moto itself lets two writers win), with faults on the wire.

with loopback_aws() as aws: aws.fault("PUT", "state.json", "reset", after=True)
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.test import EnvironBuilder, run_wsgi_app

from tests.helpers.loopback import KeepAlive, served

BUCKET = "bot-pool"
ERRORS = {
    403: "AccessDenied",
    409: "ConditionalRequestConflict",
    412: "PreconditionFailed",
    500: "InternalError",
    503: "SlowDown",
}


@dataclass
class Fault:
    method: str
    key: str
    how: str
    """A status of ERRORS as text, or reset, truncated, slow."""
    after: bool
    """The request has been done first."""
    times: int


class LoopbackAws:
    def __init__(self) -> None:
        self.url = ""
        self.faults: list[Fault] = []
        self.requests: list[str] = []
        self.lists_prefix_alone = False
        """Answer 403 for an object that is not there, as S3 does where the caller may not list the whole bucket."""
        self.patience = 2.6
        """Seconds that a slow answer takes."""

    def fault(self, method: str, key: str, how: str, after: bool = False, times: int = 1) -> None:
        self.faults.append(Fault(method, key, how, after, times))

    def client(self, service: str) -> Any:
        make: Any = boto3.client
        return make(
            service,
            endpoint_url=self.url,
            region_name="eu-central-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }


@contextmanager
def loopback_aws() -> Iterator[LoopbackAws]:
    """Yield it with an empty bucket."""
    aws, app, lock = LoopbackAws(), DomainDispatcherApplication(create_backend_app), threading.Lock()

    class Handler(KeepAlive):
        def handle_expect_100(self) -> bool:
            going_on = super().handle_expect_100()
            self.wfile.flush()
            return going_on

        def handle_one(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            aws.requests.append(f"{self.command} {self.path}")
            fault = next((f for f in aws.faults if f.times and f.method == self.command and f.key in self.path), None)
            if fault:
                fault.times -= 1
            if fault and not fault.after and self.spoilt(fault, b""):
                return
            path, _, query = self.path.partition("?")
            with lock:
                environment = EnvironBuilder(
                    path=path, query_string=query, method=self.command, headers=list(self.headers.items()), data=body
                ).get_environ()
                chunks, status, headers = run_wsgi_app(app, environment, buffered=True)
                data = b"".join(chunks)
            if fault and fault.after and self.spoilt(fault, data):
                return
            number = int(status.split()[0])
            if number == 404 and self.command in ("GET", "HEAD") and aws.lists_prefix_alone:
                number, headers, data = 403, headers.__class__(), b"<Error><Code>AccessDenied</Code></Error>"
            self.send_response(number)
            for name, value in headers.items():
                if name.lower() not in ("content-length", "connection", "date", "server"):
                    self.send_header(name, value)
            self.answer(data)

        def answer(self, data: bytes, claimed: int | None = None) -> None:
            self.send_header("Content-Length", str(claimed or len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def spoilt(self, fault: Fault, data: bytes) -> bool:
            """Answer with the fault; False: it only took long."""
            if fault.how == "slow":
                time.sleep(aws.patience)
                return False
            if fault.how == "truncated":
                self.send_response(200)
                self.send_header("ETag", '"x"')
                self.send_header("Connection", "close")
                self.answer(data[: len(data) // 2], claimed=max(2, len(data)))
            elif fault.how != "reset":
                code = ERRORS[int(fault.how)]
                self.send_response(int(fault.how))
                # Told, or a client may send its next request into the connection that is being closed.
                self.send_header("Connection", "close")
                self.answer(f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode())
            self.close_connection = True
            return True

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_one

    try:
        with served(Handler) as address:
            aws.url = f"http://{address}"
            s3 = aws.client("s3")
            s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
            yield aws
    finally:
        with lock:
            reset()


def reset() -> None:
    """moto keeps its state for the process."""
    from moto.backends import get_backend

    for service in ("s3", "ssm"):
        get_backend(service).reset()
