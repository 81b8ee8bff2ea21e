"""The original's most exciting images: gradient ascent with dropout on, averaged over many starts.

::

    RUN/most_exciting/optimized-100x64x100/repeat-1/UNIT.npz    one file per neuron, written whole

The folder is named by the treatment of behavior, and by batches x images x steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np
import torch
from jaxtyping import Float

from freegaze.errors import ConfigError
from freegaze.explanation.fields.ascent import BatchRoughness, FixedSteps, PaperClimb, ascend
from freegaze.files.pieces import load_piece, require_piece, save_piece
from freegaze.fitted.encoder import FittedEncoder
from freegaze.progress import Progress
from freegaze.registry import require_names

FOLDER = "most_exciting"

START_MEAN, START_SD = 0.5, 0.25
"""Starting images are drawn from this normal distribution."""

CUTOFF, ORDER = 0.05, 2
"""Butterworth filter with which the original smooths images: cycles per pixel, order."""


@dataclass(frozen=True)
class PaperAscent:
    """Search of the original for the image that excites a neuron most (deviations Q34 to Q37).

    Args:
        batches: Batches of starting images.
        images: Images of a batch; the penalty on roughness couples them (Q35).
        steps: Steps of Adam.
        is_behavior_optimized: Whether behavior starts at one in every feature and climbs too
            (Figure 4, Q36), or is drawn from -1 to 1 for each batch and stays (Figure C1, Q37).
    """

    batches: int = 100
    images: int = 64
    steps: int = 100
    is_behavior_optimized: bool = True

    @property
    def folder(self) -> str:
        """Name of the folder of its results."""
        behavior = "optimized" if self.is_behavior_optimized else "drawn"
        return f"{behavior}-{self.batches}x{self.images}x{self.steps}"


@dataclass(frozen=True, eq=False)
class MostExciting:
    """The mean over all images that an ascent ended in.

    Args:
        video: Mean image of each bin of the window, oldest first, scaled as the encoder's video.
        behavior: Mean behavior that the images were seen in, as the encoder's features.
        start: Expected count less penalty of the starting images, mean.
        end: The same of the final images.
    """

    video: Float[np.ndarray, "history height width"]
    behavior: Float[np.ndarray, "history feature"]
    start: float
    end: float

    @property
    def picture(self) -> Float[np.ndarray, "height width"]:
        """The image in its strongest bin; the original has only one."""
        return self.video[int((self.video.astype(np.float64) ** 2).sum((1, 2)).argmax())]


def most_exciting(
    encoder: FittedEncoder, session_id: str, neuron: int, protocol: PaperAscent, seed: int = 0
) -> MostExciting:
    """Compute the image that excites a neuron most, as the original does.

    The image is moved by the shifter, dropout stays on, and gray levels are not bounded. The random
    state of other code is left undisturbed.

    Args:
        encoder: Any fitted encoder that reads the video.
        session_id: The session.
        neuron: Number of its neuron.
        protocol: Starts and steps of each ascent.
        seed: Fixes the result on one machine.

    Returns:
        The mean image.

    Raises:
        ConfigError: If there is no such neuron, or the encoder does not read the video.

    Source: Xu et al. (2023), notebooks of Figures 4 and C1.
    """
    dims, device = encoder.sessions[session_id].dims, encoder.device
    shape = (protocol.images, dims.history, len(dims.behavior_names))
    numbers = torch.full((protocol.images,), neuron, device=device)
    sums = [np.zeros((dims.history, *dims.frame_size)), np.zeros(shape[1:])]
    gains, generator = [], torch.Generator().manual_seed(seed)
    for batch in range(protocol.batches):
        noise = torch.randn(*shape[:2], 1, *dims.frame_size, generator=generator)
        state = torch.ones(shape[2])
        if not protocol.is_behavior_optimized:
            state = torch.rand(shape[2], generator=generator) * 2 - 1
        found = ascend(
            encoder,
            numbers,
            (START_MEAN + START_SD * noise).to(device),
            state.expand(shape).to(device),
            climb=PaperClimb(),
            stopping=FixedSteps(protocol.steps),
            penalties=[BatchRoughness()],
            session=session_id,
            is_retinal=False,
            is_behavior_optimized=protocol.is_behavior_optimized,
            has_dropout=True,
            seed=int(np.random.SeedSequence((seed, batch)).generate_state(1)[0]),
        )
        sums[0] += found.video.mean(0, dtype=np.float64)
        sums[1] += found.behavior.mean(0, dtype=np.float64)
        gains.append(found.gains[[0, -1]].mean(1))
    start, end = np.mean(gains, axis=0).tolist()
    video, behavior = ((total / protocol.batches).astype(np.float32) for total in sums)
    return MostExciting(video, behavior, start, end)


def keep_most_exciting(
    run: Path,
    encoder: FittedEncoder,
    session_id: str,
    units: Sequence[str],
    protocol: PaperAscent,
    repeats: int = 1,
    progress: Progress | None = None,
) -> None:
    """Compute the images of some neurons and keep each in the run folder.

    Images that are kept are not computed again.

    Args:
        run: The run folder.
        encoder: Fitted encoder of the run.
        session_id: The session.
        units: Names of the neurons.
        protocol: Starts and steps of each ascent.
        repeats: Ascents of each neuron, each from other starts.
        progress: Called with the number of images done.

    Raises:
        ConfigError: If a neuron was not fitted.
        DataError: If the disk refuses.
    """
    names = encoder.sessions[session_id].unit_ids
    require_names(units, names, f"session {session_id!r} has no fitted neuron", ConfigError)
    todo = [(repeat, unit) for repeat in range(1, repeats + 1) for unit in units]
    for done, (repeat, unit) in enumerate(todo):
        if progress is not None:
            progress("gradient ascent", done, len(todo))
        path = _path(run, protocol, repeat, unit)
        if load_piece(path) is None:
            neuron = names.index(unit)
            seed = int(np.random.SeedSequence((repeat, neuron)).generate_state(1)[0])
            found = most_exciting(encoder, session_id, neuron, protocol, seed)
            save_piece(path, {name: np.asarray(value) for name, value in vars(found).items()})


def has_most_exciting(
    run: Path, units: Sequence[str], protocol: PaperAscent, repeats: int = 1
) -> bool:
    """Return whether the images of all these neurons are kept, as they were written."""
    paths = [_path(run, protocol, k, unit) for k in range(1, repeats + 1) for unit in units]
    return all(load_piece(path) is not None for path in paths)


def load_most_exciting(run: Path, unit: str, protocol: PaperAscent, repeat: int) -> MostExciting:
    """Read the image of a neuron.

    Raises:
        CheckpointError: If it is missing or broken.
    """
    kept = require_piece(_path(run, protocol, repeat, unit))
    return MostExciting(kept["video"], kept["behavior"], float(kept["start"]), float(kept["end"]))


def lowpass(
    picture: Float[np.ndarray, "height width"], cutoff: float = CUTOFF, order: int = ORDER
) -> Float[np.ndarray, "height width"]:
    """Smooth a picture by a Butterworth filter in the frequency domain; it counts as periodic.

    A wave of ``f`` cycles per pixel is multiplied by ``1 / (1 + (f / cutoff) ** (2 * order))``.

    Args:
        picture: The picture.
        cutoff: Frequency in cycles per pixel at which half is left.
        order: Steepness.

    Source: Xu et al. (2023), Figure 4: scikit-image's ``butterworth`` with ``high_pass=False``.

    Example:
        >>> wave = np.cos(2 * np.pi * 0.05 * np.arange(80))[None].repeat(60, 0)
        >>> round(float(lowpass(wave)[0, 0]), 6)
        0.5
    """
    down = np.fft.fftfreq(picture.shape[0])[:, None]
    across = np.fft.rfftfreq(picture.shape[1])[None]
    gain = 1 / (1 + ((down**2 + across**2) / cutoff**2) ** order)
    return np.fft.irfft2(gain * np.fft.rfft2(picture.astype(np.float64)), picture.shape)


def _path(run: Path, protocol: PaperAscent, repeat: int, unit: str) -> Path:
    return run / FOLDER / protocol.folder / f"repeat-{repeat}" / f"{quote(unit, safe=' ')}.npz"
