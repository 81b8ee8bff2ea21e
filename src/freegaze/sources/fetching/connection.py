"""Connections to web servers: timeouts, retries, and one line for each reason of failure."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from pydantic import Field, PositiveFloat, PositiveInt

from freegaze.config import StrictConfig
from freegaze.errors import DataError

TRY_AGAIN = (408, 425, 429, 500, 502, 503, 504)
"""Answers of a server that may change a moment later."""


class TransferConfig(StrictConfig):
    """Timeouts, retries and the largest size of a transfer.

    Args:
        timeout_s: Seconds without an answer after which a connection is closed.
        attempts: Number of failures in a row, without one new byte, after which the transfer stops.
        wait_s: Pause after the first failure; each further failure doubles it.
        max_gb: Largest file, and largest unpacked archive, in units of 10^9 bytes.
    """

    timeout_s: PositiveFloat = 60.0
    attempts: PositiveInt = 6
    wait_s: float = Field(default=1.0, ge=0)
    max_gb: PositiveFloat = 100.0

    @property
    def max_bytes(self) -> int:
        """``max_gb`` in bytes."""
        return int(self.max_gb * 1e9)


class BrokenOffError(Exception):
    """A failure after which another attempt may succeed."""


@runtime_checkable
class AbstractPart(Protocol):
    """The bytes of a file that have arrived, and the version of the file that they belong to."""

    @property
    def size(self) -> int:
        """Bytes that have arrived."""
        ...

    @property
    def version(self) -> str | None:
        """ETag of the version; ``None`` if the part cannot be resumed."""
        ...

    def discard(self) -> None:
        """Remove the bytes that have arrived."""
        ...


def bare_address(address: str) -> str:
    """Return an address without user name, password, query and fragment, which may be secrets."""
    kind, _, rest = address.partition("://")
    host, slash, path = rest.partition("/")
    return f"{kind}://{host.rpartition('@')[2]}{slash}{path.partition('#')[0].partition('?')[0]}"


def persist(
    attempt: Callable[[], Any], url: str, config: TransferConfig, part: AbstractPart | None = None
) -> Any:
    """Try until it succeeds, or until it failed too often without a new byte."""
    failures = 0
    while True:
        before = part.size if part else 0
        try:
            return attempt()
        except BrokenOffError as error:
            has_more = part is not None and part.size > before
            failures = 0 if has_more else failures + 1
            if failures >= config.attempts:
                kept = f"; {part.size:,} bytes are kept" if part and part.version else ""
                raise DataError(
                    f"{url}: given up after {failures} attempts without progress: {error}{kept}. "
                    "Run the command again to continue"
                ) from None
            time.sleep(config.wait_s * 2 ** max(failures - 1, 0))


def open_connection(
    url: str, headers: dict[str, str], config: TransferConfig, part: AbstractPart | None = None
) -> Any:
    """Open a connection; the answer's status is 200, 206, or 416 where the part is the whole."""
    headers = {"User-Agent": "freegaze", "Accept-Encoding": "identity", **headers}
    try:
        request = urllib.request.Request(url, headers=headers)
        return _opener().open(request, timeout=config.timeout_s)
    except urllib.error.HTTPError as error:
        if error.code == 416 and part is not None:
            if error.headers.get("Content-Range") == f"bytes */{part.size}":
                return error
            part.discard()
        error.close()
        if error.code in (*TRY_AGAIN, 416):
            raise BrokenOffError(f"the server answered {error.code} {error.reason}") from None
        expired = "; its signature may have expired" if "?" in url and error.code == 403 else ""
        raise DataError(
            f"{bare_address(url)}: the server answered {error.code} {error.reason}{expired}; check "
            "the address in the configuration, or download the file with a browser"
        ) from None
    except (OSError, http.client.HTTPException) as error:
        raise BrokenOffError(str(getattr(error, "reason", None) or error)) from None
    except ValueError as error:
        raise DataError(
            f"{bare_address(url)} is not an address ({error}); expected https://..."
        ) from None


def _opener() -> urllib.request.OpenerDirector:
    """An opener of web addresses only: a redirection cannot lead to a file of this machine."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.UnknownHandler,
    ):
        opener.add_handler(handler())
    return opener


def read_some(response: Any, n_bytes: int) -> bytes:
    """Read at most so many bytes of an answer; fewer if the connection ends early.

    Raises:
        BrokenOffError: If the connection fails.
    """
    try:
        return response.read(n_bytes)
    except http.client.IncompleteRead as error:
        return error.partial
    except (OSError, http.client.HTTPException) as error:
        raise BrokenOffError(str(error) or type(error).__name__) from None


def strong_etag(response: Any) -> str | None:
    """Return the version, unless the server calls it weak: bytes may differ between equal ones."""
    words = response.headers.get("ETag", "")
    return words if words.startswith('"') and words.isascii() else None
