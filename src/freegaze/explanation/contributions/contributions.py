"""What vision and each group of behavior add to a session's neurons."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Integer
from torch import Tensor
from torch.nn import functional as F

from freegaze.explanation.config import ExplainConfig
from freegaze.explanation.contributions.groups import class_of, grouped_columns
from freegaze.explanation.contributions.regression import (
    VISION,
    ContributionData,
    discoveries,
    neuron_contributions,
    signal_columns,
)
from freegaze.explanation.session import ExplainedSession
from freegaze.files.pieces import Arrays
from freegaze.recording.recording import ResponseKind, Segment

BEHAVIOR_BINS = 3
"""Behavior counts as its mean over the window's last bins: it acts within about 0.1 s."""

BRIGHTNESS_BINS = (3, 20, 100)
"""Bins over which the scene's brightness is averaged: the pupil follows it within some seconds."""

CONTRAST_BINS = (3, 20)

N_COMPONENTS = 8
"""Of the visual drives of all neurons, which stand for what one neuron's drive misses."""

COARSE_SIZE, N_COARSE = (6, 8), 12
"""Leading components of the retinal image in so few blocks: where the eye looks decides what it
sees, and what a drive misses of it would count for the eye. On the virtual mouse (track ``affine``,
40 minutes) they lower false discoveries of eye position from 7 to 2 of 39 neurons."""

NUMBERS = (
    *("deviance", "correlation", "only_deviance", "only_correlation"),
    *("statistic", "p", "p_tail"),
)
"""What is kept of a ``Contribution``, and the columns of the table."""


class Contributing:
    """The arrays that contributions of all neurons are computed from.

    Args:
        session: The session.
        drive: Its visual drive in every window, (window, neuron).
    """

    def __init__(
        self, session: ExplainedSession, drive: Float[np.ndarray, "window neuron"]
    ) -> None:
        self.session, self.drive = session, drive.astype(np.float64)
        self.targets = session.targets[None]
        self.seen = self.targets - session.lag
        segments = session.recording.segments
        has_trials = any(segment.trial for segment in segments)
        self.trials = session.recording.segment_index()[self.targets] if has_trials else None
        self.groups = self._groups()
        self.scene = np.column_stack([*self._scene(), self._components(), self._coarse_retina()])

    def neuron(self, neuron: int, config: ExplainConfig) -> Arrays:
        """Return a neuron's contributions as plain numbers; see ``contribution_tables``."""
        session = self.session
        in_role = {
            role: np.isin(self.targets, session.targets[role])
            for role in ("train", "validation", "test")
        }
        counts = session.recording.response_kind != ResponseKind.FLUORESCENCE
        found = neuron_contributions(
            ContributionData(
                session.recording.responses[self.targets, neuron].astype(np.float64),
                self.drive[:, neuron],
                self.groups,
                self.scene,
                in_role["train"] | in_role["validation"],
                in_role["test"],
                "poisson" if counts else "gaussian",
                session.recording.bin_width_s,
                self.trials,
            ),
            n_shifts=config.n_shifts,
        )
        numbers = [[getattr(group, name) for name in NUMBERS] for group in found.groups]
        whole = [found.deviance, found.correlation, found.multiplicative]
        return {"numbers": np.array(numbers), "whole": np.array(whole)}

    def _recent(self, signal: np.ndarray, n: int) -> Float[np.ndarray, " window"]:
        """Return the mean over the last bins of each window, or from further back."""
        return _trailing_mean(signal, n, self.session.recording.segments)[self.seen]

    def _groups(self) -> dict[str, Float[np.ndarray, "window column"]]:
        names = self.session.recording.behavior_names
        signals = self.session.recorded_signals.astype(np.float64)
        groups = {}
        for group, columns in grouped_columns(names).items():
            parts = [signals[:, names.index(column)] for column in columns]
            smooth = [self._recent(part, BEHAVIOR_BINS) for part in parts]
            groups[group] = np.column_stack([signal_columns(part) for part in smooth])
        return groups

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
        if self.session.recording.response_kind != ResponseKind.FLUORESCENCE:
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


def contribution_tables(
    session: ExplainedSession, neurons: list[Arrays], config: ExplainConfig
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Lay out contributions, test them together, and name each neuron's class.

    False discoveries are controlled over neurons and groups of behavior together, and over neurons
    for vision by itself: nearly every neuron sees, which would make the other tests lenient.

    Args:
        session: The session.
        neurons: What ``Contributing.neuron`` returned for each neuron.
        config: The rate of false discoveries.

    Returns:
        ``SessionExplanation.contributions``, and the columns ``deviance``, ``correlation``,
        ``multiplicative_bits`` and ``class`` of ``neurons``.
    """
    groups = [VISION, *grouped_columns(session.recording.behavior_names)]
    numbers = np.stack([neuron["numbers"] for neuron in neurons])
    p = numbers[:, :, NUMBERS.index("p")]
    rate = config.false_discovery_rate
    is_real = np.concatenate([discoveries(p[:, :1], rate), discoveries(p[:, 1:], rate)], axis=1)
    units = np.array(session.recording.unit_ids, dtype=object)
    table = pd.DataFrame(
        {"unit_id": np.repeat(units, len(groups)), "group": np.tile(groups, len(units))}
    )
    for i, name in enumerate(NUMBERS):
        table[name] = numbers[:, :, i].ravel()
    table["is_significant"] = is_real.ravel()
    whole = np.stack([neuron["whole"] for neuron in neurons])
    classes = [
        class_of([g for g, real in zip(groups[1:], row[1:], strict=True) if real])
        for row in is_real
    ]
    about = {
        "deviance": whole[:, 0],
        "correlation": whole[:, 1],
        "multiplicative_bits": whole[:, 2],
        "class": classes,
    }
    return table, pd.DataFrame(about)


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
