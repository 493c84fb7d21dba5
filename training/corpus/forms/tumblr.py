"""Tumblr's exports: refused, because their posts are long HTML in many files."""

from __future__ import annotations

import re
from collections.abc import Iterator

from training.common.errors import DeepproverbsError
from training.corpus.forms.form import Form, Found, Raw, Source
from training.corpus.ledger import Ledger

_POST = re.compile(r"(?:^|/)(?:posts/html/\d+\.html|json/\d{6,}\.json)$")


def recognise(source: Source) -> Found | None:
    if source.container:
        found = sum(bool(_POST.search(name)) for name in source.names()) > 1
    else:
        with source.open() as file:
            head = file.read(1 << 14)
        found = head.lstrip().startswith("{") and all(f'"{sign}"' in head for sign in ("blog_name", "reblog_key"))
    if found:
        raise DeepproverbsError(
            f"{source.name} is an export of Tumblr, which holds posts as HTML and those of others; copy your own texts "
            "into a file, one a line."
        )
    return None


def read(source: Source, found: Found, ledger: Ledger) -> Iterator[Raw]:
    raise AssertionError("never recognised")


TUMBLR = Form("tumblr", "Tumblr's export", recognise, read, takes=frozenset())
