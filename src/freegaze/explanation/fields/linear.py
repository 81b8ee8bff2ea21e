"""Receptive fields without an encoder: spike-triggered averages and smooth linear fits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Integer
from scipy.fft import dct
from scipy.linalg import cho_factor, cho_solve

from freegaze.errors import ConfigError, DataError

Frames = Callable[[Integer[np.ndarray, " bin"]], Float[torch.Tensor, "bin height width"]]
"""The frames of some bins, scaled: the camera's, or those that a shifter moved onto the retina."""

CUTOFF = 0.16
"""Highest spatial frequency of a smooth field in cycles per pixel: 0.11 per degree at 1.5 degrees
per pixel, beyond what mouse V1 resolves."""

STRENGTHS = (3e-3, 3e-2, 3e-1, 3.0, 3e1, 3e2, 3e3)
"""Penalties that are tried, relative to the video's mean power in a wave."""

BINS_PER_BATCH = 2048


@dataclass(frozen=True, eq=False)
class LinearFields:
    """Linear receptive fields in space and time.

    Args:
        fields: Weight of a frame's gray level at each place of the window in the response, (neuron,
            history, height, width), oldest bin first.
        strength: The penalty that validation chose, (neuron,); 0 for averages, which have none.
        correlation: Correlation of prediction and response over validation bins, (neuron,); NaN for
            averages.
    """

    fields: Float[np.ndarray, "neuron history height width"]
    strength: Float[np.ndarray, " neuron"]
    correlation: Float[np.ndarray, " neuron"]


def spike_triggered_average(
    frames: Frames,
    targets: Integer[np.ndarray, " window"],
    responses: Float[np.ndarray, "window neuron"],
    history: int,
    lag: int = 1,
) -> LinearFields:
    """Average the frames before each spike, less the average of all frames.

    Args:
        frames: Frames of given bins.
        targets: Bins whose responses count.
        responses: Responses in those bins; of signals that can be negative, the covariance with
            frames over the mean size.
        history: Bins to look back.
        lag: Target bin minus the latest bin looked at.

    Returns:
        Averages in the units of the frames.

    Raises:
        DataError: If there is no bin.

    Source: E. J. Chichilnisky (2001), Network 12:199-213.
    """
    _check(targets, responses)
    centered = responses - responses.mean(0)
    places = []
    for back in range(history - 1, -1, -1):
        total = 0.0
        for part in _batches(len(targets)):
            seen = frames(targets[part] - lag - back)
            total = total + torch.from_numpy(centered[part]).to(seen).T @ seen.flatten(1)
        assert isinstance(total, torch.Tensor), "there is at least one batch"
        size = frames(targets[:1] - lag).shape[1:]
        places.append(total.unflatten(1, size).cpu().numpy())
    spikes = np.abs(responses).sum(0)
    fields = np.stack(places, 1) / np.where(spikes > 0, spikes, 1.0)[:, None, None, None]
    n_neurons = responses.shape[1]
    return LinearFields(fields, np.zeros(n_neurons), np.full(n_neurons, np.nan))


def smooth_linear_fit(
    frames: Frames,
    targets: Integer[np.ndarray, " window"],
    responses: Float[np.ndarray, "window neuron"],
    validation_targets: Integer[np.ndarray, " held_out"],
    validation_responses: Float[np.ndarray, "held_out neuron"],
    history: int,
    lag: int = 1,
    *,
    cutoff: float = CUTOFF,
    strengths: tuple[float, ...] = STRENGTHS,
) -> LinearFields:
    """Regress responses on frames with a penalty on the squared slope of the fields.

    Fields are sums of cosine waves below a cutoff. For waves the squared slope is one number each,
    so that all neurons and penalties share one matrix of products.

    Args:
        frames: Frames of given bins.
        targets: Training bins.
        responses: Responses in those bins.
        validation_targets: Bins that choose each neuron's penalty.
        validation_responses: Responses in those.
        history: Bins to look back.
        lag: Target bin minus the latest bin looked at.
        cutoff: Highest spatial frequency in cycles per pixel.
        strengths: Penalties to try.

    Returns:
        Fields, in responses a unit of the frames.

    Raises:
        DataError: If there are no bins.
        ConfigError: If the cutoff leaves no wave.

    Source: ridge regression in a basis in which the prior is diagonal; cf. M. Sahani and J. F.
    Linden (2003), NeurIPS 15.
    """
    _check(targets, responses)
    _check(validation_targets, validation_responses)
    size = tuple(frames(targets[:1] - lag).shape[1:])
    waves = _Waves((size[0], size[1]), cutoff)
    design = _Design(frames, waves, history, lag)
    mean = design.mean(targets)
    gram, products = design.products(targets, responses - responses.mean(0), mean)
    slope2 = np.tile(waves.frequency**2 + waves.frequency[waves.frequency > 0].min() ** 2, history)
    slope2 *= max(float(np.trace(gram)), 1e-12) / slope2.sum()  # of a black video there is none
    best_score = np.full(responses.shape[1], -np.inf)
    best_weights = np.zeros_like(products)
    best_strength = np.zeros(responses.shape[1])
    for strength in strengths:
        penalized = gram.copy()
        penalized[np.diag_indices(len(gram))] += strength * slope2
        weights = cho_solve(cho_factor(penalized, overwrite_a=True), products)
        score = _correlation(design.apply(validation_targets, weights, mean), validation_responses)
        is_better = score > best_score
        best_weights[:, is_better] = weights[:, is_better]
        best_score = np.where(is_better, score, best_score)
        best_strength = np.where(is_better, strength, best_strength)
    by_neuron = best_weights.T.reshape(-1, history, len(waves.frequency))
    score = np.where(np.isfinite(best_score), best_score, np.nan)
    return LinearFields(waves.pictures(by_neuron), best_strength, score)


class _Waves:
    """Products of cosines, orthonormal, up to a spatial frequency."""

    def __init__(self, size: tuple[int, int], cutoff: float) -> None:
        height, width = size
        fy, fx = np.arange(height) / (2 * height), np.arange(width) / (2 * width)
        frequency = np.hypot(fy[:, None], fx[None])
        self.is_kept = frequency <= cutoff
        self.frequency = frequency[self.is_kept]
        if len(self.frequency) < 2:
            raise ConfigError(
                f"a cutoff of {cutoff:g} cycles per pixel leaves no wave in {size} px"
            )
        rows, columns = self.is_kept.any(1).sum(), self.is_kept.any(0).sum()
        self.is_kept = self.is_kept[:rows, :columns]
        self.down = _cosines(height)[:rows]
        self.across = _cosines(width)[:columns]

    def analyze(self, frames: torch.Tensor) -> torch.Tensor:
        down, across = (torch.from_numpy(m).to(frames) for m in (self.down, self.across))
        return (down @ frames @ across.T)[:, torch.from_numpy(self.is_kept).to(frames.device)]

    def pictures(self, weights: np.ndarray) -> np.ndarray:
        full = np.zeros((*weights.shape[:-1], *self.is_kept.shape), dtype=np.float32)
        full[..., self.is_kept] = weights
        return self.down.T @ full @ self.across


def _cosines(n: int) -> Float[np.ndarray, "wave place"]:
    return np.asarray(dct(np.eye(n), axis=0, norm="ortho"), dtype=np.float32)


class _Design:
    """Windows of waves, made batch by batch."""

    def __init__(self, frames: Frames, waves: _Waves, history: int, lag: int) -> None:
        self.frames, self.waves, self.history, self.lag = frames, waves, history, lag

    def batches(self, targets: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield (part of the targets, their windows (window, history * wave))."""
        back = np.arange(self.history - 1, -1, -1)
        for part in _batches(len(targets)):
            bins = targets[part][:, None] - self.lag - back
            known, place = np.unique(bins, return_inverse=True)
            waves = self.waves.analyze(self.frames(known)).cpu().numpy()
            yield part, waves[place.reshape(bins.shape)].reshape(len(bins), -1)

    def mean(self, targets: np.ndarray) -> np.ndarray:
        sums = [w.sum(0, dtype=np.float64) for _, w in self.batches(targets)]
        return np.sum(sums, axis=0) / len(targets)

    def products(
        self, targets: np.ndarray, responses: np.ndarray, mean: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        gram = np.zeros((len(mean), len(mean)))
        products = np.zeros((len(mean), responses.shape[1]))
        for part, windows in self.batches(targets):
            centered = windows - mean.astype(np.float32)
            gram += centered.T @ centered
            products += centered.T @ responses[part].astype(np.float32)
        return gram, products

    def apply(self, targets: np.ndarray, weights: np.ndarray, mean: np.ndarray) -> np.ndarray:
        return np.concatenate([(w - mean) @ weights for _, w in self.batches(targets)])


def _batches(n: int) -> Iterator[slice]:
    return (slice(i, i + BINS_PER_BATCH) for i in range(0, n, BINS_PER_BATCH))


def _correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = a - a.mean(0), b - b.mean(0)
    norm = np.sqrt((a**2).sum(0) * (b**2).sum(0))
    return np.where(norm > 0, (a * b).sum(0) / np.where(norm > 0, norm, 1.0), -np.inf)


def _check(targets: np.ndarray, responses: np.ndarray) -> None:
    if not len(targets) or len(targets) != len(responses):
        raise DataError(
            f"a receptive field needs bins and their responses, got {len(targets)} bins and "
            f"{len(responses)} rows of responses"
        )
