"""Access to the explorer: one token, one cookie, one host.

A file that only the user can read holds a token. The browser opens the file and sends the token
once, in the body of a request, and receives a cookie that scripts cannot read. Every other request
needs the cookie. Requests for another host or from another origin are refused, so that neither a
page on the internet nor a name that resolves to this machine reaches the server.
"""

from __future__ import annotations

import html
import os
import secrets
import threading
from pathlib import Path
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOST = "127.0.0.1"

ENTRY = "/enter"

_MOST_BYTES = 1000
"""Bytes of the request that holds the token, at most."""

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Headers of every answer."""

_REDIRECT = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>freegaze view</title>
<link rel="icon" href="data:,">
<form method="post" action="{action}">
<input type="hidden" name="token" value="{token}">
<button>Open the explorer</button>
</form>
<script>document.forms[0].submit()</script>
</html>
"""

_ENTERED = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>freegaze view</title>
<link rel="icon" href="data:,">
<meta http-equiv="refresh" content="0; url=/">
<p><a href="/">Continue to the explorer</a></p>
</html>
"""
"""A page, and not a redirection: a strict cookie is only sent on from a page of the same site."""


class Access:
    """Lets requests through to an application that come from the user's own browser.

    Args:
        app: The application.
        port: Port of the server.
        token_file: New file for the token, readable by the user alone; removed after its use.

    Raises:
        OSError: If the file cannot be written.
    """

    def __init__(self, app: ASGIApp, port: int, token_file: Path) -> None:
        self.app, self.token_file = app, token_file
        self.host = f"{HOST}:{port}"
        self.origin = f"http://{self.host}"
        self.cookie_name = f"freegaze_{port}"
        self._cookie = secrets.token_urlsafe(32)
        self._token: str | None = secrets.token_urlsafe(32)
        self._lock = threading.Lock()
        page = _REDIRECT.format(action=self.origin + ENTRY, token=html.escape(self._token))
        descriptor = os.open(token_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(page)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on; everything but HTTP is refused."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        refusal = await self._check(request)
        if refusal is None:
            await self.app(scope, receive, _with_headers(send))
        else:
            await refusal(scope, receive, _with_headers(send))

    async def _check(self, request: Request) -> Response | None:
        is_entry = request.method == "POST" and request.url.path == ENTRY
        if request.headers.getlist("host") != [self.host]:
            return _refuse("unknown host")
        origins = set(request.headers.getlist("origin"))
        if origins - {self.origin, *(["null"] if is_entry else [])}:  # a file has the origin null
            return _refuse("unknown origin")
        if is_entry:
            return await self._enter(request)
        if not self._has_cookie(request):
            return _refuse("open the file that `freegaze view` names, in this browser")
        return None

    async def _enter(self, request: Request) -> Response:
        body = b""
        async for piece in request.stream():
            body += piece
            if len(body) > _MOST_BYTES:
                return _refuse("too long")
        given = parse_qs(body.decode("ascii", "replace")).get("token", [""])[0]
        with self._lock:
            is_right = self._token is not None and secrets.compare_digest(
                given.encode(), self._token.encode()
            )
            if not is_right:
                return _refuse("this token is wrong or used; start `freegaze view` again")
            self._token = None
        self.token_file.unlink(missing_ok=True)
        answer = HTMLResponse(_ENTERED)
        answer.set_cookie(self.cookie_name, self._cookie, httponly=True, samesite="strict")
        return answer

    def _has_cookie(self, request: Request) -> bool:
        given = request.cookies.get(self.cookie_name, "")
        return secrets.compare_digest(given.encode(), self._cookie.encode())


def _refuse(reason: str) -> Response:
    return PlainTextResponse(f"refused: {reason}\n", status_code=403)


def _with_headers(send: Send) -> Send:
    """Add the headers of every answer."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = [(k.lower().encode(), v.encode()) for k, v in HEADERS.items()]
            message = {**message, "headers": [*message.get("headers", []), *own]}
        await send(message)

    return sending
