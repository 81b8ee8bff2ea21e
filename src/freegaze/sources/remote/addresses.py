"""Addresses of files on web servers and in the DANDI archive."""

from __future__ import annotations

import hashlib
import re
import urllib.parse
from pathlib import Path

from freegaze.errors import DataError
from freegaze.sources.fetching.connection import TransferConfig, bare_address
from freegaze.sources.fetching.download import fetch_json

DANDI_API = "https://api.dandiarchive.org/api"
"""Interface of the DANDI archive. Source: https://docs.dandiarchive.org."""

_ADDRESS = re.compile(r"(https?|dandi):/{1,2}([^/].*)", re.IGNORECASE)
_DANDI = re.compile(r"dandi://(\d{6})(?:@([\w.]+))?/(.+)", re.IGNORECASE)
_SHOWN = 5
KEY_LENGTH = 16
"""Hexadecimal digits of the key of an address."""


def as_address(path: Path | str) -> str | None:
    """Return the address that a text or a path is, ``None`` for a path of this machine.

    A ``Path`` of an address has lost a slash, which is restored.

    Example:
        >>> as_address(Path("https://example.org/a.nwb")), as_address("data/a.nwb")
        ('https://example.org/a.nwb', None)
    """
    found = _ADDRESS.fullmatch(str(path))
    return f"{found[1].lower()}://{found[2]}" if found else None


def address_key(address: str) -> str:
    """Return the name of the folder in which blocks of an address are kept."""
    return hashlib.sha256(address.encode()).hexdigest()[:KEY_LENGTH]


def shown_address(address: str) -> str:
    """Return an address without user name, password and query, which may be secrets.

    In place of what is left out, ``#KEY`` names the folder of this machine where the address itself
    is kept (``address_key``), so that it is found again on this machine, and on no other.

    Example:
        >>> shown_address("https://example.org/a.nwb")
        'https://example.org/a.nwb'
        >>> shown_address("https://me:word@example.org/a.nwb?sig=1").partition("#")[0]
        'https://example.org/a.nwb'
    """
    known = bare_address(address)
    return known if known == address else f"{known}#{address_key(address)}"


def web_address(address: str, config: TransferConfig) -> str:
    """Return the web address of a file; for an address of DANDI, the archive is asked.

    Args:
        address: ``https://...``, or ``dandi://DANDISET/PATH`` with the path of the file in the
            dandiset. ``dandi://DANDISET@VERSION/PATH`` is the file of a published version; by
            default it is that of the draft.
        config: Timeouts and retries.

    Returns:
        An address of ``http`` or ``https``.

    Raises:
        DataError: If it is no such address, or the archive has no such file or cannot be reached.
    """
    if not address.startswith("dandi:"):
        return address
    found = _DANDI.fullmatch(address)
    if found is None:
        raise DataError(
            f"{address} is no address of DANDI; expected dandi://DANDISET/PATH, for example "
            "dandi://DANDISET/sub-A/sub-A_ses-1.nwb"
        )
    dandiset, version, path = found[1], found[2] or "draft", found[3]
    query = urllib.parse.urlencode({"path": path, "page_size": 100})
    listing = f"{DANDI_API}/dandisets/{dandiset}/versions/{version}/assets/?{query}"
    answer = fetch_json(listing, config)
    try:
        assets = {str(entry["path"]): str(entry["asset_id"]) for entry in answer["results"]}
    except (KeyError, TypeError):
        raise DataError(
            f"{listing}: expected a listing of files, got another answer; is the dandiset "
            f"{dandiset} public?"
        ) from None
    if path not in assets:
        near = ", ".join(list(assets)[:_SHOWN])
        raise DataError(
            f"{address}: dandiset {dandiset} (version {version}) has no file {path}; "
            + (
                f"it has {near}; give the path of one"
                if near
                else "copy the path from its web page"
            )
        )
    return f"{DANDI_API}/assets/{urllib.parse.quote(assets[path])}/download/"
