"""Head posture from an accelerometer and a gyroscope on the head.

Axes of the head: x forward (nose), y left, z up. At rest the accelerometer measures +1 g along the
axis that points up. The gyroscope is right-handed: a positive rate about z turns the head to the
left. From these, pitch is positive with the nose up, roll with the right side down, and yaw
velocity to the left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.signal import oaconvolve

from freegaze.errors import DataError

_REST_G = 0.1
"""Within 0.1 g of 1 g, the accelerometer is assumed to measure gravity alone."""

_WINDOW_S = 0.5
"""Turns of the gyroscope and of gravity are compared over windows of half a second."""

_MIN_WINDOWS = 20
"""Fewer windows do not determine the gains of three axes."""

_TURNED_RAD, _SURE_GAIN = np.deg2rad(0.5), 0.25
"""A gain is determined where gravity turns by half a degree per window, to a standard error of a
quarter."""

_SURE_BIAS = np.deg2rad(1.0)
"""A bias is corrected where its standard error is below 1 degree per second."""

_AXES = ("forward", "left", "up")


@dataclass(frozen=True)
class HeadPosture:
    """Posture of the head at each sample.

    Args:
        pitch_deg: Nose up is positive, -90..90.
        roll_deg: Right side down is positive, -180..180.
        yaw_velocity_deg_s: Turning to the left about the vertical is positive.
        quality: ``gravity_g`` (median length of the acceleration, 1 expected), ``share_at_rest``
            (of samples within 0.1 g of 1 g), ``tilt_error_deg`` (median angle between filtered
            gravity and the accelerometer at rest), and the gains ``gain_forward``, ``gain_left``
            and ``gain_up``: turns of gravity in the accelerometer per turn about each axis of the
            gyroscope, 1 expected, NaN where the head hardly tilts about it; and the biases of the
            gyroscope that were corrected, ``bias_forward_deg_s`` and so on.
    """

    pitch_deg: Float[np.ndarray, " time"]
    roll_deg: Float[np.ndarray, " time"]
    yaw_velocity_deg_s: Float[np.ndarray, " time"]
    quality: dict[str, float]


def head_posture(
    times: Float[np.ndarray, " time"],
    acceleration_g: Float[np.ndarray, "time 3"],
    rotation_deg_s: Float[np.ndarray, "time 3"],
    smoothing_s: float = 1.0,
    max_gap_s: float = np.inf,
    where: str = "head",
) -> HeadPosture:
    """Estimate pitch, roll and yaw velocity of the head.

    A complementary filter without delay has three steps. The integrated gyroscope rotates
    accelerations into a frame that hardly turns in the room. There, a Gaussian average over
    ``smoothing_s`` separates gravity. Rotated back, gravity gives pitch and roll. Forces of the
    movement average out. The bias of the gyroscope is estimated beforehand, from turns of gravity
    over half a second.

    Args:
        times: Times of the samples, in order, in seconds.
        acceleration_g: Along forward, left and up in g; NaN where lost.
        rotation_deg_s: About forward, left and up in degrees per second; NaN where lost.
        smoothing_s: Standard deviation of the average.
        max_gap_s: After a wider gap, and after lost samples, the filter starts anew.
        where: Stream, for messages.

    Returns:
        The posture; NaN where samples are lost.

    Raises:
        DataError: If the accelerations are not in g, the head is upside down for most of the
            session, or an axis of the gyroscope turns against gravity.

    Example:
        >>> times = np.arange(300) / 100.0
        >>> nose_up = np.tile([np.sin(np.pi / 6), 0.0, np.cos(np.pi / 6)], (300, 1))
        >>> posture = head_posture(times, nose_up, np.zeros((300, 3)))
        >>> posture.pitch_deg[:2].round(6), posture.roll_deg[:2].round(6)
        (array([30., 30.]), array([0., 0.]))
    """
    sensors = np.concatenate([acceleration_g, rotation_deg_s], axis=1)
    known = np.asarray(np.isfinite(sensors).all(1))
    length = np.linalg.norm(acceleration_g[known], axis=1)
    gravity = float(np.median(length)) if len(length) else float("nan")
    if not 0.5 < gravity < 2.0:
        raise DataError(
            f"{where}: the median acceleration is {gravity:.3g} g, expected about 1 g; state "
            "`acceleration_unit`, or `acceleration_scale` in g per unit"
        )
    upright = float(np.median(acceleration_g[known, 2]))
    if upright < 0:
        raise DataError(
            f"{where}: the median acceleration along `up` is {upright:.2f} g, expected a positive "
            "one; at rest the axis that points up reads +1 g. Correct `axes` (flip all signs of "
            "the acceleration where the device gives the direction of gravity)"
        )
    rotation = np.deg2rad(rotation_deg_s)
    parts = _contiguous(times, known, max_gap_s)
    found = _compare(times, acceleration_g, rotation, parts)
    _check_signs(found, where)
    rotation = rotation - found.bias
    up = np.full(acceleration_g.shape, np.nan)
    for part in parts:
        up[part] = _filtered_up(times[part], acceleration_g[part], rotation[part], smoothing_s)
    quality = {
        "gravity_g": gravity,
        "share_at_rest": float((np.abs(length - 1) < _REST_G).mean()),
        "tilt_error_deg": _tilt_error(up[known], acceleration_g[known]),
        **{f"gain_{k}": float(g) for k, g in zip(_AXES, found.gain, strict=True)},
        **{f"bias_{k}_deg_s": float(np.rad2deg(b)) for k, b in zip(_AXES, found.bias, strict=True)},
    }
    with np.errstate(invalid="ignore"):
        pitch = np.rad2deg(np.arcsin(np.clip(up[:, 0], -1, 1)))
        roll = np.rad2deg(np.arctan2(up[:, 1], up[:, 2]))
    return HeadPosture(pitch, roll, np.rad2deg((rotation * up).sum(1)), quality)


def _contiguous(times: np.ndarray, known: np.ndarray, max_gap_s: float) -> list[np.ndarray]:
    """Return the indices of known samples, cut where one is lost or a gap is too wide."""
    at = np.flatnonzero(known)
    cuts = np.flatnonzero((np.diff(at) > 1) | (np.diff(times[at]) > max_gap_s)) + 1
    return [part for part in np.split(at, cuts) if len(part)]


def _filtered_up(
    times: np.ndarray, acceleration: np.ndarray, rotation: np.ndarray, smoothing_s: float
) -> np.ndarray:
    """Return the unit vector that points up, in head axes, at each of contiguous samples."""
    turned = _attitudes(times, rotation)
    steady = _rotate(turned, acceleration)
    step = (times[-1] - times[0]) / max(len(times) - 1, 1)
    sd = smoothing_s / step if step > 0 else 1.0
    reach = int(min(np.ceil(3 * sd), len(times) - 1))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sd) ** 2)
    weights = oaconvolve(np.ones(len(times)), kernel)[reach : reach + len(times)]
    smooth = oaconvolve(steady, kernel[:, None], axes=0)[reach : reach + len(times)]
    smooth = smooth / weights[:, None]
    up = _rotate(turned * [1, -1, -1, -1], smooth)
    return up / np.linalg.norm(up, axis=1, keepdims=True)


def _attitudes(times: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """Integrate rates in head axes to quaternions (w, x, y, z) that turn head into room axes."""
    steps = np.diff(times, prepend=times[:1])[:, None] * (
        rotation + np.concatenate([rotation[:1], rotation[:-1]])
    )
    half = steps / 4  # half of the mean rate times the step
    angle = np.linalg.norm(half, axis=1, keepdims=True)
    turns = np.concatenate([np.cos(angle), half * np.sinc(angle / np.pi)], axis=1)
    return _running_product(turns)


def _running_product(turns: np.ndarray) -> np.ndarray:
    """Return the cumulative product of quaternions, computed in blocks to be fast."""
    n = len(turns)
    width = max(1, int(np.sqrt(n)))
    n_blocks = -(-n // width)
    padded = np.tile([1.0, 0.0, 0.0, 0.0], (n_blocks * width, 1))
    padded[:n] = turns
    blocks = padded.reshape(n_blocks, width, 4)
    for k in range(1, width):
        blocks[:, k] = _multiply(blocks[:, k - 1], blocks[:, k])
    before = blocks[0, -1]
    for k in range(1, n_blocks):
        blocks[k] = _multiply(before[None], blocks[k])
        before = blocks[k, -1] / np.linalg.norm(blocks[k, -1])
    product = blocks.reshape(-1, 4)[:n]
    return product / np.linalg.norm(product, axis=1, keepdims=True)


def _multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    w = a[..., :1] * b[..., :1] - (a[..., 1:] * b[..., 1:]).sum(-1, keepdims=True)
    v = a[..., :1] * b[..., 1:] + b[..., :1] * a[..., 1:] + np.cross(a[..., 1:], b[..., 1:])
    return np.concatenate([w, v], axis=-1)


def _rotate(quaternions: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    w, axis = quaternions[:, :1], quaternions[:, 1:]
    twice = 2 * np.cross(axis, vectors)
    return vectors + w * twice + np.cross(axis, twice)


def _tilt_error(up: np.ndarray, acceleration: np.ndarray) -> float:
    """Return the median angle in degrees between filtered gravity and the accelerometer at rest."""
    length = np.linalg.norm(acceleration, axis=1)
    rests = np.abs(length - 1) < _REST_G
    if not rests.any():
        return float("nan")
    cosine = (up[rests] * acceleration[rests]).sum(1) / length[rests]
    return float(np.rad2deg(np.median(np.arccos(np.clip(cosine, -1, 1)))))


@dataclass(frozen=True)
class _Comparison:
    """Turns of gravity against those of the gyroscope, one number per axis.

    Args:
        gain: Turns of gravity per turn of the gyroscope, NaN where they are not determined.
        gain_se: Standard error of it.
        bias: Bias of the gyroscope in rad/s, 0 where it is not determined.
    """

    gain: Float[np.ndarray, " 3"]
    gain_se: Float[np.ndarray, " 3"]
    bias: Float[np.ndarray, " 3"]


def _compare(
    times: np.ndarray, acceleration: np.ndarray, rotation: np.ndarray, parts: list[np.ndarray]
) -> _Comparison:
    """Regress turns of gravity in the accelerometer on turns in the gyroscope.

    A direction fixed in the room turns by ``-rotation x up`` in head axes, one term per axis of the
    gyroscope; each axis has a gain and a bias of its own.
    """
    rows = [_window_terms(times, acceleration, rotation, part) for part in parts]
    design = np.concatenate([np.empty((0, 6)), *(design for design, _ in rows)])
    target = np.concatenate([np.empty(0), *(target for _, target in rows)])
    if len(target) < 3 * _MIN_WINDOWS:
        return _Comparison(np.full(3, np.nan), np.full(3, np.inf), np.zeros(3))
    found = np.linalg.lstsq(design, target, rcond=None)[0]
    variance = ((target - design @ found) ** 2).sum() / max(len(target) - 6, 1)
    se = np.sqrt(variance * np.abs(np.diag(np.linalg.pinv(design.T @ design))))
    turned = np.sqrt((design[:, :3] ** 2).mean(0))
    is_sure = (turned > _TURNED_RAD) & (se[:3] < _SURE_GAIN)
    bias = np.where(se[3:] < _SURE_BIAS, -found[3:], 0.0)
    return _Comparison(np.where(is_sure, found[:3], np.nan), se[:3], bias)


def _window_terms(
    times: np.ndarray, acceleration: np.ndarray, rotation: np.ndarray, part: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the terms of contiguous samples, (3 * change, 6), and the changes of gravity."""
    step = float(times[part[-1]] - times[part[0]]) / max(len(part) - 1, 1)
    width = max(2, round(_WINDOW_S / step)) if step > 0 else len(part)
    n = len(part) // width
    if n < 2:
        return np.empty((0, 6)), np.empty(0)
    part = part[: n * width]
    up = acceleration[part] / np.linalg.norm(acceleration[part], axis=1, keepdims=True)
    columns = []
    for weights in (rotation[part], np.ones((len(part), 3))):
        for k in range(3):
            term = weights[:, k, None] * np.cross(up, np.eye(3)[k])
            columns.append(_change(term.reshape(n, width, 3)) * step)
    means = acceleration[part].reshape(n, width, 3).mean(1)
    return np.stack(columns, axis=-1).reshape(-1, 6), np.diff(means, axis=0).reshape(-1)


def _change(rates: np.ndarray) -> np.ndarray:
    """Sum rates, (window, sample, 3), to the change between the means of neighboring windows.

    That change is the rate weighted with a triangle over both windows.
    """
    ramp = ((np.arange(rates.shape[1]) + 0.5) / rates.shape[1])[None, :, None]
    return (rates * ramp).sum(1)[:-1] + (rates * (1 - ramp)).sum(1)[1:]


def _check_signs(found: _Comparison, where: str) -> None:
    for name, gain, se in zip(_AXES, found.gain.tolist(), found.gain_se.tolist(), strict=True):
        if gain + 3 * se < 0:  # never where it is NaN
            raise DataError(
                f"{where}: the gyroscope about `{name}` turns against gravity (gain {gain:.2f} +- "
                f"{se:.2f}, expected 1); flip the sign of this axis of the rotation"
            )
