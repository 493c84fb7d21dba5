"""The HTML of a post on Mastodon → its text. Only for what is known to be HTML: "3 < 4 <b" would lose words."""

from __future__ import annotations

import re
from html.parser import HTMLParser


def text_of(html: str) -> str:
    """Lines as the author broke them, a blank line between paragraphs, links as their whole addresses."""
    parser = _Parser()
    parser.feed(html)
    parser.close()
    lines = "".join(parser.parts).replace("\xa0", " ").split("\n")
    return re.sub(r"\n{3,}", "\n\n", "\n".join(line.strip() for line in lines)).strip()


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._in_link = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "br":
            self.parts.append("\n")
        elif tag in ("p", "blockquote", "pre", "ul", "ol"):
            self.parts.append("\n\n")
        elif tag == "li":
            self.parts.append("\n")
        elif tag == "a":
            of = dict(attrs)
            # Names and tags are read as they stand; what else a link shows is cut short.
            if not {"mention", "hashtag", "u-url"} & set((of.get("class") or "").split()) and of.get("rel") != "tag":
                self._in_link = True
                self.parts.append(of.get("href") or "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self._in_link = False
        elif tag in ("p", "blockquote", "pre", "ul", "ol"):
            self.parts.append("\n\n")

    def handle_data(self, data: str) -> None:
        if not self._in_link:
            self.parts.append(re.sub(r"\s*\n\s*", " ", data))
