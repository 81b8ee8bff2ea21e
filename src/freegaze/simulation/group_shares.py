"""True share of the attainable deviance that each group of behavior signals carries."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Integer
from scipy.special import xlogy

from freegaze.recording.columns import GROUP_COLORS, find_column
from freegaze.simulation.population import GAIN_SIGNALS, POSITION_SIGNALS
from freegaze.simulation.processes import BIN_S, bin_mean
from freegaze.simulation.rates import position_tuning, scaled_signals
from freegaze.simulation.tracks import VERSION
from freegaze.simulation.truth import Truth
from freegaze.simulation.vm2 import behavior

SIGNALS = (*GAIN_SIGNALS, *POSITION_SIGNALS)

GROUPS: Mapping[str, tuple[str, ...]] = {
    group: tuple(name for name in SIGNALS if find_column(name).group == group)
    for group in GROUP_COLORS
}
"""Signals of each group that neurons of VM-1 can depend on."""


def signal_groups(truth: Truth) -> Mapping[str, tuple[str, ...]]:
    """Return the signals of each group that neurons of a truth's virtual mouse can depend on."""
    return GROUPS if truth.version == VERSION else behavior.GROUPS


def group_shares(
    truth: Truth, bins: Integer[np.ndarray, " bin"]
) -> dict[str, Float[np.ndarray, " neuron"]]:
    """Return the share of the attainable deviance that is lost without each group.

    A neuron without a group has the group's coefficients at zero and the same mean rate. The
    expected deviance between attainable rates with and without it is divided by that between them
    and the mean rate. Drift and latent are left out, as the attainable rates leave them out.

    Args:
        truth: Truth of a simulated session.
        bins: Bins to take it over, the test bins for example.

    Returns:
        By group, 0 for neurons that do not depend on it; NaN where nothing is attainable.
    """
    signals = _signals(truth)
    full = _parts(truth, signals, None)
    gain, position = (part[bins] for part in full)
    share = truth.position_share
    scale = truth.mean_rate_hz * BIN_S / ((1 - share) * full[0].mean(0) + share)
    added = scale * share * position
    rate = np.maximum(truth.attainable[bins].astype(np.float64), 1e-9)
    visual = np.maximum(rate - added, 0.0)
    whole = _deviance(rate, np.broadcast_to(rate.mean(0), rate.shape))
    shares = {}
    for group, names in signal_groups(truth).items():
        gain_without, position_without = (part[bins] for part in _parts(truth, signals, group))
        changed = visual * gain_without / gain
        changed *= visual.mean(0) / np.maximum(changed.mean(0), 1e-12)
        without = np.maximum(changed + scale * share * position_without, 1e-9)
        lost = _deviance(rate, without)
        depends = np.any([truth.behavior_coefficients[s] != 0 for s in names], axis=0)
        shares[group] = np.where(depends, lost / np.where(whole > 1e-9, whole, np.nan), 0.0)
    return shares


def true_saliency(
    truth: Truth, bins: Integer[np.ndarray, " bin"], signal: str, step: float
) -> Float[np.ndarray, " neuron"]:
    """Return how much the mean rate changes with a signal, the frame held still.

    Args:
        truth: Truth of a simulated session.
        bins: Bins to take it over.
        signal: A signal that neurons can depend on.
        step: Change of the signal in its unit, for example its sd; the change is taken over half of
            it to either side.

    Returns:
        Expected counts per bin for one step.
    """
    path = _signals(truth)
    share = truth.position_share
    here = _parts(truth, path, None)
    scale = truth.mean_rate_hz * BIN_S / ((1 - share) * here[0].mean(0) + share)
    rate = truth.attainable.astype(np.float64)
    visual = np.maximum(rate - scale * share * here[1], 0.0)[bins]
    norm = _gain_and_position(truth, path, truth.behavior_coefficients)[1].mean(0)
    sides = []
    for sign in (-0.5, 0.5):
        moved = {**path, signal: path[signal] + sign * step}
        gain, position = _parts(truth, moved, None, norm)
        sides.append(visual * gain[bins] / here[0][bins] + scale * share * position[bins])
    return (sides[1] - sides[0]).mean(0)


def _parts(
    truth: Truth,
    signals: Mapping[str, np.ndarray],
    without: str | None,
    position_mean: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return gain and position tuning in each bin, (time, neuron) each.

    Position tuning is divided by its own mean, or by one that is given.
    """
    left_out = signal_groups(truth)[without] if without else ()
    coefficients = {
        name: value * (name not in left_out) for name, value in truth.behavior_coefficients.items()
    }
    gain, position = _gain_and_position(truth, signals, coefficients)
    mean = position.mean(0) if position_mean is None else position_mean
    return bin_mean(gain), bin_mean(position / mean)


def _signals(truth: Truth) -> dict[str, np.ndarray]:
    """Return the true signals at each step that neurons can depend on."""
    names = SIGNALS if truth.version == VERSION else behavior.BEHAVIOR_SIGNALS
    return {name: truth.path[f"true_{name}"] for name in names}


def _gain_and_position(
    truth: Truth, signals: Mapping[str, np.ndarray], coefficients: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return gain and position tuning at each step, by the law of the truth's virtual mouse."""
    if truth.version != VERSION:
        return behavior.gain_and_position(coefficients, truth.traits, signals)
    scaled = scaled_signals(signals)
    log_gain = sum(scaled[s][:, None] * coefficients[s] for s in GAIN_SIGNALS)
    return np.exp(log_gain), position_tuning(coefficients, scaled)


def _deviance(rate: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the expected Poisson deviance of counts of one rate from another."""
    return 2 * (xlogy(rate, rate / other) - (rate - other)).sum(0)
