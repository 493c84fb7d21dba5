"""Tables that networks and scrapers write, known by their headings: X's until 2019, twint's, Discord's, Reddit's."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass

from training.common.errors import DeepproverbsError
from training.corpus.forms.chats import Message, found_chat, texts
from training.corpus.forms.form import Form, Found, Raw, Source
from training.corpus.forms.records import kind_of
from training.corpus.forms.x_archive import plain
from training.corpus.ledger import Ledger


@dataclass(frozen=True)
class Table:
    whose: str
    heading: frozenset[str]
    """Columns that no other table has together."""
    text: str
    author: str = ""
    """The column with the person who wrote; "": all are the owner's."""
    instead: str = ""
    """The column with the text where `text` is empty."""
    escaped: bool = False
    """As X escapes: & < >."""


TABLES = (
    Table(
        "X's archive",
        frozenset({"tweet_id", "in_reply_to_status_id", "retweeted_status_id", "text"}),
        "text",
        escaped=True,
    ),
    Table("twint", frozenset({"id", "conversation_id", "created_at", "tweet"}), "tweet"),
    Table(
        "DiscordChatExporter", frozenset({"AuthorID", "Author", "Date", "Content", "Attachments"}), "Content", "Author"
    ),
    Table("Discord's data package", frozenset({"ID", "Timestamp", "Contents", "Attachments"}), "Contents"),
    Table("Reddit's comments", frozenset({"id", "permalink", "subreddit", "parent", "body"}), "body"),
    Table("Reddit's posts", frozenset({"id", "permalink", "subreddit", "title", "body"}), "body", instead="title"),
)


def recognise(source: Source) -> Found | None:
    with source.open(newline="") as file:
        first = file.readline(4096).lstrip("\ufeff").strip()
    columns, delimiter = _heading(first)
    for table in TABLES:
        if table.heading <= set(columns):
            column = source.settings.field or table.text
            if column not in columns:
                raise DeepproverbsError(
                    f"{source.name}: no column {column!r} but {', '.join(map(repr, columns))}; name one with --field."
                )
            evidence = f"its heading is that of {table.whose}; the texts are in {column!r}"
            details = (table, column, delimiter)
            if not table.author:
                if source.settings.author:
                    raise DeepproverbsError(
                        f"{source.name} has no author {source.settings.author!r}: all in it is its owner's; leave out "
                        "--author."
                    )
                return Found(evidence, {"field": column}, details)
            chat = found_chat(_chat(source, table, column, delimiter), source, evidence)
            return Found(chat.evidence, {"field": column, **chat.options}, details)
    return None


def read(source: Source, found: Found, ledger: Ledger) -> Iterator[Raw]:
    table, column, delimiter = found.details
    if table.author:
        yield from texts(_chat(source, table, column, delimiter), found.options["author"], ledger)
        return
    for row, line in _rows(source, delimiter):
        text = row[column]
        if not text.strip() and table.instead and column == table.text:
            text = row[table.instead]
        if not text.strip():
            ledger.drop("without a text", "", line)
        else:
            yield Raw(plain(text) if table.escaped else text, line, kind_of(row), plain=table.escaped)


def _heading(line: str) -> tuple[list[str], str]:
    delimiter = max(",;\t", key=line.count)
    return next(csv.reader([line], delimiter=delimiter), []), delimiter


def _rows(source: Source, delimiter: str) -> Iterator[tuple[dict[str, str], int]]:
    """(row by column, line where it begins).

    Raises:
        DeepproverbsError: a row is broken, or has more or fewer cells than the heading.
    """
    csv.field_size_limit(1 << 30)
    with source.open(newline="") as file:
        rows = csv.reader(file, delimiter=delimiter, strict=True)
        heading, line = next(rows), 1
        heading[0] = heading[0].lstrip("\ufeff").strip('"')
        while True:
            line = rows.line_num + 1
            try:
                row = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                raise DeepproverbsError(
                    f"{source.name}, line {line}: a broken row ({error}); mend or delete it."
                ) from error
            if row and row != heading:
                if len(row) != len(heading):
                    raise DeepproverbsError(
                        f"{source.name}, line {line}: expected {len(heading)} cells, found {len(row)}; "
                        "mend or delete this row."
                    )
                yield dict(zip(heading, row, strict=True)), line


def _chat(source: Source, table: Table, column: str, delimiter: str) -> Iterator[Message]:
    return (Message(row[table.author], row[column], line) for row, line in _rows(source, delimiter))


EXPORT_TABLES = Form("export-table", "an exported table", recognise, read, takes=frozenset({"field", "author"}))
