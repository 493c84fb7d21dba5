"""The corpora of many kinds in tests/corpora are what they say: so many texts, no two alike, none too long to post."""

from __future__ import annotations

import html
import json
from pathlib import Path

import pytest
from post_tweet.xtext import weighted_length
from rapidfuzz import fuzz, process

from tests.helpers.x_archive import own_posts, tweets_js
from training.common.paths import ROOT
from training.common.text import normal_form
from training.corpus.read import load_corpus, open_corpus

CORPORA = ROOT / "tests" / "corpora"
COUNTS = {"posts": 300, "sayings-de": 300, "cards": 300, "one-liners": 300, "forty": 40}
BETWEEN = {"cards": "\n\n"}


@pytest.mark.parametrize("name", COUNTS)
def test_texts_are_many_different_and_short(name: str) -> None:
    text = (CORPORA / f"{name}.txt").read_text(encoding="utf-8")
    texts = text.strip().split(BETWEEN.get(name, "\n"))
    normal = [normal_form(each) for each in texts]
    assert len(set(normal)) == len(texts) == COUNTS[name]
    assert max(map(weighted_length, texts)) <= 280
    alike = process.cdist(normal, normal, scorer=fuzz.ratio, score_cutoff=90)
    assert (alike > 0).sum() == len(texts), "but for itself no text has one that is nearly the same"
    if name == "one-liners":
        assert all(any(map(str.isdigit, each)) for each in texts)
    if name == "cards":
        assert {len(each.splitlines()) for each in texts} == {4}


@pytest.mark.parametrize("name", ["sayings-de", "one-liners", "forty"])
def test_one_text_a_line_is_read_as_it_stands(name: str) -> None:
    path = CORPORA / f"{name}.txt"
    assert load_corpus(path) == path.read_text(encoding="utf-8").splitlines()


def test_the_archive_holds_the_posts_of_others_too() -> None:
    start, _, rows = tweets_js().partition(" = ")
    tweets = [row["tweet"] for row in json.loads(rows)]
    texts = [html.unescape(tweet["full_text"]) for tweet in tweets]
    assert start == "window.YTD.tweets.part0"
    assert sum(text.startswith("RT @") for text in texts) == 5
    assert sum("in_reply_to_screen_name" in tweet for tweet in tweets) == 5
    assert len(texts) == len(own_posts()) + 10
    links = [url["url"] for tweet in tweets for url in tweet["entities"]["urls"]]
    assert len(set(links)) == sum("https://t.co/" in text for text in texts) > 30


def test_the_archive_gives_the_owner_s_posts_alone(tmp_path: Path) -> None:
    (tmp_path / "tweets.js").write_text(tweets_js(), encoding="utf-8")
    reading = open_corpus(tmp_path / "tweets.js")
    texts = [" ".join(raw.text.split()) for raw in reading.texts()]
    own = [" ".join(text.replace("{L}", "").split()) for text in own_posts()]
    assert reading.form.name == "x-archive" and sorted(texts) == sorted(own)
    assert {why: count.count for why, count in reading.ledger.dropped.items()} == {"reposts": 5, "replies": 5}


def test_cards_keep_their_four_lines() -> None:
    path = CORPORA / "cards.txt"
    assert open_corpus(path).form.name == "poems"
    assert load_corpus(path) == path.read_text(encoding="utf-8").strip().split("\n\n")
