"""JSON of any shape is read by what is in it, in bounded memory; what is broken is told with its line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from training.common.errors import DeepproverbsError
from training.corpus.forms import json_stream
from training.corpus.read import AS_IT_IS, Reading, open_corpus
from training.settings import CorpusSettings

SAYINGS = [
    f"A patient {thing} keeps its own time, and {n} more." for n, thing in enumerate(["kettle", "oven", "key"] * 8)
]


def opened(path: Path, content: str | bytes, settings: CorpusSettings = AS_IT_IS) -> Reading:
    path.write_bytes(content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content)
    return open_corpus(path, settings)


def texts(reading: Reading) -> list[str]:
    found = [raw.text for raw in reading.texts()]
    assert reading.ledger.read == len(found) + sum(each.count for each in reading.ledger.dropped.values())
    return found


def ids(n: int) -> dict[str, Any]:
    return {"id": n, "user": {"name": f"user {n % 3}"}, "tags": ["a", "b"], "link": f"https://example.com/{n}"}


SHAPES: dict[str, Callable[[list[str]], str]] = {
    "strings": json.dumps,
    "indented": lambda t: json.dumps(t, indent=2, ensure_ascii=False),
    "objects": lambda t: json.dumps([ids(n) | {"text": s} for n, s in enumerate(t)]),
    "unknown name": lambda t: json.dumps([{"id": n, "wort": s} for n, s in enumerate(t)]),
    "wrapped": lambda t: json.dumps([{"node": {"text": s} | ids(n)} for n, s in enumerate(t)]),
    "object of a list": lambda t: json.dumps({"meta": {"count": len(t)}, "sayings": t}),
    "object of objects": lambda t: json.dumps({"title": "x", "data": [{"id": n, "text": s} for n, s in enumerate(t)]}),
    "twitter's search": lambda t: json.dumps(
        {"statuses": [{"text": s, "id": 1} for s in t], "search_metadata": {"q": "a"}}
    ),
    "twitter's second": lambda t: json.dumps(
        {"data": [{"text": s, "id": "1"} for s in t], "includes": {"users": [{"name": "a b", "id": "1"}]}, "meta": {}}
    ),
    "names": lambda t: json.dumps({f"name {n}": s for n, s in enumerate(t)}),
    "named objects": lambda t: json.dumps({f"name {n}": {"id": n, "text": s} for n, s in enumerate(t)}),
    "data of named texts": lambda t: json.dumps({"data": {f"name {n}": s for n, s in enumerate(t)}}),
    "columns of lists": lambda t: json.dumps({"id": [str(n) for n in range(len(t))], "text": t}),
    "pandas' columns": lambda t: json.dumps(
        {"id": {str(n): n for n in range(len(t))}, "text": {str(n): s for n, s in enumerate(t)}}
    ),
    "pandas' split": lambda t: json.dumps(
        {"columns": ["n", "text"], "index": list(range(len(t))), "data": [[str(n), s] for n, s in enumerate(t)]}
    ),
    "pandas' index": lambda t: json.dumps({str(n): {"n": n, "text": s} for n, s in enumerate(t)}),
    "rows": lambda t: json.dumps([[n, s] for n, s in enumerate(t)]),
    "rows with a heading": lambda t: json.dumps([["user", "text"], *[["ann lee", s] for s in t]]),
    "lines of a text": lambda t: json.dumps([{"title": "a b", "lines": s.split("\n")} for s in t]),
    "one after the other": lambda t: "\n".join(json.dumps(ids(n) | {"text": s}, indent=4) for n, s in enumerate(t)),
    "one after the other, glued": lambda t: "".join(json.dumps({"text": s}) for s in t),
    "lines": lambda t: "\n".join(json.dumps({"text": s}) for s in t),
    "lines of strings": lambda t: "\n\n".join(json.dumps(s, ensure_ascii=False) for s in t) + "\n",
    "lines of twint": lambda t: "\r\n".join(json.dumps({"id": 1, "tweet": s, "username": "a b"}) for s in t),
}


@pytest.mark.parametrize("name", ["a.json", "a.txt", "a"])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_gives_the_texts_whatever_it_is_called(tmp_path: Path, shape: str, name: str) -> None:
    assert texts(opened(tmp_path / name, SHAPES[shape](SAYINGS))) == SAYINGS


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_in_other_encodings(tmp_path: Path, shape: str, encoding: str) -> None:
    assert texts(opened(tmp_path / "a", SHAPES[shape](SAYINGS).encode(encoding))) == SAYINGS


TEXTS = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1).filter(
        lambda text: " " in text or len(text) > 3
    ),
    min_size=2,
    unique=True,
)


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(texts_=TEXTS, shape=st.sampled_from(sorted(SHAPES)), piece=st.sampled_from([1, 7, 64, 1 << 20]))
def test_any_texts_come_back_from_any_shape(tmp_path: Path, texts_: list[str], shape: str, piece: int) -> None:
    """However few characters are read at a time; where a shape is not certain, it is refused in a sentence."""
    before, json_stream.PIECE = json_stream.PIECE, piece
    try:
        # A list of two short texts can be taken for names.
        field = replace(AS_IT_IS, field="wort" if shape == "unknown name" else "")
        assert texts(opened(tmp_path / "a.json", SHAPES[shape](texts_), field)) == texts_
    finally:
        json_stream.PIECE = before


def test_it_says_which_field_and_why(tmp_path: Path) -> None:
    known = opened(tmp_path / "a", SHAPES["objects"](SAYINGS)).found
    assert "24 entries; the texts are in 'text' (a name that is known)" in known.evidence
    assert known.options == {"field": "text"}
    longest = opened(tmp_path / "a", SHAPES["unknown name"](SAYINGS)).found
    assert longest.options == {"field": "wort"}
    two = json.dumps([{"kurz": f"a {n}", "wort": s, "lang": s * 2} for n, s in enumerate(SAYINGS)])
    assert re.search(
        r"'lang' \(its different texts are the longest, \d+ char", opened(tmp_path / "b", two).found.evidence
    )
    # What is long but always the same is no text.
    two = json.dumps([{"licence": "x y" * 90, "wort": s} for s in SAYINGS])
    assert opened(tmp_path / "b", two).found.options == {"field": "wort"}


@pytest.mark.parametrize("shape", ["objects", "lines", "one after the other", "object of objects", "columns of lists"])
def test_a_field_that_is_named_is_never_ignored(tmp_path: Path, shape: str) -> None:
    with pytest.raises(DeepproverbsError, match=r"no field 'nosuch' but .*'?text'?.*--field"):
        opened(tmp_path / "a.json", SHAPES[shape](SAYINGS), CorpusSettings(field="nosuch"))


def test_the_field_in_an_object_in_the_object(tmp_path: Path) -> None:
    for asked in ("user.name", "name"):
        reading = opened(tmp_path / "a", SHAPES["objects"](SAYINGS), CorpusSettings(field=asked))
        assert set(texts(reading)) == {"user 0", "user 1", "user 2"}


def test_several_lists_are_asked_about(tmp_path: Path) -> None:
    content = json.dumps({"kings": SAYINGS[:9], "fools": SAYINGS[9:]})
    with pytest.raises(DeepproverbsError, match=r"2 lists of texts: 'fools' \(15\), 'kings' \(9\); .* --field '\*'"):
        opened(tmp_path / "a", content)
    assert texts(opened(tmp_path / "a", content, replace(AS_IT_IS, field="kings"))) == SAYINGS[:9]
    assert texts(opened(tmp_path / "a", content, replace(AS_IT_IS, field="*"))) == SAYINGS


@pytest.mark.parametrize("count", [9, 12])
def test_lists_of_the_same_kind_are_asked_about_whatever_their_lengths(tmp_path: Path, count: int) -> None:
    parts = {"kings": SAYINGS[:count], "fools": SAYINGS[count:]}
    objects = json.dumps({name: [{"text": s, "id": 1} for s in part] for name, part in parts.items()})
    with pytest.raises(DeepproverbsError, match=r"2 lists of texts: 'fools.text' .*, 'kings.text' .* --field '\*'"):
        opened(tmp_path / "a", objects)
    assert texts(opened(tmp_path / "a", objects, replace(AS_IT_IS, field="fools.text"))) == SAYINGS[count:]
    with pytest.raises(DeepproverbsError, match=r"has 'text' in 'kings.text', 'fools.text'; name one"):
        opened(tmp_path / "a", objects, replace(AS_IT_IS, field="text"))
    assert texts(opened(tmp_path / "a", objects, replace(AS_IT_IS, field="*"))) == SAYINGS
    strings = json.dumps(parts)
    with pytest.raises(DeepproverbsError, match=r"2 lists of texts: 'fools' .*, 'kings' "):
        opened(tmp_path / "a", strings)
    # A name that is known, or no words in the other, needs no question.
    assert texts(opened(tmp_path / "a", json.dumps({"tags": ["a", "b"] * 5, "kings": SAYINGS}))) == SAYINGS
    assert texts(opened(tmp_path / "a", json.dumps({"about": ["me too"] * 24, "quotes": SAYINGS}))) == SAYINGS


def test_rows_of_several_texts_are_asked_about(tmp_path: Path) -> None:
    content = json.dumps([["One line", "another line"], ["a third", "a fourth"]])
    with pytest.raises(DeepproverbsError, match=r"2 lists of texts: '0' \(2\), '1' \(2\); .* --field '\*'"):
        opened(tmp_path / "a", content)
    assert texts(opened(tmp_path / "a", content, replace(AS_IT_IS, field="1"))) == ["another line", "a fourth"]
    assert texts(opened(tmp_path / "a", content, replace(AS_IT_IS, field="*"))) == [
        "One line\nanother line",
        "a third\na fourth",
    ]


FACE = {"manaCost": "{1}{W}", "colors": ["W"]}


def test_cards_of_mtgjson(tmp_path: Path) -> None:
    cards = {
        "Oak": [FACE | {"name": "Oak", "text": "Vigilance\n{T}: Add {G}."}],
        "Plain Bear": [FACE | {"name": "Plain Bear"}],
        "Day // Night": [FACE | {"text": "When day breaks, draw."}, FACE | {"text": "When night falls, discard."}],
        "Elm": [FACE | {"name": "Elm", "text": "Reach"}],
    }
    content = json.dumps({"meta": {"date": "2026-01-01", "version": "5"}, "data": cards})
    reading = opened(tmp_path / "AtomicCards.json", content)
    assert texts(reading) == [
        "Vigilance\n{T}: Add {G}.",
        "When day breaks, draw.\n//\nWhen night falls, discard.",
        "Reach",
    ]
    assert [(why, count.count) for why, count in reading.ledger.dropped.items()] == [("cards without 'text'", 1)]
    sets = {
        "data": {
            "ABC": {"name": "A set", "cards": [{"name": "Oak", "text": "Vigilance", "flavorText": "It grows."}] * 2}
        }
    }
    reading = opened(tmp_path / "AllPrintings.json", json.dumps({"meta": {"date": "x", "version": "5"}} | sets))
    assert texts(reading) == ["Vigilance", "Vigilance"]
    settings = replace(AS_IT_IS, field="flavorText")
    reading = opened(
        tmp_path / "AllPrintings.json", json.dumps({"meta": {"date": "x", "version": "5"}} | sets), settings
    )
    assert texts(reading) == ["It grows.", "It grows."]


@pytest.mark.parametrize("value", [{"text": None}, {"other": "x"}, {"text": 5}, 7, None])
@pytest.mark.parametrize("shape", ["list", "lines"])
def test_a_few_without_a_text_are_counted_and_many_refused(tmp_path: Path, value: Any, shape: str) -> None:
    def made(records: list[Any]) -> str:
        return json.dumps(records, indent=0) if shape == "list" else "\n".join(map(json.dumps, records))

    records: list[Any] = [{"text": s} for s in SAYINGS]
    reading = opened(tmp_path / "a", made([*records[:3], value, *records[3:]]))
    assert texts(reading) == SAYINGS
    [(why, count)] = reading.ledger.dropped.items()
    assert why == "without a text in 'text'" and count.count == 1 and count.example == json.dumps(value)
    assert count.line == (4 if shape == "lines" else 11)
    reading = opened(tmp_path / "b", made([*records, *[value] * 4]))
    with pytest.raises(
        DeepproverbsError, match=r"4 of 28 entries have no text in 'text' \(first: line \d+\); .*--field"
    ):
        texts(reading)
    # The owner knows.
    assert texts(opened(tmp_path / "b", made([*records, *[value] * 4]), replace(AS_IT_IS, field="text"))) == SAYINGS


BROKEN = {
    "[\n" + ",\n".join(map(json.dumps, SAYINGS[:9])) + ",\n oops]": r"JSON up to line 11, column 2: expecting value",
    '[\n"a b",\n"c d"\n"e f"]': r"up to line 4, column 1: expected ',' or '\]'",
    '[{"text": "a b"}, {"text": "c': r"up to line 1, column 28: it ends inside a value: cut off\?",
    '["a b", "c d"': r"up to line 1, column 14: it ends before its '\]': cut off\?",
    '["a b", "c d"]\n\nand more': r"'a' follows",
    '["a b",\n"c\td"]': r"up to line 2, column 3: invalid control character",
    '{"text": "a b",\n text: "c d"}': r"up to line 2, column 2: expected a name in double quotes",
    '{"a": "b c", "d" "e f"}': r"up to line 1, column 18: expected ':'",
    '{"text": "a b"\n}\n{"text": \n}': r"up to line 4, column 1: expecting value",
    '["a b", ' + "[" * 100_000: r"nested too deeply|cut off",
    '["a b", ' + "7" * 5000 + "]": r"digits",
    "[[1, 2], [3]]": "JSON without a text",
    "{}": "JSON without a text",
    "[]": "JSON without a text",
}


@pytest.mark.parametrize("content", BROKEN, ids=range(len(BROKEN)))
def test_broken_json_is_told_with_its_place(tmp_path: Path, content: str) -> None:
    with pytest.raises(DeepproverbsError, match=BROKEN[content]):
        texts(opened(tmp_path / "a.txt", content))


def test_a_damaged_line_stops_and_a_cut_last_one_is_counted(tmp_path: Path) -> None:
    lines = [json.dumps({"text": s}) for s in SAYINGS]
    reading = opened(tmp_path / "a", "\n".join(lines)[:-9])
    assert texts(reading) == SAYINGS[:-1]
    assert reading.ledger.dropped["cut off"].line == 24 and reading.ledger.dropped["cut off"].count == 1
    for place in (0, 1, 20, 23):
        damaged = [*lines]
        damaged[place] = damaged[place][:-5]
        with pytest.raises(DeepproverbsError, match=rf"line {place + 1}: not JSON, column \d+: "):
            texts(opened(tmp_path / "a", "\n".join(damaged) + "\n"))
    with pytest.raises(DeepproverbsError, match=r"line 2: a list, not an object"):
        texts(opened(tmp_path / "a", '{"text": "a b"}\n["c d"]\n'))


def test_a_damaged_first_line_hides_nothing(tmp_path: Path) -> None:
    lines = [json.dumps({"text": s}) for s in SAYINGS]
    for first in ("# my sayings", '{"text": "cut', "{'text': 'single quotes'}"):
        with pytest.raises(DeepproverbsError, match=r"line 1: not JSON"):
            texts(opened(tmp_path / "a.txt", "\n".join([first, *lines])))


def test_lines_are_split_at_line_feeds_alone(tmp_path: Path) -> None:
    odd = ["one\u2028two", "three\u0085four", "five\x1csix \x1e", "seven\u2029\x0b eight"]
    content = "\n".join(json.dumps({"text": s}, ensure_ascii=False) for s in odd)
    content = content.replace("\\u001c", "\\u001c")
    assert texts(opened(tmp_path / "a.jsonl", content)) == odd


def test_halves_of_characters_are_taken_out_and_told(tmp_path: Path) -> None:
    reading = opened(tmp_path / "a", '["whole \\ud83d\\ude00", "half \\ud83d", "\\ude00 half", "\\ude00\\ud83d x"]')
    assert texts(reading) == ["whole 😀", "half ", " half", " x"]
    assert reading.ledger.altered["with half a character taken out"].count == 3


PROSE = {
    "quotes.txt": '"Be yourself," he said.\n"Two things are infinite."\n"So it goes."\n',
    "lyrics.txt": "[Verse 1]\nOne line\n[Chorus]\nAnother\n",
    "notes.txt": "[1] A first note\n[2] A second note\n",
    "braces.txt": "{curly} words\n{more} words\n",
    "number.txt": "42\n43\n",
    "brackets.txt": '["Well," she said] and left\n',
}


@pytest.mark.parametrize("name", PROSE)
def test_prose_is_no_json(tmp_path: Path, name: str) -> None:
    assert not opened(tmp_path / name, PROSE[name]).form.name.startswith("json")


def test_a_name_that_says_json_without_any_is_asked_about(tmp_path: Path) -> None:
    with pytest.raises(DeepproverbsError, match=r"its name says so.*--form lines"):
        opened(tmp_path / "a.json", "A patient kettle\nA patient oven\n")


def test_quotes_in_every_line_are_strings(tmp_path: Path) -> None:
    reading = opened(tmp_path / "a.txt", "\n".join(f'"{s}"' for s in SAYINGS))
    assert reading.form.name == "json-lines" and texts(reading) == SAYINGS


@pytest.mark.parametrize("shape", ["list", "lines"])
def test_memory_is_bounded(tmp_path: Path, shape: str) -> None:
    """12 MB of texts, half of them after what is looked at."""
    import tracemalloc

    path, count = tmp_path / "a", 60_000
    with path.open("w") as file:
        file.write("[" if shape == "list" else "")
        for n in range(count):
            file.write(json.dumps({"id": n, "text": f"{n} " + "word " * 30}))
            file.write("\n" if shape == "lines" else ",\n" if n < count - 1 else "]")
    tracemalloc.start()
    try:
        reading = open_corpus(path, AS_IT_IS)
        assert sum(1 for _ in reading.texts()) == count
        assert tracemalloc.get_traced_memory()[1] < 9 << 20
    finally:
        tracemalloc.stop()
