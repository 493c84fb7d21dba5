"""Fetch a causal language model from Hugging Face's hub: {name, revision, folder} → event `fetched`.

`progress` events tell how many bytes are there. What has come stays in `folder` when the program ends early, and the
next start asks only for the rest. Every file is checked by the hash that the hub states for this commit; other files
are deleted from `folder`. If the model has only the files of a slow tokenizer, transformers makes tokenizer.json.

The hub's own settings hold: HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE. Errors are one sentence, the last line of stderr.
"""

import contextlib
import errno
import hashlib
import os
import re
import time

from common import arguments, emit, leave_with_parent
from huggingface_hub import HfApi, constants, hf_hub_url
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import http_get
from huggingface_hub.utils import build_hf_headers

WEIGHTS = re.compile(r"model(-\d+-of-\d+)?\.safetensors")
PART_OF_WEIGHTS = re.compile(r"model-\d+-of-\d+\.safetensors|model\.safetensors\.index\.json")
SMALL = re.compile(
    r"(config|generation_config|tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab)\.json"
    r"|model\.safetensors\.index\.json|merges\.txt|vocab\.txt|(tokenizer|spiece|sentencepiece\.bpe)\.model"
    r"|chat_template\.jinja"
)
"""What is fetched beside the weights. Pickles, other libraries' weights and programs are not."""
SECONDS = 0.2
"""Between two events."""
constants.DOWNLOAD_CHUNK_SIZE = 1 << 18
"""Bytes that a kill or a broken connection loses at most; the library's own 10 MB are a tenth of some models."""


class TooLong(Exception):
    """More came than the hub said."""


class Partial:
    """The file that http_get writes to; counts what comes, and takes no more than `size` bytes."""

    def __init__(self, path, size, progress):
        self.file, self.size, self.progress = open(path, "ab"), size, progress  # noqa: SIM115

    def __enter__(self):
        return self

    def __exit__(self, failure, *_):
        with self.file:
            self.file.flush()
            if failure is None:
                os.fsync(self.file.fileno())

    def write(self, block):
        leave_with_parent()  # before: another run may have begun to write to this file
        if self.file.tell() + len(block) > self.size:
            raise TooLong
        self.file.write(block)
        self.progress.add(len(block))

    def tell(self):
        return self.file.tell()

    def seek(self, place):
        self.progress.add(place - self.file.tell())
        return self.file.seek(place)

    def truncate(self):
        return self.file.truncate()


class Progress:
    """Says now and then how many of the bytes are there."""

    def __init__(self, total):
        self.done, self.total, self.said = 0, total, 0.0

    def add(self, more):
        self.done += more
        if time.monotonic() - self.said >= SECONDS:
            self.say()

    def say(self):
        self.said = time.monotonic()
        emit("progress", done=self.done, total=self.total)


def wanted(files):
    """Of a model's files those to fetch, the small ones first."""
    names = {file.rfilename for file in files}
    # transformers prefers the whole file where both are there.
    skipped = PART_OF_WEIGHTS if "model.safetensors" in names else re.compile("(?!)")
    kept = [
        file
        for file in files
        if (SMALL.fullmatch(file.rfilename) or WEIGHTS.fullmatch(file.rfilename))
        and not skipped.fullmatch(file.rfilename)
    ]
    if not any(WEIGHTS.fullmatch(file.rfilename) for file in kept):
        raise SystemExit("It has no model.safetensors, the only form of weights that is read; choose another model.")
    if "config.json" not in names:
        raise SystemExit("It has no config.json, so transformers cannot load it; choose another model.")
    return sorted(kept, key=lambda file: (bool(WEIGHTS.fullmatch(file.rfilename)), file.rfilename))


def is_right(path, file):
    """Whether the file at `path` is the one that the hub describes: by Git's hash, or that of large files."""
    if not os.path.isfile(path) or os.path.getsize(path) != file.size:
        return False
    known = file.lfs.sha256 if file.lfs else file.blob_id
    state = hashlib.sha256() if file.lfs else hashlib.sha1(b"blob %d\0" % file.size)
    with open(path, "rb") as content:
        for block in iter(lambda: content.read(1 << 20), b""):
            state.update(block)
    return state.hexdigest() == known


def fetch(api, name, commit, file, folder, progress):
    if not re.fullmatch("[0-9a-f]{40,64}", str(file.blob_id)):
        raise SystemExit(f"The hub gives no hash of {file.rfilename}; choose another model.")
    target, part = os.path.join(folder, file.rfilename), os.path.join(folder, f"{file.rfilename}.{file.blob_id}.part")
    before = progress.done
    for _ in range(2):
        if not is_right(target, file):
            with contextlib.suppress(TooLong), Partial(part, file.size, progress) as out:
                progress.done = before + out.tell()
                url = hf_hub_url(name, file.rfilename, revision=commit, endpoint=api.endpoint)
                persist(url, out, file.size, build_hf_headers(token=api.token))
            os.replace(part, target)
        if is_right(target, file):
            progress.done = before + file.size
            progress.say()
            return
    os.remove(target)
    raise SystemExit(f"{file.rfilename} came twice with wrong content and was deleted; try again later.")


def persist(url, out, size, headers):
    """Append what is missing. http_get itself goes on after most failures, but not after a reset connection."""
    while out.tell() < size:
        have = out.tell()
        try:
            # With gzip lengths and ranges would mean nothing.
            headers = {**headers, "Accept-Encoding": "identity"}
            http_get(url, out, resume_size=have, headers=headers, expected_size=size)
        except HTTPError as error:
            if isinstance(error, HfHubHTTPError) or out.tell() <= have:
                raise


def make_fast_tokenizer(folder):
    """Write tokenizer.json if it is missing."""
    if os.path.exists(os.path.join(folder, "tokenizer.json")):
        return
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        tokenizer.backend_tokenizer.save(os.path.join(folder, "tokenizer.json"))
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise SystemExit(f"It has no tokenizer.json, and transformers cannot make one ({reason}).") from None


def main(a):
    name, revision, folder = a["name"], a["revision"], a["folder"]
    os.makedirs(folder, exist_ok=True)
    api = HfApi()
    where = f"the hub ({api.endpoint})"
    try:
        if constants.HF_HUB_OFFLINE:
            raise SystemExit(f"{name} has not been fetched yet and HF_HUB_OFFLINE is set; unset it and start again.")
        info = api.model_info(name, revision=revision, files_metadata=True, timeout=30)
        files = wanted(info.siblings or [])
        progress = Progress(sum(file.size for file in files))
        for file in files:
            fetch(api, name, info.sha, file, folder, progress)
        for other in set(os.listdir(folder)) - {file.rfilename for file in files}:
            os.remove(os.path.join(folder, other))
    except HFValidationError:
        raise SystemExit(f"{name!r} is not the name of a model on {where}; it must be OWNER/MODEL.") from None
    except GatedRepoError:
        raise SystemExit(
            f"{name} is only for those who have accepted its terms: do so on its page at {where}, and put your token "
            "into HF_TOKEN."
        ) from None
    except RepositoryNotFoundError:
        raise SystemExit(
            f"There is no model {name} on {where}, or it is private: correct the name, or put your token into HF_TOKEN."
        ) from None
    except RevisionNotFoundError:
        raise SystemExit(f"{name} has no revision {revision!r} on {where}; name a branch, tag or commit.") from None
    except HfHubHTTPError as error:
        raise SystemExit(f"At {where} the answer was {error.response.status_code}; try again later.") from None
    except (HTTPError, OfflineModeIsEnabled) as error:
        raise SystemExit(
            f"Cannot reach {where} ({type(error).__name__}): connect to the network and start again; "
            "what has come is kept."
        ) from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise SystemExit(f"No space left on the disk of {folder}; free some and start again.") from None
        raise SystemExit(
            f"The download broke off ({' '.join(str(error).split())}); start again, what has come is kept."
        ) from None
    make_fast_tokenizer(folder)
    licence = next((tag[8:] for tag in info.tags or [] if tag.startswith("license:")), None)
    emit("fetched", commit=info.sha, files=sorted(os.listdir(folder)), licence=licence)


if __name__ == "__main__":
    try:
        main(arguments())
    except KeyboardInterrupt:
        raise SystemExit(130) from None
