"""moto in this process, with the lock it lacks: two of its threads can both win a conditional write."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from moto import mock_aws
from moto.core.botocore_stubber import BotocoreStubber
from pytest import MonkeyPatch

BUCKET = "bot-pool"


@contextmanager
def locked_moto() -> Iterator[Any]:
    """Yield an S3 client; the bucket is there."""
    lock, call = threading.RLock(), BotocoreStubber.__call__

    def one_at_a_time(self: Any, *args: Any, **kwargs: Any) -> Any:
        with lock:
            return call(self, *args, **kwargs)

    with MonkeyPatch.context() as patch, mock_aws():
        patch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        patch.setattr(BotocoreStubber, "__call__", one_at_a_time)
        client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        yield client
