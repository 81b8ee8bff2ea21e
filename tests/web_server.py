"""A local web server that misbehaves on request."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass
class WebServer:
    """What is served, what goes wrong, and what was asked.

    Args:
        files: Content by path; a ``Path`` is a file that is read as it is asked for.
        faults: What goes wrong at the next requests of a path, in order: ``cut:N`` (the connection
            ends after N bytes), ``status:N``, ``long`` and ``short`` (a wrong Content-Length),
            ``silent`` (no answer), ``redirect:URL``, ``slow`` (a little at a time), ``shift`` (the
            bytes after those asked for).
        ranges: Whether ranges are served.
        etag: Version of everything; ``None`` for no ETag.
        asked: (path, Range header) of every request.
        n_sent: Bytes of content sent.
    """

    files: dict[str, bytes | Path] = field(default_factory=dict)
    faults: dict[str, list[str]] = field(default_factory=dict)
    ranges: bool = True
    etag: str | None = '"v1"'
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    n_sent: int = 0
    base: str = ""

    def url(self, path: str) -> str:
        """Return the address of a path."""
        return f"{self.base}{path}"

    def serve_listing(self, names: dict[str, dict[str, Any]], node: str = "node") -> None:
        """Publish a listing as the Open Science Framework does, one file a page."""
        start = f"/v2/nodes/{node}/files/osfstorage/"
        paths = [start, *(f"{start}?page={k + 2}" for k in range(len(names) - 1))]
        for k, (name, attributes) in enumerate(names.items()):
            following = self.url(paths[k + 1]) if k + 1 < len(paths) else None
            entry = {
                "attributes": {"kind": "file", "name": name, **attributes},
                "links": {"download": self.url(f"/{name}")},
            }
            page = {"data": [entry], "links": {"next": following}}
            self.files[paths[k]] = json.dumps(page).encode()


@contextmanager
def web_server() -> Iterator[WebServer]:
    """Serve on a free port of this machine while the block runs."""
    state = WebServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            answer(self, state)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    state.base = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def answer(request: BaseHTTPRequestHandler, state: WebServer) -> None:
    """Answer one request, properly or as the next fault says."""
    request.close_connection = True
    span = request.headers.get("Range")
    state.asked.append((request.path, span))
    pending = state.faults.get(request.path, [])
    fault, _, value = (pending.pop(0) if pending else "").partition(":")
    content = state.files.get(request.path)
    if fault == "silent":
        time.sleep(3)
        return
    if fault == "redirect":
        start_answer(request, 302, {"Location": value, "Content-Length": "0"})
        return
    if fault == "status" or content is None:
        start_answer(request, int(value or 404), {"Content-Length": "0"})
        return
    size = content.stat().st_size if isinstance(content, Path) else len(content)
    start, stop = 0, size
    headers: dict[str, str] = {} if state.etag is None else {"ETag": state.etag}
    is_same = request.headers.get("If-Range") in (None, state.etag)
    if span is not None and state.ranges and is_same:
        first, _, last = span.removeprefix("bytes=").partition("-")
        start = int(first) + (1 if fault == "shift" else 0)
        stop = min(int(last) + 1, size) if last else size
        if start >= size:
            headers["Content-Range"] = f"bytes */{size}"
            start_answer(request, 416, {**headers, "Content-Length": "0"})
            return
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    if isinstance(content, Path):
        with content.open("rb") as file:
            file.seek(start)
            body = file.read(stop - start)
    else:
        body = content[start:stop]
    wrong = {"long": 100, "short": -10}.get(fault, 0)
    headers["Content-Length"] = str(len(body) + wrong)
    state.n_sent += len(body)
    start_answer(request, 206 if "Content-Range" in headers else 200, headers)
    try:
        if fault == "slow":
            for k in range(0, len(body), 2000):
                request.wfile.write(body[k : k + 2000])
                time.sleep(0.02)
        else:
            request.wfile.write(body[: int(value)] if fault == "cut" else body)
    except OSError:
        pass  # the client has gone, as one that is killed does


def start_answer(request: BaseHTTPRequestHandler, status: int, headers: dict[str, str]) -> None:
    """Send the head of an answer."""
    request.send_response(status)
    for name, value in headers.items():
        request.send_header(name, value)
    request.end_headers()
