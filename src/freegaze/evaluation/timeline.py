"""Predictions and displacements of all bins, written so that they can be read in pieces.

In a run's folder, one folder per session:

timeline/SESSION/about.json        neurons, recording, lag, center of rotation
                 rates.npy         predicted responses per bin, (time, neuron); NaN without a window
                 displacement.npy  (x px, y px, angle deg), (time, 3); where there is a shifter
                 roles.npy         place of each bin's role in ``ROLES``, (time,)
                 checksums.sha256  of all these

`freegaze view` shows them beside the recording. Reading imports no torch.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from freegaze.errors import CheckpointError, FreegazeError
from freegaze.files.artifact import CHECKSUMS, folder_name, read_json, strict_json, write_sealed
from freegaze.files.checksums import check_files
from freegaze.recording.recording import Recording

if TYPE_CHECKING:  # imports torch, which a reader does without
    from freegaze.dataset.splits import Split
    from freegaze.fitted.encoder import FittedEncoder, Prediction

FOLDER = "timeline"
ABOUT = "about.json"
RATES, DISPLACEMENT, ROLE_CODES = "rates.npy", "displacement.npy", "roles.npy"

ROLES = ("", "train", "validation", "test")
"""Roles of bins; bins between the roles have none."""


@dataclass(frozen=True)
class Timeline:
    """Predictions and displacements of one session on disk.

    Args:
        folder: The folder of the files.
        session_id: The session.
        unit_ids: The fitted neurons, in the order of the columns of ``rates.npy``.
        mean_response: Mean response per bin of each neuron over training bins, (neuron,).
        lag: Target bin minus last input bin.
        center: Point (x, y) in pixels that frames are rotated about.
        source: Name, path and options with which the recording was opened; ``None`` where it was
            made in Python.
        model: Registered name of the encoder.
        has_displacement: Whether the encoder has a shifter, and the folder displacements.
    """

    folder: Path
    session_id: str
    unit_ids: tuple[str, ...]
    mean_response: Float[np.ndarray, " neuron"]
    lag: int
    center: tuple[float, float]
    source: Mapping[str, Any] | None
    model: str
    has_displacement: bool

    @property
    def rates(self) -> Path:
        """File of the predicted responses."""
        return self.folder / RATES

    @property
    def roles(self) -> Path:
        """File of the roles of bins."""
        return self.folder / ROLE_CODES

    @property
    def displacement(self) -> Path | None:
        """File of the displacements; ``None`` for an encoder without a shifter."""
        return self.folder / DISPLACEMENT if self.has_displacement else None


def save_timeline(
    run_folder: Path | str,
    encoder: FittedEncoder,
    recording: Recording,
    prediction: Prediction,
    split: Split,
) -> Path:
    """Write the predictions and displacements of a session into a run folder.

    Args:
        run_folder: The run; an earlier timeline of the session there is replaced.
        encoder: The run's encoder.
        recording: The session.
        prediction: Of all bins with a full window, or of some of them.
        split: Roles of the bins.

    Returns:
        The folder written to.

    Raises:
        DataError: If the disk refuses; existing files then do not change.
    """
    n_bins, n_neurons = recording.n_bins, len(prediction.unit_ids)
    rates = np.full((n_bins, n_neurons), np.nan, dtype=np.float32)
    rates[prediction.targets] = prediction.rates
    roles = np.zeros(n_bins, dtype=np.uint8)
    for code, role in enumerate(ROLES[1:], start=1):
        roles[split.bins(role)] = code
    arrays = {RATES: rates, ROLE_CODES: roles}
    displacement = encoder.displacement(recording)
    if displacement is not None:
        arrays[DISPLACEMENT] = displacement.astype(np.float32)
    height, width = recording.frame_size
    gaze = encoder.encoder.gaze(recording.session_id)
    shifter = None if gaze is None else gaze.shifter
    about = {
        "session_id": recording.session_id,
        "unit_ids": list(prediction.unit_ids),
        "mean_response": encoder.mean_response(recording).tolist(),
        "lag": encoder.data.lag,
        "center": [(width - 1) / 2, (height - 1) / 2] if shifter is None else list(shifter.center),
        "source": recording.provenance.get("opened"),
        "model": encoder.model_name,
        "has_displacement": displacement is not None,
    }
    folder = _folder(run_folder, recording.session_id)
    files = {name: _npy_bytes(array) for name, array in arrays.items()}
    write_sealed(folder, {**files, ABOUT: strict_json(about)})
    return folder


def load_timelines(run_folder: Path | str) -> tuple[Timeline, ...]:
    """Read the timelines of all sessions of a run, without their arrays.

    Args:
        run_folder: The run.

    Returns:
        One per session, in order of their names.

    Raises:
        CheckpointError: If the run was not evaluated, or a file is broken.
    """
    found = sorted((Path(run_folder) / FOLDER).glob(f"*/{ABOUT}"))
    if not found:
        raise CheckpointError(
            f"{run_folder} holds no predictions of all bins ({FOLDER}); run `freegaze evaluate "
            f"{run_folder}`"
        )
    return tuple(_read(path.parent, run_folder) for path in found)


def _read(folder: Path, run_folder: Path | str) -> Timeline:
    try:
        about = read_json(folder / ABOUT)
        has_displacement = bool(about["has_displacement"])
        names = [ABOUT, RATES, ROLE_CODES, *([DISPLACEMENT] if has_displacement else [])]
        check_files(folder / CHECKSUMS, names)
        mean = [np.nan if value is None else value for value in about["mean_response"]]
        x, y = about["center"]
        return Timeline(
            folder=folder,
            session_id=str(about["session_id"]),
            unit_ids=tuple(map(str, about["unit_ids"])),
            mean_response=np.array(mean, dtype=np.float64),
            lag=int(about["lag"]),
            center=(float(x), float(y)),
            source=about["source"],
            model=str(about["model"]),
            has_displacement=has_displacement,
        )
    except (FreegazeError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise CheckpointError(
            f"the timeline in {folder} is broken ({reason}); run `freegaze evaluate {run_folder}`"
        ) from None


def _folder(run_folder: Path | str, session_id: str) -> Path:
    return Path(run_folder) / FOLDER / folder_name(session_id)


def _npy_bytes(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
