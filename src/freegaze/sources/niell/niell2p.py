"""Two-photon sessions of the Niell laboratory, ``*_preproc.h5``: neurons, eyes and head, no camera.

One flat HDF5 file per recording; cells are rows, ``twopT`` is the clock in seconds. The file has no
video of the scene, but a recording needs frames. By default, the file is refused. With
``blank_video: true`` every bin shows one gray frame, for encoders that read behavior alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

import h5py
import numpy as np

from freegaze.errors import DataError, ShapeError
from freegaze.files.hdf5 import Hdf5Reader
from freegaze.files.hdf5_scan import is_hdf5
from freegaze.recording.columns import name_columns
from freegaze.recording.recording import Recording, ResponseKind
from freegaze.sources.conversion import kept_columns, stack_columns, to_float32
from freegaze.sources.niell.layout import number_units, read_annotations, read_clock
from freegaze.sources.source import AbstractSource, SourceOptions, find_files, register_source
from freegaze.sources.tiny import make_tiny_recording

BIN_WIDTH_S = 1 / 7.5
"""Frame rate of the laboratory's microscope, for files without a clock."""

BEHAVIOR_KEYS = name_columns(
    {
        "speed": "speed",
        "gyro_z_twop_interp": "gz",
        "pitch_twop_interp": "pitch",
        "roll_twop_interp": "roll",
        "head_yaw_deg": "yaw",
        "phi_interp": "phi",
        "theta_interp": "theta",
    }
)
"""Name and unit of the column behind each key on the microscope's clock."""

ANNOTATION_KEYS = {
    "twopT": "time_s",
    "head_x": "head_x_px",
    "head_y": "head_y_px",
    "ltdk_state_vec": "is_light",
}

RESPONSE_KINDS = {
    "norm_spikes": ResponseKind.INFERRED_SPIKES,
    "s2p_spks": ResponseKind.INFERRED_SPIKES,
    "norm_dFF": ResponseKind.FLUORESCENCE,
    "raw_dFF": ResponseKind.FLUORESCENCE,
    "denoised_dFF": ResponseKind.FLUORESCENCE,
}

BLANK_SIZE, BLANK_GRAY = (30, 40), 128
CELLS = "matlab_cellinds"


class Niell2pOptions(SourceOptions):
    """Options of ``*_preproc.h5``.

    Args:
        responses: Spikes clipped and scaled to 0..1 per cell, suite2p's spikes, or fluorescence.
        blank_video: Whether every bin shows one gray frame; the files hold no video.
        leave_out: Behavior columns not to read.
    """

    responses: Literal["norm_spikes", "s2p_spks", "norm_dFF", "raw_dFF", "denoised_dFF"] = (
        "norm_spikes"
    )
    blank_video: bool = False
    leave_out: tuple[str, ...] = ()


@register_source("niell2p")
class Niell2pSource(AbstractSource[Niell2pOptions]):
    """Freely moving two-photon sessions; only with ``blank_video``, as there is no camera."""

    Options: ClassVar = Niell2pOptions
    description: ClassVar = "*_preproc.h5 of the Niell lab's two-photon rig; has no camera video"
    tiny_options: ClassVar = {"blank_video": True}

    def find_sessions(self, path: Path, options: Niell2pOptions) -> dict[str, Path]:
        """Find the file, or every ``*_preproc.h5`` in a folder."""
        return find_files(path, "*_preproc.h5")

    def open_session(self, path: Path, name: str, options: Niell2pOptions) -> Recording:
        """Read one file, with one gray frame in place of the video."""
        with Hdf5Reader(path) as reader:
            responses, units, told = _read_responses(reader, options.responses)
            if not options.blank_video:
                raise DataError(
                    f"{path} holds no camera video, which a recording needs; for encoders that "
                    "read behavior alone, `blank_video: true` shows one gray frame"
                )
            n_bins = len(responses)
            time_s = _fit_clock(reader, n_bins)
            width_s, segments = read_clock(time_s, n_bins, BIN_WIDTH_S, f"{path}: twopT")
            columns, resized = _read_columns(reader, n_bins, options.leave_out)
            used = (*BEHAVIOR_KEYS, *RESPONSE_KINDS, CELLS, "twopT")
            further = {key: key for key in reader.headers if key not in used}
            annotations, ignored = read_annotations(reader, further, n_bins, ANNOTATION_KEYS)
            if time_s is not None:
                annotations = {"time_s": time_s, **annotations}
            return Recording(
                session_id=name,
                bin_width_s=width_s,
                frames=np.full((1, *BLANK_SIZE), BLANK_GRAY, np.uint8),
                frame_index=np.zeros(n_bins, np.int64),
                behavior=stack_columns(
                    columns, n_bins, str(path), {key: BEHAVIOR_KEYS[key][0] for key in columns}
                ),
                behavior_names=tuple(BEHAVIOR_KEYS[key][0] for key in columns),
                behavior_units=tuple(BEHAVIOR_KEYS[key][1] for key in columns),
                responses=responses,
                response_kind=RESPONSE_KINDS[options.responses],
                unit_ids=units,
                segments=segments,
                annotations=annotations,
                provenance={
                    "video": "blank, as stated",
                    "fitted_lengths": resized,
                    "ignored_keys": [*sorted(reader.unread), *ignored],
                    **told,
                },
            )

    def write_tiny(self, path: Path, seed: int) -> Path:
        """Write a flat file with the laboratory's keys, cells as rows."""
        r = make_tiny_recording(seed)
        rng = np.random.default_rng([seed, 1])
        spikes = r.responses.T * rng.gamma(2.0, 1.0, r.responses.T.shape)
        file = path / "250218_DMM_DMM038_rec_01_preproc.h5"
        n = r.n_bins
        values = {
            "s2p_spks": spikes.astype(np.float32),
            "norm_spikes": (spikes / spikes.max(axis=1, keepdims=True)).astype(np.float32),
            "norm_dFF": rng.normal(size=spikes.shape),
            "twopT": np.arange(n) * BIN_WIDTH_S,
            "theta_interp": r.column("theta").astype(float),
            "phi_interp": r.column("phi").astype(float),
            "head_yaw_deg": rng.uniform(0, 360, n),
            "speed": r.column("speed")[:-1].astype(float),  # a difference: one shorter
            "head_x": rng.uniform(0, 900, n),
            "head_y": rng.uniform(0, 700, n),
            "ltdk_state_vec": np.arange(n) % 60 < 40,
            "theta": rng.normal(size=3 * n),  # on the eye camera's clock
            "pxls2cm": 33.5,
            CELLS: np.arange(r.n_neurons),
        }
        with h5py.File(file, "w") as stream:
            for key, value in values.items():
                stream[key] = value
            stream["ltdk"] = True
        return file

    def recognizes(self, path: Path) -> bool:
        """Return whether a file is HDF5 with responses of cells and ``twopT`` at its root."""
        if not is_hdf5(path):
            return False
        with Hdf5Reader(path) as reader:
            return "twopT" in reader.headers and not RESPONSE_KINDS.keys().isdisjoint(
                reader.headers
            )


def _read_responses(
    reader: Hdf5Reader, key: str
) -> tuple[np.ndarray, tuple[str, ...], dict[str, Any]]:
    """Return responses (time, cell), the cells' names, and which silent ones were left out."""
    if key not in reader.headers:
        there = [name for name in RESPONSE_KINDS if name in reader.headers]
        raise DataError(
            f"{reader.path} holds no {key} (of such keys: {', '.join(there) or 'none'}); choose "
            "another with the option `responses`"
        )
    shape = reader.headers[key].shape
    if len(shape) != 2 or 0 in shape:
        raise ShapeError(f"{reader.path}: {key}: expected (cell, time), got {shape}")
    responses = to_float32(reader.read(key).T, key)
    has_numbers = CELLS in reader.headers and reader.headers[CELLS].shape == shape[:1]
    names = number_units(reader.read(CELLS) if has_numbers else None, shape[0], CELLS)
    is_silent = np.isnan(responses).all(axis=0)  # 0 / 0: a cell without a spike, scaled
    if is_silent.all():
        raise DataError(f"{reader.path}: {key}: NaN throughout; run the preprocessing again")
    kept = np.flatnonzero(~is_silent)
    told = {"silent_cells_left_out": [names[i] for i in np.flatnonzero(is_silent)]}
    return responses[:, kept], tuple(names[i] for i in kept), told


def _fit_clock(reader: Hdf5Reader, n_bins: int) -> np.ndarray | None:
    """Return the clock; the laboratory's ``arange`` may give one time too many."""
    if "twopT" not in reader.headers:
        return None
    time_s = reader.read("twopT")
    return time_s[:n_bins] if time_s.shape == (n_bins + 1,) else time_s


def _read_columns(
    reader: Hdf5Reader, n_bins: int, leave_out: tuple[str, ...]
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return the columns, and the change to each that is one bin longer or shorter."""
    known = {BEHAVIOR_KEYS[key][0]: key for key in BEHAVIOR_KEYS if key in reader.headers}
    columns, resized = {}, {}
    for key in map(known.__getitem__, kept_columns(list(known), leave_out)):
        array = reader.read(key)
        if array.shape == (n_bins + 1,):
            array, resized[key] = array[:n_bins], "the last value was cut off"
        elif array.shape == (n_bins - 1,) and array.dtype.kind in "iuf":
            array = np.append(array.astype(np.float64), np.nan)
            resized[key] = "NaN stands for the last bin"
        columns[key] = array
    return columns, resized
