"""Files of every form give the texts that they hold, or are refused with what to do: never others without a word."""

from __future__ import annotations

import json
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from tests.corpus.inputs import (
    BARE,
    BROKEN,
    PARAGRAPHS,
    SAYINGS,
    VERSES,
    between,
    book,
    lines,
    numbered,
    table,
    word_document,
)
from training.common.errors import DeepproverbsError, WrongUse
from training.corpus.forms import FORMS
from training.corpus.read import Reading, open_corpus
from training.settings import NOTHING_SAID, CorpusSettings

QUOTED = [f'He said "{text}" and left.' for text in SAYINGS]
ESCAPED = [text.replace('"', '\\"') for text in QUOTED]
QUOTE = '"'
TWEETS = "username;date;retweets;favorites;text;geo;mentions;hashtags;id;permalink\n"


def rows(texts: list[str], quote: tuple[int, ...] = (), close: tuple[int, ...] = (), heading: str = "id,text") -> bytes:
    """A table whose rows are not quoted, but for a mark that opens or closes in some."""
    marked = (f"{n},{QUOTE * (n in quote)}{t}{QUOTE * (n in close)}" for n, t in enumerate(texts))
    return lines([heading, *marked])


READ: dict[str, tuple[bytes, str, list[str]]] = {
    # lines
    "lines": (lines(SAYINGS), "lines", SAYINGS),
    "lines-crlf": (lines(SAYINGS, "\r\n"), "lines", SAYINGS),
    "lines-cr": (lines(SAYINGS, "\r"), "lines", SAYINGS),
    "lines-nel": (lines(SAYINGS, "\x85"), "lines", SAYINGS),
    "lines-double-spaced": (lines(SAYINGS, "\n\n"), "lines", SAYINGS),
    "lines-with-separators-inside": (
        lines(text.replace(" ", "\u2028", 1).replace(" ", "\x85", 1).replace(" ", "\x0b", 1) for text in SAYINGS),
        "lines",
        [text.replace(" ", "\u2028", 1).replace(" ", "\x85", 1).replace(" ", "\x0b", 1) for text in SAYINGS],
    ),
    "lines-heading-named": (b"Tweets\n" + lines(SAYINGS), "lines", SAYINGS),
    "lines-heading-underlined": (b"My sayings\n==========\n\n" + lines(SAYINGS), "lines", SAYINGS),
    "lines-heading-underlined-closely": (
        b"Sayings of the sea\n------------------\n" + lines(SAYINGS),
        "lines",
        SAYINGS,
    ),
    "lines-three-headings": (
        b"\n".join(
            f"{title}\n{'-' * len(title)}\n\n".encode() + lines(SAYINGS[n : n + 10])
            for n, title in ((0, "Intro"), (10, "Second"), (20, "Third"))
        ),
        "lines",
        SAYINGS,
    ),
    "prose-with-one-comma-a-line": (
        lines(f"The {n} was old, and the cup was new." for n in range(30)),
        "lines",
        [f"The {n} was old, and the cup was new." for n in range(30)],
    ),
    "prose-with-semicolons": (
        lines(f"Knock knock; who is it; {text}" for text in BARE),
        "lines",
        [f"Knock knock; who is it; {text}" for text in BARE],
    ),
    "prose-with-a-quoted-comma": (
        lines([*(f"It was {t}" for t in SAYINGS[:20]), 'Ask for "a sad one, but not too sad", please.']),
        "lines",
        [*(f"It was {t}" for t in SAYINGS[:20]), 'Ask for "a sad one, but not too sad", please.'],
    ),
    "prose-with-colons": (lines(f"Anna: {t}" for t in SAYINGS), "lines", [f"Anna: {t}" for t in SAYINGS]),
    "prose-with-few-quotes": (
        lines(f'"{text}"' if n % 3 else text for n, text in enumerate(BARE)),
        "lines",
        [f'"{text}"' if n % 3 else text for n, text in enumerate(BARE)],
    ),
    "sayings-called-csv": (lines(SAYINGS), "lines", SAYINGS),
    # tables
    "table-comma.csv": (table(numbered(), ["id", "text"]), "table", SAYINGS),
    "table-semicolon": (
        table([("anna", "2020-01-01", t) for t in SAYINGS], ["user", "date", "text"], delimiter=";"),
        "table",
        SAYINGS,
    ),
    "table-tab": (table(numbered(), ["id", "text"], delimiter="\t"), "table", SAYINGS),
    "table-bar": (table(numbered(), ["id", "text"], delimiter="|"), "table", SAYINGS),
    "table-no-heading": (table(numbered()), "table", SAYINGS),
    "table-no-known-heading": (table([(f"anna{n % 2}", t) for n, t in numbered()], ["who", "what"]), "table", SAYINGS),
    "table-pandas": (table(numbered(), ["", "0"]), "table", SAYINGS),
    "table-all-quoted": (table(numbered(), ["id", "text"], quoting=1), "table", SAYINGS),
    "table-two-marks": ("\ufeff\ufeff".encode() + table(numbered(), ["id", "text"]), "table", SAYINGS),
    "table-blank-first": (b"\n" + table(numbered(), ["id", "text"]), "table", SAYINGS),
    "table-sep": (b"sep=;\n" + table(numbered(), ["id", "text"], delimiter=";"), "table", SAYINGS),
    "table-backslash": (
        rows(ESCAPED, quote=tuple(range(30)), close=tuple(range(30))),
        "table",
        QUOTED,
    ),
    "table-apostrophes": (("id,text\n" + "".join(f"{n},'{t}'\n" for n, t in numbered())).encode(), "table", SAYINGS),
    "table-spaces": (("id, text\n" + "".join(f'{n}, "{t}"\n' for n, t in numbered())).encode(), "table", SAYINGS),
    "table-unquoted-last": (rows(SAYINGS), "table", SAYINGS),
    "table-quotes-in-tabs": (
        ("id\ttext\n" + "".join(f'{n}\t"Yes" is {t}\n' for n, t in numbered())).encode(),
        "table",
        [f'"Yes" is {t}' for t in SAYINGS],
    ),
    "table-quotes-not-doubled": (
        ("id;text\n" + "".join(f'{n};"{t}"\n' for n, t in numbered(QUOTED))).encode(),
        "table",
        QUOTED,
    ),
    "table-open-quote": (
        rows(BARE, quote=(4,)),
        "table",
        BARE,
    ),
    "table-lines-in-cells": (table(numbered(BROKEN), ["id", "text"]), "table", BROKEN),
    "table-separators-in-cells": (
        table([(n, f"{t}\n==========\n%\nand so on") for n, t in numbered()], ["id", "text"]),
        "table",
        [f"{t}\n==========\n%\nand so on" for t in SAYINGS],
    ),
    "table-headings-repeated": (
        table(numbered(SAYINGS[:9]), ["id", "text"]) + table(numbered(SAYINGS[9:]), ["id", "text"]),
        "table",
        SAYINGS,
    ),
    "table-markdown": (
        ("| id | text |\n|----|:-----|\n" + "".join(f"| {n} | {t} |\n" for n, t in numbered())).encode(),
        "table",
        [f" {t} " for t in SAYINGS],
    ),
    "one-column.csv": (table([[t] for t in SAYINGS]), "table", SAYINGS),
    "one-column-quoted": (table([[t] for t in SAYINGS], quoting=1), "json-lines", SAYINGS),
    "one-column-heading": (table([[t] for t in SAYINGS], ["text"], quoting=1), "json-lines", SAYINGS),
    "one-column-blank-first": (b"\n" + table([[t] for t in SAYINGS], quoting=1), "json-lines", SAYINGS),
    "one-column-dummy-first": (b"dummy\n" + table([[t] for t in SAYINGS], quoting=1), "table", SAYINGS),
    "get-old-tweets": (
        (
            TWEETS
            + "".join(f'anna;2016-01-01 12:00;1;2;"{t} "so; he" said";;;;"{n}";https://x/{n}\n' for n, t in numbered())
        ).encode(),
        "get-old-tweets",
        [f'{t} "so; he" said' for t in SAYINGS],
    ),
    # separators
    "delimited": (between("=========="), "delimited", SAYINGS),
    "delimited-two": (b"one\n==========\ntwo", "delimited", ["one", "two"]),
    "delimited-broken": (between("=" * 20, BROKEN), "delimited", BROKEN),
    "separated-dashes": (between("----------", BROKEN), "separated", BROKEN),
    "separated-equals": (between("====="), "separated", SAYINGS),
    "separated-stars": (between("***", BROKEN), "separated", BROKEN),
    "separated-spaced": (between("\n* * *\n", BROKEN), "separated", BROKEN),
    "separated-word": (between("END", BROKEN), "separated", BROKEN),
    "fortune": (between("%", [f"{t}\n\t\t-- Nobody" for t in BROKEN]), "fortune", BROKEN),
    "fortune-comments": (b"%\n" + between("%", BROKEN) + b"\n%\n%% 2001\n%\n", "fortune", BROKEN),
    "markers": (lines(f"<|startoftext|>{t}<|endoftext|>" for t in SAYINGS), "markers", SAYINGS),
    "markers-inline": ("".join(f"<|startoftext|>{t}<|endoftext|>" for t in SAYINGS).encode(), "markers", SAYINGS),
    "markers-around": (lines(f"<|startoftext|>\n{t}\n<|endoftext|>" for t in BROKEN), "markers", BROKEN),
    "markers-at-the-end": (between("<|endoftext|>", BROKEN), "markers", BROKEN),
    # blocks
    "haiku": (lines(VERSES, "\n\n"), "poems", VERSES),
    "couplets": (lines(BROKEN, "\n\n\n"), "poems", BROKEN),
    "blocks": (
        lines([f"{t[:9]}\n" * (1 + n % 3) + t[9:] for n, t in numbered()], "\n\n"),
        "blocks",
        [f"{t[:9]}\n" * (1 + n % 3) + t[9:] for n, t in numbered()],
    ),
    "wrapped": (lines([textwrap.fill(t, 60) for t in PARAGRAPHS], "\n\n"), "paragraphs", PARAGRAPHS),
    "book": (book(PARAGRAPHS), "gutenberg", [*PARAGRAPHS, "Roses are red\nand so on"]),
    "list": (b"# Sayings\n\n" + lines(f"- {t}" for t in SAYINGS), "list", SAYINGS),
    "list-of-yaml": (lines(f"- {json.dumps(t)}" for t in SAYINGS), "list", SAYINGS),
    "list-stars": (lines(f"* {t}" for t in SAYINGS), "list", SAYINGS),
    "list-numbered": (lines(f"{n + 1}. {t}" for n, t in numbered()), "list", SAYINGS),
    "list-brackets": (lines(f"{n + 1}) {t}" for n, t in numbered()), "list", SAYINGS),
    "list-hanging": (lines("- " + t.replace("\n", "\n  ") for t in BROKEN), "list", BROKEN),
    # others
    "cards": (
        lines([f"|5creature|4|6human|9{t}|3{{^^}}|0O|1{t.split()[2]}|" for t in SAYINGS], "\n\n"),
        "cards",
        [f"|5creature|4|6human|9{t}|3{{^^}}|0O|1{t.split()[2]}|" for t in SAYINGS],
    ),
    "subtitles": (
        "".join(
            f"{n}\n00:00:{n:02},000 --> 00:00:{n + 1:02},500\n<i>{t}</i>\n\n" for n, t in numbered(BROKEN)
        ).encode(),
        "subtitles",
        BROKEN,
    ),
    "subtitles-web": (
        b"WEBVTT\n\n" + "".join(f"00:{n:02}.000 --> 00:{n + 1:02}.000\n{t}\n\n" for n, t in numbered()).encode(),
        "subtitles",
        SAYINGS,
    ),
    "document.docx": (word_document(SAYINGS), "lines", SAYINGS),
    "document-broken": (word_document(BROKEN), "poems", BROKEN),
}
REFUSED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "blank": (b" \n\t\n", "is empty"),
    "program": (b"\x7fELF" + bytes(300), "is a program"),
    "zeros": (b"a\0b\0\0\0c" * 50, "is not text: 200 of its 350 bytes are zero"),
    "pdf": (b"%PDF-1.7\n%...", r"is a PDF, not text: .* plain text \(UTF-8\)"),
    "rtf": (b"{\\rtf1 hello}", "is a rich text"),
    "doc": (b"\xd0\xcf\x11\xe0\xa1\xb1", "old document of Microsoft Office"),
    "gzip": (b"\x1f\x8b\x08", "is gzip, .*gunzip"),
    "sqlite": (b"SQLite format 3\0", "is a SQLite database.*sqlite3 -csv"),
    "parquet": (b"PAR1...", "is a Parquet file"),
    "zip-cut": (b"PK\3\4...", "cannot be unpacked"),
    "quote-closed-later": (
        rows(BARE, quote=(4,), close=(9,)),
        "line 6: a quote mark that opens there is closed some rows later, and swallows",
    ),
    "quote-never-closed": (
        rows(SAYINGS, quote=(4,)),
        "line 6: a quote mark that opens there is not closed",
    ),
    "quotes-broken": (
        ("id,text\n" + "".join(f'{n},"{t}"{"x" * (n == 7)}\n' for n, t in numbered())).encode(),
        "line 9: a quote mark is followed by something other",
    ),
    "row-short": (table(numbered(), ["id", "text"]).replace(b"\n9,", b"\n9;"), "line 11: 1 cell where others have 2"),
    "row-cut-in-its-quotes": (
        table(numbered(), ["id", "text"]).replace(b"\n7,", b"\n7;"),
        "line 9: quote marks that begin in one cell and end in another",
    ),
    "row-long": (
        table([(t, n) for n, t in numbered()], ["text", "id"]).replace(b",9\r", b",9,9\r"),
        "line 11: 3 cells where others have 2",
    ),
    "comma-in-a-name": (
        ("id,name,text\n" + "".join(f"{n},{'Smith, J' if n == 7 else 'Anna'},{t}\n" for n, t in numbered())).encode(),
        "line 9: 4 cells or more where the heading has 3",
    ),
    "headings-alike": (
        table([(t, t[::-1]) for t in SAYINGS], ["text", "text"]),
        r"2 columns that may hold the texts; say which:(?s:.*)--field 1: (?s:.*)--field 2: ",
    ),
    "two-columns-of-texts": (
        table([(n, t, t[::-1]) for n, t in numbered()], ["id", "question", "reply"]),
        "2 columns that may hold the texts; say which:(?s:.*)--field question: A patient",
    ),
    "two-delimiters": (
        "".join(f"{n},{t.replace(',', '')};{n}\n" for n, t in numbered()).encode(),
        "can be read in 2 ways; say which:(?s:.*)--delimiter ';'(?s:.*)--delimiter ,",
    ),
    "markers-halved": (lines([*SAYINGS, "<>startoftext|> so"]), "line 31: half of a mark such as"),
    "get-old-tweets-damaged": ((TWEETS + "anna;2016-01-01 12:00;1;2;no\n").encode(), "line 2: not a GetOldTweets row"),
    "blocks-or-lines": (
        lines(["\n".join(SAYINGS[n : n + 1 + n % 4]) for n in range(20)], "\n\n"),
        "can be read in 2 ways; say which:(?s:.*)--form blocks: 20 texts(?s:.*)--form lines: 50 lines",
    ),
    "word-or-text": (
        between("ok then"),
        "can be read in 2 ways; say which:(?s:.*)--form separated --delimiter 'ok then'(?s:.*)--form lines",
    ),
    "one-line-of-equals-signs": (
        lines(SAYINGS[:20]) + b"==========\n" + lines(SAYINGS[20:]),
        "can be read in 2 ways; say which:(?s:.*)--form delimited: 2 texts(?s:.*)--form lines",
    ),
    "python-list": (repr(SAYINGS).encode(), "is a list or dictionary as Python prints it: .*json.dump"),
    "page": (f"<!DOCTYPE html>\n<p>{'</p><p>'.join(SAYINGS)}</p></html>".encode(), "is HTML or XML, .*--form lines"),
    "xml": (f"<qs><q>{'</q><q>'.join(SAYINGS)}</q></qs>".encode(), "is HTML or XML, whose tags are not text"),
    "sql": (lines([f"INSERT INTO q VALUES ('{t}');" for t in SAYINGS]), "is SQL: export the table as CSV"),
    "pandas": (lines([*SAYINGS, "Name: text, dtype: object"]), "is what pandas prints, .*to_csv"),
    "lyrics": (
        "".join(f"[Verse {n}]\n{t}\nla la\n\n" for n, t in numbered()).encode(),
        "can be read in 3 ways; say which:(?s:.*)--form verses: 30 (?s:.*)--form lyric-lines: 60 ",
    ),
}


def adds_up(reading: Reading) -> bool:
    """Whether the ledger of a reading that has ended counts all."""
    ledger = reading.ledger
    return ledger.read == ledger.kept + sum(each.count for each in ledger.dropped.values()) and all(
        each.count and (each.line or each.example) for each in (*ledger.dropped.values(), *ledger.altered.values())
    )


@pytest.mark.parametrize("name", READ)
def test_the_texts_of_a_file_are_all_there(tmp_path: Path, name: str) -> None:
    content, form, texts = READ[name]
    (tmp_path / name).write_bytes(content)
    reading = open_corpus(tmp_path / name)
    raws = list(reading.texts())
    assert [raw.text for raw in raws] == texts
    assert reading.form.name == form and reading.found.evidence
    assert adds_up(reading) and reading.ledger.kept == len(texts)
    assert [raw.line for raw in raws] == sorted(raw.line for raw in raws) and raws[0].line > 0


@pytest.mark.parametrize("name", READ)
def test_what_is_printed_repeats_a_reading_without_guessing(tmp_path: Path, name: str) -> None:
    content, _, texts = READ[name]
    (tmp_path / "file").write_bytes(content)
    options = open_corpus(tmp_path / "file").options
    reading = open_corpus(tmp_path / "file", replace(NOTHING_SAID, **options))  # type: ignore[arg-type]
    assert [raw.text for raw in reading.texts()] == texts
    assert reading.options == options


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_for_certain_is_refused_with_the_place_and_the_cure(tmp_path: Path, name: str) -> None:
    content, sentence = REFUSED[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DeepproverbsError, match=sentence) as refused:
        list(open_corpus(tmp_path / name).texts())
    assert str(refused.value).startswith(str(tmp_path / name))


@pytest.mark.parametrize("form", [form.name for form in FORMS if not form.weak])
def test_a_form_that_is_said_and_cannot_be_is_refused(tmp_path: Path, form: str) -> None:
    (tmp_path / "file").write_bytes(lines(BARE))
    with pytest.raises(DeepproverbsError):
        list(open_corpus(tmp_path / "file", CorpusSettings(form=form)).texts())


def said(path: Path, **settings: str) -> list[str]:
    return [raw.text for raw in open_corpus(path, replace(NOTHING_SAID, **settings)).texts()]  # type: ignore[arg-type]


def test_what_is_said_by_hand_is_never_ignored(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(READ["table-semicolon"][0])
    assert said(path, field="date")[:2] == ["2020-01-01"] * 2
    assert said(path, field="2")[0] == "2020-01-01" and said(path, form="lines")[0] == "user;date;text"
    with pytest.raises(DeepproverbsError, match="not a table with commas"):
        said(path, delimiter=",")
    with pytest.raises(DeepproverbsError, match="no column 'tweet' but 'user', 'date', 'text'"):
        said(path, field="tweet")
    with pytest.raises(DeepproverbsError, match=r"is not a fortune file, .* but a table: semicolons"):
        said(path, form="fortune")
    with pytest.raises(WrongUse, match="no form 'tabel'; known are"):
        said(path, form="tabel")
    path.write_bytes(READ["blocks"][0])
    assert len(said(path, form="lines")) == 90 and len(said(path, form="blocks")) == 30
    with pytest.raises(DeepproverbsError, match="no field 'text': it is read as texts between blank lines"):
        said(path, field="text")
    with pytest.raises(WrongUse, match="has no field"):
        said(path, form="lines", field="text")
    path.write_bytes(READ["separated-word"][0])
    assert said(path, delimiter="END") == BROKEN
    with pytest.raises(DeepproverbsError, match="has no line 'STOP'"):
        said(path, delimiter="STOP")


def test_damaged_rows_are_left_out_when_that_is_asked_for(tmp_path: Path) -> None:
    content, sentence = REFUSED["row-short"]
    (tmp_path / "file").write_bytes(content)
    reading = open_corpus(tmp_path / "file", CorpusSettings(drop=("damaged",)))
    assert len(list(reading.texts())) == 29 and adds_up(reading)
    assert (reading.ledger.dropped["damaged rows"].count, reading.ledger.dropped["damaged rows"].line) == (1, 11)
    assert "29 of 30 rows have 2 cells" in reading.found.evidence, sentence
