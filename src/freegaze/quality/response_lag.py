"""Lag of responses behind video and behavior: a check of the neural clock.

Changes of a stimulus are followed by responses at one latency. The lag at which responses follow
changes of the video and of behavior best is that latency plus the error of the clocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float

from freegaze.quality.grades import Check, Scale
from freegaze.recording.recording import Recording, ResponseKind
from freegaze.standard_scores import standardize

RESPONSE_LAG = Scale("response_lag", "Lag of responses", "s beyond a plausible lag", 0.1, 0.3)
"""Clocks that differ by a tenth of a second put responses two frames of 48 ms away."""

PLAUSIBLE_S = {"video": (-0.05, 0.3), "behavior": (-0.5, 0.5)}
"""Cortex answers 0.03 to 0.2 s after a change of the video, and activity may begin before the
movement that it accompanies. Calcium indicators add up to `INDICATOR_S`."""
INDICATOR_S = 0.7

MIN_DURATION_S = 180.0
MAX_WIDTH_S = 0.1
LONGEST_LAG_S = 2.0
FAR_S = (3.0, 8.0)
"""Lags at which nothing is shared: their strengths are what chance gives."""
CLEAR = 8.0
"""A peak is clear from this many standard deviations of the strengths at far lags on."""

GRID = (4, 6)
MOST_NEURONS = 40
MOST_BINS = 60_000
MIN_FAR = 10


@dataclass(frozen=True)
class LagCurve:
    """Strength with which responses follow a stream, by lag.

    Args:
        lags_s: Lags; positive where responses come later.
        strength: Sum of squared correlations at each lag, in standard deviations above its mean at
            far lags; NaN where segments are too short for far lags.
    """

    lags_s: Float[np.ndarray, " lag"]
    strength: Float[np.ndarray, " lag"]

    @property
    def is_clear(self) -> bool:
        """Return whether there is a lag at which responses follow the stream."""
        return bool(np.isfinite(self.strength).all() and self.strength.max() > CLEAR)

    @property
    def lag_s(self) -> float:
        """Lag of the largest strength."""
        return float(self.lags_s[np.argmax(self.strength)])


def check_response_lag(recording: Recording) -> Check:
    """Grade the lag of responses behind changes of video and behavior.

    Data, for ``video`` and ``behavior`` where they were measured: ``{stream}_lags_s`` and
    ``{stream}_strength`` (n_lags,).
    """
    if recording.bin_width_s > MAX_WIDTH_S:
        return RESPONSE_LAG.not_available(
            f"bins of {recording.bin_width_s * 1e3:.0f} ms are too coarse to know a lag"
        )
    if recording.duration_s < MIN_DURATION_S:
        return RESPONSE_LAG.not_available(f"the recording is shorter than {MIN_DURATION_S:g} s")
    streams = {"video": _block_means(recording), "behavior": recording.behavior}
    curves = {
        name: measure_response_lag(recording, values.astype(np.float64))
        for name, values in streams.items()
        if values.size
    }
    clear = {name: curve.lag_s for name, curve in curves.items() if curve.is_clear}
    data = {f"{name}_lags_s": curve.lags_s for name, curve in curves.items()}
    data |= {f"{name}_strength": curve.strength for name, curve in curves.items()}
    if not clear:
        return RESPONSE_LAG.not_available(
            "responses follow neither video nor behavior clearly enough to know a lag"
        )
    latest = INDICATOR_S if recording.response_kind is not ResponseKind.SPIKE_COUNTS else 0.0
    beyond = [
        max(PLAUSIBLE_S[name][0] - lag, lag - PLAUSIBLE_S[name][1] - latest, 0.0)
        for name, lag in clear.items()
    ]
    found = " and ".join(f"{name} by {lag * 1e3:.0f} ms" for name, lag in clear.items())
    sentence = f"Responses follow {found}"
    sentence += "".join(f"; {n} is not checked (no clear lag)" for n in curves if n not in clear)
    if max(beyond) >= RESPONSE_LAG.amber:
        sentence += ": the clock of the neurons is off, or a stream is shifted"
    return RESPONSE_LAG.grade(max(beyond), f"{sentence}.", **data)


def measure_response_lag(
    recording: Recording, stream: Float[np.ndarray, "time column"]
) -> LagCurve:
    """Correlate changes of a stream with responses at each lag.

    Changes are nearly white, so that the peak is where the response is and not where a slow state
    is. The neurons with the most variable responses are taken, `MOST_NEURONS` of them.

    Args:
        recording: The session.
        stream: Values in each bin; NaN where lost.

    Returns:
        The strength at lags up to `LONGEST_LAG_S`.
    """
    n_bins, width_s = min(recording.n_bins, MOST_BINS), recording.bin_width_s
    segment = recording.segment_index()[:n_bins]
    change = np.diff(stream[:n_bins], axis=0, prepend=stream[:1])
    change[np.r_[True, segment[1:] != segment[:-1]]] = 0.0
    change = standardize(np.nan_to_num(change))
    responses = recording.responses[:n_bins].astype(np.float64)
    if recording.response_kind is not ResponseKind.FLUORESCENCE:
        responses = np.sqrt(responses)  # the variance of counts is then nearly that of any rate
    loudest = np.argsort(-responses.var(0), kind="stable")[:MOST_NEURONS]
    responses = standardize(responses[:, loudest])
    reach = round(LONGEST_LAG_S / width_s)
    near = np.arange(-reach, reach + 1)
    far = np.linspace(FAR_S[0] / width_s, FAR_S[1] / width_s, 2 * MIN_FAR).astype(int)
    strength = partial(_strength, change, responses, segment)
    chance = np.array([strength(lag) for lag in np.concatenate([-far, far]).tolist()])
    found = np.array([strength(lag) for lag in near.tolist()])
    chance = chance[np.isfinite(chance)]
    if len(chance) < MIN_FAR or not chance.std() > 0:
        return LagCurve(near * width_s, np.full(len(near), np.nan))
    return LagCurve(near * width_s, (found - chance.mean()) / chance.std(ddof=1))


def _strength(change: np.ndarray, responses: np.ndarray, segment: np.ndarray, lag: int) -> float:
    """Sum the squared correlations of changes with responses ``lag`` bins later."""
    n_bins = len(segment)
    before = np.arange(max(0, -lag), n_bins - max(0, lag))
    inside = segment[before] == segment[before + lag]
    if inside.sum() < n_bins / 2:
        return np.nan
    if not inside.all():
        before = before[inside]
    r = change[before].T @ responses[before + lag] / len(before)
    return float((r**2).sum())


def _block_means(recording: Recording) -> Float[np.ndarray, "time block"]:
    """Mean gray level of the blocks of a coarse grid in each bin's frame."""
    height, width = recording.frame_size
    rows, columns = (
        np.arange(min(n, size)) * size // min(n, size)
        for n, size in zip(GRID, (height, width), strict=True)
    )
    n_bins = min(recording.n_bins, MOST_BINS)
    used, place = np.unique(recording.frame_index[:n_bins], return_inverse=True)
    means = np.empty((len(used), len(rows) * len(columns)))
    for start in range(0, len(used), 4096):
        frames = recording.frames[used[start : start + 4096]].astype(np.float32)
        blocks = np.add.reduceat(np.add.reduceat(frames, rows, axis=1), columns, axis=2)
        means[start : start + 4096] = blocks.reshape(len(frames), -1)
    return means[place]
