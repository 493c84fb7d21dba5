"""Archives of networks in miniature, as they really look, in every container."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

from training.corpus.read import Reading
from training.settings import CorpusSettings

KEEP_ALL = CorpusSettings(drop=(), links="keep", mentions="keep")
SECRET = "my secret, for one person alone"


def js(name: str, records: list[Any], part: int = 0) -> str:
    return f"window.YTD.{name}.part{part} = {json.dumps(records, indent=2)}"


def tweet(number: int, text: str, **more: Any) -> dict[str, Any]:
    """As the archive has it: strings for numbers, `retweeted` false in any case."""
    return {
        "tweet": {
            "edit_info": {"initial": {"editTweetIds": [str(number)], "editableUntil": "2023-04-01T12:00:00.000Z"}},
            "retweeted": False,
            "source": '<a href="https://mobile.example.com" rel="nofollow">X for Kettles</a>',
            "entities": {"hashtags": [], "user_mentions": [], "urls": []},
            "display_text_range": ["0", str(len(text))],
            "favorite_count": "3",
            "id_str": str(number),
            "truncated": False,
            "retweet_count": "0",
            "id": str(number),
            "created_at": "Sat Apr 01 12:00:00 +0000 2023",
            "full_text": text,
            "lang": "en",
        }
        | more
    }


TWEETS = [
    tweet(1, "A patient kettle &amp; its lid &lt;3"),
    tweet(2, "RT @friend: what others said…"),
    tweet(3, "@friend @other that is true", in_reply_to_status_id_str="9", in_reply_to_screen_name="friend"),
    tweet(4, "look at this https://t.co/abcDEF123"),
    tweet(5, "https://t.co/abcDEF124"),
    tweet(6, "they wrote &amp;lt; for a sign, &copy; stays"),
    tweet(7, "two lines\nof it @friend"),
]


def archive(path: Path, files: dict[str, str | bytes], root: str = "") -> Path:
    """A folder, a .zip or a .tar.gz, by the path's name."""
    contents = {f"{root}{name}": text.encode() if isinstance(text, str) else text for name, text in files.items()}
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, data in contents.items():
                packed.writestr(name, data)
    elif path.name.endswith((".tar.gz", ".tar")):
        with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as tar:
            for name, data in contents.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    else:
        for name, data in contents.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(data)
    return path


def texts(reading: Reading) -> list[str]:
    found = [raw.text for raw in reading.texts()]
    assert reading.ledger.read == len(found) + sum(each.count for each in reading.ledger.dropped.values())
    assert SECRET not in repr(reading.ledger) + repr(found)
    return found


def dropped(reading: Reading) -> dict[str, int]:
    return {why: count.count for why, count in reading.ledger.dropped.items()}


CONTAINERS = ["folder", "a.zip", "a.tar.gz", "a.tar"]

PUBLIC = "https://www.w3.org/ns/activitystreams#Public"
FOLLOWERS = "https://example.social/users/me/followers"


def note(html: str, to: list[str], cc: list[str] | None = None, **more: Any) -> dict[str, Any]:
    return {
        "id": "https://example.social/users/me/statuses/1/activity",
        "type": "Create",
        "actor": "https://example.social/users/me",
        "published": "2023-04-01T12:00:00Z",
        "to": to,
        "cc": cc or [],
        "object": {
            "id": "https://example.social/users/me/statuses/1",
            "type": "Note",
            "summary": None,
            "inReplyTo": None,
            "attributedTo": "https://example.social/users/me",
            "to": to,
            "cc": cc or [],
            "sensitive": False,
            "content": html,
            "contentMap": {"en": html},
            "attachment": [],
            "tag": [],
        }
        | more,
    }


MENTION = (
    '<span class="h-card"><a href="https://example.social/@ann" class="u-url mention">@<span>ann</span></a></span>'
)
LINK = (
    '<a href="https://example.org/a/very/long/path" target="_blank" rel="nofollow noopener noreferrer">'
    '<span class="invisible">https://</span><span class="ellipsis">example.org/a/very/lo</span>'
    '<span class="invisible">ng/path</span></a>'
)
TAG = '<a href="https://example.social/tags/tea" class="mention hashtag" rel="tag">#<span>tea</span></a>'
OUTBOX = {
    "@context": ["https://www.w3.org/ns/activitystreams", {"ostatus": "http://ostatus.org#"}],
    "id": "outbox.json",
    "type": "OrderedCollection",
    "totalItems": 8,
    "orderedItems": [
        note("<p>A patient kettle &amp; its lid &lt;3</p>", [PUBLIC], [FOLLOWERS]),
        note(f"<p>one<br />two</p><p>three {TAG}</p>", [FOLLOWERS], [PUBLIC]),
        note(f"<p>{SECRET}</p>", [FOLLOWERS]),
        note(f"<p>{MENTION} {SECRET}</p>", ["https://example.social/users/ann"]),
        note(f"<p>{MENTION} a reply</p>", [PUBLIC], inReplyTo="https://example.social/users/ann/statuses/2"),
        note(f"<p>read {LINK}</p>", [PUBLIC]),
        note("<p>the end of a film</p>", [PUBLIC], summary="spoilers", sensitive=True),
        {"type": "Announce", "to": [PUBLIC], "object": "https://example.social/users/ann/statuses/3"},
        note("", [PUBLIC], attachment=[{"type": "Document", "url": "/media/1.png"}]),
    ],
}
