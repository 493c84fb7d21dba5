"""Who may talk to the page's server: only the page that it gave itself, in the browser that has the token.

Another site that is open in the same browser can send requests to 127.0.0.1, too, or have its own name lead there (DNS
rebinding). So every request must name this server as its host and bring the token, in a cookie that no other site's
request carries; what changes something must come from this page's own origin with a second token, which only the page
knows.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PAGE_TOKEN = "x-review-token"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
MOVE = '<!DOCTYPE html><html lang="en"><title>review</title><meta http-equiv="refresh" content="0;url=/">'
"""A page that leads on, and not a redirect: where another site's page held the link (a terminal in a browser), what
follows would count as that site's request, which brings no cookie."""
GONE = "This is the page of another review: open the address that the program has printed."


class Guard:
    """Stands before the app.

    Args:
        port: where the server listens.
    """

    def __init__(self, app: ASGIApp, port: int) -> None:
        self.app, self.port = app, port
        self.token, self.page_token = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
        self.once: set[str] = set()
        self.cookie = f"review-{port}"  # cookies know no ports: two reviews must not share one
        self.hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}

    @property
    def address(self) -> str:
        """What a person opens. The token leaves the address with the first answer."""
        return f"http://127.0.0.1:{self.port}/?token={self.token}"

    def address_for_once(self) -> str:
        """The same with a token that is good for one visit: for a browser's command line, which other users of the
        machine can read."""
        self.once.add(token := secrets.token_urlsafe(24))
        return f"http://127.0.0.1:{self.port}/?token={token}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            assert scope["type"] == "lifespan"  # serve.py turns websockets off
            await self.app(scope, receive, send)
            return

        async def send_closed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        answer = self._refusal(scope, Headers(scope=scope))
        await (answer or self.app)(scope, receive, send_closed)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        """What to answer instead of the page; None: let the request through."""
        if headers.getlist("host") not in [[host] for host in self.hosts]:
            return PlainTextResponse("This server is for 127.0.0.1 alone.", 421)
        origin = headers.get("origin")
        if origin is not None and origin not in {f"http://{host}" for host in self.hosts}:
            return PlainTextResponse("Another site may not ask this.", 403)
        reads = scope["method"] in ("GET", "HEAD")
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [])
        if given and scope["path"] == "/" and reads:
            if not (_same(given[0], self.token) or given[0] in self.once):
                return PlainTextResponse(GONE, 403)
            self.once.discard(given[0])
            answer = HTMLResponse(MOVE)
            answer.set_cookie(self.cookie, self.token, httponly=True, samesite="strict", path="/")
            return answer
        if not any(_same(value, self.token) for value in _cookies(headers.getlist("cookie"), self.cookie)):
            return PlainTextResponse(GONE, 403)
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return PlainTextResponse("Another site may not ask this.", 403)
        if not reads:
            if origin is None or not _same(headers.get(PAGE_TOKEN, ""), self.page_token):
                return PlainTextResponse(GONE, 403)
            if headers.get("content-type", "").partition(";")[0].strip() != "application/json":
                return PlainTextResponse("Send JSON.", 415)
        return None


def _same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), token.encode())


def _cookies(headers: Iterable[str], name: str) -> Iterable[str]:
    for header in headers:
        try:
            found = SimpleCookie(header).get(name)
        except CookieError:
            continue
        if found:
            yield found.value
