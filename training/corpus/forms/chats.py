"""Chats: Telegram's result.json and Discord's, from DiscordChatExporter or its own data package. The words of one
person are read: nobody else was asked whether a bot may speak like them.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from training.common.errors import DeepproverbsError
from training.corpus.forms.form import Form, Found, Raw, Source
from training.corpus.forms.json_stream import Values
from training.corpus.forms.records import whole
from training.corpus.ledger import Ledger

EVERYBODY = "*"
_HEAD = 1 << 16
_TELEGRAM = re.compile(
    r'\ufeff?\s*\{\s*("about"\s*:\s*"Here is the data|("name"\s*:\s*(null|"([^"\\]|\\.)*")\s*,\s*)?"type"\s*:\s*'
    r'"(personal_chat|bot_chat|saved_messages|(private|public)_(group|supergroup|channel))")'
)
_CUSTOM_EMOJI = re.compile(r"\s?<a?:\w+:\d+>")
_PACKAGE = re.compile(r"(?:^|/)messages/c?\d+/messages\.(?:json|csv)$", re.IGNORECASE)
_PRIVATE = ("1", "3", "DM", "GROUP_DM")
"""Discord's types of channels between persons."""


class Message(NamedTuple):
    author: str
    text: str
    line: int
    left_out: str = ""
    """Why it is none of a person's own words."""


def author_of(people: Counter[str], source: Source) -> str:
    """Whose messages are read; "*": everybody's.

    Raises:
        DeepproverbsError: several people write and none was named, or one who does not write.
    """
    asked = source.settings.author
    if asked in people or asked == EVERYBODY:
        return asked
    there = ", ".join(f"{name!r} ({count:,})" for name, count in people.most_common(12)) or "nobody"
    if asked:
        raise DeepproverbsError(
            f"{source.name}: no messages of {asked!r} but of {there}; name one of them as the author."
        )
    if len(people) > 1:
        raise DeepproverbsError(
            f"{source.name} is a chat of {len(people)} people: {there}; say whose words the bot may learn, for example "
            f"--author {people.most_common(1)[0][0]!r}, or --author '{EVERYBODY}' if all have agreed."
        )
    return next(iter(people), EVERYBODY)


def found_chat(messages: Iterator[Message], source: Source, evidence: str) -> Found:
    """A chat that was recognised, with the person whose words are read."""
    people = Counter(message.author for message in messages if not message.left_out and message.text.strip())
    author = author_of(people, source)
    count = people.total() if author == EVERYBODY else people[author]
    who = "everybody" if author == EVERYBODY else repr(author)
    return Found(f"{evidence}; {count:,} message{'s' * (count != 1)} of {who}", {"author": author})


def texts(messages: Iterator[Message], author: str, ledger: Ledger) -> Iterator[Raw]:
    for message in messages:
        if author not in (EVERYBODY, message.author):
            ledger.drop("of other people", "", message.line)
        elif message.left_out or not message.text.strip():
            ledger.drop(message.left_out or "without a text", message.text, message.line)
        else:
            yield Raw(whole(message.text, message.line, ledger), message.line, plain=True)


def _begins(source: Source, *signs: str) -> bool:
    """Whether an object begins that holds these names soon."""
    with source.open() as file:
        head = file.read(_HEAD).lstrip("\ufeff \t\r\n")
    return head.startswith("{") and all(f'"{sign}"' in head for sign in signs)


def _telegram(source: Source) -> Iterator[Message]:
    with source.open() as file:
        for item in Values(file, source.name).items():
            if item.group == "messages":
                chats = [[item.value]]
            elif item.group == "chats" and item.name == "list" and isinstance(item.value, list):
                chats = [chat.get("messages") or [] for chat in item.value if isinstance(chat, dict)]
            else:
                continue
            for chat in chats:
                yield from (_of_telegram(each, item.line) for each in chat if isinstance(each, dict))


def _of_telegram(message: dict[str, Any], line: int) -> Message:
    written = message.get("text", "")
    pieces = written if isinstance(written, list) else [written]
    text = "".join(str(each.get("text", "")) if isinstance(each, dict) else str(each) for each in pieces)
    why = "notices" if message.get("type") != "message" else ""
    why = why or ("forwarded" if message.get("forwarded_from") or message.get("forwarded_from_id") else "")
    why = why or ("made by a bot" if message.get("via_bot") else "")
    return Message(str(message.get("from") or message.get("from_id") or ""), text, line, why)


def _recognise_telegram(source: Source) -> Found | None:
    with source.open() as file:
        head = file.read(_HEAD)
    if not _TELEGRAM.match(head):
        return None
    return found_chat(_telegram(source), source, "it begins as Telegram's result.json")


def _read_telegram(source: Source, found: Found, ledger: Ledger) -> Iterator[Raw]:
    return texts(_telegram(source), found.options["author"], ledger)


def _discord(source: Source) -> Iterator[Message]:
    with source.open() as file:
        for item in Values(file, source.name).items():
            if item.group == "messages" and isinstance(item.value, dict):
                author = item.value.get("author") or {}
                why = "" if item.value.get("type", "Default") in ("Default", "Reply", "0", "19", 0, 19) else "notices"
                why = why or ("made by a bot" if author.get("isBot") else "")
                yield Message(str(author.get("name", "")), str(item.value.get("content") or ""), item.line, why)


def _recognise_discord(source: Source) -> Found | None:
    if source.container:
        channels = [name for name in source.names() if _PACKAGE.search(name)]
        if channels and source.settings.author not in ("", EVERYBODY):
            raise DeepproverbsError(f"{source.name} holds the messages of its owner alone; leave out --author.")
        return Found(f"it is a data package with {len(channels)} channels") if channels else None
    if not _begins(source, "guild", "channel", "messages"):
        return None
    return found_chat(_discord(source), source, "it has a guild, a channel and messages")


def _read_discord(source: Source, found: Found, ledger: Ledger) -> Iterator[Raw]:
    if source.container:
        messages, author = _package(source), EVERYBODY
    else:
        messages, author = _discord(source), found.options["author"]
    for raw in texts(messages, author, ledger):
        text, count = _CUSTOM_EMOJI.subn("", raw.text)
        if count:
            ledger.alter("with a server's own emoji taken out", raw.text, raw.line)
        yield Raw(text, raw.line, plain=True)


def _package(source: Source) -> Iterator[Message]:
    """One's own messages, a folder a channel. Those between persons are not opened."""
    there = set(source.names())
    for name in source.names():
        if not _PACKAGE.search(name):
            continue
        about = name.rpartition("/")[0] + "/channel.json"
        channel: Any = {}
        if about in there:
            with source.open(name=about) as file:
                channel = _json_or_nothing(file.read(_HEAD))
        if not isinstance(channel, dict) or str(channel.get("type", _PRIVATE[0])) in _PRIVATE:
            yield Message("", "", 0, "channels between persons, which are not opened")
            continue
        with source.open(name=name, newline="") as file:
            if name.lower().endswith(".csv"):
                rows = csv.DictReader(file, strict=True)
                try:
                    yield from (Message("", row.get("Contents") or "", rows.line_num) for row in rows)
                except csv.Error as error:
                    raise DeepproverbsError(
                        f"{source.name}, {name}, line {rows.line_num}: a broken row ({error}); download it again."
                    ) from error
            else:
                for item in Values(file, f"{source.name}, {name}").items():
                    if isinstance(item.value, dict):
                        yield Message("", str(item.value.get("Contents") or ""), item.line)


def _json_or_nothing(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


TELEGRAM = Form("telegram", "a chat of Telegram", _recognise_telegram, _read_telegram, takes=frozenset({"author"}))
DISCORD = Form("discord", "Discord's messages", _recognise_discord, _read_discord, takes=frozenset({"author"}))
