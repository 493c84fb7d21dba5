"""The gateway of the account, which every request passes: it asks IAM, hands calls of the function to Lambda, and lets
one request at a time into moto, two of whose threads can both win a conditional write.

`with account() as aws:` makes an empty account; a program with the variables of `aws.environment` acts as its owner.
"""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from botocore.config import Config
from moto import settings
from moto.backends import get_backend
from moto.iam.models import iam_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.datastructures import EnvironHeaders
from werkzeug.serving import make_server

from tests.helpers.aws import cloudformation
from tests.helpers.aws.iam import ACCOUNT, REGION, Need, allowed, needs_of

OWNER = "AKIAOWNER"
SERVICES = ("s3", "iam", "lambda", "sqs", "sns", "ssm", "logs", "cloudwatch", "scheduler", "cloudformation", "ecr")
Respond = Callable[..., Any]


@dataclass
class Account:
    url: str = ""
    roles: dict[str, str] = field(default_factory=dict)
    """Access key → the role that it was issued for."""
    removed: set[tuple[str, str]] = field(default_factory=set)
    """(Sid of a statement, action): grants that IAM ignores."""
    denied: list[Need] = field(default_factory=list)
    asked: list[tuple[str, Need]] = field(default_factory=list)
    """(role, permission) for every request by a role."""
    throttled: bool = False
    """Lambda answers every call with 429."""
    answers: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = field(default_factory=dict)
    """Answers of services that moto does not have: path or X-Amz-Target → a function of the request."""
    on_invoke: Callable[[str, bytes, bool], tuple[bytes, str]] | None = None
    """(function, payload, asynchronous) → (answer, error): Lambda, while a function is deployed."""

    _clients: dict[tuple[str, str], Any] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        return self.keys(OWNER)

    def keys(self, key: str) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def act_as_owner(self, patch: pytest.MonkeyPatch) -> None:
        """Set the owner's keys in the environment of this process."""
        for name, value in self.environment.items():
            patch.setenv(name, value)

    def assume(self, role_arn: str) -> str:
        """A new access key for the role."""
        key = f"ASIA{len(self.roles)}"
        self.roles[key] = role_arn.rsplit("/", 1)[-1]
        return key

    def client(self, service: str, key: str = OWNER) -> Any:
        if (service, key) not in self._clients:
            self._clients[service, key] = boto3.client(
                service,
                endpoint_url=self.url,
                region_name=REGION,
                aws_access_key_id=key,
                aws_secret_access_key="secret",
                config=Config(retries={"total_max_attempts": 1}),
            )
        return self._clients[service, key]

    def outputs(self, stack: str) -> dict[str, str]:
        """The outputs of a stack."""
        (found,) = self.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
        return {o["OutputKey"]: o["OutputValue"] for o in found["Outputs"]}

    def statements(self, role: str) -> Iterator[dict[str, Any]]:
        """The statements of the role's deployed policies, without the grants in `removed`."""
        for document in iam_backends[ACCOUNT]["aws"].get_role(role).policies.values():
            for statement in (json.loads(document) if isinstance(document, str) else document)["Statement"]:
                actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
                kept = [action for action in actions if (statement["Sid"], action) not in self.removed]
                if kept:
                    yield {**statement, "Action": kept}

    def permits(self, role: str, need: Need) -> bool:
        return allowed(need, self.statements(role))


@contextmanager
def account() -> Iterator[Account]:
    aws, lock, moto = Account(), threading.RLock(), DomainDispatcherApplication(create_backend_app)

    def gateway(environ: dict[str, Any], respond: Respond) -> Iterable[bytes]:
        headers = EnvironHeaders(environ)
        length = int(environ.get("CONTENT_LENGTH") or 0)
        if headers.get("Transfer-Encoding") == "chunked":  # moto reads these bodies itself
            body = b""
        else:
            body = environ["wsgi.input"].read(length)
            environ["wsgi.input"] = io.BytesIO(body)
        key = headers.get("Authorization", "").partition("Credential=")[2].partition("/")[0]
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        role = aws.roles.get(key)
        if role:
            needs = needs_of(method, path, environ["QUERY_STRING"], headers, body)
            aws.asked += [(role, need) for need in needs]
            if not needs or (missing := [need for need in needs if not aws.permits(role, need)]):
                aws.denied += missing if needs else [Need(f"{method} {path}", "?")]
                return _forbidden(environ, respond)
        if spoken := aws.answers.get(headers.get("X-Amz-Target") or path):
            answer = json.dumps(spoken(json.loads(body or b"{}"))).encode()
            respond("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(answer)))])
            return [answer]
        if path.endswith("/invocations") and aws.on_invoke:
            if aws.throttled:
                return _refused(environ, respond, "429 TOO MANY REQUESTS", "TooManyRequestsException")
            wait = headers.get("X-Amz-Invocation-Type") == "Event"
            answer, error = aws.on_invoke(path.split("/")[3], body, wait)
            extra = [("X-Amz-Function-Error", error)] if error else []
            respond("202 ACCEPTED" if wait else "200 OK", [("Content-Length", str(len(answer))), *extra])
            return [answer]
        told: list[tuple[str, Any]] = []

        def listen(status: str, given: Any, error: Any = None) -> None:
            told.append((status, given))

        with lock:
            chunks = list(moto(environ, listen))
        ((status, given),) = told
        if role and status.startswith("404") and needs[0].action == "s3:GetObject":
            bucket = needs[0].resource.partition("/")[0]
            # S3 hides what is missing from whoever may not list: a GET has no prefix.
            if not aws.permits(role, Need("s3:ListBucket", bucket)):
                return _forbidden(environ, respond)
        respond(status, given)
        return chunks

    with pytest.MonkeyPatch.context() as patch:
        cloudformation.install(patch)
        patch.setattr(settings, "S3_IGNORE_SUBDOMAIN_BUCKETNAME", True, raising=False)
        for service in SERVICES:
            get_backend(service).reset()  # type: ignore[call-overload]
        server = make_server("127.0.0.1", 0, gateway, threaded=True, request_handler=_Quiet)
        aws.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield aws
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class _Quiet(MotoRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        pass


def _forbidden(environ: dict[str, Any], respond: Respond) -> list[bytes]:
    return _refused(environ, respond, "403 FORBIDDEN", "AccessDeniedException")


def _refused(environ: dict[str, Any], respond: Respond, status: str, code: str) -> list[bytes]:
    if environ.get("HTTP_X_AMZ_TARGET") or environ["PATH_INFO"].endswith("/invocations"):
        body = json.dumps({"__type": code, "message": "no"}).encode()
        kind = "application/x-amz-json-1.1"
    else:
        body = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
        if environ["PATH_INFO"] == "/":  # the query protocol, as CloudFormation's
            body = b"<ErrorResponse>" + body + b"</ErrorResponse>"
        kind = "application/xml"
    respond(status, [("Content-Type", kind), ("Content-Length", str(len(body))), ("x-amzn-ErrorType", code)])
    return [body]
