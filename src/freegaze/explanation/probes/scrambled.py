"""Natural frames against frames with scrambled phases, shown to an encoder."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from freegaze.explanation.probes.stimuli import rates_for, typical_level
from freegaze.models.callables import Predict


@dataclass(frozen=True, eq=False)
class ScrambledResponses:
    """Rates for windows of natural frames, and for the same windows with scrambled phases.

    Args:
        natural: Rates, (window, neuron).
        scrambled: Rates for the frames with scrambled phases.
    """

    natural: Float[np.ndarray, "window neuron"]
    scrambled: Float[np.ndarray, "window neuron"]

    @property
    def modulation(self) -> Float[np.ndarray, " neuron"]:
        """(natural - scrambled) / (natural + scrambled) of the mean rates; NaN without rates."""
        natural, scrambled = self.natural.mean(0), self.scrambled.mean(0)
        total = natural + scrambled
        return np.divide(
            natural - scrambled, total, out=np.full(total.shape, np.nan), where=total > 0
        )


def scramble_phases(
    video: Float[Tensor, "window history 1 height width"], seed: int = 0
) -> Float[Tensor, "window history 1 height width"]:
    """Add random phases to all spatial frequencies of frames.

    Frames of one window get the same phases, so that movement within the window is kept. The mean
    and the size of every spatial frequency stay as they are. Frames are taken as periodic.

    Args:
        video: Frames.
        seed: Seed of the phases.

    Example:
        >>> video = torch.randn(2, 3, 1, 8, 8)
        >>> torch.allclose(scramble_phases(video).mean((3, 4)), video.mean((3, 4)), atol=1e-6)
        True
    """
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(len(video), 1, 1, *video.shape[-2:], generator=generator)
    turn = torch.fft.fft2(noise.double())
    turn = turn / turn.abs()
    turn[..., 0, 0] = 1.0  # the mean keeps its sign
    spectrum = torch.fft.fft2(video.double().cpu()) * turn
    return torch.fft.ifft2(spectrum).real.to(video)


def show_scrambled(
    predict: Predict,
    video: Float[Tensor, "window history 1 height width"],
    behavior: Float[Tensor, "window history feature"],
    *,
    seed: int = 0,
    session: str | None = None,
    batch: int = 64,
) -> ScrambledResponses:
    """Show natural frames and the same frames with scrambled phases, and return the rates.

    Args:
        predict: The encoder.
        video: Natural retinal frames, scaled as for the fit.
        behavior: Features of the same windows; all frames are shown in those of the first window.
        seed: Seed of the phases.
        session: Session of the neurons; may be left out where there is one session.
        batch: Windows at a time.

    Returns:
        The rates for both.

    Raises:
        ShapeError: If video and behavior differ in windows or bins.
        DataError: If the function does not return rates (window, neuron).

    Source: modulation as in J. Freeman et al. (2013), Nat Neurosci 16:974, whose textures also keep
    correlations across scales.

    Example:
        >>> video, behavior = torch.randn(4, 2, 1, 16, 16), torch.zeros(4, 2, 1)
        >>> def contrast(video, behavior):  # of which scrambling changes nothing
        ...     return video[:, -1, 0].var((1, 2))[:, None]
        >>> bool(abs(show_scrambled(contrast, video, behavior).modulation[0]) < 1e-6)
        True
    """
    typical_level(video, behavior)
    rates = [
        rates_for(
            predict,
            lambda numbers, shown=shown: shown[numbers.start : numbers.stop],
            len(shown),
            behavior[:1],
            session=session,
            batch=batch,
        )
        for shown in (video, scramble_phases(video, seed))
    ]
    return ScrambledResponses(*rates)
