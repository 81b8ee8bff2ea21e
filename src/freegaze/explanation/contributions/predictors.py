"""Predictors of a session's responses that regressions share: behavior, and the scene."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Integer
from torch import Tensor
from torch.nn import functional as F

from freegaze.dataset.features import unroll_circular
from freegaze.explanation.contributions.groups import grouped_columns, join_collinear
from freegaze.explanation.contributions.regression import ContributionData, signal_columns
from freegaze.explanation.session import ExplainedSession
from freegaze.recording.recording import Segment
from freegaze.standard_scores import standardize

BEHAVIOR_BINS = 3
"""Behavior counts as its mean over the window's last bins: it acts within about 0.1 s."""

BRIGHTNESS_BINS = (3, 20, 100)
"""Bins over which the scene's brightness is averaged: the pupil follows it within some seconds."""

CONTRAST_BINS = (3, 20)

N_COMPONENTS = 8
"""Number of principal components of the visual drives of all neurons, beside the neuron's own."""

COARSE_SIZE, N_COARSE = (6, 8), 12
"""Blocks of the retinal image, and leading components of them. Gaze changes the retinal image, and
changes that the visual drive misses would be attributed to the eye. On the virtual mouse (track
``affine``, 40 minutes) they lower false discoveries of eye position from 7 to 2 of 39 neurons."""


class Predictors:
    """Columns of the regressions of a session; only the visual drive differs between neurons.

    Args:
        session: The session.
    """

    def __init__(self, session: ExplainedSession) -> None:
        self.session = session
        self.targets = session.targets[None]
        self.seen = self.targets - session.lag
        has_trials = session.recording.is_in_trial().any()
        self.trials = session.recording.segment_index()[self.targets] if has_trials else None

    def data(
        self,
        neuron: int,
        drive: Float[np.ndarray, " window"],
        groups: Mapping[str, Float[np.ndarray, "window column"]],
    ) -> ContributionData:
        """Return the arrays of a regression of one neuron.

        Args:
            neuron: Number of the neuron.
            drive: Prediction of the encoder for this neuron without the groups.
            groups: Columns of behavior.
        """
        session = self.session
        train, validation, test = (
            np.isin(self.targets, session.targets[role]) for role in ("train", "validation", "test")
        )
        return ContributionData(
            responses=session.recording.responses[self.targets, neuron].astype(np.float64),
            drive=drive.astype(np.float64),
            groups=groups,
            nuisance=self.scene,
            is_training=train | validation,
            is_test=test,
            family="poisson" if session.has_counts else "gaussian",
            bin_width_s=session.recording.bin_width_s,
            trials=self.trials,
        )

    def recent(self, signal: np.ndarray, n: int) -> Float[np.ndarray, " window"]:
        """Return the mean over the last bins of each window, or from further back.

        Args:
            signal: Signal in all bins of the recording.
            n: Number of bins.
        """
        return _trailing_mean(signal, n, self.session.recording.segments)[self.seen]

    @cached_property
    def groups(self) -> dict[str, Float[np.ndarray, "window column"]]:
        """Columns of each group of recorded behavior."""
        names = self.session.recording.behavior_names
        signals = self.session.recorded_signals
        smooth = {
            name: self.recent(signal.astype(np.float64), BEHAVIOR_BINS)
            for name, signal in signals.items()
        }
        grouped = {
            group: [signal for column in columns for signal in unroll_circular(column, names)]
            for group, columns in grouped_columns(names).items()
        }
        return {
            group: np.column_stack([signal_columns(smooth[name]) for name in columns])
            for group, columns in join_collinear(grouped, smooth).items()
        }

    @cached_property
    def scene(self) -> Float[np.ndarray, "window column"]:
        """Columns of the scene: brightness, contrast, all neurons' drives, coarse retinal image."""
        return np.column_stack([*self._brightness(), self._components(), self._coarse_retina()])

    def _brightness(self) -> list[np.ndarray]:
        """Brightness and contrast of the camera's frames over some times."""
        recording = self.session.recording
        brightness, contrast = np.empty((2, recording.n_bins))
        for bins in self._bins():
            frames, place = self.session.video(bins).flatten(1), bins.cpu().numpy()
            brightness[place] = frames.mean(1).cpu().numpy()
            contrast[place] = frames.std(1).cpu().numpy()
        slow = [self.recent(brightness, n) for n in BRIGHTNESS_BINS]
        return slow + [self.recent(contrast, n) for n in CONTRAST_BINS]

    def _components(self) -> Float[np.ndarray, "window component"]:
        """Return the leading principal components of all neurons' log drives."""
        drive = self.session.drive.astype(np.float64)
        if self.session.has_counts:
            drive = np.log(np.maximum(drive, 1e-4))
        return _principal(standardize(drive), N_COMPONENTS)

    def _coarse_retina(self) -> Float[np.ndarray, "window component"]:
        """Return the leading principal components of the coarse retinal image."""
        recording = self.session.recording
        blocks = np.empty((recording.n_bins, COARSE_SIZE[0] * COARSE_SIZE[1]))
        for bins in self._bins():
            coarse = F.adaptive_avg_pool2d(self.session.retinal_video(bins), COARSE_SIZE)
            blocks[bins.cpu().numpy()] = coarse.flatten(1).cpu().numpy()
        recent = np.stack([self.recent(block, BEHAVIOR_BINS) for block in blocks.T], 1)
        return _principal(recent - recent.mean(0), N_COARSE)

    def _bins(self) -> Iterator[Integer[Tensor, " bin"]]:
        """Yield all bins of the recording, some at a time."""
        device = self.session.encoder.device
        yield from torch.arange(self.session.recording.n_bins, device=device).split(2048)


def _principal(
    columns: Float[np.ndarray, "window column"], n: int
) -> Float[np.ndarray, "window component"]:
    """Return the leading principal components of centered columns."""
    directions = np.linalg.eigh(columns.T @ columns)[1][:, ::-1]
    return columns @ directions[:, : min(n, columns.shape[1])]


def _trailing_mean(
    signal: Float[np.ndarray, " time"], n: int, segments: Sequence[Segment]
) -> Float[np.ndarray, " time"]:
    """Average each bin with the n - 1 before it; before a segment its first value holds."""
    out = np.empty(len(signal))
    for segment in segments:
        part = signal[segment.start : segment.stop]
        total = np.cumsum(np.concatenate([[0.0], np.full(n - 1, part[0]), part]))
        out[segment.start : segment.stop] = (total[n:] - total[:-n]) / n
    return out
