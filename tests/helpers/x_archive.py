"""An archive of X's, made of tests/corpora/posts.txt: 300 posts of a bookshop, and what others wrote.

A program, too: `python -m tests.helpers.x_archive tweets.js`.
"""

from __future__ import annotations

import html
import json
import random
import sys
from pathlib import Path

from training.common.paths import ROOT

POSTS = ROOT / "tests" / "corpora" / "posts.txt"
REPOSTS = (
    "RT @harbourbakery: The oven is back! First loaves at 7, and yes, the dense bun too 🥐",
    "RT @townmuseum: 300 years of fishing in one small room, until 30 June {L}",
    "RT @line6bus: Diversion at Mill Street today because of the plank 🚧",
    "RT @fogpress: Our fog book has been read by a real fisherman, who says “thick enough” 🌫️",
    "RT @weather_pier: Wind 38 mph, gusts 51. Hold on to your bicycles 🌬️",
)
REPLIES = (
    "@lenasreads He says thank you, and where are the biscuits?",
    "@harbourbakery two of the dense ones, please, Imran is on his way 🚲",
    "@fogpress 20 more of the fog, if there is any left {L}",
    "@townmuseum how stuffed are the birds?",
    "@derek_on_mondays we are still not open on Mondays, Derek",
)


def own_posts() -> list[str]:
    """The bookshop's own posts; {L} stands for a link."""
    return POSTS.read_text(encoding="utf-8").splitlines()


def tweets_js(seed: int = 6) -> str:
    """`data/tweets.js` of the archive as X writes it: text escaped once, links shortened, newest anywhere."""
    dice = random.Random(seed)
    posts = [*own_posts(), *REPOSTS, *REPLIES]
    dice.shuffle(posts)
    rows = [{"tweet": _tweet(text, number, dice)} for number, text in enumerate(posts)]
    return "window.YTD.tweets.part0 = " + json.dumps(rows, ensure_ascii=False, indent=2) + "\n"


def _tweet(text: str, number: int, dice: random.Random) -> dict[str, object]:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    link = "https://t.co/" + "".join(dice.choices(letters, k=10))
    linked = "{L}" in text
    text = text.replace("{L}", link)
    url = {
        "url": link,
        "expanded_url": "https://example.org/shop/events",
        "display_url": "example.org/shop/events",
        "indices": [str(text.find(link)), str(text.find(link) + len(link))],
    }
    tweet: dict[str, object] = {
        "retweeted": False,
        "source": '<a href="https://mobile.twitter.com" rel="nofollow">Twitter Web App</a>',
        "entities": {"hashtags": [], "symbols": [], "user_mentions": [], "urls": [url] * linked},
        "display_text_range": ["0", str(len(text))],
        "favorite_count": str(dice.randrange(60)),
        "id_str": str(1_600_000_000_000_000_000 + number),
        "truncated": False,
        "created_at": "Tue Nov 14 09:30:00 +0000 2023",
        "full_text": html.escape(text, quote=False),
        "lang": "en",
    }
    if text.startswith("@"):
        tweet |= {"in_reply_to_status_id_str": "1599", "in_reply_to_screen_name": text.split()[0][1:]}
    return tweet


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(tweets_js(), encoding="utf-8")
