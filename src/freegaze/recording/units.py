"""Units of behavior columns: conversion to the unit of the data dictionary."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

_DEFINITIONS = (
    *("kilo- = 1e3 = k-", "centi- = 1e-2 = c-", "milli- = 1e-3 = m-", "micro- = 1e-6 = u- = µ-"),
    *("radian = [angle] = rad", "degree = 0.017453292519943295 radian = deg"),
    *("arcminute = 0.0002908882086657216 radian = arcmin", "turn = 6.283185307179586 radian = rev"),
    *("meter = [length] = m = metre", "inch = 0.0254 meter = in", "pixel = [picture] = px"),
    *("second = [time] = s = sec", "minute = 60 second = min", "hour = 3600 second = h"),
)
"""Units of position, angle, picture and time. Pint's own registry is not used: it takes an angle
for a plain number, so that deg/s would be converted to Hz, and px for 1/96 inch."""

_UNSTATED = {"", "n.a.", "na", "n/a", "none", "unknown", "unstated", "a.u.", "au", "arb", "1"}
_MOST_LETTERS = 40


def is_stated(unit: str) -> bool:
    """Return whether a text names a unit at all.

    Example:
        >>> is_stated("cm/s"), is_stated("n.a.")
        (True, False)
    """
    return unit.strip().lower() not in _UNSTATED


def conversion_factor(unit: str, wanted: str) -> float | None:
    """Return the factor that converts values of one unit to another.

    Args:
        unit: Unit as a file gives it, such as ``radians``, ``m/s`` or ``cm s-1``.
        wanted: Unit of the result.

    Returns:
        The factor; ``None`` where either is no known unit or they measure different things.

    Example:
        >>> conversion_factor("m/s", "cm/s"), conversion_factor("mm", "px")
        (100.0, None)
    """
    if unit == wanted:
        return 1.0
    parsed, target = _parse(unit), _parse(wanted)
    if parsed is None or target is None or parsed.dimensionality != target.dimensionality:
        return None
    return float((1.0 * parsed).to(target).magnitude)


@cache
def _registry() -> Any:
    """Make the registry of units when it is first used: pint takes a while to import."""
    import pint

    registry = pint.UnitRegistry(None)  # type: ignore[arg-type] - empty, as pint documents
    for line in _DEFINITIONS:
        registry.define(line)
    return registry


@cache
def _parse(unit: str) -> Any:
    text = unit.strip().lower()
    if not is_stated(text) or len(text) > _MOST_LETTERS:
        return None
    text = text.replace("·", " ").replace(".", " ").replace("°", "degree")
    text = re.sub(r"\bdps\b", "degree/second", text)
    text = re.sub(r"(?<=[a-z])(-?\d)", r"**\1", text)  # s-1 and mm2 as MATLAB users write them
    try:
        parsed = _registry().parse_units(text)
    except Exception:  # pint raises errors of many types on text that is no unit
        return None
    return None if parsed.dimensionless else parsed
