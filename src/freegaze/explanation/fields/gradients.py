"""Receptive fields of a fitted encoder: derivatives of its rates by the retinal frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from freegaze.errors import ConfigError, ShapeError
from freegaze.models.callables import (
    Predict,
    gradients_by_neuron,
    rates_of,
    require_derivatives,
    seen_by_retina,
    undisturbed,
)

INVARIANT = 0.7
"""Share of varying gradient above which a neuron counts as phase-invariant: it responds alike to
bright and dark, and its mean gradient is near zero. On the virtual mouse (40
minutes, track ``affine``, 34 neurons) 19 of 20 simple cells lie below and 13 of 14 complex ones
above."""

BLUR_PX = 1.5
"""Gradients are smoothed by a Gaussian of this standard deviation: gradients of single pixels
are noisy in an encoder fitted to an hour of spikes. On the virtual mouse (as above) it raises the
median correlation of simple cells with the truth from .63 to .73; 1 and 2 pixels give .71, .74."""

NEURONS_AT_ONCE = 8
"""Bounds memory: 250 windows of 6 frames of 60 x 80 pixels are 29 MB per neuron."""


@dataclass(frozen=True, eq=False)
class GradientFields:
    """Derivatives of rates by the gray level of every pixel at every place of the window.

    Args:
        mean: Average over images of the gradient: a linear receptive field, in expected counts per
            bin for one unit of the scaled video, (neuron, history, height, width), oldest first.
        subspace: The two pictures in space and time along which the gradient varies most between
            images, times the sd along them: for a phase-invariant neuron a pair in quadrature,
            (neuron, 2, history, height, width).
        invariance: Share of the squared gradient that varies between images, 0 for a linear neuron
            to 1 for an energy model, (neuron,); NaN where there is no gradient.
    """

    mean: Float[np.ndarray, "neuron history height width"]
    subspace: Float[np.ndarray, "neuron 2 history height width"]
    invariance: Float[np.ndarray, " neuron"]

    def pictures(self, neuron: int) -> Float[np.ndarray, "picture height width"]:
        """Return a neuron's field in space: one picture, or two for a phase-invariant neuron."""
        if self.invariance[neuron] > INVARIANT:
            return separate(self.subspace[neuron].reshape(-1, *self.mean.shape[-2:]), 2)[0]
        return separate(self.mean[neuron], 1)[0]


@dataclass(frozen=True, eq=False)
class FieldSummary:
    """A field in space and time in fewer numbers.

    Args:
        peak: Place in the window, from 0 for the oldest bin, at which the field is strongest.
        at_peak: The field at the time of ``peak``.
        spatial: First singular vector in space, signed as the field at its peak, times the
            singular value.
        temporal: First singular vector in time, of norm 1.
        separability: Share of the field's squares that their product explains.
    """

    peak: int
    at_peak: Float[np.ndarray, "height width"]
    spatial: Float[np.ndarray, "height width"]
    temporal: Float[np.ndarray, " history"]
    separability: float


def gradient_fields(
    predict: Predict,
    video: Float[Tensor, "window history 1 height width"],
    behavior: Float[Tensor, "window history feature"],
    *,
    session: str | None = None,
    blur_px: float = BLUR_PX,
    batch: int = 64,
    progress: Callable[[int, int], None] | None = None,
) -> GradientFields:
    """Differentiate all rates by retinal frames, and average over frames.

    Args:
        predict: The encoder.
        video: Retinal images; no shifter moves them any more.
        behavior: Features in which they are seen; one state for all separates vision from its
            modulation by behavior.
        session: Session of the neurons; may be left out where there is one session.
        blur_px: Standard deviation of the Gaussian that smooths gradients in space.
        batch: Windows at a time.
        progress: Called with (neurons done, all).

    Returns:
        Mean and variation of the gradients.

    Raises:
        ShapeError: If video and behavior differ in windows or bins.
        ConfigError: If there are fewer than three windows.
        DataError: If the function is not differentiable.

    Source: the mean gradient over stimuli is the best linear field for Gaussian stimuli (J. J.
    Bussgang 1952); the pictures along which it varies span an active subspace (P. G. Constantine,
    2015).
    """
    if video.shape[:2] != behavior.shape[:2]:
        raise ShapeError(
            f"expected video and behavior of the same windows and bins, got {tuple(video.shape)} "
            f"and {tuple(behavior.shape)}"
        )
    if len(video) < 3:
        raise ConfigError(f"receptive fields need at least three windows, got {len(video)}")
    call = rates_of(predict, session)
    means, pairs, shares = [], [], []
    with undisturbed(predict), seen_by_retina(predict):
        with torch.no_grad():
            n_neurons = call(video[:1], behavior[:1]).shape[1]
        for first in range(0, n_neurons, NEURONS_AT_ONCE):
            neurons = range(first, min(first + NEURONS_AT_ONCE, n_neurons))
            for gradients in _gradients(call, video, behavior, neurons, batch, blur_px):
                mean, pair, share = _moments(gradients)
                means.append(mean)
                pairs.append(pair)
                shares.append(share)
                if progress is not None:
                    progress(len(means), n_neurons)
        require_derivatives(
            lambda seen: call(seen, behavior[:batch]), video[:batch], np.isnan(shares), "video"
        )
    return GradientFields(np.stack(means), np.stack(pairs), np.array(shares))


def _gradients(
    call: Predict, video: Tensor, behavior: Tensor, neurons: range, batch: int, blur_px: float
) -> Float[np.ndarray, "neuron window history height width"]:
    parts = []
    for first in range(0, len(video), batch):
        state = behavior[first : first + batch]
        found = gradients_by_neuron(
            lambda seen, state=state: call(seen, state), video[first : first + batch], neurons
        )
        smooth = [blur(gradient, blur_px)[:, :, 0] for gradient in found]
        parts.append(torch.stack(smooth).cpu().numpy())
    return np.concatenate(parts, 1)


def _moments(
    gradients: Float[np.ndarray, "window history height width"],
) -> tuple[np.ndarray, np.ndarray, float]:
    shape = gradients.shape[1:]
    flat = gradients.reshape(len(gradients), -1).astype(np.float64)
    mean = flat.mean(0)
    varying = flat - mean
    power = float((flat**2).sum())
    # The pictures' matrix of products is as small as the number of windows.
    values, vectors = np.linalg.eigh(varying @ varying.T)
    pair = vectors[:, :-3:-1].T @ varying / np.sqrt(len(flat))
    del values
    share = float((varying**2).sum() / power) if power > 0 else float("nan")
    return (
        mean.reshape(shape).astype(np.float32),
        pair.reshape(2, *shape).astype(np.float32),
        share,
    )


def blur(video: Tensor, sigma_px: float) -> Tensor:
    """Smooth each frame by a Gaussian; beyond the border it is zero."""
    if sigma_px == 0:
        return video
    reach = int(np.ceil(3 * sigma_px))
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1).to(video) / sigma_px) ** 2)
    kernel = kernel / kernel.sum()
    flat = video.flatten(0, 1)
    flat = F.conv2d(flat, kernel[None, None, :, None], padding=(reach, 0))
    return F.conv2d(flat, kernel[None, None, None], padding=(0, reach)).unflatten(
        0, video.shape[:2]
    )


def separate(
    pictures: Float[np.ndarray, "moment height width"], n: int
) -> tuple[Float[np.ndarray, "n height width"], Float[np.ndarray, "moment n"], float]:
    """Return the n pictures that explain a stack of pictures best, how they mix, and their share.

    Args:
        pictures: A field at several moments.
        n: Number of pictures to keep.

    Returns:
        The pictures times their singular values; singular vectors over moments; share of the
        squares explained (NaN for a stack of zeros).
    """
    size = pictures.shape[1:]
    left, values, right = np.linalg.svd(
        pictures.reshape(len(pictures), -1).astype(np.float64), full_matrices=False
    )
    n = min(n, len(values))
    power = float((values**2).sum())
    share = float((values[:n] ** 2).sum()) / power if power > 0 else float("nan")
    return (values[:n, None] * right[:n]).reshape(n, *size), left[:, :n], share


def summarize_field(field: Float[np.ndarray, "history height width"]) -> FieldSummary:
    """Return a field at its peak, and as a product of a picture and a time course.

    Args:
        field: Field in space and time, oldest bin first.

    Returns:
        Its summary.

    Example:
        >>> field = np.zeros((3, 4, 5))
        >>> field[1, 2, 2], field[2, 2, 2] = -2.0, 1.0
        >>> summary = summarize_field(field)
        >>> summary.peak, round(float(summary.spatial[2, 2]), 2), round(summary.separability, 2)
        (1, -2.24, 1.0)
    """
    peak = int(np.sqrt((field.astype(np.float64) ** 2).sum((1, 2))).argmax())
    (spatial,), left, share = separate(field, 1)
    temporal = left[:, 0]
    sign = -1.0 if temporal[peak] < 0 else 1.0
    return FieldSummary(peak, field[peak], sign * spatial, sign * temporal, share)
