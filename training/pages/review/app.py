"""The page's server: what it answers to the requests of review.js. Every answer but the page and its files is JSON.

GET  /                      the page, with the first texts in it
GET  /texts?view=&source=&sort=&down=&q=&after=&count=     a window
GET  /text?n=               one text
GET  /like?n=               its nearest relatives
POST /decide {n, id, decision, edited?}      written to the disk before it is answered
POST /undo
POST /check {n, text}       would the rules take it, and how would it look
GET  /pending               what publishing would do
POST /publish {unread}
GET  /decisions.jsonl, /decisions.csv        the log, and a table for people
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Collection
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import jinja2
from post_tweet.errors import PostError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from training.common.errors import DeepproverbsError
from training.curate.decisions import WHAT, Decisions, What, as_csv
from training.curate.write import ALLOWED
from training.pages.places import looks
from training.pages.review.desk import VIEWS, Asked, Desk, asked_of
from training.runs.anew import Anew
from training.settings import Bot

log = logging.getLogger(__name__)
HERE = Path(__file__).parent
FILES = {
    "style.css": (HERE.parent / "style.css", "text/css"),
    "review.css": (HERE / "review.css", "text/css"),
    "review.js": (HERE / "review.js", "text/javascript"),
    "show.js": (HERE / "show.js", "text/javascript"),
    "publish.js": (HERE / "publish.js", "text/javascript"),
}
MOST = 1 << 16
"""Bytes of a request."""
LIKE, LIKE_FROM = 5, 60.0
"""How many relatives of a text are shown, and from which ratio on: below it two texts have hardly more in common than
any two of a kind."""
AT_WORK = (
    "New texts are being made for this bot at this moment, so nothing was published. All that you decided is kept: try "
    "again when they are done."
)
ORDERS = {
    "file": "as they came",
    "score": "how probable",
    "nearest_ratio": "how near an original",
    "length": "length",
}


class Answer(Response):
    """JSON in ASCII, which takes half a character, too."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return json.dumps(content, separators=(",", ":")).encode()


class Review:
    """The routes, for one run.

    Args:
        anew: makes what judges an edited text; seconds for a large corpus, so a thread makes it while the first texts
            are read.
        held: do the pool's texts wait for a person?
        publish: puts what was decided into the pool, and says so; `unread`: what nobody has read, too. Raises
            BlockingIOError: the run is at work.
        ours: the texts that reviews took out of the pool.
    """

    def __init__(
        self,
        desk: Desk,
        decisions: Decisions,
        bot: Bot,
        held: Callable[[], bool],
        anew: Callable[[], Anew],
        publish: Callable[[bool], list[str]],
        ours: Callable[[], Collection[str]] = tuple,
    ) -> None:
        self.desk, self.decisions, self.bot = desk, decisions, bot
        self.held, self._make_anew, self._publish, self._ours = held, anew, publish, ours
        self._anew: asyncio.Future[Anew] | None = None
        self._publishing = False
        self.page_token = ""
        files = jinja2.FileSystemLoader(HERE)
        self.page = jinja2.Environment(loader=files, autoescape=True, undefined=jinja2.StrictUndefined).get_template(
            "page.html"
        )
        self.app = Starlette(
            routes=[
                Route("/", self.first),
                *(Route(f"/{name}", self.file) for name in FILES),
                Route("/texts", self.window),
                Route("/text", self.text),
                Route("/like", self.like),
                Route("/decide", self.decide, methods=["POST"]),
                Route("/undo", self.undo, methods=["POST"]),
                Route("/check", self.check, methods=["POST"]),
                Route("/pending", self.pending),
                Route("/publish", self.publish, methods=["POST"]),
                Route("/decisions.jsonl", self.log),
                Route("/decisions.csv", self.table),
            ],
            exception_handlers={
                DeepproverbsError: _told,
                PostError: _told,
                HTTPException: _refused,
                Exception: _broken,
            },
        )

    async def anew(self) -> Anew:
        """What judges edited texts, once it is made. An error is told, and the next call tries again."""
        if self._anew is None or (self._anew.done() and self._anew.exception()):
            self._anew = asyncio.ensure_future(run_in_threadpool(self._make_anew))
        return await asyncio.shield(self._anew)

    async def first(self, _: Request) -> Response:
        counts = self.desk.counts()
        apart = counts["apart"]
        asked = Asked(source="apart" if apart["open"] + apart["conflict"] else "all")
        orders = {name: ORDERS.get(name, name.replace("_", " ")) for name in self.desk.scores}
        facts = {
            "token": self.page_token,
            "ask": asdict(asked),
            **self._window(asked),
            "counts": counts,
            "views": [*VIEWS],
            "by": self.decisions.by,
            "held": self.held(),
            "language": self.bot.filter.language,
        }
        data = json.dumps(facts).replace("<", "\\u003c").replace("&", "\\u0026")
        page = self.page.render(title=self.bot.name, data=data, facts=facts, orders=orders, counts=counts)
        return Response(page.encode("utf-8", "replace"), media_type="text/html")

    async def file(self, request: Request) -> Response:
        path, kind = FILES[request.url.path[1:]]
        return Response(path.read_bytes(), media_type=kind)

    def _window(self, asked: Asked) -> dict[str, Any]:
        window = self.desk.window(asked)
        return {
            "texts": [self.desk.shown(number) for number in window.texts],
            "total": window.total,
            "before": window.before,
        }

    async def window(self, request: Request) -> Response:
        try:
            asked = asked_of(dict(request.query_params), self.desk)
        except ValueError as error:
            raise HTTPException(400, str(error)) from error
        return Answer(self._window(asked))

    async def text(self, request: Request) -> Response:
        return Answer(self.desk.shown(self._number(request.query_params.get("n"))))

    async def like(self, request: Request) -> Response:
        number = self._number(request.query_params.get("n"))
        anew = await self.anew()
        text = self.desk.texts[number]
        found = anew.known.like(text, LIKE_FROM, self.decisions.written(text))[:LIKE]
        return Answer({"like": [{"text": other, "ratio": ratio} for other, ratio in found]})

    async def decide(self, request: Request) -> Response:
        asked = await _json(request)
        number = self._number(asked.get("n"))
        text, what, edited = self.desk.texts[number], asked.get("decision"), asked.get("edited", "")
        shown = self.desk.shown(number)
        if asked.get("id") != shown["id"]:
            raise HTTPException(409, "This page is of another run; load it again.")
        if what not in WHAT or not isinstance(edited, str) or (what == "edit") != bool(edited.strip()):
            raise HTTPException(400, "Decide keep, drop, star, or edit with a text.")
        if what == "edit":
            edited = _written(edited)
            if edited == text:
                what, edited = "keep", ""
            else:
                anew = await self.anew()
                if objection := anew.objection(edited, text):
                    raise HTTPException(422, f"{objection} {objection.reason}".strip())
                self.decisions.decide(text, "edit", edited)
                anew.known.add(edited)
        if what != "edit":
            self.decisions.decide(text, cast(What, what))
        self.desk.look_again(shown["id"])
        return Answer({"text": self.desk.shown(number), "counts": self.desk.counts()})

    async def undo(self, request: Request) -> Response:
        await _json(request)
        undone = self.decisions.undo()
        if undone is None:
            raise HTTPException(404, "There is nothing to undo.")
        self.desk.look_again(undone.id)
        number = self.desk.at.get(undone.id)
        text = None if number is None or self.desk.gone[number] else self.desk.shown(number)
        return Answer({"text": text, "undone": undone.decision, "counts": self.desk.counts()})

    async def check(self, request: Request) -> Response:
        asked = await _json(request)
        number = self._number(asked.get("n"))
        if not isinstance(asked.get("text"), str):
            raise HTTPException(400, "Send a text.")
        new = _written(asked["text"])
        objection = (await self.anew()).objection(new, self.desk.texts[number]) if new else None
        same = new == self.desk.texts[number]
        allow = [name for name in ALLOWED if name in self.bot.filter.skip]
        looked = [asdict(look) for look in looks(new, allow)]
        said = "" if same or not objection else f"{objection} {objection.reason}".strip()
        return Answer({"objection": said if new else "Nothing is written here.", "looks": looked})

    async def pending(self, _: Request) -> Response:
        return Answer({**asdict(self.desk.pending()), "held": self.held(), "counts": self.desk.counts()})

    async def publish(self, request: Request) -> Response:
        asked = await _json(request)
        if self._publishing:
            raise HTTPException(409, "It is being published already.")
        self._publishing = True
        try:
            said = await run_in_threadpool(self._publish, asked.get("unread") is True)
            await run_in_threadpool(self.desk.read_pool_again, self._ours())
        except BlockingIOError:
            raise HTTPException(409, AT_WORK) from None
        finally:
            self._publishing = False
        self._anew = None  # the pool holds more now
        return Answer({"said": said, "counts": self.desk.counts()})

    async def log(self, _: Request) -> Response:
        data = b"".join(line.line() for line in self.decisions.lines.values())
        return _file(data, "application/jsonl", "decisions.jsonl")

    async def table(self, _: Request) -> Response:
        return _file(as_csv(self.decisions), "text/csv", "decisions.csv")

    def _number(self, value: Any) -> int:
        """The number of a text."""
        try:
            number = int(value)
            if not 0 <= number < len(self.desk.texts) or isinstance(value, bool | float):
                raise ValueError
        except (TypeError, ValueError):
            raise HTTPException(404, "There is no such text.") from None
        return number


def _written(text: str) -> str:
    """What a person wrote, as it is kept: lines end in \\n alone, and nobody means the space around a text."""
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def _file(data: bytes, kind: str, name: str) -> Response:
    return Response(data, media_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})


async def _json(request: Request) -> dict[str, Any]:
    """What a request sends."""
    data = b""
    async for some in request.stream():
        data += some
        if len(data) > MOST:
            raise HTTPException(413, "That is too long.")
    try:
        found = json.loads(data)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise HTTPException(400, "Send a JSON object.")
    return found


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return Answer({"error": error.detail}, error.status_code)


async def _told(_: Request, error: Exception) -> Response:
    """What went wrong, as the command line would say it."""
    return Answer({"error": str(error)}, 500)


async def _broken(_: Request, error: Exception) -> Response:
    log.error("The page's server failed; this is a fault of the program.", exc_info=error)
    return Answer({"error": "The program has a fault here: its terminal shows it. Nothing was decided."}, 500)
