"""A corpus measured: shares, lengths, language, names, against counts by hand."""

from __future__ import annotations

import json
import random
from collections import Counter

import pytest
from post_tweet.xtext import find_link, weighted_length

from tests.helpers.corpora import KINDS, texts
from training.corpus import look as looking
from training.corpus.language import language_of, script_of, scripts_of
from training.corpus.look import Lengths, count_graphemes, is_closed, kinds_in, look, quantile, weight_of

SENTENCES = {
    "en": ["The kettle sings before the guests arrive.", "Nobody waters the neighbour's garden at night."],
    "de": ["Der frühe Vogel fängt den Wurm und schläft dann ein.", "Wer zuletzt lacht, hat den Witz nicht verstanden."],
    "fr": ["Le chat du voisin dort encore sur notre toit.", "Qui veut voyager loin ménage sa monture, dit ma tante."],
    "es": ["El perro del vecino canta cada mañana en la calle.", "Quien mucho abarca poco aprieta, decía mi abuela."],
    "it": ["Il gatto della zia dorme sempre sul davanzale.", "Chi va piano va sano e va lontano, anche d'inverno."],
    "nl": ["De oude fiets van mijn oom staat nog in de schuur.", "Wie het laatst lacht, heeft het niet begrepen."],
    "pl": ["Sąsiad codziennie karmi gołębie przed swoim domem.", "Kto rano wstaje, ten chodzi niewyspany cały dzień."],
    "ru": ["Старый кот спит на подоконнике и видит сны.", "Кто рано встаёт, тот весь день хочет спать."],
    "uk": ["Старий кіт спить на підвіконні та бачить сни.", "Хто рано встає, той цілий день хоче спати."],
    "ja": ["古い猫は静かに春を待っている。", "祖母の手紙を雨の日に読む。"],
    "zh": ["老猫在窗台上睡觉，梦见春天。", "早起的人整天都想睡觉。"],
    "ko": ["늙은 고양이는 창가에서 봄을 기다린다.", "일찍 일어나는 사람은 하루 종일 졸리다."],
    "th": ["แมวแก่นอนหลับอยู่ริมหน้าต่าง", "คนตื่นเช้าง่วงนอนทั้งวัน"],
    "hi": ["बूढ़ी बिल्ली खिड़की पर सोती है और सपने देखती है।", "जो जल्दी उठता है वह दिन भर सोना चाहता है।"],
    "he": ["החתול הזקן ישן על אדן החלון וחולם.", "מי שקם מוקדם רוצה לישון כל היום."],
    "el": ["Η γριά γάτα κοιμάται στο παράθυρο και ονειρεύεται.", "Όποιος ξυπνά νωρίς νυστάζει όλη μέρα."],
    "fa": ["گربهٔ پیر کنار پنجره می‌خوابد و خواب می‌بیند.", "هر که زود برمی‌خیزد تمام روز خوابش می‌آید."],
}


@pytest.mark.parametrize("code", SENTENCES)
def test_the_language_of_a_corpus(code: str) -> None:
    sentences = SENTENCES[code]
    found = language_of(sentences, scripts_of(Counter("".join(sentences))))
    assert code in (found.code, *found.others), found
    assert found.name and (found.code == code or " or " in found.name)


def test_no_letters_no_language() -> None:
    assert look(["123", "🙂 🙃", "…"]).language.code == ""


@pytest.mark.parametrize(
    ("character", "script"),
    [("a", "LATIN"), ("Ａ", "LATIN"), ("ж", "CYRILLIC"), ("漢", "CJK"), ("ｶ", "KATAKANA"), ("7", "")],
)
def test_scripts(character: str, script: str) -> None:
    assert script_of(character) == script


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("plain words", []),
        ("Only 3 left", ["capitals", "digits"]),
        ("so #tired of $AB", ["capitals", "hashtags", "cashtags"]),
        ("ask @ann about https://example.com", ["mentions", "links"]),
        ("hi 🙂 and 🩷", ["emoji"]),
        ('"quoted" (twice)', ["quotes", "brackets"]),
        ("「はい」", ["quotes"]),
    ],
)
def test_what_a_text_holds(text: str, kinds: list[str]) -> None:
    assert kinds_in(text) == kinds


def test_ends() -> None:
    assert all(map(is_closed, ["Yes.", "Yes!", "so 🙂", "love ❤️", "はい。", 'he said "no"', "(yes)"]))
    assert not any(map(is_closed, ["no", "no,", "the", "5", ""]))


def test_graphemes() -> None:
    assert [count_graphemes(text) for text in ("abc", "é", "👨‍👩‍👧‍👦", "क्षि", "1️⃣")] == [3, 1, 1, 1, 1]


@pytest.mark.parametrize(
    "text", ["a. b c.", "see x.com now", "https://a.b", "über 🙂", "a.b.c", "1.5 e.g. no", "漢字", "go to t.co/x."]
)
def test_the_quick_weight_is_x_s(text: str) -> None:
    assert weight_of(text) == weighted_length(text)
    assert ("links" in kinds_in(text)) == (find_link(text) is not None)


def test_quantiles() -> None:
    """The least length that a share of the texts do not exceed."""
    chance = random.Random(3)
    values = [chance.randrange(50) for _ in range(997)]
    for q in (0.01, 0.3, 0.5, 0.99, 1.0):
        found = quantile(Counter(values), q)
        assert sum(v <= found for v in values) >= q * 997 > sum(v < found for v in values)
    lengths = Lengths.of(Counter(values))
    assert (lengths.least, lengths.most) == (min(values), max(values)) and quantile(Counter(), 0.5) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_counts_are_those_by_hand(kind: str) -> None:
    some = texts(kind, 200)
    found = look([*some, some[0].upper(), ""], lambda batch: [len(text) for text in batch])
    assert (found.texts, found.duplicates >= 1) == (201, True)
    everything = [*some, some[0].upper()]
    assert found.holding["digits"] == sum(any(c.isdigit() for c in text) for text in everything) / 201
    assert found.graphemes.most >= found.graphemes.median >= found.graphemes.least > 0
    assert found.lines.most == max(text.count("\n") for text in everything) + 1
    assert found.different_characters == len(set("".join(everything)))
    assert set(found.sample) <= set(everything) and len(found.sample) == 201 - found.duplicates
    assert found.tokens is not None and found.tokens.most == max(map(len, found.sample))
    facts = json.loads(json.dumps(found.facts()))
    assert "sample" not in facts and facts["texts"] == 201


def test_openings_and_last_words() -> None:
    found = look([*(f"once upon a time {n} ended" for n in range(8)), "twice upon it", "never mind"])
    assert found.openings[2] == (0.8, "once upon") and found.openings[4] == (0.8, "once upon a time")
    assert dict(found.last_words)["ended"] == 0.8


def test_names_are_capitalised_in_mid_sentence_and_frequent() -> None:
    some = [
        f"we saw {name} near the {thing}" for name in ("Anna", "Bello") for thing in ("lake", "mill", "gate", "oak")
    ]
    some += [
        "on Monday it rained again here",
        "the Lake was calm",
        "only Zoe knows this one thing",
        "I know",
        "BBC is on",
    ]
    assert {name for name, _ in look(some).names} == {"Anna", "Bello"}


def test_in_german_every_noun_is_capitalised() -> None:
    assert look(texts("german", 100)).names == ()


def test_a_long_corpus_is_sampled_evenly_and_counted_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "SAMPLE", 500)
    found = look(f"the text of number {n}" for n in range(5000))
    assert (found.texts, len(found.sample), found.words.median) == (5000, 500, 5)
    numbers = [int(text.split()[-1]) for text in found.sample]
    assert 2000 < sum(numbers) / 500 < 3000 and len(set(numbers)) == 500
    assert look(f"the text of number {n}" for n in range(5000)) == found, "the same sample every time"


def test_of_a_very_long_one_every_tenth_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "MEASURED", 100)
    found = look([*(f"the text of number {n}" for n in range(2000)), "ž"])
    assert found.texts == 2001 and found.holding["digits"] == 1 and found.words.median == 5
    assert found.different_characters == len(set("the text of number 0123456789ž"))


def test_duplicates_are_no_longer_known_after_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "REMEMBERED", 3)
    assert look(["a b", "c d", "e f", "g h", "g h", "A b!"]).duplicates == 1
