"""Unique contributions of vision and behavior to a session's neurons."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from functools import partial

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Integer
from torch import Tensor
from torch.nn import functional as F

from freegaze.dataset.features import unroll_circular
from freegaze.explanation.config import ExplainConfig
from freegaze.explanation.contributions.groups import (
    NO,
    UNTESTED,
    YES,
    class_of,
    grouped_columns,
    join_collinear,
)
from freegaze.explanation.contributions.regression import (
    BEHAVIOR,
    VISION,
    Contribution,
    ContributionData,
    neuron_contributions,
    signal_columns,
)
from freegaze.explanation.contributions.selection import discoveries, select_in_two_steps
from freegaze.explanation.session import ExplainedSession
from freegaze.files.pieces import Arrays
from freegaze.recording.recording import Segment

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

NUMBERS = tuple(field.name for field in fields(Contribution) if field.type == "float")
"""Numbers of a ``Contribution``, and columns of the table."""


def contribution_tables(
    session: ExplainedSession, config: ExplainConfig
) -> dict[str, pd.DataFrame]:
    """Compute the contributions of vision, of all behavior and of each group of behavior.

    Neurons are selected by the test of all behavior together, then groups within the selected
    neurons, see `select_in_two_steps`. False discoveries of vision are controlled by themselves:
    nearly every neuron is visual, which would make the other tests lenient.

    Args:
        session: The session.
        config: Number of shifts and rate of false discoveries.

    Returns:
        ``contributions`` of a ``SessionExplanation``, and its columns of ``neurons``.
    """
    predictors = _Predictors(session)
    found = session.keep_by_neuron(
        "contribution", partial(predictors.fit, n_shifts=config.n_shifts)
    )
    units, behavior = session.recording.unit_ids, list(predictors.groups)
    names = [VISION, *([BEHAVIOR] if behavior else []), *behavior]
    numbers = np.stack([arrays["numbers"] for arrays in found])
    untested = np.stack([arrays["untested"] for arrays in found])
    p, rate = numbers[:, :, NUMBERS.index("p")], config.false_discovery_rate
    is_real = discoveries(p[:, :1], rate)
    if behavior:
        adds, groups = select_in_two_steps(p[:, 1], p[:, 2:], rate)
        is_real = np.hstack([is_real, adds[:, None], groups])
    answers = np.where(np.isnan(p), UNTESTED, np.where(is_real, YES, NO))
    index = pd.MultiIndex.from_product([units, names], names=["unit_id", "group"])
    table = pd.DataFrame(numbers.reshape(len(index), -1), index, NUMBERS).reset_index()
    table["is_significant"] = is_real.ravel()
    table["answer"] = answers.ravel()
    table["reason"] = untested.ravel()
    whole = np.stack([arrays["whole"] for arrays in found])
    neurons = pd.DataFrame(whole, columns=["deviance", "correlation", "multiplicative_bits"])
    neurons.insert(0, "unit_id", units)
    neurons["class"] = [
        class_of(np.array(behavior)[real[2:]].tolist(), str(answer[1])) if behavior else UNTESTED
        for real, answer in zip(is_real, answers, strict=True)
    ]
    return {"contributions": table, "neurons": neurons}


class _Predictors:
    """Columns of the regressions; only the visual drive differs between neurons.

    Args:
        session: The session.
    """

    def __init__(self, session: ExplainedSession) -> None:
        self.session, self.drive = session, session.drive.astype(np.float64)
        self.targets = session.targets[None]
        self.seen = self.targets - session.lag
        segments = session.recording.segments
        has_trials = any(segment.trial for segment in segments)
        self.trials = session.recording.segment_index()[self.targets] if has_trials else None
        self.groups = self._groups()
        self.scene = np.column_stack([*self._scene(), self._components(), self._coarse_retina()])

    def fit(self, neuron: int, n_shifts: int) -> Arrays:
        """Return a neuron's contributions: of vision, all behavior, each group, and the model."""
        session = self.session
        train, validation, test = (
            np.isin(self.targets, session.targets[role]) for role in ("train", "validation", "test")
        )
        data = ContributionData(
            responses=session.recording.responses[self.targets, neuron].astype(np.float64),
            drive=self.drive[:, neuron],
            groups=self.groups,
            nuisance=self.scene,
            is_training=train | validation,
            is_test=test,
            family="poisson" if session.has_counts else "gaussian",
            bin_width_s=session.recording.bin_width_s,
            trials=self.trials,
        )
        found = neuron_contributions(data, n_shifts=n_shifts)
        first, *groups = found.groups
        rows = [first, *([found.behavior] if found.behavior else []), *groups]
        return {
            "numbers": np.array([[getattr(row, name) for name in NUMBERS] for row in rows]),
            "untested": np.array([row.untested for row in rows], dtype=str),
            "whole": np.array([found.deviance, found.correlation, found.multiplicative]),
        }

    def _recent(self, signal: np.ndarray, n: int) -> Float[np.ndarray, " window"]:
        """Return the mean over the last bins of each window, or from further back."""
        return _trailing_mean(signal, n, self.session.recording.segments)[self.seen]

    def _groups(self) -> dict[str, Float[np.ndarray, "window column"]]:
        names = self.session.recording.behavior_names
        signals = self.session.recorded_signals
        smooth = {
            name: self._recent(signal.astype(np.float64), BEHAVIOR_BINS)
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

    def _scene(self) -> list[np.ndarray]:
        """Brightness and contrast of the camera's frames over some times."""
        recording = self.session.recording
        brightness, contrast = np.empty((2, recording.n_bins))
        for bins in self._bins():
            frames, place = self.session.video(bins).flatten(1), bins.cpu().numpy()
            brightness[place] = frames.mean(1).cpu().numpy()
            contrast[place] = frames.std(1).cpu().numpy()
        slow = [self._recent(brightness, n) for n in BRIGHTNESS_BINS]
        return slow + [self._recent(contrast, n) for n in CONTRAST_BINS]

    def _components(self) -> Float[np.ndarray, "window component"]:
        """Return the leading principal components of all neurons' log drives."""
        drive = self.drive
        if self.session.has_counts:
            drive = np.log(np.maximum(drive, 1e-4))
        sd = drive.std(0)
        return _principal((drive - drive.mean(0)) / np.where(sd > 0, sd, 1.0), N_COMPONENTS)

    def _coarse_retina(self) -> Float[np.ndarray, "window component"]:
        """Return the leading principal components of the coarse retinal image."""
        recording = self.session.recording
        blocks = np.empty((recording.n_bins, COARSE_SIZE[0] * COARSE_SIZE[1]))
        for bins in self._bins():
            coarse = F.adaptive_avg_pool2d(self.session.retinal_video(bins), COARSE_SIZE)
            blocks[bins.cpu().numpy()] = coarse.flatten(1).cpu().numpy()
        recent = np.stack([self._recent(block, BEHAVIOR_BINS) for block in blocks.T], 1)
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
