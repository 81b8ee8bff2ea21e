"""Server of the explorer: the page, and the bins that it asks for."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from freegaze.errors import FreegazeError
from freegaze.view.access import HOST, Access
from freegaze.view.opening import Explorer
from freegaze.view.session import ViewedSession

MOST_POINTS = 4000
"""Points along time that one request may ask for; screens have fewer pixels."""

AT_ONCE = 4
"""Requests that are answered at the same time, which bounds memory."""

KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}

PAGE = "index.html"

STYLE = "page.css"
"""Style of the report, which the explorer shares."""


def make_app(explorer: Explorer) -> Starlette:
    """Make the application that answers a page's requests, without any check of access.

    Arrays are sent as little-endian numbers; the header ``X-Shape`` has their shape.

    Args:
        explorer: The open sessions.

    Returns:
        The application; put ``freegaze.view.access.Access`` around it.
    """
    page = _page_files()

    def number_of(request: Request) -> int:
        number = _whole(request, "session", 0)
        if number >= len(explorer.sessions):
            raise HTTPException(404)
        return number

    def session_of(request: Request) -> ViewedSession:
        return explorer.sessions[number_of(request)]

    def file(request: Request) -> Response:
        name = request.path_params.get("name", PAGE)
        if name not in page:
            raise HTTPException(404)
        return Response(page[name], media_type=KINDS[Path(name).suffix])

    def sessions(_: Request) -> Response:
        names = [session.session_id for session in explorer.sessions]
        return JSONResponse({"title": explorer.path.resolve().name, "sessions": names})

    def session(request: Request) -> Response:
        return JSONResponse(session_of(request).describe())

    def frames(request: Request) -> Response:
        own = session_of(request)
        start, n, step = _bins(request, own)
        return _array(own.video(start, n, step))

    def values(request: Request) -> Response:
        own = session_of(request)
        start, n, step = _bins(request, own)
        return _array(own.values(start, n, step))

    def behavior(request: Request) -> Response:
        own = session_of(request)
        return _array(own.behavior.read(*_range(request, own)).swapaxes(1, 2))

    def traces(request: Request) -> Response:
        own = session_of(request)
        return _array(own.traces(_neuron(request, own), *_range(request, own)))

    def raster(request: Request) -> Response:
        own = session_of(request)
        is_predicted = request.query_params.get("predicted") == "1"
        return _array(own.raster(*_range(request, own), is_predicted))

    def moments(request: Request) -> Response:
        own = session_of(request)
        best, worst = own.moments(_neuron(request, own))
        return JSONResponse({"best": [vars(m) for m in best], "worst": [vars(m) for m in worst]})

    def field(request: Request) -> Response:
        own = session_of(request)
        neuron = _neuron(request, own)
        found = own.fields(request.query_params.get("method", ""))
        answer = _array(found.pictures[neuron].astype(np.float32))
        outline = found.outlines[neuron]
        if np.isfinite(outline).all():
            answer.headers["X-Outline"] = ",".join(f"{value:.4g}" for value in outline)
        return answer

    def quality(request: Request) -> Response:
        found = explorer.quality(number_of(request))
        return JSONResponse({} if found is None else dict(found.checks))

    def flags(request: Request) -> Response:
        own, found = session_of(request), explorer.quality(number_of(request))
        if found is None:
            raise HTTPException(404)
        start, stop, n_points = _range(request, own)
        edges = np.linspace(start, stop, min(n_points, stop - start) + 1)[:-1].astype(np.int64)
        flagged = found.flags.read(start, stop).view(np.uint8)
        return _array(np.maximum.reduceat(flagged, edges - start, axis=0).T)

    answers: dict[str, Callable[[Request], Response]] = {
        "/": file,
        "/page/{name}": file,
        "/api/sessions": sessions,
        "/api/session": session,
        "/api/frames": frames,
        "/api/values": values,
        "/api/behavior": behavior,
        "/api/traces": traces,
        "/api/raster": raster,
        "/api/moments": moments,
        "/api/field": field,
        "/api/quality": quality,
        "/api/flags": flags,
    }
    few = threading.BoundedSemaphore(AT_ONCE)

    def in_turn(answer: Callable[[Request], Response]) -> Callable[[Request], Response]:
        def answer_in_turn(request: Request) -> Response:
            with few:
                return answer(request)

        return answer_in_turn

    routes = [Route(path, in_turn(answer), methods=["GET"]) for path, answer in answers.items()]
    return Starlette(routes=routes, exception_handlers={FreegazeError: _explain})


def serve(
    explorer: Explorer, token_file: Path, port: int, on_start: Callable[[Path, int], None]
) -> None:
    """Serve sessions to this machine's browser until it is interrupted.

    Args:
        explorer: The open sessions.
        token_file: New file that the browser opens; see ``freegaze.view.access``.
        port: Port to listen on; 0 takes a free one.
        on_start: Called with the token's file and the port when requests are answered.

    Raises:
        OSError: If the port is taken.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((HOST, port))
        listening.listen(64)
        port = listening.getsockname()[1]
        app = Access(make_app(explorer), port, token_file)
        config = uvicorn.Config(
            app,
            log_level="error",
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            timeout_graceful_shutdown=1,
        )
        threading.Thread(target=_prepare, args=[explorer.sessions[0]], daemon=True).start()
        on_start(token_file, port)
        uvicorn.Server(config).run(sockets=[listening])


def _prepare(session: ViewedSession) -> None:
    """Prepare a session while the browser starts; what fails is reported to its requests."""
    with suppress(FreegazeError):
        session.prepare()


def _page_files() -> dict[str, bytes]:
    """Return the files of the page by name; no other file is ever read for a request."""
    package = Path(__file__).parents[1]
    paths = [*(package / "view" / "page").iterdir(), package / "reports" / "templates" / STYLE]
    return {path.name: path.read_bytes() for path in paths if path.suffix in KINDS}


def _array(array: np.ndarray) -> Response:
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    shape = ",".join(map(str, array.shape))
    return Response(
        little.tobytes(), media_type="application/octet-stream", headers={"X-Shape": shape}
    )


def _whole(request: Request, name: str, default: int | None = None) -> int:
    text = request.query_params.get(name, "" if default is None else str(default))
    if not (text.isascii() and text.isdecimal() and len(text) < 16):
        raise HTTPException(400, f"{name} must be a whole number")
    return int(text)


def _neuron(request: Request, session: ViewedSession) -> int:
    neuron = _whole(request, "neuron")
    if neuron >= len(session.unit_ids):
        raise HTTPException(404)
    return neuron


def _bins(request: Request, session: ViewedSession) -> tuple[int, int, int]:
    start, n, step = (_whole(request, name) for name in ("start", "n", "step"))
    if start >= session.n_bins or not (0 < n <= MOST_POINTS and 0 < step <= session.n_bins):
        raise HTTPException(400, "these bins are not in the session")
    return start, n, step


def _range(request: Request, session: ViewedSession) -> tuple[int, int, int]:
    start, stop, n_points = (_whole(request, name) for name in ("start", "stop", "points"))
    if not (start < stop <= session.n_bins and 0 < n_points <= MOST_POINTS):
        raise HTTPException(400, "this range is not in the session")
    return start, stop, n_points


def _explain(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": " ".join(str(error).split())}, status_code=404)
