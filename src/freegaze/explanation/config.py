"""Settings of an explanation."""

from __future__ import annotations

from pydantic import Field

from freegaze.config import StrictConfig
from freegaze.explanation.fields.gradients import BLUR_PX


class ExplainConfig(StrictConfig):
    """Settings of an explanation; the reason for each default is given where it is used.

    Args:
        seed: Fixes the drawn windows and the starts of ascents.
        n_windows: Training windows whose gradients are averaged into receptive fields.
        blur_px: Standard deviation of the Gaussian that smooths gradients in space.
        n_starts: Starting images of each neuron's ascent.
        ascent_steps: Most steps of an ascent.
        n_saliency_windows: Test windows over which saliency is averaged.
        n_shifts: Time shifts behind each p value of contributions and saliency at most; fewer where
            the recording has fewer bins or trials to shift by.
        grating_contrast: Standard deviation of gratings over pixels, relative to the median of
            training frames.
        false_discovery_rate: Nominal, over neurons that any behavior adds to, and within them over
            groups, averaged over these neurons; for saliency over all neurons and signals. What the
            visual drive misses makes the true one higher: see ``docs/results.md``.
    """

    seed: int = 0
    n_windows: int = Field(default=250, ge=3)
    blur_px: float = Field(default=BLUR_PX, ge=0)
    n_starts: int = Field(default=8, ge=1)
    ascent_steps: int = Field(default=40, ge=1)
    n_saliency_windows: int = Field(default=500, ge=1)
    n_shifts: int = Field(default=10_000, ge=2)
    grating_contrast: float = Field(default=1.0, gt=0)
    false_discovery_rate: float = Field(default=0.02, gt=0, lt=1)
