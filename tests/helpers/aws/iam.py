"""IAM's decision on a request. moto's own ignores resources outside S3 and conditions, and knows no 403 for a missing
key.

`needs_of` lists the permissions that an HTTP request needs; `allowed` evaluates policies: what no statement allows is
denied, and a deny wins.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import parse_qs, unquote

ACCOUNT, REGION = "123456789012", "eu-central-1"


@dataclass(frozen=True)
class Need:
    """One permission that a request needs."""

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict)


def needs_of(method: str, path: str, query: str, headers: Mapping[str, str], body: bytes) -> list[Need]:
    """The permissions that a request to S3, SSM, SQS, Logs or Lambda needs; [] for other services."""
    target = headers.get("X-Amz-Target", "")
    service = re.search(r"/([a-z0-9-]+)/aws4_request", headers.get("Authorization", ""))
    name = service[1] if service else ""
    if name == "s3":
        return _s3(method, path, query, headers)
    if name == "lambda" and path.endswith("/invocations"):
        function = unquote(path.split("/")[3])
        return [Need("lambda:InvokeFunction", _arn("lambda", f"function:{function.split(':')[-1]}"))]
    if not target:
        return []
    given: dict[str, Any] = json.loads(body or b"{}")
    operation = target.split(".")[-1]
    resource = {
        "ssm": lambda: _arn("ssm", f"parameter/{given.get('Name', '').lstrip('/')}"),
        "sqs": lambda: _arn("sqs", given.get("QueueUrl", "").rsplit("/", 1)[-1]),
        "logs": lambda: _arn("logs", f"log-group:{given['logGroupName']}:log-stream:{given['logStreamName']}"),
    }.get(name)
    return [Need(f"{name}:{operation}", resource())] if resource else []


def _s3(method: str, path: str, query: str, headers: Mapping[str, str]) -> list[Need]:
    bucket, _, key = unquote(path).lstrip("/").partition("/")
    here, asked = f"arn:aws:s3:::{bucket}", parse_qs(query)
    if not key:
        prefix = {"s3:prefix": asked["prefix"][0]} if "prefix" in asked else {}
        return [Need({"GET": "s3:ListBucket"}.get(method, f"s3:{method}Bucket"), here, prefix)]
    needs = [
        Need(
            {"PUT": "s3:PutObject", "POST": "s3:PutObject", "DELETE": "s3:DeleteObject"}.get(method, "s3:GetObject"),
            f"{here}/{key}",
        )
    ]
    if "If-Match" in headers:
        needs.append(Need("s3:GetObject", f"{here}/{key}"))
    return needs


def _arn(service: str, what: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{what}"


def allowed(need: Need, statements: Iterable[dict[str, Any]]) -> bool:
    granted = False
    for statement in statements:
        if _matches(need, statement):
            if statement["Effect"] == "Deny":
                return False
            granted = True
    return granted


def _matches(need: Need, statement: dict[str, Any]) -> bool:
    return (
        any(fnmatchcase(need.action.lower(), pattern.lower()) for pattern in _list(statement["Action"]))
        and any(fnmatchcase(need.resource, pattern) for pattern in _list(statement["Resource"]))
        and all(
            _holds(operator, need.context.get(key), _list(values))
            for operator, tests in statement.get("Condition", {}).items()
            for key, values in tests.items()
        )
    )


def _holds(operator: str, value: str | None, wanted: list[str]) -> bool:
    base = operator.removesuffix("IfExists")
    if value is None:
        return base != operator
    if base in ("StringEquals", "Bool", "ArnEquals"):
        return value in wanted
    if base in ("StringLike", "ArnLike"):
        return any(fnmatchcase(value, pattern) for pattern in wanted)
    raise NotImplementedError(operator)


def _list(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]
