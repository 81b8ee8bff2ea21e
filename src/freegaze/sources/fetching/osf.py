"""The files of a project on the Open Science Framework, by its public interface."""

from __future__ import annotations

from typing import Any

from freegaze.errors import DataError
from freegaze.sources.fetching.connection import TransferConfig
from freegaze.sources.fetching.download import RemoteFile, fetch_json

MAX_PAGES = 200


def list_osf(api: str, node: str, config: TransferConfig) -> list[RemoteFile]:
    """List all files of a project's own storage, folders included.

    Args:
        api: Address of the interface, ``https://api.osf.io/v2``.
        node: The project's id, the last part of its address.
        config: Timeouts and retries.

    Returns:
        The files, with size and sha256 if the listing has them.

    Raises:
        DataError: If the listing cannot be read or has another form.

    Source: the interface's own documentation, https://developer.osf.io.
    """
    found: list[RemoteFile] = []
    pages = [f"{api.rstrip('/')}/nodes/{node}/files/osfstorage/"]
    for n_read in range(MAX_PAGES + 1):
        if not pages:
            return found
        if n_read == MAX_PAGES:
            break
        url = pages.pop()
        try:
            page = fetch_json(url, config)
            for entry in page["data"]:
                if entry["attributes"]["kind"] == "folder":
                    pages.append(str(entry["relationships"]["files"]["links"]["related"]["href"]))
                else:
                    found.append(_file(entry))
            if following := page["links"].get("next"):
                pages.append(str(following))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(
                f"{url} is not a listing of files ({type(error).__name__}: {error}); check `api` "
                "and `node`, or name the `files` themselves in a configuration"
            ) from None
    raise DataError(f"{api}: the listing of {node} has more than {MAX_PAGES} pages")


def _file(entry: dict[str, Any]) -> RemoteFile:
    attributes = entry["attributes"]
    hashes = (attributes.get("extra") or {}).get("hashes") or {}
    return RemoteFile(
        name=attributes["name"],
        url=entry["links"]["download"],
        size=attributes.get("size"),
        sha256=hashes.get("sha256"),
    )
