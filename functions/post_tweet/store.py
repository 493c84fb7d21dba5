"""Where the pool lies: S3 or a directory, behind one small protocol.

A store is one class and one line in STORES. `put_if` is compare-and-swap: the data is written only if the object is
still the one with that etag. A lost race is a Conflict, an object that is not there Missing; everything else that
fails is Unreachable.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from post_tweet.address import can_name_file, folder_in, no_pool, place_in_git, place_in_s3, scheme_of
from post_tweet.errors import BadInput, Unreachable
from post_tweet.errors import Conflict as Conflict
from post_tweet.errors import Missing as Missing
from post_tweet.git_store import GitStore

TIMEOUTS = (3.0, 5.0)
"""Seconds to connect to AWS and to read from it."""
LOCK_WAIT = 10.0
"""Seconds that a writer waits for another writer of the same folder."""

for _name in ("boto3", "botocore", "urllib3"):
    # At DEBUG these log signed headers and the bodies of answers, the decrypted keys among them.
    logging.getLogger(_name).setLevel(logging.INFO)


class Store(Protocol):
    url: str
    requests: int
    """Calls so far."""

    def get(self, key: str) -> tuple[bytes, str]:
        """The object's bytes and its etag."""

    def get_range(self, key: str, start: int, length: int) -> bytes: ...

    def has(self, key: str) -> bool:
        """Is there an object of that name? One request."""

    def put_if(self, key: str, data: bytes, etag: str | None) -> str:
        """Write over the object with that etag; None: only if there is no object. Returns the new etag."""

    def put(self, key: str, data: bytes) -> None: ...

    def list(self, prefix: str) -> list[str]:
        """The keys that begin with `prefix`, a folder's name with its slash, in order."""

    def upload(self, path: Path, key: str) -> None:
        """Store a whole file, which may be larger than memory."""

    def download(self, key: str, path: Path) -> None:
        """Fetch an object into a file, whose folder is made; the file is there when all of it is."""


class DirectoryStore:
    """A folder of files. Writers hold a lock, and replace a file by a rename."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.url, self.requests = folder, str(folder), 0

    def _path(self, key: str) -> Path:
        if ".." in Path(key).parts or Path(key).is_absolute():
            raise BadInput(f"{key!r} leads out of the pool.")
        if not can_name_file(key):
            raise BadInput(f"{key!r} cannot be the name of a file.")
        return self.folder / key

    def get(self, key: str) -> tuple[bytes, str]:
        self.requests += 1
        with _explained(self.url, key):
            data = self._path(key).read_bytes()
        return data, hashlib.sha256(data).hexdigest()

    def get_range(self, key: str, start: int, length: int) -> bytes:
        self.requests += 1
        with _explained(self.url, key), self._path(key).open("rb") as file:
            file.seek(start)
            return file.read(length)

    def has(self, key: str) -> bool:
        self.requests += 1
        with _explained(self.url):
            return self._path(key).is_file()

    def put_if(self, key: str, data: bytes, etag: str | None) -> str:
        self.requests += 1
        with _explained(self.url), self._locked():
            try:
                now = hashlib.sha256(self._path(key).read_bytes()).hexdigest()
            except FileNotFoundError:
                now = None
            if now != etag:
                raise Conflict(key)
            self._replace(key, data)
        return hashlib.sha256(data).hexdigest()

    def put(self, key: str, data: bytes) -> None:
        self.requests += 1
        with _explained(self.url), self._locked():
            self._replace(key, data)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """One writer at a time. The lock ends with its process, however that ends."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("a") as lock:
            deadline = time.monotonic() + LOCK_WAIT
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise Unreachable(
                            f"Another process has held the pool {self.url} for {LOCK_WAIT:.0f} s; end it, or try again."
                        ) from None
                    time.sleep(0.005)
            yield

    def _replace(self, key: str, data: bytes) -> None:
        """Write a file as a whole. The lock is held, so one name serves every unfinished file, and a crash leaves at
        most one, which the next writer overwrites. The folder is flushed too: a claim that a power failure took back
        would let its text be posted again."""
        path, part = self._path(key), self.folder / ".part"
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(part)
            raise
        for folder in {path.parent, self.folder}:
            handle = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)

    def list(self, prefix: str) -> list[str]:
        self.requests += 1
        root = self.folder / prefix
        with _explained(self.url):
            return sorted(
                str(p.relative_to(self.folder)) for p in root.rglob("*") if p.is_file() and not p.name.startswith(".")
            )

    def upload(self, path: Path, key: str) -> None:
        self.requests += 1
        with _explained(self.url), _replacing(self._path(key)) as part:
            shutil.copyfile(path, part)

    def download(self, key: str, path: Path) -> None:
        self.requests += 1
        with _explained(self.url, key), _replacing(path) as part:
            shutil.copyfile(self._path(key), part)


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A file beside `path` to be written, which then takes its place; its name begins with a dot: no list shows it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        yield part
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _explained(where: str, reading: str = "") -> Iterator[None]:
    """Turn what the system says of a directory into one sentence; where a key is read, its file may be Missing."""
    try:
        yield
    except (FileExistsError, NotADirectoryError) as error:
        raise Unreachable(f"The pool {where} is a file, not a folder; choose another with --pool.") from error
    except OSError as error:
        if reading and isinstance(error, FileNotFoundError):
            raise Missing(reading) from error
        raise Unreachable(
            f"Cannot use the pool {where}: {error.strerror}; free some space, allow writing, "
            "or choose another with --pool."
        ) from error


def aws(service: str) -> Any:
    """A client whose calls end well inside the function's own time-out: 3 attempts of 8 seconds at most."""
    import boto3
    from botocore.config import Config

    connect, read = TIMEOUTS
    config = Config(connect_timeout=connect, read_timeout=read, retries={"mode": "standard", "total_max_attempts": 3})
    make: Any = boto3.client
    return make(service, config=config)


class S3Store:
    """A prefix in a bucket, with S3's conditional writes.

    botocore itself repeats a PUT whose answer was lost, and the repetition comes back as a conflict with the caller's
    own write: whoever gets a Conflict must read again.
    """

    def __init__(self, bucket: str, prefix: str, client: Any = None) -> None:
        self.bucket, self.prefix = bucket, f"{prefix}/" if prefix else ""
        self.url, self.requests = f"s3://{bucket}/{prefix}", 0
        self.client = client or self._client()

    def _client(self) -> Any:
        from botocore.exceptions import BotoCoreError

        try:
            client = aws("s3")
        except (BotoCoreError, ValueError) as error:
            message = f"Cannot use {self.url}: {error}; set AWS_DEFAULT_REGION or run `aws configure`."
            raise Unreachable(message) from error
        shape: Any = client.meta.service_model.operation_model("PutObject").input_shape
        if "IfMatch" not in shape.members:
            raise Unreachable("This boto3 lacks conditional writes; add boto3>=1.40 to the function's requirements.")
        return client

    def _call(self, name: str, key: str, **arguments: Any) -> Any:
        with self._explained(name, key, conditional=not arguments.keys().isdisjoint(("IfMatch", "IfNoneMatch"))):
            return getattr(self.client, name)(Bucket=self.bucket, **arguments)

    @contextlib.contextmanager
    def _explained(self, name: str, key: str, conditional: bool = False) -> Iterator[None]:
        """Count a request, and turn S3's errors into one sentence. A file's transfer counts as one request."""
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

        self.requests += 1
        try:
            try:
                yield
            except Boto3Error as error:  # of a file's transfer: S3's own error is inside it
                raise error.__context__ if isinstance(error.__context__, ClientError) else error from None
        except ClientError as error:
            code, status = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
            if status == 403 and name in ("get_object", "download_file"):
                with contextlib.suppress(Unreachable):
                    if not self.has(key):  # to a reader that may list a prefix alone, S3 says 403 of what is missing
                        raise Missing(key) from error
            if code == "NoSuchBucket":
                raise Unreachable(
                    f"The bucket {self.bucket} does not exist; check POOL, or `make deploy` makes one."
                ) from error
            if status in (301, 307) or code == "AuthorizationHeaderMalformed":
                raise Unreachable(
                    f"The bucket {self.bucket} lies in another region ({code}); set AWS_DEFAULT_REGION to its region."
                ) from error
            if conditional and status in (404, 409, 412):
                raise Conflict(key) from error
            if status in (404, 416) and name not in ("put_object", "upload_file"):
                raise Missing(key) from error
            if status in (401, 403):
                raise Unreachable(
                    f"AWS does not allow {name} on {self.url}/{key} ({code}); check the keys, their "
                    "permissions and the bucket's name."
                ) from error
            raise Unreachable(f"S3 failed at {name} on {self.url}/{key} ({code}); try again later.") from error
        except UnicodeEncodeError:
            raise BadInput(f"{key!r} cannot be a name in S3.") from None
        except NoCredentialsError as error:
            raise Unreachable(f"No AWS credentials for {self.url}; run `aws configure` or set AWS_PROFILE.") from error
        except (BotoCoreError, Boto3Error) as error:
            raise Unreachable(f"Cannot reach {self.url}: {error}; check the network and the bucket's name.") from error

    def has(self, key: str) -> bool:
        page = self._call("list_objects_v2", key, Prefix=self.prefix + key, MaxKeys=1)
        return [item["Key"] for item in page.get("Contents", [])] == [self.prefix + key]  # it would be the first

    def _read(self, key: str, **arguments: Any) -> tuple[bytes, str]:
        answer = self._call("get_object", key, Key=self.prefix + key, **arguments)
        try:
            return answer["Body"].read(), answer["ETag"]
        except Exception as error:  # urllib3's and botocore's own, when the body breaks off
            raise Unreachable(f"Reading {self.url}/{key} broke off: {error}; try again.") from error

    def get(self, key: str) -> tuple[bytes, str]:
        return self._read(key)

    def get_range(self, key: str, start: int, length: int) -> bytes:
        return self._read(key, Range=f"bytes={start}-{start + length - 1}")[0]

    def put_if(self, key: str, data: bytes, etag: str | None) -> str:
        condition = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}
        answer = self._call("put_object", key, Key=self.prefix + key, Body=data, **condition)
        return str(answer["ETag"])

    def put(self, key: str, data: bytes) -> None:
        self._call("put_object", key, Key=self.prefix + key, Body=data)

    def list(self, prefix: str) -> list[str]:
        keys: list[str] = []
        token: dict[str, str] = {}
        while True:
            page = self._call("list_objects_v2", prefix, Prefix=self.prefix + prefix, **token)
            keys += [item["Key"][len(self.prefix) :] for item in page.get("Contents", [])]
            if not page.get("IsTruncated"):
                return keys
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def upload(self, path: Path, key: str) -> None:
        with self._explained("upload_file", key):
            self.client.upload_file(str(path), self.bucket, self.prefix + key)

    def download(self, key: str, path: Path) -> None:
        with self._explained("download_file", key), _replacing(path) as part:
            self.client.download_file(self.bucket, self.prefix + key, str(part))


STORES: dict[str, Callable[[str], Store]] = {
    **dict.fromkeys(("", "file"), lambda url: DirectoryStore(folder_in(url))),
    "s3": lambda url: S3Store(*place_in_s3(url)),
    "git": lambda url: GitStore(*place_in_git(url)),
}
"""What opens an address, by its scheme; a plain path has none."""


def open_store(url: str) -> Store:
    """The store of `s3://bucket/prefix`, a directory, or whatever address STORES knows.

    Raises:
        BadInput: some other address.
    """
    scheme = scheme_of(url)
    head, colon, _ = url.partition(":")
    if scheme not in STORES or (colon and head and not scheme and head.lower() in STORES):  # s3:/bucket
        raise no_pool(url)
    return STORES[scheme](url)
