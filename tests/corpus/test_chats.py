"""Chats of Telegram, Discord and WhatsApp: the messages of one person."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.exports import (
    CONTAINERS,
    SECRET,
    archive,
    dropped,
    texts,
)
from training.common.errors import DeepproverbsError
from training.corpus.read import open_corpus
from training.settings import NOTHING_SAID


def telegram(number: int, who: str | None, text: Any, **more: Any) -> dict[str, Any]:
    return {
        "id": number,
        "type": "message",
        "date": "2023-04-01T12:00:00",
        "date_unixtime": "1680350400",
        "from": who,
        "from_id": f"user{who}",
        "text": text,
        "text_entities": [{"type": "plain", "text": "…"}],
    } | more


TELEGRAM = [
    telegram(1, "Ann Lee", "A patient kettle & its lid <3"),
    telegram(
        2,
        "Ann Lee",
        ["see ", {"type": "link", "text": "https://example.org/a"}, " and ", {"type": "bold", "text": "wait"}],
    ),
    telegram(3, "Bob", SECRET),
    telegram(4, "Ann Lee", "another's words", forwarded_from="Bob"),
    telegram(5, "Ann Lee", "", photo="a.jpg"),
    telegram(6, "Ann Lee", "made", via_bot="@gif"),
    telegram(7, None, "", type="service", action="pin_message", actor="Bob"),
]
CHAT = {"name": "Bob", "type": "personal_chat", "id": 1, "messages": TELEGRAM}
ANN = replace(NOTHING_SAID, author="Ann Lee")


@pytest.mark.parametrize("whole_account", [False, True])
def test_telegram(tmp_path: Path, whole_account: bool) -> None:
    content = (
        {"about": "Here is the data you requested.", "chats": {"about": "…", "list": [CHAT]}} if whole_account else CHAT
    )
    (tmp_path / "result.json").write_text(json.dumps(content, indent=1))
    with pytest.raises(
        DeepproverbsError, match=r"a chat of 2 people: 'Ann Lee' \(2\), 'Bob' \(1\); say whose .*--author"
    ):
        open_corpus(tmp_path / "result.json")
    reading = open_corpus(tmp_path / "result.json", ANN)
    assert reading.form.name == "telegram" and reading.found.options == {"author": "Ann Lee"}
    assert texts(reading) == ["A patient kettle & its lid <3", "see and wait"]
    assert dropped(reading) == {
        "of other people": 2,
        "forwarded": 1,
        "without a text": 1,
        "made by a bot": 1,
    }
    with pytest.raises(DeepproverbsError, match=r"no messages of 'Eve' but of 'Ann Lee' \(2\), 'Bob' \(1\)"):
        open_corpus(tmp_path / "result.json", replace(ANN, author="Eve"))
    everybody = open_corpus(tmp_path / "result.json", replace(ANN, author="*"))
    assert [raw.text for raw in everybody.texts()][-1] == SECRET and dropped(everybody)["notices"] == 1


def test_telegram_as_it_was_before_2022(tmp_path: Path) -> None:
    messages = [
        {"id": 1, "type": "message", "date": "2019-01-01T00:00:00", "from": "Ann", "from_id": 5, "text": "A kettle"}
    ]
    content = {"name": 'a "b"', "type": "private_group", "id": 1, "messages": messages}
    (tmp_path / "result.json").write_text(json.dumps(content, indent=1))
    reading = open_corpus(tmp_path / "result.json")
    assert reading.form.name == "telegram" and texts(reading) == ["A kettle"]


def test_one_who_writes_alone_is_not_asked_about(tmp_path: Path) -> None:
    content = {"name": "My channel", "type": "public_channel", "id": 1, "messages": TELEGRAM[:2]}
    (tmp_path / "a.txt").write_text(json.dumps(content))
    assert len(texts(open_corpus(tmp_path / "a.txt"))) == 2


def discord(number: int, who: str, text: str, kind: str = "Default", bot: bool = False) -> dict[str, Any]:
    author = {"id": "1", "name": who, "discriminator": "0000", "nickname": who, "isBot": bot, "roles": []}
    return {
        "id": str(number),
        "type": kind,
        "timestamp": "2023-04-01T12:00:00+00:00",
        "content": text,
        "author": author,
    }


def test_discord_s_channel(tmp_path: Path) -> None:
    content = {
        "guild": {"id": "1", "name": "Kettles"},
        "channel": {"id": "2", "type": "GuildTextChat", "name": "general", "topic": None},
        "dateRange": {"after": None, "before": None},
        "exportedAt": "2023-04-02T00:00:00+00:00",
        "messages": [
            discord(1, "ann", "A patient kettle <:teapot:123456789012345678>"),
            discord(2, "ann", "yes <@123456789012345678>", "Reply"),
            discord(3, "ann", "Joined the server.", "GuildMemberJoin"),
            discord(4, "helper", "beep", bot=True),
            discord(5, "bob", SECRET),
            discord(6, "ann", ""),
        ],
        "messageCount": 6,
    }
    (tmp_path / "general.json").write_text(json.dumps(content, indent=2))
    with pytest.raises(DeepproverbsError, match=r"a chat of 2 people"):
        open_corpus(tmp_path / "general.json")
    reading = open_corpus(tmp_path / "general.json", replace(NOTHING_SAID, author="ann"))
    assert reading.form.name == "discord" and texts(reading) == ["A patient kettle", "yes"]
    assert dropped(reading) == {"notices": 1, "of other people": 2, "without a text": 1}
    assert "with a server's own emoji taken out" in reading.ledger.altered


@pytest.mark.parametrize("kind", ["json", "csv"])
@pytest.mark.parametrize("name", CONTAINERS)
def test_discord_s_package_without_messages_between_persons(tmp_path: Path, name: str, kind: str) -> None:
    def channel(*written: str) -> str:
        if kind == "json":
            return json.dumps(
                [{"ID": 1, "Timestamp": "2023-04-01 12:00:00", "Contents": t, "Attachments": ""} for t in written]
            )
        return "ID,Timestamp,Contents,Attachments\r\n" + "".join(f'1,2023-04-01,"{t}",\r\n' for t in written)

    path = archive(
        tmp_path / name,
        {
            "messages/index.json": "{}",
            "messages/c1/channel.json": json.dumps({"id": "1", "type": 0, "name": "general", "guild": {"id": "9"}}),
            f"messages/c1/messages.{kind}": channel("A patient kettle", "", "two\nlines"),
            "messages/c2/channel.json": json.dumps({"id": "2", "type": 1, "recipients": ["5", "6"]}),
            f"messages/c2/messages.{kind}": channel(SECRET),
            "messages/c3/channel.json": json.dumps({"id": "3", "type": "GROUP_DM"}),
            f"messages/c3/messages.{kind}": channel(SECRET),
            f"messages/c4/messages.{kind}": channel(SECRET),
            "account/user.json": "{}",
        },
    )
    reading = open_corpus(path)
    assert reading.form.name == "discord" and texts(reading) == ["A patient kettle", "two\nlines"]
    assert dropped(reading) == {"without a text": 1, "channels between persons, which are not opened": 3}


IOS = f"""\u200e[01.04.23, 12:00:01] Kettles: \u200eMessages and calls are end-to-end encrypted.
[01.04.23, 12:00:02] Ann Lee: A patient kettle: it waits
[01.04.23, 12:00:03] ~\u202fBob: {SECRET}
\u200e[01.04.23, 12:00:04] Ann Lee: \u200eimage omitted
[01.04.23, 12:00:05] Ann Lee: two
lines

and a third
[01.04.23, 12:00:06] Ann Lee: mended \u200e<This message was edited>
"""
ANDROID = f"""4/1/23, 12:00\u202fPM - Messages and calls are end-to-end encrypted. Tap to learn more.
4/1/23, 12:01\u202fPM - Ann Lee: A patient kettle: it waits
4/1/23, 12:02\u202fPM - Bob: {SECRET}
4/1/23, 12:03\u202fPM - Ann Lee: <Media omitted>
4/1/23, 12:03\u202fPM - Ann Lee: IMG-20230401-WA0001.jpg (file attached)
4/1/23, 12:04\u202fPM - Ann Lee: two
lines

and a third
4/1/23, 12:05\u202fPM - Ann Lee: mended <This message was edited>
4/1/23, 12:06\u202fPM - Ann Lee: This message was deleted
4/1/23, 12:07\u202fPM - Bob left
"""
GERMAN = f"""01.04.23, 12:00 - Nachrichten und Anrufe sind Ende-zu-Ende-verschlüsselt.
01.04.23, 12:01 - Ann Lee: A patient kettle: it waits
01.04.23, 12:02 - Bob: {SECRET}
01.04.23, 12:03 - Ann Lee: <Medien ausgeschlossen>
01.04.23, 12:04 - Ann Lee: two
lines

and a third
01.04.23, 12:05 - Ann Lee: mended <Diese Nachricht wurde bearbeitet.>
"""


@pytest.mark.parametrize("name", ["_chat.txt", "WhatsApp Chat with Bob.txt", "a.zip"])
@pytest.mark.parametrize("content", [IOS, ANDROID, GERMAN], ids=["iOS", "Android", "German"])
def test_whatsapp(tmp_path: Path, content: str, name: str) -> None:
    path = tmp_path / name
    if name == "a.zip":
        archive(path, {"_chat.txt": content, "00001-PHOTO.jpg": b"\xff\xd8"})
    else:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(DeepproverbsError, match=r"a chat of 2 people: 'Ann Lee' \(3\), 'Bob' \(1\)"):
        open_corpus(path)
    reading = open_corpus(path, ANN)
    assert reading.form.name == "whatsapp"
    assert texts(reading) == ["A patient kettle: it waits", "two\nlines\n\nand a third", "mended"]
    assert dropped(reading)["notices and placeholders"] >= 1 and dropped(reading)["of other people"] >= 1
    assert reading.ledger.altered['without the mark "edited"'].count == 1


@pytest.mark.parametrize(
    "head",
    [
        "2023-04-01, 12:00 - ",
        "[2023/04/01, 12:00:01] ",
        "[4/1/23, 12:00:01 AM] ",
        "1.4.2023, 12.00 - ",
        "01/04/2023, 12:00 a. m. - ",
        "[2023. 4. 1. 오후 12:00:01] ",
        "01/04/23 12:00 - ",
    ],
)
def test_whatsapp_s_dates_of_all_phones(tmp_path: Path, head: str) -> None:
    (tmp_path / "a.txt").write_text("".join(f"{head}Ann: A kettle {n}\n" for n in range(5)), encoding="utf-8")
    reading = open_corpus(tmp_path / "a.txt")
    assert reading.form.name == "whatsapp" and texts(reading) == [f"A kettle {n}" for n in range(5)]


def test_a_diary_is_no_chat(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("".join(f"0{n}.04.23 it rained: all day\n" for n in range(1, 9)))
    assert open_corpus(tmp_path / "a.txt").form.name != "whatsapp"
