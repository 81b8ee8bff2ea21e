"""Small pictures of numbers: one color scale symmetric about zero, PNG files without a library.

Blue is below zero and orange above, two colors that color-blind readers can distinguish. Both grow
darker with size, so that a gray copy still shows large values.
"""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.colors import Colormap, LinearSegmentedColormap, to_rgb

from freegaze.reports.style import HAIRLINE

DIVERGING = ("#002b49", "#0072b2", "#9cc8e2", "#fbfbf9", "#f3c096", "#d55e00", "#571f00")
"""From the most negative to the most positive value, evenly spaced; the middle is 0."""

SEQUENTIAL = ("#f4f4f1", "#9cc8e2", "#0072b2", "#002b49")
"""From 0 to the largest value, where there is nothing below 0."""

N_LEVELS = 101
"""Steps of 2 % of the largest value: finer than visible, and compressed to a third."""


def symmetric_limit(values: Float[np.ndarray, "*shape"]) -> float:
    """Return the largest size among values, which is where the color scale ends; 0 if flat."""
    known = np.abs(values[np.isfinite(values)])
    return float(known.max()) if known.size else 0.0


def diverging_png(values: Float[np.ndarray, "height width"], limit: float) -> str:
    """Draw numbers as a picture, a pixel each.

    Args:
        values: The numbers; what is not finite is drawn as 0.
        limit: Value of the ends of the scale, which runs from ``-limit`` to ``limit``.

    Returns:
        A ``data:`` address of a PNG file, to be set into a page.
    """
    half = N_LEVELS // 2
    scaled = np.nan_to_num(values.astype(np.float64)) / limit if limit else np.zeros(values.shape)
    codes = np.rint(half * np.clip(scaled, -1, 1)).astype(int) + half
    return _data_address(_png(codes.astype(np.uint8), _palette(DIVERGING)))


def css_gradient(colors: tuple[str, ...]) -> str:
    """Return a color scale as a CSS background, from left to right."""
    return f"linear-gradient(90deg, {', '.join(colors)})"


def sequential_map() -> Colormap:
    """Return the scale from 0 up for figures; missing values are gray."""
    colors = LinearSegmentedColormap.from_list("sequential", SEQUENTIAL)
    return colors.with_extremes(bad=HAIRLINE)


def _palette(colors: tuple[str, ...]) -> UInt8[np.ndarray, "level 3"]:
    stops = np.linspace(0, 1, len(colors))
    channels = np.array([to_rgb(color) for color in colors]).T
    levels = np.linspace(0, 1, N_LEVELS)
    mixed = np.stack([np.interp(levels, stops, channel) for channel in channels], 1)
    return np.rint(255 * mixed).astype(np.uint8)


def _png(codes: UInt8[np.ndarray, "height width"], palette: UInt8[np.ndarray, "level 3"]) -> bytes:
    """Write a picture with a palette. Source: PNG specification, third edition (W3C, 2025)."""
    height, width = codes.shape
    unfiltered = np.concatenate([np.zeros((height, 1), np.uint8), codes], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)  # 8 bits, by palette
    parts = (
        (b"IHDR", header),
        (b"PLTE", palette.tobytes()),
        (b"IDAT", zlib.compress(unfiltered.tobytes(), 9)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in parts)


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


def _data_address(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()
