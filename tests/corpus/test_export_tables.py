"""Tables and lines that networks and scrapers write."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.exports import (
    archive,
    dropped,
    texts,
)
from training.common.errors import DeepproverbsError
from training.corpus.read import open_corpus
from training.settings import NOTHING_SAID

TABLES: dict[str, tuple[str, list[str], dict[str, int]]] = {
    "tweets.csv": (
        '"tweet_id","in_reply_to_status_id","in_reply_to_user_id","timestamp","source","text","retweeted_status_id",'
        '"retweeted_status_user_id","retweeted_status_timestamp","expanded_urls"\n'
        '"1","","","2018-01-01 00:00:00 +0000","<a>web</a>","A patient ""kettle"" &amp; its\nlid","","","",""\n'
        '"2","","","2018","<a>","RT @a: hi","77","8","2018",""\n'
        '"3","9","8","2018","<a>","@a yes","","","",""\n',
        ['A patient "kettle" & its\nlid'],
        {"reposts": 1, "replies": 1},
    ),
    "twint.csv": (
        "id,conversation_id,created_at,date,time,timezone,user_id,username,name,tweet,retweet\n"
        '1,1,2020-01-01 00:00:00 UTC,2020-01-01,00:00:00,+0000,5,me,Me,"A patient kettle, it waits",False\n'
        "2,1,2020-01-01 00:00:00 UTC,2020-01-01,00:00:00,+0000,5,me,Me,a reply,False\n"
        "3,3,2020-01-01 00:00:00 UTC,2020-01-01,00:00:00,+0000,5,me,Me,of others,True\n",
        ["A patient kettle, it waits"],
        {"reposts": 1, "replies": 1},
    ),
    "comments.csv": (
        "id,permalink,date,ip,subreddit,gildings,link,parent,body,media\n"
        'a1,https://r/1,2020-01-01 00:00:00 UTC,,tea,0,https://r,,"A patient *kettle*",\n'
        "a2,https://r/2,2020-01-01 00:00:00 UTC,,tea,0,https://r,,[deleted],\n"
        "a3,https://r/3,2020-01-01 00:00:00 UTC,,tea,0,https://r,,,\n",
        ["A patient *kettle*"],
        {"deleted": 1, "without a text": 1},
    ),
    "posts.csv": (
        "id,permalink,date,ip,subreddit,gildings,title,url,body\n"
        "a1,https://r/1,2020,,tea,0,A title alone,https://r,\n"
        "a2,https://r/2,2020,,tea,0,A title,https://r,A body\n",
        ["A title alone", "A body"],
        {},
    ),
    "messages.csv": (
        "ID,Timestamp,Contents,Attachments\r\n1,2020,A patient kettle,\r\n2,2020,,https://a/b.png\r\n",
        ["A patient kettle"],
        {"without a text": 1},
    ),
    "discord.csv": (
        "AuthorID,Author,Date,Content,Attachments,Reactions\n"
        '"1","ann","2020","A patient kettle, it ""waits""","",""\n"1","ann","2020","","a.png",""\n',
        ['A patient kettle, it "waits"'],
        {"without a text": 1},
    ),
    "snscrape.jsonl": (
        "\n".join(
            json.dumps({"_type": "snscrape.modules.twitter.Tweet", "url": "https://x/1", **more})
            for more in list[dict[str, Any]](
                [
                    {"rawContent": "A patient kettle https://t.co/a", "renderedContent": "A patient kettle example…"},
                    {"rawContent": "@a yes", "renderedContent": "@a yes", "inReplyToTweetId": 9},
                    {"rawContent": "of others", "renderedContent": "RT", "retweetedTweet": {"id": 5}},
                ]
            )
        ),
        ["A patient kettle"],
        {"reposts": 1, "replies": 1},
    ),
    "records.json": (
        json.dumps(
            {
                "records": [
                    {
                        "uri": "at://did/app.bsky.feed.post/1",
                        "cid": "b",
                        "value": {"$type": "app.bsky.feed.post", **value},
                    }
                    for value in list[dict[str, Any]](
                        [
                            {"text": "A patient kettle", "createdAt": "2024", "langs": ["en"]},
                            {"text": "yes", "reply": {"root": {"uri": "at://"}, "parent": {"uri": "at://"}}},
                        ]
                    )
                ],
                "cursor": "3k",
            }
        ),
        ["A patient kettle"],
        {"replies": 1},
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_and_lines_of_networks(tmp_path: Path, name: str) -> None:
    content, wanted, left_out = TABLES[name]
    (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + content.encode())
    reading = open_corpus(tmp_path / name)
    assert texts(reading) == wanted and dropped(reading) == left_out


def test_a_broken_row_of_an_export_stops(tmp_path: Path) -> None:
    content = TABLES["comments.csv"][0]
    (tmp_path / "a.csv").write_text(content + "a4,too,few\n")
    with pytest.raises(DeepproverbsError, match=r"a.csv, line 5: expected 10 cells, found 3; mend"):
        texts(open_corpus(tmp_path / "a.csv"))
    (tmp_path / "a.csv").write_text(content + 'a4,"never closed\n')
    with pytest.raises(DeepproverbsError, match=r"line 5: a broken row \(unexpected end of data\)"):
        texts(open_corpus(tmp_path / "a.csv"))
    with pytest.raises(DeepproverbsError, match=r"no column 'nosuch' but 'id', 'permalink'"):
        open_corpus(tmp_path / "a.csv", replace(NOTHING_SAID, field="nosuch"))


def test_tumblr_is_refused_with_advice(tmp_path: Path) -> None:
    (tmp_path / "1.json").write_text(
        json.dumps({"type": "text", "blog_name": "me", "reblog_key": "x", "body": "<p>a</p>"})
    )
    with pytest.raises(DeepproverbsError, match=r"Tumblr.*one a line"):
        open_corpus(tmp_path / "1.json")
    posts: dict[str, str | bytes] = {f"posts/html/{n}.html": "<p>a</p>" for n in range(3)}
    with pytest.raises(DeepproverbsError, match=r"Tumblr.*one a line"):
        open_corpus(archive(tmp_path / "a.zip", posts))
