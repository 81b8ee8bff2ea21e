"""The folders of the Sensorium competitions, read trial by trial.

::

    SESSION/data/{images|videos,responses,behavior,pupil_center}/N.npy    one file per trial
    SESSION/meta/trials/{tiers,...}.npy     one value per trial, in the order of N
    SESSION/meta/neurons/{unit_ids,...}.npy

2022: an image (1, height, width), responses (neuron,), behavior (3,): pupil size, its derivative,
speed. 2023: a video (height, width, time) at 30 Hz, responses (neuron, time), behavior (2, time):
pupil size, speed; trials are as long as the longest, and NaN after their end.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from freegaze.errors import DataError, ShapeError
from freegaze.files.arrays import read_npy, read_npy_header
from freegaze.sources.conversion import name_units, to_float32, to_names

STIMULI = {"images": 0.5, "videos": 1 / 30}
"""Width of a bin in seconds: an image is shown for half a second, a video at 30 Hz."""

BEHAVIOR = {
    2: ("pupil_radius", "speed"),
    3: ("pupil_radius", "pupil_radius_change", "speed"),
}
"""Columns of ``data/behavior`` by their number; the files name neither columns nor units."""

PUPIL_CENTER = ("pupil_x", "pupil_y")

_GRAY_TOLERANCE = 0.5  # interpolation may leave 0..255 by less than half a level


@dataclass(frozen=True)
class Trial:
    """Arrays of one trial up to its end; responses are read once more, at the end.

    All responses of a session of 2023 take several gigabytes, which are in memory only once.

    Args:
        number: N of its files.
        frames: Gray frames, (time, height, width), uint8.
        n_neurons: Number of neurons.
        is_recorded: Whether any response is not zero.
        behavior: (time, column), float32.
        rounding: Largest change that rounding to gray levels made.
        n_cut: Number of bins without data that were cut off at the end.
    """

    number: int
    frames: np.ndarray
    n_neurons: int
    is_recorded: bool
    behavior: np.ndarray
    rounding: float
    n_cut: int

    @property
    def stimulus(self) -> bytes:
        """Return a digest of the frames, which is the same for repeats of a stimulus."""
        return hashlib.sha256(f"{self.frames.shape}".encode() + self.frames.tobytes()).digest()


@dataclass(frozen=True)
class SensoriumFolder:
    """Folder of one session, with its contents and tiers.

    Args:
        path: The folder.
        stimuli: ``images`` or ``videos``.
        tiers: Tier of each trial.
        has_behavior: Whether there is ``data/behavior``.
        has_pupil: Whether there is ``data/pupil_center``.
    """

    path: Path
    stimuli: str
    tiers: tuple[str, ...]
    has_behavior: bool
    has_pupil: bool

    def file(self, key: str, number: int) -> Path:
        """Return the file of one trial."""
        return self.path / "data" / key / f"{number}.npy"

    def read_trial(self, number: int, n_neurons: int) -> Trial:
        """Read one trial; without a file of responses they count as withheld (zero).

        Raises:
            DataError: If a file is missing or damaged, or stimuli are no gray levels.
            ShapeError: If its arrays disagree in time, or have other axes.
        """
        video = self._stimulus(number)
        n_bins = len(video)
        responses = self._rows("responses", number, n_bins, n_neurons)
        pieces = [responses]
        if self.has_behavior:
            pieces.append(self._rows("behavior", number, n_bins))
        if self.has_pupil:
            pieces.append(self._rows("pupil_center", number, n_bins))
            if pieces[-1].shape[1] != 2:
                raise ShapeError(
                    f"{self.file('pupil_center', number)}: expected x and y, got "
                    f"{pieces[-1].shape[1]} values"
                )
        is_there = ~(np.isnan(video).all(axis=(1, 2)) | np.isnan(responses).all(axis=1))
        end = int(np.flatnonzero(is_there)[-1]) + 1 if is_there.any() else 0
        frames, rounding = self._gray(video[:end], number)
        behavior = np.concatenate(
            [np.empty((end, 0), np.float32), *(p[:end] for p in pieces[1:])], 1
        )
        return Trial(
            number=number,
            frames=frames,
            n_neurons=responses.shape[1],
            is_recorded=bool(responses[:end].any()),
            behavior=behavior,
            rounding=rounding,
            n_cut=n_bins - end,
        )

    def read_responses(self, trial: Trial) -> np.ndarray:
        """Read the responses of a trial that was read before, (time, neuron), float32.

        Raises:
            DataError: If the file changed meanwhile.
        """
        length = len(trial.frames)
        responses = self._rows("responses", trial.number, length + trial.n_cut, trial.n_neurons)
        if responses.shape[1] != trial.n_neurons:
            raise ShapeError(f"{self.file('responses', trial.number)} changed while it was read")
        return responses[:length]

    def count_neurons(self) -> int:
        """Return the number of neurons, by the first trial that has responses.

        Raises:
            DataError: If no trial has any, or the file is damaged.
        """
        for number in range(len(self.tiers)):
            file = self.file("responses", number)
            if file.exists():
                shape = read_npy_header(file).shape
                return int(np.prod(shape if self.stimuli == "images" else shape[:1]))
        raise DataError(f"{self.path}/data/responses holds no trial; is the folder complete?")

    def read_unit_ids(self, n_neurons: int) -> tuple[str, ...]:
        """Read the neurons' names; their order where there is no file.

        Raises:
            ShapeError: If there is not one name per neuron.
            DataError: If the file is damaged.
        """
        file = self.path / "meta" / "neurons" / "unit_ids.npy"
        return name_units(read_npy(file) if file.exists() else None, n_neurons, str(file))

    def _stimulus(self, number: int) -> np.ndarray:
        file = self.file(self.stimuli, number)
        array = read_npy(file)
        if array.dtype.kind not in "iuf":
            raise DataError(f"{file}: expected gray values 0..255, got {array.dtype}")
        if self.stimuli == "images":
            array = array[None] if array.ndim == 2 else array
            if array.ndim != 3 or array.shape[0] != 1 or 0 in array.shape:
                raise ShapeError(
                    f"{file}: expected (1, height, width), got {array.shape}; several channels "
                    "(colors) are not one gray image: write the one to show"
                )
            return array
        if array.ndim != 3 or 0 in array.shape:
            raise ShapeError(f"{file}: expected (height, width, time), got {array.shape}")
        return np.moveaxis(array, 2, 0)

    def _rows(
        self, key: str, number: int, n_bins: int, n_withheld: int | None = None
    ) -> np.ndarray:
        """Read one value per column and bin, as (time, column).

        Without its file a trial has ``n_withheld`` columns of zeros, unless ``n_withheld`` is
        ``None``.
        """
        file = self.file(key, number)
        if n_withheld is not None and not file.exists():
            return np.zeros((n_bins, n_withheld), np.float32)
        array = to_float32(read_npy(file), str(file))
        if self.stimuli == "images":
            array = array.reshape(-1, 1)
        if array.ndim != 2 or array.shape[1] != n_bins or not len(array):
            raise ShapeError(
                f"{file}: expected (value, time) with {n_bins} bins as in {self.stimuli}, got "
                f"{array.shape}"
            )
        return array.T

    def _gray(self, video: np.ndarray, number: int) -> tuple[np.ndarray, float]:
        if video.dtype == np.uint8 or not len(video):
            return np.ascontiguousarray(video.astype(np.uint8)), 0.0
        low, high = float(video.min()), float(video.max())
        if not (low >= -_GRAY_TOLERANCE and high <= 255 + _GRAY_TOLERANCE):
            raise DataError(
                f"{self.file(self.stimuli, number)}: expected gray values 0..255, NaN only after "
                f"the trial's end, got {low:g} to {high:g}"
            )
        levels = np.clip(np.rint(video), 0, 255)
        rounding = float(np.abs(levels - video).max())
        return np.ascontiguousarray(levels.astype(np.uint8)), rounding


def is_session(folder: Path) -> bool:
    """Return whether a folder seems to be one session."""
    has_stimuli = any((folder / "data" / key).is_dir() for key in STIMULI)
    return has_stimuli and (folder / "meta" / "trials").is_dir()


def read_folder(path: Path) -> SensoriumFolder:
    """Read the contents of a session's folder, without its trials.

    Raises:
        DataError: If it has images and videos, or no tiers.
    """
    stimuli = [key for key in STIMULI if (path / "data" / key).is_dir()]
    if len(stimuli) != 1:
        raise DataError(f"{path}/data: expected `images` or `videos`, got {stimuli}; keep one")
    file = path / "meta" / "trials" / "tiers.npy"
    tiers = to_names(read_npy(file), str(file))
    if not tiers:
        raise DataError(f"{file}: names no trial; is the folder complete?")
    return SensoriumFolder(
        path=path,
        stimuli=stimuli[0],
        tiers=tiers,
        has_behavior=(path / "data" / "behavior").is_dir(),
        has_pupil=(path / "data" / "pupil_center").is_dir(),
    )


def read_trial_values(path: Path, n_trials: int) -> tuple[dict[str, np.ndarray], list[str]]:
    """Read further values of each trial, and name the files that hold none.

    Args:
        path: The session's folder.
        n_trials: Number of trials.
    """
    values, ignored = {}, []
    for file in sorted((path / "meta" / "trials").glob("*.npy")):
        if file.stem == "tiers":
            continue
        try:
            has_values = read_npy_header(file).shape == (n_trials,)
        except DataError:  # Python objects, for example
            has_values = False
        if has_values:
            values[file.stem] = read_npy(file)
        else:
            ignored.append(f"meta/trials/{file.name}")
    return values, ignored
