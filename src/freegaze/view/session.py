"""One session as the explorer reads it: a store on disk, and what a run predicts of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float, Integer, UInt8

from freegaze.contiguous import run_bounds
from freegaze.errors import DataError
from freegaze.evaluation.timeline import ROLES, Timeline
from freegaze.files.arrays import read_npy
from freegaze.recording.columns import GROUP_COLORS, find_column
from freegaze.recording.manifest import read_manifest
from freegaze.recording.responses import per_second, response_label, response_unit
from freegaze.view.fields import Fields, field_methods, read_fields
from freegaze.view.moments import Moment, find_moments
from freegaze.view.pyramid import Pyramid
from freegaze.view.rows import ArrayRows
from freegaze.view.scores import NeuronScore, neuron_scores

FRAME_BYTES = 1 << 20
"""Frames sent at once fill about 1 MiB."""

SAMPLED_ROWS = 20_000
"""Rows of behavior from which the ranges of axes are estimated."""

T = TypeVar("T")


class ViewedSession:
    """A session of which any bins are read without holding it in memory.

    Args:
        store: Folder of its store.
        scratch: Empty folder for coarser levels of its signals; made if missing.
        run: The evaluated run, if one is shown.
        timeline: What the run predicts of the session.

    Raises:
        DataError: If files are damaged, or neurons of the run are not in the recording.
    """

    def __init__(
        self,
        store: Path,
        scratch: Path,
        run: Path | None = None,
        timeline: Timeline | None = None,
    ) -> None:
        self.manifest = manifest = read_manifest(store)
        self.store, self.scratch, self.run, self.timeline = store, scratch, run, timeline
        scratch.mkdir(parents=True, exist_ok=True)
        files = {name: store / entry.file for name, entry in manifest.arrays.items()}
        self.session_id = manifest.session_id if timeline is None else timeline.session_id
        self.frames = ArrayRows(files["frames"])
        self.frame_index = read_npy(files["frame_index"])
        self.n_bins = len(self.frame_index)
        self.behavior = Pyramid(ArrayRows(files["behavior"]), scratch, "behavior")
        self.responses = Pyramid(ArrayRows(files["responses"]), scratch, "responses")
        self.unit_ids = manifest.unit_ids if timeline is None else timeline.unit_ids
        self.columns = self._columns()
        self.rates: Pyramid | None = None
        self.displacement: ArrayRows | None = None
        if timeline is not None:
            self.rates = Pyramid(ArrayRows(timeline.rates), scratch, "rates")
            if timeline.displacement is not None:
                self.displacement = ArrayRows(timeline.displacement)
            if self.rates.rows.n_rows != self.n_bins:
                raise DataError(
                    f"session {self.session_id!r} has {self.n_bins} bins, and the run predicts "
                    f"{self.rates.rows.n_rows}; evaluate the run again"
                )
        self._kept: dict[Any, Any] = {}
        self._lock = threading.Lock()

    @property
    def frame_size(self) -> tuple[int, int]:
        """(height, width) of the video in pixels."""
        height, width = self.frames.row_shape
        return height, width

    @property
    def per_s(self) -> float:
        """Factor from responses per bin to responses per second; 1 for fluorescence."""
        return per_second(self.manifest.response_kind, self.manifest.bin_width_s)

    @cached_property
    def segment_ids(self) -> Integer[np.ndarray, " time"]:
        """Number of each bin's segment."""
        return np.repeat(
            np.arange(len(self.manifest.segments)), [s.n_bins for s in self.manifest.segments]
        )

    @cached_property
    def roles(self) -> UInt8[np.ndarray, " time"]:
        """Place of each bin's role in ``ROLES``."""
        if self.timeline is not None:
            return read_npy(self.timeline.roles)
        codes = [ROLES.index(segment.role or "") for segment in self.manifest.segments]
        return np.array(codes, dtype=np.uint8)[self.segment_ids]

    def scores(self) -> list[NeuronScore]:
        """Return the scores by which neurons are sorted; the mean rate comes last."""
        found = []
        if self.run is not None:
            found = neuron_scores(self.run, self.session_id, self.unit_ids)
        unit = response_unit(self.manifest.response_kind)
        return [*found, NeuronScore("mean_response", f"mean response ({unit})", self._means())]

    def prepare(self) -> None:
        """Compute what a page asks for first: the description, and coarse times of all signals."""
        self.describe()
        for is_predicted in (False, True):
            self.raster(0, self.n_bins, 1, is_predicted)

    def describe(self) -> dict[str, Any]:
        """Return all that a page needs before it asks for bins, as plain values."""
        return self._keep("description", self._describe)

    def _describe(self) -> dict[str, Any]:
        m, (height, width) = self.manifest, self.frame_size
        colors = [GROUP_COLORS.get(find_column(n).group or "", "") for n in m.behavior_names]
        known = zip(m.behavior_names, m.behavior_units, colors, self._ranges(), strict=True)
        starts, stops = run_bounds(self.roles, self.segment_ids)
        return {
            "sessionId": self.session_id,
            "binWidth": m.bin_width_s,
            "bins": self.n_bins,
            "frame": {"height": height, "width": width, "atOnce": self.frames_at_once},
            "degPerPx": m.deg_per_px,
            "behavior": [
                {"name": name, "unit": unit, "color": color, "low": low, "high": high}
                for name, unit, color, (low, high) in known
            ],
            "units": list(self.unit_ids),
            "response": response_label(m.response_kind),
            "responseUnit": response_unit(m.response_kind),
            "scores": [
                {
                    "name": s.name,
                    "label": s.label,
                    "values": _plain(s.values),
                    "isAscending": s.is_ascending,
                }
                for s in self.scores()
            ],
            "roles": [
                [int(a), int(b), ROLES[self.roles[a]]] for a, b in zip(starts, stops, strict=True)
            ],
            "model": None if self.timeline is None else self.timeline.model,
            "center": None if self.timeline is None else list(self.timeline.center),
            "isShifted": self.displacement is not None,
            "methods": [] if self.run is None else field_methods(self.run, self.session_id),
        }

    @property
    def frames_at_once(self) -> int:
        """Largest number of frames that are sent at once."""
        return int(np.clip(FRAME_BYTES // self.frames.row_bytes, 1, 256))

    def video(self, start: int, n: int, step: int) -> UInt8[np.ndarray, "bin height width"]:
        """Return the frames of every ``step``-th bin, at most ``frames_at_once``."""
        bins = self._bins(start, min(n, self.frames_at_once), step)
        return self.frames.take(self.frame_index[bins])

    def values(self, start: int, n: int, step: int) -> Float[np.ndarray, "bin value"]:
        """Return behavior, and then x px, y px and angle deg of the shifter, of single bins."""
        bins = self._bins(start, n, step)
        parts = [self.behavior.rows.take(bins)]
        if self.displacement is not None:
            parts.append(self.displacement.take(bins))
        return np.concatenate(parts, axis=1).astype(np.float32)

    def traces(
        self, neuron: int, start: int, stop: int, n_points: int
    ) -> Float[np.ndarray, "trace 3 point"]:
        """Return recorded, and where a run is shown predicted, responses of one neuron.

        Args:
            neuron: Number of the neuron.
            start: First bin.
            stop: One past the last bin.
            n_points: Number of equal parts, see ``Pyramid.read``.

        Returns:
            Smallest, mean and largest of each part, per second for spikes.
        """
        parts = [self.responses.read(start, stop, n_points, int(self.columns[neuron]))]
        if self.rates is not None:
            parts.append(self.rates.read(start, stop, n_points, neuron))
        return np.float32(self.per_s) * np.stack(parts)[..., 0]

    def raster(
        self, start: int, stop: int, n_points: int, is_predicted: bool
    ) -> UInt8[np.ndarray, "neuron point"]:
        """Return responses of all neurons as gray levels, from each neuron's least to its largest.

        Args:
            start: First bin.
            stop: One past the last bin.
            n_points: Number of equal parts.
            is_predicted: Whether to return predicted responses.

        Returns:
            Square roots between the smallest (0) and the largest mean of 8 bins (255).
        """
        signal = self.rates if is_predicted and self.rates is not None else self.responses
        low, high = self._keep(("ends", id(signal)), signal.ends)
        mean = signal.read(start, stop, n_points)[1]
        if signal is self.responses:
            mean, low, high = (values[..., self.columns] for values in (mean, low, high))
        share = (mean - low) / np.maximum(high - low, 1e-9)
        return np.rint(255 * np.sqrt(np.clip(np.nan_to_num(share), 0, 1))).astype(np.uint8).T

    def moments(self, neuron: int) -> tuple[list[Moment], list[Moment]]:
        """Return the moments at which a neuron is predicted best and worst; none without a run.

        They lie in test bins if there are any.
        """
        if self.rates is None or self.timeline is None:
            return [], []
        is_test = self.roles == ROLES.index("test")
        return find_moments(
            self.rates.rows.read(0, self.n_bins, neuron)[:, 0],
            self.responses.rows.read(0, self.n_bins, int(self.columns[neuron]))[:, 0],
            float(self.timeline.mean_response[neuron]),
            is_test if is_test.any() else np.ones(self.n_bins, dtype=bool),
            self.segment_ids,
            self.manifest.bin_width_s,
            str(self.manifest.response_kind.value),
        )

    def fields(self, method: str) -> Fields:
        """Return the receptive fields by a method.

        Raises:
            DataError: If the run has none by that method.
        """
        run = self.run
        if run is None or method not in field_methods(run, self.session_id):
            raise DataError(f"session {self.session_id!r} has no receptive fields by {method!r}")
        return self._keep(
            ("fields", method), lambda: read_fields(run, self.session_id, method, self.unit_ids)
        )

    def _keep(self, key: Any, compute: Callable[[], T]) -> T:
        with self._lock:
            if key not in self._kept:
                self._kept[key] = compute()
            return self._kept[key]

    def _columns(self) -> Integer[np.ndarray, " neuron"]:
        place = {unit: i for i, unit in enumerate(self.manifest.unit_ids)}
        missing = [unit for unit in self.unit_ids if unit not in place]
        if missing:
            raise DataError(
                f"session {self.session_id!r} lacks neuron {missing[0]!r} of the run (and "
                f"{len(missing) - 1} others); restore the recording that the run was fitted on"
            )
        return np.array([place[unit] for unit in self.unit_ids])

    def _bins(self, start: int, n: int, step: int) -> np.ndarray:
        return np.arange(start, min(start + n * step, self.n_bins), step)

    def _means(self) -> np.ndarray:
        """Return the mean response of each neuron per second, from the coarsest level."""
        mean = self.responses.read(0, self.n_bins, 1)[1, 0, self.columns]
        return self.per_s * mean.astype(np.float64)

    def _ranges(self) -> list[tuple[float | None, float | None]]:
        """Return the 0.1 and 99.9 % percentiles of each behavior column."""
        bins = np.unique(np.linspace(0, self.n_bins - 1, SAMPLED_ROWS).astype(np.int64))
        values = self.behavior.rows.take(bins).astype(np.float64)
        found: list[tuple[float | None, float | None]] = []
        for column in values.T:
            known = column[np.isfinite(column)]
            ends = np.percentile(known, [0.1, 99.9]).tolist() if len(known) else [None, None]
            found.append((ends[0], ends[1]))
        return found


def _plain(values: np.ndarray) -> list[float | None]:
    return [float(f"{v:.6g}") if np.isfinite(v) else None for v in values.tolist()]
