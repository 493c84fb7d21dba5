"""GetOldTweets' tables: the text in quotes, with quote marks and semicolons inside that nothing marks.

No table reader takes them right: of a real file's 9,400 rows a loose one changes 1,720 without a word. The known
neighbours of the text anchor one regular expression, which returns all 9,400.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from training.common.errors import DeepproverbsError
from training.corpus.forms.form import Form, Found, Raw, Source
from training.corpus.ledger import Ledger

HEADING = "username;date;retweets;favorites;text;geo;mentions;hashtags;id;permalink"
ROW = re.compile(
    r'[^;]*;"?\d{4}-\d\d-\d\d \d\d:\d\d(?::\d\d)?"?;\d*;\d*;"(.*)";[^;]*;[^;]*;[^;]*;"?\d*"?;(?:"?https?://\S*)?',
    re.DOTALL,
)


def recognise(source: Source) -> Found | None:
    first = next((line for _, line in source.lines() if line.strip()), "")
    if first.replace('"', "").strip() != HEADING:
        return None
    rows = max(0, source.shape.filled - 1)
    return Found(f"the heading is GetOldTweets' own, with {rows:,} rows below", {"field": "text"})


def read(source: Source, found: Found, ledger: Ledger) -> Iterator[Raw]:
    for number, line in source.lines():
        if not line.strip() or line.replace('"', "").strip() == HEADING:
            continue
        row = ROW.fullmatch(line.strip())
        if not row:
            raise DeepproverbsError(f"{source.name}, line {number:,}: not a GetOldTweets row: {line[:60]!r}; fix it.")
        if row[1].strip():
            yield Raw(row[1], number)
        else:
            ledger.drop("empty texts", line, number)


GET_OLD_TWEETS = Form("get-old-tweets", "a table of GetOldTweets", recognise, read)
