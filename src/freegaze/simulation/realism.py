"""The realism card: statistics of the virtual mouse compared with those of real mice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from freegaze.errors import DataError
from freegaze.metrics.correlation import single_bin_correlation
from freegaze.recording.recording import Recording
from freegaze.registry import require_names
from freegaze.simulation.body_statistics import body_statistics
from freegaze.simulation.processes import BIN_S
from freegaze.simulation.replay import retinal_pictures
from freegaze.simulation.targets import TARGETS, Target
from freegaze.simulation.truth import Truth

N_SPECTRUM_PICTURES = 200
"""Retinal frames whose spectra are averaged."""

LOWEST_CPD, HIGHEST_SHARE = 0.02, 0.6
"""Range of the fit: from two cycles in the height of the frame to 0.6 of the highest frequency
that its pixels can carry (0.2 cycles per degree at 1.5 degrees per pixel)."""

NOISE_WINDOW_S = 1.0
"""Window of the pairwise noise correlation."""


@dataclass(frozen=True)
class CardRow:
    """One line of the card.

    Args:
        target: Name, unit, real value and tolerance.
        simulated: Value of each session; empty where nothing was handed in.
    """

    target: Target
    simulated: tuple[float, ...]

    @property
    def value(self) -> float:
        """Mean over simulated sessions; NaN without a session."""
        return float(np.mean(self.simulated)) if self.simulated else float("nan")

    @property
    def is_within(self) -> bool | None:
        """Return whether the mean is within the tolerance; ``None`` without a comparison."""
        bounds = self.target.bounds
        if bounds is None or not self.simulated:
            return None
        return bounds[0] <= self.value <= bounds[1]


def realism_card(
    recordings: Sequence[Recording],
    truths: Sequence[Truth],
    model_scores: Mapping[str, float] | None = None,
) -> dict[str, CardRow]:
    """Measure simulated sessions on everything that is known of real ones.

    Args:
        recordings: Simulated sessions, all their neurons.
        truths: Truth of each session, in the same order.
        model_scores: Mean smoothed correlations of fitted encoders by the names of the card's
            "models" section; rows without a value stay open.

    Returns:
        Rows by name, in the order of the card.

    Raises:
        DataError: If there are not as many truths as recordings, or none, or a score has a name
            that the card does not know.
    """
    if not recordings or len(recordings) != len(truths):
        raise DataError(
            f"a realism card needs as many truths as recordings, and at least one of each; got "
            f"{len(recordings)} recordings and {len(truths)} truths"
        )
    scores = dict(model_scores or {})
    known = {t.name for t in TARGETS if t.section == "models"}
    require_names(scores, known, "unknown model score")
    sessions = [
        body_statistics(truth.path)
        | {"slope of the power spectrum": spectrum_slope(truth)}
        | neural_statistics(recording, truth)
        for recording, truth in zip(recordings, truths, strict=True)
    ]
    rows = {}
    for target in TARGETS:
        values = [s[target.name] for s in sessions if target.name in s]
        if target.name in scores:
            values = [scores[target.name]]
        rows[target.name] = CardRow(target, tuple(values))
    return rows


def spectrum_slope(truth: Truth) -> float:
    """Return the exponent of the power spectrum on the retina, about -2 in natural images.

    Args:
        truth: Truth of the session.

    Returns:
        Slope of log power on log spatial frequency, averaged over directions and frames.
    """
    bins = np.linspace(0, len(truth.oracle) - 1, N_SPECTRUM_PICTURES).astype(int)
    pictures = retinal_pictures(truth, bins)
    height, width = pictures.shape[1:]
    window = np.hanning(height)[:, None] * np.hanning(width)
    contrast = (pictures - pictures.mean(axis=(1, 2), keepdims=True)) * window
    power = (np.abs(np.fft.rfft2(contrast)) ** 2).mean(axis=0)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    frequency /= truth.deg_per_px
    edges = np.geomspace(LOWEST_CPD, HIGHEST_SHARE * 0.5 / truth.deg_per_px, 9)
    center, level = [], []
    for low, high in pairwise(edges):
        ring = (frequency >= low) & (frequency < high)
        if ring.any():
            center.append(np.log(frequency[ring]).mean())
            level.append(np.log(power[ring].mean()))
    return float(np.polyfit(center, level, 1)[0])


def neural_statistics(recording: Recording, truth: Truth) -> dict[str, float]:
    """Summarize rates and variability of one session.

    Args:
        recording: Recording of the session, with all its neurons.
        truth: Truth of the session.

    Returns:
        Statistics by the names of the card.
    """
    counts = recording.responses.astype(np.float64)
    rates = recording.rates_hz()
    correlation = single_bin_correlation(truth.oracle, counts)
    return {
        "share of neurons above 3 Hz": float(np.mean(rates >= 3.0)),
        "mean rate, median": float(np.median(rates)),
        "Fano factor in 48 ms, median": float(np.median(counts.var(0) / counts.mean(0))),
        "Fano factor in 1 s, median": float(np.median(_fano(counts, NOISE_WINDOW_S))),
        "pairwise noise correlation in 1 s, mean": noise_correlation(recording, truth),
        "oracle single-bin correlation, median": float(np.nanmedian(correlation)),
    }


def noise_correlation(recording: Recording, truth: Truth) -> float:
    """Return the mean correlation between neurons of what stimulus and behavior do not explain.

    The shared latent is noise here, as it would be to an experimenter; drift is not, as it is
    slower than any trial.

    Args:
        recording: Recording of the session.
        truth: Truth of the session.

    Returns:
        Mean over pairs, of counts in windows of 1 s minus what they would be without the latent.
    """
    if recording.n_neurons < 2:
        return float("nan")
    latent_gain = np.exp(truth.latent[:, None] * truth.latent_coefficient)
    expected = truth.oracle / latent_gain * latent_gain.mean(axis=0)
    residual = _in_windows(recording.responses - expected, NOISE_WINDOW_S)
    matrix = np.corrcoef(residual.T)
    return float(matrix[np.triu_indices_from(matrix, 1)].mean())


def _in_windows(counts: np.ndarray, window_s: float) -> np.ndarray:
    n = round(window_s / BIN_S)
    whole = len(counts) // n * n
    return counts[:whole].reshape(-1, n, counts.shape[1]).sum(axis=1)


def _fano(counts: np.ndarray, window_s: float) -> np.ndarray:
    summed = _in_windows(counts, window_s)
    return summed.var(axis=0) / summed.mean(axis=0)


def realism_card_markdown(card: Mapping[str, CardRow]) -> str:
    """Write the card as Markdown, one table per section.

    Args:
        card: Card from ``realism_card``.

    Returns:
        The text; it marks rows outside their tolerance.
    """
    lines: list[str] = []
    section = ""
    for row in card.values():
        if row.target.section != section:
            section = row.target.section
            lines += ["", f"## {section.capitalize()}", "", _HEADER, "|---|---|---|---|---|---|"]
        lines.append(_markdown_row(row))
    return "\n".join(lines[1:]) + "\n"


_HEADER = "| statistic | unit | real | accepted | simulated | |"
_VERDICT = {True: "within", False: "**outside**", None: ""}


def _markdown_row(row: CardRow) -> str:
    target = row.target
    real = "not at hand" if target.real is None else target.real
    accepted = "" if target.bounds is None else "{:.3g} .. {:.3g}".format(*target.bounds)
    simulated = f"{row.value:.3g}" if row.simulated else "not measured"
    cells = (target.name, target.unit, real, accepted, simulated, _VERDICT[row.is_within])
    return "| " + " | ".join(cells) + " |"
