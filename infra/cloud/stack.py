"""A bot's stack in the owner's AWS account: who the owner is, what is deployed, and AWS's errors in one sentence.

`deepproverbs-<bot>` is the stack of a bot; everything else is found in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError
from botocore.parsers import ResponseParserError

from infra.cloud.make import make
from training.common.errors import DeepproverbsError, WrongUse

NAMESPACE = "deepproverbs"  # of the metrics
NO_CREDENTIALS = "No AWS credentials; run `aws configure` or set AWS_PROFILE."
NO_REGION = "No AWS region; set AWS_REGION, for example to eu-central-1."


class NotDeployed(DeepproverbsError):
    """There is no stack of this bot here."""


@contextmanager
def aws_errors(doing: str) -> Iterator[None]:
    """Turn boto3's errors into one sentence: AWS did not `doing`. AWS's own message may quote what it was sent, even
    keys, so it is left out."""
    try:
        yield
    except NoCredentialsError as error:
        raise DeepproverbsError(NO_CREDENTIALS) from error
    except NoRegionError as error:
        raise DeepproverbsError(NO_REGION) from error
    except ClientError as error:
        code, operation = error.response.get("Error", {}).get("Code", "no reason"), error.operation_name
        if re.search("AccessDenied|Unauthorized|NotAuthorized", code):
            advice = f"your AWS user may not call {operation}; use one that may"
        elif re.search("ExpiredToken|InvalidClientToken|UnrecognizedClient|SignatureDoesNotMatch", code):
            advice = "the AWS credentials are no longer valid; sign in again"
        else:
            advice = "see the stack in AWS's console"
        raise DeepproverbsError(f"AWS did not {doing} ({operation}: {code}): {advice}.") from error
    except (BotoCoreError, ResponseParserError) as error:  # the second: a proxy's or a café's page
        raise DeepproverbsError(
            f"Cannot reach AWS to {doing} ({type(error).__name__}); check the network, the region and the profile."
        ) from error


@dataclass
class Owner:
    """The AWS account and region in use."""

    session: Any = field(default_factory=boto3.Session)
    hurried: bool = False
    """Give up within seconds where AWS does not answer: what is asked is worth no more."""

    @classmethod
    def present(cls, hurried: bool = False) -> Owner:
        """Raises DeepproverbsError: no credentials, no region, or a broken profile."""
        with aws_errors("read your settings"):
            owner = cls(hurried=hurried)
            if owner.session.get_credentials() is None:
                raise DeepproverbsError(NO_CREDENTIALS)
            if owner.session.region_name is None:
                raise DeepproverbsError(NO_REGION)
        return owner

    def client(self, service: str) -> Any:
        """A boto3 client. Invoking the function may take its 45 seconds and is never retried."""
        connect, read = (3, 5) if self.hurried else (60, 90)
        tries = 1 if service == "lambda" else 2 if self.hurried else 4
        config = Config(
            connect_timeout=connect, read_timeout=read, retries={"mode": "standard", "total_max_attempts": tries}
        )
        return self.session.client(service, config=config)

    @property
    def region(self) -> str:
        return str(self.session.region_name)


@dataclass
class Stack:
    """What is deployed under one name; read once."""

    owner: Owner
    name: str

    @classmethod
    def of(cls, owner: Owner, bot: str) -> Stack:
        """Raises WrongUse: AWS takes no such name."""
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,40}", bot):
            raise WrongUse(
                f"A bot in AWS has a name of lower-case letters, digits and hyphens, not {bot!r}; change `name` in its "
                "bot.toml."
            )
        return cls(owner, f"deepproverbs-{bot}")

    @cached_property
    def found(self) -> dict[str, Any] | None:
        """CloudFormation's description of the stack, or None."""
        try:
            with aws_errors("describe the stack"):
                (found,) = self.owner.client("cloudformation").describe_stacks(StackName=self.name)["Stacks"]
                return dict(found)
        except DeepproverbsError as error:
            if isinstance(cause := error.__cause__, ClientError) and "does not exist" in str(cause):
                return None
            raise

    def refresh(self) -> None:
        """Forget what was read, so that AWS is asked again."""
        self.__dict__.pop("found", None)

    @property
    def status(self) -> str:
        return str(self.found["StackStatus"]) if self.found else ""

    def _deployed(self) -> dict[str, Any]:
        if self.found is None or self.status == "REVIEW_IN_PROGRESS":
            raise NotDeployed(f"No stack {self.name} in {self.owner.region}; `{make('deploy')}` makes it.")
        return self.found

    @property
    def outputs(self) -> dict[str, str]:
        """Raises NotDeployed; DeepproverbsError: the deployment did not succeed."""
        outputs = {o["OutputKey"]: o["OutputValue"] for o in self._deployed().get("Outputs", [])}
        if not outputs:
            raise DeepproverbsError(f"The stack {self.name} is {self.status}; `{make('deploy')}` tries again.")
        return outputs

    @property
    def parameters(self) -> dict[str, str]:
        return {p["ParameterKey"]: p["ParameterValue"] for p in self._deployed().get("Parameters", [])}

    @property
    def is_on(self) -> bool:
        return self.parameters["ScheduleState"] == "ENABLED"

    def resources(self, kind: str) -> dict[str, str]:
        """Logical → physical name of the resources of one type."""
        with aws_errors("list the stack's resources"):
            pages = (
                self.owner.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=self.name)
            )
            return {
                r["LogicalResourceId"]: r["PhysicalResourceId"]
                for page in pages
                for r in page["StackResourceSummaries"]
                if r["ResourceType"] == kind and r.get("PhysicalResourceId")
            }
