"""Names of peoples and religions, in the languages that have lists and in one that has none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from wordfreq import get_frequency_dict

from training import settings as config
from training.common.paths import DEFAULT_BOT
from training.common.text import normal_form
from training.judge.judge import Judge
from training.judge.names import Names
from training.judge.rules import PASSED
from training.judge.words import LANGUAGES, peoples
from training.runs.filter_file import FilterOptions, filter_candidates
from training.sample.candidates import Candidate
from training.settings import FilterSettings

OPEN = replace(config.load(DEFAULT_BOT).filter, characters="", closed_vocabulary=False, common_words=0)

NAMING = {
    "de": [
        "Der Jude ging am Morgen über den Markt.", "Zwei Jüdinnen erzählten von früher.",
        "Die Sinti kamen im Frühjahr ins Dorf.", "Alle Türken lieben angeblich Tee.", "Ein Ostdeutscher lacht selten.",
    ],
    "fr": [
        "Les Juifs de la ville fermèrent leurs boutiques.", "On dit que l'Allemand travaille sans rire.",
        "Une musulmane attendait le bus.", "Les Tsiganes dansent près du feu.", "Il n'aime pas les réfugiés.",
    ],
    "es": [
        "Los gitanos cantan en la plaza.", "Una judía vieja cerró la puerta.", "El papa habló desde el balcón.",
        "Los moros llegaron por el mar.", "Dicen que los franceses cocinan mejor.",
    ],
    "pl": [
        "Żydzi wrócili do miasteczka.", "Z Niemcem trudno się kłócić.", "Pod kościołem stała Cyganka.",
        "Uchodźcom nikt nie pomógł.", "O muzułmanach mówi się źle.",
    ],
    "ru": [
        "Евреям не верили в этом городе.", "Цыганка гадала у вокзала.", "Он не любит мусульман.",
        "Немцы пришли весной.", "Про чукчей рассказывают анекдоты.",
    ],
    "tr": [
        "Yahudiler kapılarını kapattı.", "Ermenilerin evi boş kaldı.", "Kürtler dağdan indi.",
        "Çingeneler bütün gece çaldı.", "Bir Alman'ın saati hep doğrudur.",
    ],
    "ar": [
        "جاء اليهود إلى السوق", "لا أحد يثق بالمسيحيين هنا", "وقالت المرأة للفرنسي", "كان الأكراد في الجبل",
        "لم يساعد أحد اللاجئين",
    ],
    "ja": [
        "あのアイヌの人は毎朝市場へ行く。", "隣に中国人の家族が住んでいる。",
        "難民を助ける人はいなかった。", "彼はイスラム教徒を恐れる。",
        "ドイツ人は時間に正確だという。",
    ],
}  # fmt: skip
"""Texts that name a people, a religion or another group that is hated."""
NAMELESS = {
    "de": [
        "Der Bäcker ging am Morgen über den Markt.", "Zwei Nachbarinnen erzählten von früher.",
        "Die Judoka kamen daneben ins Ziel, hindurch durch den Regen.", "Wer finden will, muss suchen.",
        "Ein alter Hund lacht selten.",
    ],
    "fr": [
        "Les boulangers de la ville fermèrent leurs boutiques.", "On dit que l'âne travaille sans rire.",
        "Une voisine attendait le bus dans la nuit noire.", "Il écrit un roman depuis vingt ans.",
        "Elle n'aime pas les lundis.",
    ],
    "es": [
        "Los niños cantan en la plaza.", "Una vecina vieja cerró la puerta.", "Papá habló desde el balcón.",
        "El gato viejo llegó por el jardín.", "A fines de mes se cocina mejor.",
    ],
    "pl": [
        "Sami wrócili do miasteczka.", "Z sąsiadem trudno się kłócić.", "W polu stał wózek z danymi i mapą.",
        "Komunikat był krótki, szyi nie widać.", "Pole jest puste.",
    ],
    "ru": [
        "Соседям не верили в этом городе.", "Старуха гадала у вокзала.", "Он не любит понедельники.",
        "Гости пришли весной.", "Про индустрию рассказывают анекдоты.",
    ],
    "tr": [
        "Komşular kapılarını kapattı.", "Şiir yazmak kurtuluş gibidir.", "Kurtarmak için dağdan indi.",
        "Bütün gece roman okudu.", "Bir çocuğun saati hep doğrudur.",
    ],
    "ar": [
        "جاء الجار إلى السوق هذه السنة", "ترك الباب مفتوحا أمام البيت", "وقالت المرأة للنجار", "كان الراعي في الجبل",
        "لم يساعد أحد الأجيال القادمة",
    ],
    "ja": [
        "あのパン屋は毎朝市場へ行く。", "隣に静かな家族が住んでいる。", "ストレスのない人はいなかった。",
        "彼は雷とアラームを恐れる。",
        "時計は時間に正確だという。",
    ],
}  # fmt: skip
COMMON = {
    "ar": 0.017, "cs": 0.009, "da": 0.006, "de": 0.006, "en": 0.004, "es": 0.006, "fa": 0.009, "fi": 0.005, "fr": 0.006,
    "hi": 0.008, "hu": 0.011, "it": 0.006, "ja": 0.001, "ko": 0.001, "nl": 0.007, "no": 0.006, "pl": 0.008, "pt": 0.006,
    "ru": 0.007, "sv": 0.006, "tr": 0.009, "zh": 0.002,
}  # fmt: skip
"""The greatest share of a language's running words that may be names (wordfreq; measured, and rounded up)."""


def cases(texts: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [(language, text) for language, some in texts.items() for text in some]


def name_in(text: str, settings: FilterSettings) -> str:
    [verdict] = Judge(replace(settings, min_words=1)).verdicts([Candidate(text, 0, 0.0, True, 1.0)])
    assert verdict.verdict == PASSED, verdict
    return verdict.detail


@pytest.mark.parametrize(("language", "text"), cases(NAMING))
def test_names_are_found_in_every_form(language: str, text: str) -> None:
    assert name_in(text, replace(OPEN, language=language))


@pytest.mark.parametrize(("language", "text"), cases(NAMELESS))
def test_other_words_are_no_names(language: str, text: str) -> None:
    assert not name_in(text, replace(OPEN, language=language))


def test_every_offered_language_has_names() -> None:
    assert set(peoples()) == set(LANGUAGES)
    assert {language: len(names) for language, names in peoples().items() if len(names) < 140} == {}


@pytest.mark.parametrize(("language", "most"), COMMON.items())
def test_few_common_words_are_names(language: str, most: float) -> None:
    names = Names(replace(OPEN, language=language))
    words = get_frequency_dict({"no": "nb"}.get(language, language))
    words = {word: share for word, share in words.items() if share > 2e-6}
    hits = {word: share for word, share in words.items() if names.find(word, normal_form(word).split())}
    assert most / 3 <= sum(hits.values()) <= most, sorted(hits, key=words.__getitem__)[-40:]


def test_other_languages_are_read_too() -> None:
    """English in every bot, and every other script."""
    german = replace(OPEN, language="de")
    texts = ["the jews and the greeks came", "Цыганка гадала у вокзала", "あのアイヌの人は毎朝行く",
             "जर्मन लोग आये", "독일인은 일찍 왔다"]  # fmt: skip
    assert all(name_in(text, german) for text in texts)
    assert not name_in("les boulangers et les dunes", german)


def test_without_a_list_everything_is_read_by_a_person() -> None:
    latin = replace(OPEN, language="la")
    assert name_in("sapiens uno minor est iove", latin) == "no list for 'la'"
    assert name_in("the jews came in", latin) == "jews"
    assert not name_in("sapiens uno minor est iove", replace(latin, unlisted="publish"))
    assert name_in("Der Jude ging fort", replace(OPEN, language="de-AT"))


def test_names_of_ones_own_may_have_any_letters() -> None:
    settings = replace(OPEN, set_apart=("Jürgen", "Bad Säckingen"))
    assert name_in("gestern kam Jürgens Bruder", settings) == "jürgens"
    assert name_in("in Bad Säckingen regnet es", settings) == "bad säckingen"


def test_who_filters_is_told_that_everything_must_be_read(tmp_path: Path) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("sapiens uno minor est iove dives\nliber honoratus pulcher rex denique regum\n")
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("vivere si recte nescis decede peritis\nlusisti satis edisti satis atque bibisti\n")
    options = FilterOptions(texts, (corpus,), tmp_path / "pool.jsonl")
    bot = config.load(DEFAULT_BOT)
    said: list[str] = []
    latin = replace(OPEN, language="la")
    filtered = filter_candidates(replace(bot, filter=latin), options, said.append)
    assert (filtered.kept, filtered.set_apart) == (0, 2)
    assert len(said) == 1 and 'set [filter] unlisted = "publish"' in said[0]
    for settings in (replace(latin, unlisted="publish"), replace(latin, skip=("set-apart",))):
        assert filter_candidates(replace(bot, filter=settings), options, said.append).kept == 2
    assert len(said) == 1
