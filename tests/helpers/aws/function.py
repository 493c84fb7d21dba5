"""Lambda and EventBridge Scheduler as a function sees them: the Runtime API, two retries of a failed event under the
same request id, the failure destination, the log written with the role's permissions, metrics extracted from the log.

The function is the deployed one: zip, handler and environment come from the stack. It also gets what Lambda adds, and
the addresses of AWS and X on loopback.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import queue
import subprocess
import sys
import threading
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from moto.awslambda.models import lambda_backends
from moto.scheduler.models import scheduler_backends

from tests.helpers.aws.cloudformation import Skipped
from tests.helpers.aws.gateway import Account
from tests.helpers.aws.iam import ACCOUNT, REGION
from tests.helpers.loopback import Quiet

RETRIES = (timedelta(minutes=1), timedelta(minutes=2))
CLOCK = Path(__file__).parent / "clock"


@dataclass(frozen=True)
class Point:
    """A value of a metric."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]
    time: datetime
    value: float


@dataclass
class Metrics:
    points: list[Point] = field(default_factory=list)

    def put(self, namespace: str, name: str, dimensions: dict[str, str], time: datetime, value: float) -> None:
        self.points.append(Point(namespace, name, tuple(sorted(dimensions.items())), time, value))


@dataclass
class Called:
    """An attempt and its answer."""

    request_id: str
    result: Any
    error: str


class Lambda:
    """Lambda for one deployed function. `now` is its clock."""

    def __init__(self, aws: Account, name: str, group: str, folder: Path, extra: dict[str, str]) -> None:
        self.aws, self.name, self.group, self.now = aws, name, group, datetime.now(UTC)
        self.metrics = Metrics()
        self.calls: list[Called] = []
        self.config = lambda_backends[ACCOUNT][REGION].get_function(name)
        self.role = aws.assume(self.config.role)
        self.code, self.extra = folder / "code", extra
        with zipfile.ZipFile(io.BytesIO(self.config.code_bytes)) as artefact:
            artefact.extractall(self.code)
        self.pending: list[tuple[datetime, str, bytes, int]] = []
        self._process: subprocess.Popen[str] | None = None
        self._next: queue.Queue[tuple[str, bytes] | None] = queue.Queue()
        self._done: queue.Queue[tuple[Any, str]] = queue.Queue()
        self._lines: list[str] = []
        self._serve()
        aws.on_invoke = self.invoke

    # The Runtime API.
    def _serve(self) -> None:
        service = self

        class Handler(Quiet):
            def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self) -> None:
                following = service._next.get()
                if following is None:  # the process behind this request was killed
                    return
                request_id, payload = following
                deadline = service.now + timedelta(seconds=service.config.timeout)
                with contextlib.suppress(OSError):
                    self.answer(
                        200,
                        payload,
                        {
                            "Content-Type": "application/json",
                            "Lambda-Runtime-Trace-Id": "Root=1-0",  # without it the runtime's client crashes
                            "Lambda-Runtime-Aws-Request-Id": request_id,
                            "Lambda-Runtime-Deadline-Ms": str(round(deadline.timestamp() * 1000)),
                            "Lambda-Runtime-Invoked-Function-Arn": service.config.function_arn,
                        },
                    )

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"null")
                self.answer(202, b"{}")
                failed = self.path.endswith("/error")
                service._done.put((body, body["errorMessage"] if failed else ""))

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def _start(self) -> None:
        given = self.config.environment_vars
        packages = next(path for path in sys.path if path.endswith("site-packages"))
        clock = self.extra.get("CLOCKED")
        env = {
            **{k: os.environ[k] for k in ("PATH", "LANG", "HOME") if k in os.environ},
            **self.aws.keys(self.role),
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self._server.server_port}",
            "AWS_LAMBDA_FUNCTION_NAME": self.name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(self.config.memory_size),
            "AWS_LAMBDA_LOG_FORMAT": "JSON",
            # The artefact first; boto3 and the runtime's own client are the runtime's.
            "PYTHONPATH": os.pathsep.join([str(self.code), packages, *([str(CLOCK)] if clock else [])]),
            "TIMEOUT_FOR_TESTS": str(self.config.timeout),
            **given,
            **{k: v for k, v in self.extra.items() if k != "CLOCKED"},
        }
        handler = "clocked.handler" if clock else self.config.handler
        self._process = subprocess.Popen(
            # -S: nothing of the tests' own environment but the packages named above.
            [sys.executable, "-S", "-W", "ignore", "-m", "awslambdaric", handler],
            cwd=self.code,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                self._lines.append(line.rstrip("\n"))

    def restart(self) -> None:
        """Make the next call a cold start."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._reader.join()
            self._process = None
            self._next.put(None)
            self._next = queue.Queue()

    def close(self) -> None:
        self.restart()
        self._server.shutdown()
        self._server.server_close()
        self.aws.on_invoke = None

    # Calls.
    def invoke(self, name: str, payload: bytes, asynchronous: bool) -> tuple[bytes, str]:
        assert name.rsplit(":", 1)[-1] == self.name
        request_id = str(uuid.uuid4())
        if asynchronous:
            self.pending.append((self.now, request_id, payload, 0))
            return b"", ""
        called = self.call(request_id, payload)
        return json.dumps(called.result).encode(), "Unhandled" if called.error else ""

    def call(self, request_id: str, payload: bytes) -> Called:
        if self._process is None or self._process.poll() is not None:
            self._start()
        self._next.put((request_id, payload))
        try:
            result, error = self._done.get(timeout=60)
        except queue.Empty:
            raise AssertionError("no answer from the function: " + "\n".join(self._lines)) from None
        called = Called(request_id, result, error)
        self.calls.append(called)
        about = {"FunctionName": self.name}
        self.metrics.put("AWS/Lambda", "Invocations", about, self.now, 1)
        self.metrics.put("AWS/Lambda", "Errors", about, self.now, float(bool(error)))
        self._log()
        return called

    def _log(self) -> None:
        """Write the lines of a call to the log, with the role's permissions, and extract metrics from them."""
        while not any('"event": "end"' in line for line in self._lines):
            assert self._process and self._process.poll() is None, "\n".join(self._lines)
            threading.Event().wait(0.005)
        threading.Event().wait(0.02)
        lines, self._lines = self._lines, []
        client, group = self.aws.client("logs", self.role), self.group
        stream = f"{self.now:%Y/%m/%d}/[$LATEST]{uuid.uuid4().hex}"
        try:
            client.create_log_stream(logGroupName=group, logStreamName=stream)
            events = [{"timestamp": round(datetime.now(UTC).timestamp() * 1000), "message": line} for line in lines]
            client.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)
        except ClientError as error:
            assert error.response["Error"]["Code"] == "AccessDeniedException", error
            return  # as in Lambda, the log just stays empty
        for record in map(json.loads, filter(lambda line: '"_aws"' in line, lines)):
            for about in record["_aws"]["CloudWatchMetrics"]:
                for names in about["Dimensions"]:
                    for metric in about["Metrics"]:
                        dimensions = {name: record[name] for name in names}
                        value = record[metric["Name"]]
                        self.metrics.put(about["Namespace"], metric["Name"], dimensions, self.now, value)
                        self._publish(about["Namespace"], metric["Name"], dimensions, value)

    def _publish(self, namespace: str, name: str, dimensions: dict[str, str], value: float) -> None:
        data = {"MetricName": name, "Dimensions": [{"Name": k, "Value": v} for k, v in dimensions.items()]}
        self.aws.client("cloudwatch").put_metric_data(Namespace=namespace, MetricData=[{**data, "Value": value}])

    def run_pending(self) -> None:
        """Deliver every pending event, with its retries, in order of time."""
        while self.pending:
            self.pending.sort(key=lambda event: event[0])
            at, request_id, payload, tries = self.pending.pop(0)
            self.now = max(self.now, at)
            called = self.call(request_id, payload)
            if not called.error:
                continue
            if tries < self._invoke_config["MaximumRetryAttempts"]:
                self.pending.append((self.now + RETRIES[tries], request_id, payload, tries + 1))
            else:
                self._give_up(called, payload)

    @property
    def _invoke_config(self) -> dict[str, Any]:
        (found,) = [r["Properties"] for r in Skipped.made.values() if r["Type"] == "AWS::Lambda::EventInvokeConfig"]
        assert found["FunctionName"] == self.name
        return dict(found)

    def _give_up(self, called: Called, payload: bytes) -> None:
        arn = self._invoke_config["DestinationConfig"]["OnFailure"]["Destination"]
        message = {"requestContext": {"requestId": called.request_id}, "requestPayload": json.loads(payload)}
        send(self.aws, self.role, arn, json.dumps({**message, "responsePayload": called.result}))


def send(aws: Account, key: str, arn: str, body: str, **beside: str) -> None:
    """Send to a queue with a role's permissions; what is denied is lost, as in AWS."""
    url = f"{aws.url}/{ACCOUNT}/{arn.rsplit(':', 1)[-1]}"
    with contextlib.suppress(ClientError):
        attributes = {name: {"DataType": "String", "StringValue": value} for name, value in beside.items()}
        aws.client("sqs", key).send_message(QueueUrl=url, MessageBody=body, MessageAttributes=attributes)


def waiting(aws: Account, url: str) -> int:
    attributes = aws.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
    return int(attributes["Attributes"]["ApproximateNumberOfMessages"])


def emptied(aws: Account, url: str) -> list[str]:
    """Remove every message from a queue; returns their bodies."""
    sqs, bodies = aws.client("sqs"), []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            bodies.append(message["Body"])
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return bodies


def slot(aws: Account, service: Lambda, at: datetime) -> None:
    """EventBridge Scheduler at the moment `at`: call the function with the schedule's role, or send to its queue."""
    (schedule,) = scheduler_backends[ACCOUNT][REGION].schedule_groups["default"].schedules.values()
    if schedule.state != "ENABLED":
        return
    service.now = at
    target, execution = schedule.target, uuid.uuid4().hex
    payload = target["Input"]
    for name, value in {
        "schedule-arn": schedule.arn,
        "scheduled-time": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        "execution-id": execution,
        "attempt-number": "1",
    }.items():
        payload = payload.replace(f"<aws.scheduler.{name}>", value)
    key = aws.assume(target["RoleArn"])
    try:
        aws.client("lambda", key).invoke(FunctionName=target["Arn"], InvocationType="Event", Payload=payload.encode())
    except ClientError as error:
        why = error.response["Error"]
        arn = target["DeadLetterConfig"]["Arn"]
        send(aws, key, arn, payload, ERROR_CODE=why["Code"], ERROR_MESSAGE=why["Message"])


@contextmanager
def deployed(aws: Account, stack: str, folder: Path, x_url: str, clocked: bool = False) -> Iterator[Lambda]:
    """The function of a stack, ready to be called."""
    outputs = aws.outputs(stack)
    extra = {"X_API_URL": x_url, **({"CLOCKED": "yes"} if clocked else {})}
    service = Lambda(aws, outputs["FunctionName"], outputs["LogGroupName"], folder, extra)
    try:
        yield service
    finally:
        service.close()
