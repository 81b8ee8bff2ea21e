"""Listing of the series and tables of an NWB file, and search for one by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from freegaze.errors import DataError
from freegaze.files.hdf5 import read_whole
from freegaze.registry import nearest_names
from freegaze.sources.alignment.clock import typical_interval
from freegaze.sources.nwb.opening import opened_nwb, require_pynwb

_ROOMS = (
    *("acquisition", "stimulus", "stimulus_template", "processing", "analysis", "scratch"),
    *("intervals", "lab_meta_data"),
)
_LOOKED_AT = 1000  # timestamps read to tell a rate
_SHOWN = 80  # letters of a description


@dataclass(frozen=True)
class NwbItem:
    """One series or table of a file.

    Args:
        path: Path of the series or table in the file, such as
            ``processing/behavior/EyeTracking/gaze``.
        kind: Neurodata type.
        thing: The pynwb object.
    """

    path: str
    kind: str
    thing: Any

    @property
    def name(self) -> str:
        """Last part of the path."""
        return self.path.rsplit("/", 1)[-1]


def list_nwb(path: Path | str) -> list[dict[str, Any]]:
    """List the series and tables of an NWB file, to choose from by name.

    Args:
        path: The file.

    Returns:
        One row per series or table: name, type, shape, rate, unit, description.

    Raises:
        DataError: If the file is damaged or no NWB file.

    Example:
        >>> list(list_nwb("session.nwb")[0])[:2]
        ['name', 'type']
    """
    with opened_nwb(Path(path)) as (_, root):
        return [_describe(item) for item in find_items(root)]


def find_items(root: Any) -> list[NwbItem]:
    """Find every time series and table, by path in alphabetical order."""
    pynwb = require_pynwb()
    kinds = (pynwb.TimeSeries, pynwb.core.DynamicTable)
    prefixes: dict[int, str] = {}
    for room in _ROOMS:
        for thing in dict(getattr(root, room, None) or {}).values():
            prefixes[id(thing)] = room
    items = []
    for thing in root.objects.values():
        if isinstance(thing, kinds):
            kind = getattr(thing, "neurodata_type", type(thing).__name__)  # hdmf's own have none
            items.append(NwbItem(_path_of(thing, root, prefixes), kind, thing))
    return sorted(items, key=lambda item: item.path)


def core_kind(thing: Any) -> str:
    """Return NWB's own type of an object, or the one that an extension derives it from."""
    for kind in type(thing).__mro__:
        if kind.__module__.partition(".")[0] == "pynwb":
            return kind.__name__
    return type(thing).__name__


def pick_item(items: Sequence[NwbItem], wanted: str, option: str) -> NwbItem:
    """Return the item with a path, or the only one whose path has this end.

    Raises:
        DataError: If there is none or several; the message lists them.
    """
    exact = [i for i in items if i.path == wanted]
    found = exact or [i for i in items if i.path.endswith("/" + wanted)]
    if len(found) == 1:
        return found[0]
    if found:
        raise DataError(
            f"{option}: {wanted!r} may be any of {', '.join(i.path for i in found)}; give the path"
        )
    names = [i.path for i in items]
    by_name = {i.name: i.path for i in items}
    near = nearest_names(wanted, [*names, *by_name])
    raise DataError(f"{option}: the file has no {wanted!r} ({near}); {_inspect_hint()}")


def only_item(items: Sequence[NwbItem], what: str, option: str) -> NwbItem:
    """Return the only candidate.

    Raises:
        DataError: If there is none or several; the message lists the candidates.
    """
    if len(items) == 1:
        return items[0]
    if not items:
        raise DataError(f"the file has no {what}; state `{option}`; {_inspect_hint()}")
    names = ", ".join(f"{i.path} ({i.kind})" for i in items)
    raise DataError(f"the file has {len(items)} {what}: {names}; choose with `{option}`")


def series_times(series: Any) -> np.ndarray:
    """Return the times of a series in seconds.

    Raises:
        DataError: If it has neither timestamps nor a rate.
    """
    if series.timestamps is not None:
        return read_whole(series.timestamps)
    n = series.num_samples
    if n is None or not series.rate:
        raise DataError(f"series {series.name!r} has neither timestamps nor a rate")
    return (series.starting_time or 0.0) + np.arange(n) / series.rate


def _inspect_hint() -> str:
    return "`freegaze inspect` lists what is there"


def _path_of(thing: Any, root: Any, prefixes: dict[int, str]) -> str:
    parts: list[str] = []
    node = thing
    while node is not None and node is not root:
        parts.insert(0, str(node.name))
        if id(node) in prefixes:
            parts.insert(0, prefixes[id(node)])
            break
        node = node.parent
    return "/".join(parts)


def _describe(item: NwbItem) -> dict[str, Any]:
    thing = item.thing
    if hasattr(thing, "colnames"):
        told = (f"{len(thing)} rows: {', '.join(thing.colnames)}", "", "")
    else:
        told = (_shape(thing), _rate(thing), str(thing.unit or ""))
    text = " ".join(str(getattr(thing, "description", "") or "").split())[:_SHOWN]
    names = ("name", "type", "shape", "rate", "unit", "description")
    return dict(zip(names, (item.path, item.kind, *told, text), strict=True))


def _shape(series: Any) -> str:
    files = getattr(series, "external_file", None)
    if files is not None and len(files):
        return "in " + ", ".join(str(f) for f in files)
    return str(tuple(getattr(series.data, "shape", None) or np.shape(series.data)))


def _rate(series: Any) -> str:
    if series.timestamps is None:
        return f"{series.rate:.6g} Hz" if series.rate else "none"
    step = typical_interval(np.sort(np.asarray(series.timestamps[:_LOOKED_AT], np.float64)))
    return f"about {1 / step:.4g} Hz, timestamps" if step else "timestamps"
