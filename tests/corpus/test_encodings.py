"""Bytes become the text that was meant, or are refused with where, how they would read, and what says so."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.common.errors import DeepproverbsError, WrongUse
from training.corpus.read import Reading, open_corpus
from training.settings import CorpusSettings

TEXTS = {
    "english": "A patient kettle keeps its own time",
    "french": "Le château était près de l’étang",
    "german": "Größe über Mäuse, ß und Öl",
    "polish": "Zażółć gęślą jaźń",
    "russian": "Старый чайник не спешит",
    "greek": "Η παλιά τσαγιέρα δεν βιάζεται",
    "hebrew": "הקומקום הישן אינו ממהר",
    "arabic": "الإبريق القديم لا يستعجل",
    "hindi": "पुरानी केतली जल्दी नहीं करती",
    "thai": "กาน้ำเก่าไม่รีบร้อน",
    "japanese": "古い鍋は自分の時間を守る。",
    "chinese": "旧水壶自有它的时间。",
    "korean": "오래된 주전자는 서두르지 않는다",
    "emoji": "kettle 👩‍💻 🏳️‍🌈 🩷",
}
PROVEN = ["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]
LEGACY = [
    ("french", "cp1252"), ("german", "cp1252"), ("french", "mac_roman"), ("polish", "cp1250"), ("polish", "iso8859_2"),
    ("russian", "cp1251"), ("russian", "koi8_r"), ("russian", "cp866"), ("greek", "cp1253"), ("hebrew", "cp1255"),
    ("arabic", "cp1256"), ("thai", "cp874"), ("japanese", "shift_jis"), ("japanese", "euc_jp"), ("chinese", "gb18030"),
    ("chinese", "big5"), ("korean", "cp949"), ("japanese", "iso2022_jp"), ("korean", "iso2022_kr"), ("chinese", "hz"),
]  # fmt: skip


def many(text: str) -> list[str]:
    return [f"{text} {n}" for n in range(40)]


def opened(folder: Path, content: bytes, encoding: str = "") -> Reading:
    (folder / "file").write_bytes(content)
    return open_corpus(folder / "file", CorpusSettings(encoding=encoding))


def read(folder: Path, content: bytes, encoding: str = "") -> list[str]:
    return [raw.text for raw in opened(folder, content, encoding).texts()]


@pytest.mark.parametrize("encoding", PROVEN)
@pytest.mark.parametrize("name", TEXTS)
def test_what_proves_itself_is_read(tmp_path: Path, name: str, encoding: str) -> None:
    texts = many(TEXTS[name])
    assert read(tmp_path, "\n".join(texts).encode(encoding)) == texts


@pytest.mark.parametrize(("name", "encoding"), LEGACY)
def test_what_does_not_prove_itself_is_refused_and_read_when_it_is_said(
    tmp_path: Path, name: str, encoding: str
) -> None:
    texts = many(TEXTS[name] if encoding != "big5" else "古人說話自有道理")
    content = "\n".join(texts).encode(encoding)
    with pytest.raises(DeepproverbsError, match="--encoding"):
        read(tmp_path, content)
    assert read(tmp_path, content, encoding) == texts


@pytest.mark.parametrize(("name", "encoding"), [("french", "cp1252"), ("russian", "cp1251"), ("japanese", "cp932")])
def test_the_refusal_shows_two_lines_as_they_would_read(tmp_path: Path, name: str, encoding: str) -> None:
    texts = many(TEXTS[name])
    with pytest.raises(DeepproverbsError, match=f"--encoding {encoding} reads:\n      {texts[0]}\n      {texts[1]}"):
        read(tmp_path, "\n".join(texts).encode(encoding))


@pytest.mark.parametrize("before", [0, 7, 8191, 65_535, 1 << 20, (1 << 20) + 3])
def test_a_fault_is_named_by_its_line_and_its_position_in_the_file(tmp_path: Path, before: int) -> None:
    """Also where a character is cut by the pieces in which the file is read."""
    content = "é\n".encode() * (before // 3) + b"x" * (before % 3)
    line = 1 + before // 3
    with pytest.raises(
        DeepproverbsError, match=rf"line {line:,} \(byte 0xe9 at position {len(content):,}\)"
    ) as refused:
        read(tmp_path, content + b"\xe9t\xe9\n")
    assert ("1 of its" in str(refused.value)) is (before > 2)


def test_a_few_lines_of_another_encoding(tmp_path: Path) -> None:
    texts = many(TEXTS["french"])
    rows = [text.encode("cp1252" if n in (7, 20, 33) else "utf-8") for n, text in enumerate(texts)]
    content = b"\r\n".join(rows)
    with pytest.raises(DeepproverbsError, match=r"3 of its 40 lines are not UTF-8, the first is line 8 \(byte 0xe2 at"):
        read(tmp_path, content)
    assert read(tmp_path, content, "utf-8+cp1252") == texts
    with pytest.raises(DeepproverbsError, match="is not utf-8"):
        read(tmp_path, content, "utf-8")
    with pytest.raises(DeepproverbsError, match=r"is not utf-8\+cp1252"):
        read(tmp_path, content + b"\r\n\x81", "utf-8+cp1252")


@pytest.mark.parametrize("encoding", ["cp12552", "utf-8+nothing", "rot13", "cp1252+utf-8", "utf-8+cp1252+cp1251"])
def test_an_encoding_that_cannot_be_is_wrong_use(tmp_path: Path, encoding: str) -> None:
    with pytest.raises(WrongUse):
        read(tmp_path, b"text", encoding)


@pytest.mark.parametrize(
    ("encoding", "sentence"),
    [("ascii", "leave --encoding out: all of it is UTF-8"), ("utf-16", "is not utf-16")],
)
def test_an_encoding_that_is_not_the_file_s_is_refused(tmp_path: Path, encoding: str, sentence: str) -> None:
    with pytest.raises(DeepproverbsError, match=sentence):
        read(tmp_path, ("x" * 99 + "é\n").encode() * 3, encoding)


def test_a_file_that_was_cut_in_a_character(tmp_path: Path) -> None:
    with pytest.raises(DeepproverbsError, match=r"ends in the middle of a character, in line 40 .* cut short"):
        read(tmp_path, "\n".join(f"{t}é" for t in many(TEXTS["french"])).encode()[:-1])


@pytest.mark.parametrize("content", [b"a text\nwith a\0 zero\n", b"id,text\r\n1,with a\0 zero\r\n"])
def test_a_zero_byte_is_named_and_taken_out(tmp_path: Path, content: bytes) -> None:
    reading = opened(tmp_path, content)
    assert [raw.text for raw in reading.texts()][-1] == "with a zero"
    altered = reading.ledger.altered["with zero bytes (NUL) taken out"]
    assert (altered.count, altered.line) == (1, 2) and "the first in line 2" in reading.encoding.notes[0]


GARBLED = {"cafÃ© du marchÃ©": "café du marché", "PokÃ©mon â€“ ever": "Pokémon – ever", "Pok√©mon": "Pokémon"}
SOUND = ["SÃO PAULO", "It’s ﬁne", "Ã", "Â la carte", "naïve café", "ÂME ET ÉTÉ", "Größe", "√2 is irrational"]


@pytest.mark.parametrize("garbled", GARBLED)
def test_what_was_encoded_twice_is_shown_and_mended_when_that_is_asked_for(tmp_path: Path, garbled: str) -> None:
    content = "\n".join([garbled, *SOUND]).encode()
    reading = opened(tmp_path, content)
    assert [raw.text for raw in reading.texts()] == [garbled, *SOUND], "nothing is changed unasked"
    assert reading.garbled_count == 1
    a, b = reading.garbled[0]
    assert a in garbled and b in GARBLED[garbled] and a != b
    mended = opened(tmp_path, content, "utf-8+repair")
    assert [raw.text for raw in mended.texts()] == [GARBLED[garbled], *SOUND]
    assert mended.ledger.altered["whose encoding was repaired"].count == 1


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn", "Co"]), min_size=1), min_size=3))
def test_utf_8_is_never_taken_for_anything_else(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    from training.corpus.encoding import find_encoding, open_text

    path = tmp_path_factory.mktemp("any") / "file"
    path.write_text("\n".join(texts), encoding="utf-8", newline="")
    with open_text(path, find_encoding(path, "", "file").name, "") as file:
        assert file.read() == "\n".join(texts).removeprefix("\ufeff")
