"""The Sensorium competitions of 2022 (images) and 2023 (videos): one folder per session."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from freegaze.errors import DataError, ShapeError
from freegaze.recording.columns import find_column
from freegaze.recording.recording import (
    Recording,
    ResponseKind,
    Role,
    Segment,
    check_responses,
)
from freegaze.registry import require_names
from freegaze.sources.conversion import kept_columns
from freegaze.sources.sensorium.layout import (
    BEHAVIOR,
    PUPIL_CENTER,
    STIMULI,
    SensoriumFolder,
    Trial,
    is_session,
    read_folder,
    read_trial_values,
)
from freegaze.sources.source import AbstractSource, SourceOptions, find_folders, register_source
from freegaze.sources.tiny import make_tiny_recording

TIER_ROLES: dict[str, Role] = {
    "train": "train",
    "validation": "validation",
    "oracle": "validation",
    "test": "test",
    "live_test": "test",
    "live_test_main": "test",
    "live_test_bonus": "test",
    "final_test": "test",
    "final_test_main": "test",
    "final_test_bonus": "test",
}
"""Role of the trials of each tier; trials of any other tier have none.

``oracle`` has repeated stimuli; the competition of 2023 validated on them.
"""

_TAKEN = ("trial", "segment", "split", "video", "frames", "behavior", "responses", "unit_ids")


class SensoriumOptions(SourceOptions):
    """Options of Sensorium folders.

    Args:
        tiers: Tiers whose trials are read; all by default.
        roles: Another role for a tier, such as ``{oracle: test}``.
        withheld: Whether to keep tiers whose responses the competition withheld: all are zero or
            missing.
        response_kind: Inferred spikes (deconvolved calcium), or fluorescence, which can be
            negative.
        leave_out: Behavior columns that are not read.
    """

    tiers: tuple[str, ...] | None = None
    roles: dict[str, Role | None] = Field(default_factory=dict)
    withheld: bool = False
    response_kind: ResponseKind = ResponseKind.INFERRED_SPIKES
    leave_out: tuple[str, ...] = ()


@register_source("sensorium")
class SensoriumSource(AbstractSource[SensoriumOptions]):
    """Sensorium folders; each trial is a segment of its own, with its tier's role."""

    Options: ClassVar = SensoriumOptions
    description: ClassVar = "Folders of Sensorium 2022 (images) and 2023 (videos), trial by trial"
    citation: ClassVar = (
        "Willeke et al. (2022). The Sensorium competition on predicting large-scale mouse primary "
        "visual cortex activity. arXiv:2206.08666. Turishcheva et al. (2023). The Dynamic "
        "Sensorium competition. arXiv:2305.19654"
    )

    def find_sessions(self, path: Path, options: SensoriumOptions) -> dict[str, Path]:
        """Find the folders with stimuli in ``data`` and ``meta/trials``."""
        return find_folders(path, is_session)

    def open_session(self, path: Path, name: str, options: SensoriumOptions) -> Recording:
        """Read the trials of one session, each as a segment."""
        folder = read_folder(path)
        n_neurons = folder.count_neurons()
        trials = [folder.read_trial(i, n_neurons) for i in _chosen(folder, options.tiers)]
        _check_alike(folder, trials)
        trials, told = _without_withheld(folder, trials, options.withheld)
        values, ignored = read_trial_values(path, len(folder.tiers))
        told |= {
            "largest_rounding": max(t.rounding for t in trials),
            "bins_after_the_end": sum(t.n_cut for t in trials),
            "ignored_files": ignored,
        }
        return _assemble(folder, trials, options, _annotations(folder, trials, values), told)

    def write_tiny(self, path: Path, seed: int) -> Path:
        """Write videos of a dozen trials, padded with NaN, as the competition of 2023 did."""
        r = make_tiny_recording(seed)
        folder = path / "dynamic00000-1-1-Video-tiny"
        for name in ("videos", "responses", "behavior", "pupil_center"):
            (folder / "data" / name).mkdir(parents=True)
        for name in ("trials", "neurons"):
            (folder / "meta" / name).mkdir(parents=True)
        tiers = np.array([*["train"] * 6, *["oracle"] * 2, *["live_test_main"] * 3, "none"])
        rng = np.random.default_rng([seed, 2])
        longest = 20
        for i in range(len(tiers)):
            bins = slice(i * 20, i * 20 + int(rng.integers(15, 21)) if i else 20)
            behavior = np.stack([r.column("pupil_radius")[bins], r.column("speed")[bins]])
            arrays = {
                "videos": np.moveaxis(r.video(bins), 0, 2),
                "responses": r.responses[bins].T * 0.7,
                "behavior": behavior,
                "pupil_center": np.stack([r.column("theta")[bins], r.column("phi")[bins]]),
            }
            for name, array in arrays.items():
                missing = longest - array.shape[-1]
                padding = [(0, 0)] * (array.ndim - 1) + [(0, missing)]
                padded = np.pad(array.astype(np.float64), padding, constant_values=np.nan)
                np.save(folder / "data" / name / f"{i}.npy", padded)
        np.save(folder / "meta" / "trials" / "tiers.npy", tiers)
        np.save(folder / "meta" / "trials" / "trial_idx.npy", rng.permutation(len(tiers)))
        np.save(folder / "meta" / "neurons" / "unit_ids.npy", np.arange(1, 6))
        coordinates = rng.normal(size=(5, 3))
        np.save(folder / "meta" / "neurons" / "cell_motor_coordinates.npy", coordinates)
        return folder


def _chosen(folder: SensoriumFolder, tiers: tuple[str, ...] | None) -> list[int]:
    require_names(tiers or (), set(folder.tiers), "holds no trial of tier")
    return [i for i, tier in enumerate(folder.tiers) if tiers is None or tier in tiers]


def _check_alike(folder: SensoriumFolder, trials: Sequence[Trial]) -> None:
    first, n_pupil = trials[0], len(PUPIL_CENTER) * folder.has_pupil
    for trial in trials:
        sizes = {
            folder.stimuli: (trial.frames.shape[1:], first.frames.shape[1:]),
            "responses": (trial.n_neurons, first.n_neurons),
            "behavior": (trial.behavior.shape[1] - n_pupil, first.behavior.shape[1] - n_pupil),
        }
        for key, (theirs, ours) in sizes.items():
            if theirs != ours:
                raise ShapeError(
                    f"{folder.file(key, trial.number)} has {theirs} values per bin but "
                    f"{folder.file(key, first.number)} has {ours}; trials must agree"
                )


def _without_withheld(
    folder: SensoriumFolder, trials: list[Trial], keep: bool
) -> tuple[list[Trial], dict[str, Any]]:
    """Leave out empty trials, and the tiers whose responses the competition withheld."""
    there = [t for t in trials if len(t.frames)]
    recorded = {folder.tiers[t.number] for t in there if t.is_recorded}
    withheld = sorted({folder.tiers[t.number] for t in there} - recorded)
    if not keep:
        there = [t for t in there if folder.tiers[t.number] in recorded]
    if not there:
        raise DataError(
            "holds no trial with responses (they are zero or missing throughout); choose other "
            "`tiers`, or keep them with `withheld: true`"
        )
    empty = [t.number for t in trials if not len(t.frames)]
    return there, {"tiers_withheld": withheld, "withheld_kept": keep, "empty_trials": empty}


def _columns(folder: SensoriumFolder, trial: Trial) -> list[str]:
    """Return the names of the behavior columns."""
    pupil = PUPIL_CENTER if folder.has_pupil else ()
    n_behavior = trial.behavior.shape[1] - len(pupil)
    if folder.has_behavior and n_behavior not in BEHAVIOR:
        raise ShapeError(
            f"{folder.file('behavior', trial.number)}: expected pupil size (its derivative) and "
            f"speed, got {n_behavior} values"
        )
    return [*(BEHAVIOR[n_behavior] if folder.has_behavior else ()), *pupil]


def _annotations(
    folder: SensoriumFolder, trials: list[Trial], values: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Return the known values of each trial, repeated for its bins."""
    lengths = [len(t.frames) for t in trials]
    numbers = np.array([t.number for t in trials])
    by_trial = {"trial_number": numbers, "tier": np.array(folder.tiers)[numbers]}
    for name, value in values.items():
        key = f"trials_{name}" if name in (*_TAKEN, *by_trial) else name
        by_trial[key] = value[numbers]
    return {name: np.repeat(value, lengths) for name, value in by_trial.items()}


def _assemble(
    folder: SensoriumFolder,
    trials: list[Trial],
    options: SensoriumOptions,
    annotations: dict[str, np.ndarray],
    provenance: dict[str, Any],
) -> Recording:
    require_names(options.roles, set(folder.tiers), "roles: there is no trial of tier")
    roles: dict[str, Role | None] = {**TIER_ROLES, **options.roles}
    columns = _columns(folder, trials[0])
    kept = kept_columns(columns, options.leave_out)
    starts: dict[bytes, int] = {}
    frames, index, segments = [], [], []
    n_frames = n_bins = 0
    for trial in trials:
        length, stimulus = len(trial.frames), trial.stimulus
        if stimulus not in starts:  # repeated stimuli share their pixels
            starts[stimulus] = n_frames
            frames.append(trial.frames)
            n_frames += length
        index.append(starts[stimulus] + np.arange(length))
        role = roles.get(folder.tiers[trial.number])
        segments.append(Segment(n_bins, n_bins + length, role, trial=True))
        n_bins += length
    responses = np.empty((n_bins, trials[0].n_neurons), np.float32)
    for trial, segment in zip(trials, segments, strict=True):
        piece = folder.read_responses(trial)
        file = str(folder.file("responses", trial.number))
        check_responses(piece, options.response_kind, file)
        responses[segment.start : segment.stop] = piece
    places = [columns.index(name) for name in kept]
    return Recording(
        session_id=folder.path.resolve().name,
        bin_width_s=STIMULI[folder.stimuli],
        frames=np.concatenate(frames),
        frame_index=np.concatenate(index),
        behavior=np.concatenate([t.behavior for t in trials])[:, places],
        behavior_names=tuple(kept),
        behavior_units=tuple(find_column(name).unit for name in kept),
        responses=responses,
        response_kind=options.response_kind,
        unit_ids=folder.read_unit_ids(trials[0].n_neurons),
        segments=tuple(segments),
        annotations=annotations,
        provenance=provenance,
    )
