"""A shifter's displacement against the true one, which is known up to one shift and rotation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import root_scalar

from freegaze.errors import DataError
from freegaze.fitted.encoder import FittedEncoder
from freegaze.recording.recording import Recording
from freegaze.sources.simulation import load_truth


@dataclass(frozen=True)
class DisplacementFit:
    """Agreement of an estimated displacement with the true one.

    Args:
        aligned: True displacement (x px, y px, angle deg) in the estimate's own frame, (time, 3).
        rotation_deg: The common rotation that was applied to the true one: about the mean position,
            and added to the angle.
        shift_px: The common shift (x, y) that was applied after it.
        slope: Regression slope of the estimate on the aligned truth, for x, y and angle; 1 is
            perfect.
        rms: Root mean square of estimate minus aligned truth, for x, y (px) and angle (deg).
    """

    aligned: Float[np.ndarray, "time 3"]
    rotation_deg: float
    shift_px: tuple[float, float]
    slope: tuple[float, float, float]
    rms: tuple[float, float, float]


def compare_displacement(
    estimated: Float[np.ndarray, "time 3"],
    true: Float[np.ndarray, "time 3"],
    is_tracked: Bool[np.ndarray, " time"],
) -> DisplacementFit:
    """Compare displacements after one common shift and rotation.

    No response can determine a shift and rotation that are the same at all times, because the
    receptive fields would move along. This common displacement is fitted and removed.

    Args:
        estimated: The shifter's (x px, y px, angle deg) in each bin.
        true: The displacement that undoes the eye's true movement, in the same convention.
        is_tracked: Bins to compare in; the aligned truth is returned for all.

    Returns:
        Slopes and residuals.

    Raises:
        DataError: If fewer than three bins were tracked.

    Example:
        >>> true = np.random.default_rng(0).normal(size=(50, 3))
        >>> fit = compare_displacement(true + [3.0, -2.0, 0.0], true, np.ones(50, bool))
        >>> [round(v, 6) for v in fit.slope]
        [1.0, 1.0, 1.0]
    """
    if is_tracked.sum() < 3:
        raise DataError(f"comparing displacements needs 3 tracked bins, got {is_tracked.sum()}")
    ours, truth = estimated[is_tracked], true[is_tracked]
    turn = _common_turn(ours, truth)
    cos, sin = np.cos(turn), np.sin(turn)
    turned = true[:, :2] @ np.array([[cos, sin], [-sin, cos]])
    shift = ours[:, :2].mean(0) - turned[is_tracked].mean(0)
    angle = true[:, 2] + np.degrees(turn)
    aligned = np.column_stack([turned + shift, angle])
    rows = aligned[is_tracked]
    slopes = [float(np.polyfit(rows[:, i], ours[:, i], 1)[0]) for i in range(3)]
    rms = np.sqrt(((ours - rows) ** 2).mean(0)).tolist()
    return DisplacementFit(
        aligned,
        float(np.degrees(turn)),
        (float(shift[0]), float(shift[1])),
        (slopes[0], slopes[1], slopes[2]),
        (rms[0], rms[1], rms[2]),
    )


def displacement_against_truth(
    encoder: FittedEncoder, recordings: Sequence[Recording]
) -> dict[str, DisplacementFit]:
    """Compare a shifter with the eye's true movement, for sessions of the virtual mouse.

    Args:
        encoder: A fitted encoder.
        recordings: Sessions it was fitted on; those without a known truth are left out.

    Returns:
        The comparison on tracked bins by session; empty for an encoder without a shifter.

    Raises:
        DataError: If the truth of a simulated session is damaged.
    """
    fits = {}
    for recording in recordings:
        if "truth" not in recording.provenance:
            continue
        estimated = encoder.displacement(recording)
        if estimated is not None:
            truth = load_truth(recording.provenance["truth"])
            fits[recording.session_id] = compare_displacement(
                estimated, truth.best_affine, truth.is_tracked
            )
    return fits


def _common_turn(ours: np.ndarray, truth: np.ndarray) -> float:
    """Fit the one rotation (radians) of positions and angles together, by least squares.

    Turning the retina turns all positions about their mean and adds to all angles. Pixels are
    weighted by the spread of the true positions, degrees by the spread of the true angles, so that
    neither unit decides; the smaller of both spreads is at least a thousandth of the larger.
    """
    a, b = (points[:, :2] - points[:, :2].mean(0) for points in (truth, ours))
    cross = np.arctan2((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum(), (a * b).sum())
    offset = np.radians((ours[:, 2] - truth[:, 2]).mean())
    spread_px = np.sqrt((a**2).sum(1).mean())
    if spread_px == 0:
        return float(offset)
    spread_rad = max(np.radians(truth[:, 2].std()), 1e-3)
    length = np.hypot((a * b).sum(), (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum()) / len(a)

    def slope(turn: float) -> float:
        positions = length * np.sin(turn - cross) / spread_px**2
        return positions + (turn - offset) / spread_rad**2

    low, high = sorted((float(offset), float(offset + _wrapped(cross - offset))))
    return low if low == high else root_scalar(slope, bracket=(low, high)).root


def _wrapped(angle: float) -> float:
    """Return an angle in radians between minus and plus half a turn."""
    return (angle + np.pi) % (2 * np.pi) - np.pi
