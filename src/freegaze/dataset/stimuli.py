"""Stimuli: bins that share frames or a condition, and the share of them that training has seen."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Bool, Integer
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from freegaze.contiguous import run_ids
from freegaze.errors import ConfigError
from freegaze.recording.recording import Recording
from freegaze.registry import require_name

CONDITION = "condition"
"""Annotation that names what was shown in each bin, where a recording has it."""

SAMPLED_PIXELS = 12
"""Number of rows and columns of a frame that are compared first. Camera frames already differ
there, so that whole frames of a long video need not be hashed."""


@dataclass(frozen=True)
class SeenStimuli:
    """Shares of some bins whose stimulus is in training bins too; NaN where nothing is known.

    Args:
        frames: Share of the bins whose frame training bins show. A frame of a single gray level
            counts as not seen.
        blank: Share of the bins with a frame of a single gray level that training bins show too.
        conditions: Share of the bins whose condition is that of a training bin; NaN without an
            annotation that names conditions.
    """

    frames: float = np.nan
    blank: float = np.nan
    conditions: float = np.nan

    def to_dict(self) -> dict[str, float]:
        """Return plain values."""
        return asdict(self)

    def sentence(self) -> str:
        """Return the shares in words."""
        if np.isnan(self.frames):
            return "unknown"
        text = f"{self.frames:.0%}" if self.frames in (0, 1) else f"{self.frames:.1%}"
        if self.blank > 0:
            text += f"; besides, {self.blank:.1%} of the bins show a blank frame that both share"
        if self.conditions > 0:
            text += f"; {self.conditions:.1%} of the bins have a condition of training"
        return text


def find_seen_stimuli(
    recording: Recording,
    training: Integer[np.ndarray, " train"],
    tested: Integer[np.ndarray, " test"],
    condition: str | None = None,
) -> SeenStimuli:
    """Measure how many tested bins show what training bins show.

    Args:
        recording: The session.
        training: Indices of training bins.
        tested: Indices of the tested bins.
        condition: Annotation that names conditions. Without it, `CONDITION` is used if the
            recording has it.

    Returns:
        The shares; NaN without a tested bin.

    Raises:
        ConfigError: If there is no such annotation.
    """
    conditions = condition_labels(recording, condition)
    if not len(tested):
        return SeenStimuli()
    frames = label_frames(recording)
    is_shared = np.isin(frames[tested], frames[training])
    is_blank = is_shared & _is_blank(recording, tested)
    shared_conditions = np.nan
    if conditions is not None:
        shared_conditions = float(np.isin(conditions[tested], conditions[training]).mean())
    return SeenStimuli(
        float((is_shared & ~is_blank).mean()), float(is_blank.mean()), shared_conditions
    )


def group_stimuli(
    recording: Recording, condition: str | None = None
) -> Integer[np.ndarray, " time"]:
    """Group the bins that need the same role because they share a stimulus.

    Bins are in one group if they are in one trial, show equal frames (unless those are of a single
    gray level), or have one condition, and by way of each other. Gratings that drift in opposite
    directions have the same frames and are one group; a bin whose frame is blank and that is in no
    trial and has no condition is a group by itself.

    Args:
        recording: The session.
        condition: Annotation whose values are kept together. Without it, `CONDITION` is used if the
            recording has it.

    Returns:
        Number of each bin's group, from 0, in order of first appearance.

    Raises:
        ConfigError: If there is no such annotation.
    """
    n_bins = recording.n_bins
    bins = np.arange(n_bins)
    shown = bins[~_is_blank(recording, bins)]
    in_trial = bins[recording.is_in_trial()]
    links = [
        (shown, label_frames(recording)[shown]),
        (in_trial, recording.segment_index()[in_trial]),
    ]
    conditions = condition_labels(recording, condition)
    if conditions is not None:
        links.append((bins, conditions))
    ends, offset = [], n_bins
    for linked, labels in links:
        ends.append((linked, labels + offset))
        offset += int(labels.max(initial=-1)) + 1
    first, second = (np.concatenate(side) for side in zip(*ends, strict=True))
    graph = coo_array((np.ones(len(first), bool), (first, second)), shape=(offset, offset))
    component = connected_components(graph, directed=False)[1][:n_bins]
    _, start, group = np.unique(component, return_index=True, return_inverse=True)
    return start.argsort().argsort()[group]


def are_stimuli_repeated(recording: Recording, condition: str | None = None) -> bool:
    """Return whether at least half of the bins show what another presentation shows, too.

    A presentation is a trial or, outside trials, the contiguous bins of one frame. Conditions only
    count in trials: elsewhere they name states such as light and dark.

    Args:
        recording: The session.
        condition: See ``group_stimuli``.
    """
    is_trial = recording.is_in_trial()
    if len(np.unique(recording.frame_index)) == recording.n_bins and not is_trial.any():
        return False  # a camera; equal frames are freezes
    bins, frames = np.arange(recording.n_bins), label_frames(recording)
    segment = recording.segment_index()
    presentation = run_ids(segment, np.where(is_trial, 0, frames))
    is_repeated = _is_in_several(frames, presentation)
    conditions = condition_labels(recording, condition)
    if conditions is not None:
        is_repeated |= is_trial & _is_in_several(conditions, presentation)
    shown = ~_is_blank(recording, bins)
    return bool(shown.any() and is_repeated[shown].mean() >= 0.5)


def label_frames(recording: Recording) -> Integer[np.ndarray, " time"]:
    """Number the frame of each bin; frames of equal pixels have one number, wherever they lie.

    Args:
        recording: The session.

    Returns:
        A number of each bin, from 0.
    """
    used, place = np.unique(recording.frame_index, return_inverse=True)
    frames = recording.frames
    rows, columns = (max(1, size // SAMPLED_PIXELS) for size in recording.frame_size)
    sample = np.ascontiguousarray(frames[:, ::rows, ::columns])[used].reshape(len(used), -1)
    _, alike, count = np.unique(_as_bytes(sample), return_inverse=True, return_counts=True)
    label = np.arange(len(used))
    known: dict[bytes, int] = {}
    for i in np.flatnonzero(count[alike] > 1):
        digest = hashlib.blake2b(frames[used[i]].tobytes(), digest_size=16).digest()
        label[i] = known.setdefault(digest, int(i))
    return label[place]


def condition_labels(
    recording: Recording, condition: str | None = None
) -> Integer[np.ndarray, " time"] | None:
    """Number the condition of each bin.

    Args:
        recording: The session.
        condition: Annotation that names it. Without it, `CONDITION` is used if the recording has
            it.

    Returns:
        A number of each bin, from 0; ``None`` where no condition is named.

    Raises:
        ConfigError: If there is no such annotation, or it is not one value per bin.
    """
    if condition is None and recording.annotations.get(CONDITION, np.empty((0, 0))).ndim != 1:
        return None
    name = condition or CONDITION
    what = f"`split.condition`: session {recording.session_id!r} has no annotation"
    require_name(name, recording.annotations, what, ConfigError)
    values = np.asarray(recording.annotations[name])
    if values.ndim != 1:
        raise ConfigError(
            f"session {recording.session_id!r}: annotation {name!r} has shape {values.shape}, "
            "expected one value per bin; name another annotation in `split.condition`"
        )
    return np.unique(values, return_inverse=True)[1]


def _is_blank(recording: Recording, bins: np.ndarray) -> Bool[np.ndarray, " bin"]:
    """Return whether each bin's frame is of a single gray level."""
    used, place = np.unique(recording.frame_index[bins], return_inverse=True)
    corner = recording.frames[:, 0, 0][used]
    is_blank = recording.frames[:, -1, -1][used] == corner
    for i in np.flatnonzero(is_blank):
        is_blank[i] = bool((recording.frames[used[i]] == corner[i]).all())
    return is_blank[place]


def _is_in_several(labels: np.ndarray, presentation: np.ndarray) -> Bool[np.ndarray, " time"]:
    """Return whether each bin's label occurs in more than one presentation."""
    pairs = np.unique(np.stack([labels, presentation]), axis=1)
    return (np.bincount(pairs[0], minlength=labels.max() + 1) > 1)[labels]


def _as_bytes(rows: np.ndarray) -> np.ndarray:
    return rows.view(np.dtype((np.void, rows.shape[1]))).ravel()
