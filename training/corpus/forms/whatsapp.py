"""WhatsApp's _chat.txt: "[date, time] name: text" (iOS) or "date, time - name: text" (Android). Lines without such a
head go on with the text. The date is only a sign: which of its numbers is the day differs by phone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from training.corpus.forms.chats import Message, found_chat, texts
from training.corpus.forms.form import Form, Found, Raw, Source
from training.corpus.ledger import Ledger

_DATE = r"\d{1,4}[./-] ?\d{1,2}[./-] ?\d{1,4}\.?"
_TIME = r"(?:[^\W\d]{1,4}[ \u202f\xa0]?)?\d{1,2}[:.]\d\d(?:[:.]\d\d)?(?:[ \u202f\xa0]?[APap]\.?[ \u202f\xa0]?[Mm]\.?)?"
_HEAD = re.compile(rf"[\u200e\u200f\ufeff]*(?:\[{_DATE},? {_TIME}\]|{_DATE},? {_TIME} -) (.*)", re.DOTALL)
_NAME = re.compile(r"[\u200e\u202a\u202c~ \xa0]*([^:\n]{1,60}?)[\u202c]?: ?(.*)", re.DOTALL)
_PLACEHOLDER = re.compile(
    r"\u200e.*"  # iOS marks so what nobody typed
    r"|<[^<>\n]{3,50}>"  # Android: <Media omitted>, in any language
    r"|\S+\.(?:jpe?g|png|webp|gif|mp4|opus|m4a|mp3|pdf|vcf|docx?) \([^()\n]+\)(?:\n.*)?"  # (file attached)
    r"|(?:This message was deleted|You deleted this message|Diese Nachricht wurde gelöscht"
    r"|Du hast diese Nachricht gelöscht|Se eliminó este mensaje|Ce message a été supprimé)\.?"
    r"|(?:Missed|Verpasster) (?:voice|video|Sprach|Video).{0,40}"
    r"|(?:live )?location(?: shared)?: https://maps\S+"
    r"|null",
    re.DOTALL | re.IGNORECASE,
)
_EDITED = re.compile(r"\s*\u200e?<[^<>]*(?:edited|bearbeitet|editado|modifié|modificato)[^<>]*>\s*$", re.IGNORECASE)
_LOOKED_AT = 200
_SHARE = 0.5


def recognise(source: Source) -> Found | None:
    heads = filled = named = 0
    with source.open() as file:
        for line in file:
            if line.strip():
                head = _HEAD.match(line)
                if not head and not filled:
                    return None
                filled += 1
                heads += bool(head)
                named += bool(head and _NAME.fullmatch(head[1]))
            if filled == _LOOKED_AT:
                break
    if heads < 3 or not named or heads < _SHARE * filled:
        return None
    return found_chat(
        _messages(source), source, f"{heads:,} of its first {filled:,} lines begin with date, time and name"
    )


def read(source: Source, found: Found, ledger: Ledger) -> Iterator[Raw]:
    for raw in texts(_messages(source), found.options["author"], ledger):
        text = _EDITED.sub("", raw.text)
        if text != raw.text:
            ledger.alter('without the mark "edited"', raw.text, raw.line)
        yield Raw(text, raw.line, plain=True)


def _messages(source: Source) -> Iterator[Message]:
    head: tuple[str, int] | None = None
    lines: list[str] = []
    with source.open() as file:
        for number, line in enumerate(file, 1):
            found = _HEAD.match(line)
            if found:
                if head:
                    yield _message(head[0] + "".join(lines), head[1])
                head, lines = (found[1], number), []
            else:
                lines.append(line)
    if head:
        yield _message(head[0] + "".join(lines), head[1])


def _message(content: str, line: int) -> Message:
    found = _NAME.fullmatch(content)
    if not found:
        return Message("", content.strip(), line, "notices")
    text = found[2].strip()
    return Message(found[1].strip(), text, line, "notices and placeholders" if _PLACEHOLDER.fullmatch(text) else "")


WHATSAPP = Form("whatsapp", "a chat of WhatsApp", recognise, read, takes=frozenset({"author"}))
