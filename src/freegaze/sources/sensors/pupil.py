"""Pupil from points on its edge: least-squares circles and ellipses, all frames at once."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

MIN_POINTS = {"ellipse": 5, "circle": 3, "center": 1}
"""Fewest points that determine each shape."""


def fit_pupil(
    points: Float[np.ndarray, "time point 2"], is_good: Bool[np.ndarray, "time point"], shape: str
) -> Float[np.ndarray, "time 5"]:
    """Fit one shape to each frame's good points.

    Args:
        points: (x, y) in px.
        is_good: Whether to use each point.
        shape: ``ellipse``, ``circle`` or ``center``.

    Returns:
        Per frame: x and y of the center, half the long axis and half the short axis, all in px, and
        the direction of the long axis in radians from x towards y, -pi/2..pi/2. The axes are NaN
        for ``center``; a circle has equal axes of direction 0. A frame is NaN if it has too few
        good points, or no such shape passes through them.

    Source:
        Ellipses: Halir and Flusser (1998), "Numerically stable direct least squares fitting of
        ellipses"; circles: Kasa (1976).

    Example:
        >>> angle = np.linspace(0, 2 * np.pi, 8, endpoint=False)
        >>> edge = np.stack([20 + 5 * np.cos(angle), 10 + 3 * np.sin(angle)], axis=-1)[None]
        >>> fit_pupil(edge, np.ones((1, 8), dtype=bool), "ellipse")[:, :4].round(6)
        array([[20., 10.,  5.,  3.]])
    """
    out = np.full((len(points), 5), np.nan)
    used = is_good & np.isfinite(points).all(-1)
    n_good = used.sum(1)
    frames = n_good >= MIN_POINTS[shape]
    if not frames.any():
        return out
    weight, xy = used[frames].astype(np.float64), np.where(used[..., None], points, 0.0)[frames]
    with np.errstate(all="ignore"):  # points that coincide or are huge: not finite, so lost
        center = xy.sum(1) / n_good[frames][:, None]
        if shape == "center":
            out[frames, :2] = center
            return out
        x, y = ((xy - center[:, None]) * weight[..., None]).transpose(2, 0, 1)
        scale = np.sqrt((x**2 + y**2).sum(1) / n_good[frames])
        x, y = np.nan_to_num(x / scale[:, None]), np.nan_to_num(y / scale[:, None])
        fit = _ellipse if shape == "ellipse" else _circle
        fitted = fit(x, y, weight)
        fitted[:, :4] *= scale[:, None]
    fitted[:, :2] += center
    fitted[~np.isfinite(fitted).all(1)] = np.nan
    out[frames] = fitted
    return out


def _circle(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Solve x^2 + y^2 = 2 a x + 2 b y + c."""
    design = np.stack([2 * x, 2 * y, weight], axis=-1)
    square = x**2 + y**2
    normal = design.transpose(0, 2, 1) @ design
    a, b, c = (_inverse(normal) @ (design.transpose(0, 2, 1) @ square[..., None]))[..., 0].T
    radius = np.sqrt(c + a**2 + b**2)
    return np.stack([a, b, radius, radius, np.zeros_like(radius)], axis=-1)


def _ellipse(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Solve a x^2 + b x y + c y^2 + d x + e y + f = 0 with 4 a c - b^2 > 0."""
    square = np.stack([x**2, x * y, y**2], axis=-1)
    linear = np.stack([x, y, weight], axis=-1)
    s1 = square.transpose(0, 2, 1) @ square
    s2 = square.transpose(0, 2, 1) @ linear
    s3 = linear.transpose(0, 2, 1) @ linear
    to_linear = -_inverse(s3) @ s2.transpose(0, 2, 1)
    reduced = s1 + s2 @ to_linear
    matrix = np.stack([reduced[:, 2] / 2, -reduced[:, 1], reduced[:, 0] / 2], axis=1)
    vectors = np.real(np.linalg.eig(np.nan_to_num(matrix))[1])
    is_ellipse = 4 * vectors[:, 0] * vectors[:, 2] - vectors[:, 1] ** 2
    best = np.argmax(is_ellipse, axis=1)
    quadratic = np.take_along_axis(vectors, best[:, None, None], axis=2)[..., 0]
    a, b, c = quadratic.T
    d, e, f = (to_linear @ quadratic[..., None])[..., 0].T
    determinant = 4 * a * c - b**2
    determinant = np.where(determinant > 1e-12, determinant, np.nan)
    x0, y0 = (b * e - 2 * c * d) / determinant, (b * d - 2 * a * e) / determinant
    level = -(f + (d * x0 + e * y0) / 2)
    sign = np.sign(a + c)  # the quadratic form is definite; of either sign
    spread = sign * np.sqrt((a - c) ** 2 + b**2)
    smallest, largest = (a + c - spread) / 2, (a + c + spread) / 2
    direction = np.arctan2(-sign * b, sign * (c - a)) / 2  # of the long axis
    return np.stack(
        [x0, y0, np.sqrt(level / smallest), np.sqrt(level / largest), direction], axis=-1
    )


def _inverse(matrices: np.ndarray) -> np.ndarray:
    """Invert matrices; a singular one (all points on a line) gives NaN."""
    is_regular = np.linalg.cond(matrices) < 1e12
    safe = np.where(is_regular[:, None, None], matrices, np.eye(matrices.shape[-1]))
    return np.where(is_regular[:, None, None], np.linalg.inv(safe), np.nan)
