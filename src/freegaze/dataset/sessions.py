"""Sessions prepared for a fit: neurons chosen, bins split, scaling fitted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Integer

from freegaze.dataset.batches import (
    Preparation,
    SessionTensors,
    fit_video_scaling,
)
from freegaze.dataset.behavior import fit_behavior_transform
from freegaze.dataset.config import DataConfig, SplitConfig
from freegaze.dataset.dims import EncoderDims
from freegaze.dataset.folds import split_fold
from freegaze.dataset.splits import Split, split_recording
from freegaze.dataset.windows import check_leaks, window_targets
from freegaze.errors import DataError
from freegaze.recording.recording import Recording, Role, keep_active_neurons

RequiredFeatures = Callable[[tuple[str, ...]], tuple[str, ...]]
"""Function from the recorded columns to the behavior features that an encoder reads."""


@dataclass(frozen=True)
class PreparedSession:
    """One session ready to be fitted.

    Args:
        recording: The session with the neurons that are fitted.
        split: Role of each bin.
        preparation: Scaling of behavior and video, fitted on training bins.
        dims: Sizes and names for the encoder.
        lag: Target bin minus last input bin.
    """

    recording: Recording
    split: Split
    preparation: Preparation
    dims: EncoderDims
    lag: int

    @property
    def mean_response(self) -> np.ndarray:
        """Mean response per bin of each neuron over training bins, float32."""
        return self.recording.mean_response(self.split.bins("train")).astype(np.float32)

    def targets(self, role: Role) -> Integer[np.ndarray, " window"]:
        """Return the target bins of a role's windows; training windows only touch usable bins."""
        usable = self.preparation.behavior.usable(self.recording) if role != "test" else None
        return window_targets(
            self.recording.segments,
            self.dims.history,
            self.lag,
            split=self.split,
            role=role,
            usable=usable,
        )

    def tensors(self, device: torch.device | str) -> SessionTensors:
        """Return the session's tensors on a device."""
        return SessionTensors(self.recording, self.preparation, self.dims.history, self.lag, device)


def split_of(recording: Recording, split: SplitConfig, data: DataConfig) -> Split:
    """Split a recording as a run's configuration says.

    Args:
        recording: The session.
        split: Settings of the split.
        data: Settings of the windows.

    Raises:
        DataError: If a role that the method needs is left without bins.
    """
    if split.method == "folds":
        return split_fold(
            recording,
            n_folds=split.n_folds,
            fold=split.fold,
            validation=split.validation,
            gap_s=split.gap_s,
            history=data.history,
            lag=data.lag,
            condition=split.condition,
        )
    return split_recording(
        recording,
        split.method,
        validation=split.validation,
        test=split.test,
        gap_s=split.gap_s,
        n_blocks=split.n_blocks,
        history=data.history,
        condition=split.condition,
    )


def prepare_session(
    recording: Recording, data: DataConfig, split_config: SplitConfig, required: RequiredFeatures
) -> PreparedSession:
    """Choose neurons, split bins, check for leaks and fit the scaling of one session.

    Args:
        recording: The session.
        data: Settings of its windows.
        split_config: Settings of its split.
        required: Function from the recorded columns to the behavior features of the windows.

    Raises:
        DataError: If no neuron or no window is left, or if training bins leak into the test.
        ConfigError: If the encoder needs behavior that was not recorded.
    """
    split = split_of(recording, split_config, data)
    train = split.bins("train")
    kept = keep_active_neurons(recording, data.min_rate_hz, train)
    names = required(kept.behavior_names)
    behavior = fit_behavior_transform(
        kept,
        names,
        train,
        nan_policy=data.nan_policy,
        derivative=data.derivative,
        standardize=data.standardize,
    )
    video = fit_video_scaling(kept, train, data.video)
    dims = EncoderDims(
        kept.n_neurons,
        names,
        kept.frame_size,
        data.history,
        kept.response_kind,
        kept.behavior_names,
    )
    session = PreparedSession(kept, split, Preparation(behavior, video), dims, data.lag)
    _check_windows(session)
    check_leaks(kept.segments, split, data.history, data.lag, recording.bin_width_s)
    return session


def prepare_sessions(
    recordings: Sequence[Recording],
    data: DataConfig,
    split_config: SplitConfig,
    required: RequiredFeatures,
) -> dict[str, PreparedSession]:
    """Prepare all sessions of a fit, by session id; see ``prepare_session``.

    Raises:
        DataError: If there is none, two share an id, or their bins or responses differ in kind.
    """
    check_together(recordings)
    return {r.session_id: prepare_session(r, data, split_config, required) for r in recordings}


def check_together(recordings: Sequence[Recording]) -> None:
    """Check that sessions can be fitted together.

    Args:
        recordings: The sessions.

    Raises:
        DataError: If there is none, two share an id, or their bins or responses differ in kind.
    """
    if not recordings:
        raise DataError("there is no recording to fit")
    first = recordings[0]
    for other in recordings[1:]:
        if (other.bin_width_s, other.response_kind) != (first.bin_width_s, first.response_kind):
            raise DataError(
                f"sessions {first.session_id!r} and {other.session_id!r} differ in bin width or "
                "response kind; fit them separately"
            )
    ids = [recording.session_id for recording in recordings]
    if len(set(ids)) < len(ids):
        raise DataError(f"two recordings share a session id: {', '.join(ids)}; rename one")


def _check_windows(session: PreparedSession) -> None:
    for role in ("train", "validation", "test"):
        if not len(session.targets(role)):
            raise DataError(
                f"session {session.recording.session_id!r}: no {role} window of "
                f"{session.dims.history} bins (lag {session.lag}) fits into its {role} bins; "
                "shorten `data.history`, or use a longer recording"
            )
