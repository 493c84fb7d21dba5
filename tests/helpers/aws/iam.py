"""IAM's decision on a request. moto's own ignores resources outside S3 and conditions, and knows no 403 for a missing
key.

`needs_of` lists the permissions that an HTTP request needs; `allowed` and `trusted` evaluate policies: what no
statement allows is denied, a deny wins, and what they do not know they refuse to evaluate. `resolve` makes a template's
policies ready for them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
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


def trusted(service: str, context: Mapping[str, str], statements: Iterable[dict[str, Any]]) -> bool:
    """May the service assume a role with this trust policy? Its statements name no resource."""
    need = Need("sts:AssumeRole", "*", context)
    mine = [s for s in statements if service in listed(s["Principal"]["Service"])]
    return allowed(need, [{**{k: v for k, v in s.items() if k != "Principal"}, "Resource": "*"} for s in mine])


def _matches(need: Need, statement: dict[str, Any]) -> bool:
    known = {"Sid", "Effect", "Principal", "Action", "Resource", "Condition"}
    if unknown := statement.keys() - known:
        raise NotImplementedError(f"{unknown}")
    return (
        any(_like(need.action.lower(), pattern.lower()) for pattern in listed(statement["Action"]))
        and any(_like(need.resource, pattern) for pattern in listed(statement["Resource"]))
        and all(
            _holds(operator, need.context.get(key), listed(values))
            for operator, tests in statement.get("Condition", {}).items()
            for key, values in tests.items()
        )
    )


def _like(value: str, pattern: str) -> bool:
    """IAM's wildcards: * is any text, / included, and ? one character."""
    parts = (".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
    return re.fullmatch("".join(parts), value, re.DOTALL) is not None


def _holds(operator: str, value: str | None, wanted: list[str]) -> bool:
    base = operator.removesuffix("IfExists")
    if value is None:
        return base != operator
    if base in ("StringEquals", "Bool"):
        return value in wanted
    if base in ("StringLike", "ArnLike", "ArnEquals"):
        return any(_like(value, pattern) for pattern in wanted)
    raise NotImplementedError(operator)


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def resolve(value: Any, names: Mapping[str, str]) -> Any:
    """A part of a template with its references replaced. `names`: of parameters, pseudo parameters and resources; a
    resource `X` has its ARN as `X.Arn`.

    Raises:
        KeyError: a reference to something else.
    """
    if isinstance(value, list):
        return [resolve(item, names) for item in value]
    if not isinstance(value, dict):
        return value
    match value:
        case {"Ref": name}:
            return names[name]
        case {"Fn::GetAtt": [name, attribute]}:
            return names[f"{name}.{attribute}"]
        case {"Fn::GetAtt": str(name)}:
            return names[name]
        case {"Fn::Sub": str(text)}:
            return re.sub(r"\$\{([\w:.]+)\}", lambda m: names[m[1]], text)
    return {key: resolve(item, names) for key, item in value.items()}
