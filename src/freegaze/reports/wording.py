"""Numbers as text: few digits, true minus signs, units."""

from __future__ import annotations

import math

MINUS = "\N{MINUS SIGN}"
NO_VALUE = "\N{EN DASH}"

LEVEL = "95\N{NO-BREAK SPACE}%"
"""Level of all intervals, as ``freegaze.metrics.intervals`` makes them."""


def number(value: float, digits: int = 3) -> str:
    """Write a number with as many significant digits as asked for.

    Args:
        value: Any number; NaN and infinities have no digits to show.
        digits: Significant digits.

    Returns:
        Text such as ``"0.312"`` or ``"−12.5"``; an en dash where there is no value.

    Example:
        >>> number(0.31249), number(1234.6), number(0.0)
        ('0.312', '1235', '0')
    """
    if value is None or not math.isfinite(value):
        return NO_VALUE
    if value == 0:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:.{min(decimals, 6)}f}".replace("-", MINUS)


def fixed(value: float, decimals: int = 3) -> str:
    """Write a number with fixed decimals, for columns that line up."""
    if value is None or not math.isfinite(value):
        return NO_VALUE
    rounded = round(value, decimals) + 0.0  # there is no such number as -0.000
    return f"{rounded:.{decimals}f}".replace("-", MINUS)


def interval(low: float, high: float, decimals: int = 3) -> str:
    """Write an interval: ``"0.21 to 0.34"``; an en dash where there is none."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return NO_VALUE
    return f"{fixed(low, decimals)} to {fixed(high, decimals)}"


def duration(seconds: float) -> str:
    """Write a length of time in the unit that suits it.

    Example:
        >>> duration(42.0), duration(600.0), duration(8000.0)
        ('42 s', '10.0 min', '2 h 13 min')
    """
    if seconds < 1:
        return "less than 1 s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.1f} min"
    return f"{seconds // 3600:.0f} h {seconds % 3600 / 60:.0f} min"


def count(n: int, noun: str) -> str:
    """Write a count with its noun: ``"1 neuron"``, ``"12 neurons"``."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def listing(words: list[str], most: int = 3) -> str:
    """Join words as a sentence does; beyond ``most`` only count the rest."""
    shown = words[:most]
    if len(words) > most:
        return ", ".join(shown) + f" and {len(words) - most} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def shorten(name: str, most: int = 40) -> str:
    """Leave out the middle of a long name, so that it fits beside a figure.

    Example:
        >>> shorten("abcdefghij", most=5)
        'ab…ij'
    """
    if len(name) <= most:
        return name
    kept = (most - 1) // 2
    return f"{name[: most - 1 - kept]}…{name[len(name) - kept :]}"
