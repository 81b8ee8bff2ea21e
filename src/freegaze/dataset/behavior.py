"""Behavior features of recorded columns: lost tracking, derivatives, products, scaling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor

from freegaze.dataset.features import base_signals, factors, source_column
from freegaze.errors import DataError
from freegaze.recording.columns import find_column, needed_columns
from freegaze.recording.recording import Recording

NanPolicy = Literal["zero", "interpolate", "mask"]
DerivativeRule = Literal["gap_aware", "paper"]
StandardizeRule = bool | Literal["segment_sd"]
Constants = tuple[Tensor, Tensor, Tensor]

FEATURES_AT_ONCE = 8
"""Number of features that are in memory at once while they are standardized."""


@dataclass(frozen=True)
class BehaviorTransform:
    """Transform from the recorded columns of a session to an encoder's behavior features.

    Features are products of one or two *signals* (a column or its derivative). Signals are kept for
    every bin; features are made batch by batch, so that 66 features cost the memory of 11 signals.

    Args:
        feature_names: Features in the encoder's order.
        nan_policy: Replacement of lost tracking: ``zero`` (raw 0; Q3), ``interpolate``
            (linear within a segment, an angle the short way round, nearest at its ends),
            ``mask`` (as interpolate, and windows that touch a lost bin are not used for training).
        derivative: ``gap_aware``: difference to the bin before, per second, 0 at a segment's first
            bin and unknown beside lost tracking; ``paper``: difference per bin of the filled
            column, from 0 at the first bin (Q4, Q5).
        signal_center: Subtracted from each signal.
        signal_scale: Divides each signal after that.
        feature_center: Subtracted from each feature after multiplying.
        feature_scale: Divides each feature after that.
        fill_values: Value of each signal where a whole segment is lost.
        is_per_segment: Whether each signal is first divided by its sd in the segment, test segments
            included (Q28).
    """

    feature_names: tuple[str, ...]
    nan_policy: NanPolicy
    derivative: DerivativeRule
    signal_center: tuple[float, ...]
    signal_scale: tuple[float, ...]
    feature_center: tuple[float, ...]
    feature_scale: tuple[float, ...]
    fill_values: tuple[float, ...]
    is_per_segment: bool = False

    @classmethod
    def unscaled(
        cls,
        feature_names: tuple[str, ...],
        nan_policy: NanPolicy,
        derivative: DerivativeRule,
        fill_values: tuple[float, ...],
        is_per_segment: bool = False,
    ) -> BehaviorTransform:
        """Return a transform that keeps raw units; see the class for the arguments."""
        n_signals, n_features = len(fill_values), len(feature_names)
        return cls(
            feature_names,
            nan_policy,
            derivative,
            *((0.0,) * n_signals, (1.0,) * n_signals),
            *((0.0,) * n_features, (1.0,) * n_features),
            fill_values,
            is_per_segment,
        )

    @property
    def signal_names(self) -> tuple[str, ...]:
        """Columns and derivatives that the features are made of."""
        return base_signals(self.feature_names)

    def signals(self, recording: Recording) -> Float[np.ndarray, "time signal"]:
        """Return the standardized signals of every bin, without NaN, float32."""
        raw = _filled_signals(recording, self.signal_names, self.nan_policy, self.derivative)
        # In place: of a session that lies on disk, this is most of what must be in memory.
        np.copyto(raw, np.array(self.fill_values)[None], where=np.isnan(raw))
        if self.is_per_segment:
            for segment in recording.segments:
                raw[segment.start : segment.stop] /= _moments(raw[segment.start : segment.stop])[1]
        raw -= np.array(self.signal_center)
        raw /= np.array(self.signal_scale)
        return raw.astype(np.float32)

    def constants(self, dtype: torch.dtype, device: torch.device | str) -> Constants:
        """Return the columns, center and scale of each feature, for ``features``."""
        center = torch.tensor(self.feature_center, dtype=dtype, device=device)
        scale = torch.tensor(self.feature_scale, dtype=dtype, device=device)
        return torch.from_numpy(self._factor_columns).to(device), center, scale

    def features(
        self, signals: Float[Tensor, "*batch signal"], constants: Constants | None = None
    ) -> Float[Tensor, "*batch feature"]:
        """Multiply and standardize signals into features; differentiable.

        Args:
            signals: Result of ``signals``, with any leading axes.
            constants: Result of ``constants``; without it, every call copies them to the device.
        """
        constants = constants or self.constants(signals.dtype, signals.device)
        (first, second), center, scale = constants
        extended = torch.cat([signals, signals.new_ones(*signals.shape[:-1], 1)], -1)
        product = extended[..., first] * extended[..., second]
        return (product - center) / scale

    def usable(self, recording: Recording) -> Bool[np.ndarray, " time"]:
        """Return which bins a training window may touch: under ``mask`` the tracked, else all."""
        if self.nan_policy != "mask":
            return np.ones(recording.n_bins, dtype=bool)
        return tracked_bins(recording, self.signal_names)

    @cached_property
    def _factor_columns(self) -> Integer[np.ndarray, "2 feature"]:
        one = len(self.signal_names)  # the column of ones behind the signals
        place = {name: i for i, name in enumerate(self.signal_names)}
        pairs = [[place[s] for s in factors(name)] for name in self.feature_names]
        columns = np.array([[*p, one][:2] for p in pairs], dtype=np.int64)
        return np.ascontiguousarray(columns.reshape(-1, 2).T)


def fit_behavior_transform(
    recording: Recording,
    feature_names: Sequence[str],
    training_bins: np.ndarray,
    *,
    nan_policy: NanPolicy = "interpolate",
    derivative: DerivativeRule = "gap_aware",
    standardize: StandardizeRule = True,
) -> BehaviorTransform:
    """Fit centers and scales on training bins only.

    Args:
        recording: The session.
        feature_names: Features to make, see ``features.resolve_features``.
        training_bins: Indices of the bins that it is fitted on.
        nan_policy: See ``BehaviorTransform``.
        derivative: See ``BehaviorTransform``.
        standardize: Scale signals, then products, to mean 0 and sd 1 over training bins; without it
            features keep their raw units (the original; Q6). ``"segment_sd"`` divides each signal
            by its sd in the segment, the test's too, and subtracts no mean (Sensorium+; Q28).

    Returns:
        The transform.

    Raises:
        DataError: If a signal is lost in all training bins.
    """
    names = base_signals(feature_names)
    raw = _filled_signals(recording, names, nan_policy, derivative)[training_bins]
    lost = np.isnan(raw).all(0)
    if len(names) and lost.any():
        raise DataError(
            f"session {recording.session_id!r}: {names[int(lost.argmax())]!r} is lost in every "
            "training bin; leave it out of the features"
        )
    fill = np.nanmedian(raw, axis=0) if len(names) else np.empty(0)
    np.copyto(raw, fill, where=np.isnan(raw))
    unit = BehaviorTransform.unscaled(
        tuple(feature_names),
        nan_policy,
        derivative,
        tuple(fill.tolist()),
        standardize == "segment_sd",
    )
    if standardize is not True or not names:
        return unit
    center, scale = _moments(raw)
    raw -= center  # in place, as below
    raw /= scale
    feature_center, feature_scale = _feature_moments(unit, torch.from_numpy(raw))
    return BehaviorTransform(
        tuple(feature_names),
        nan_policy,
        derivative,
        tuple(center.tolist()),
        tuple(scale.tolist()),
        tuple(feature_center.tolist()),
        tuple(feature_scale.tolist()),
        tuple(fill.tolist()),
    )


def tracked_bins(recording: Recording, signals: Sequence[str]) -> Bool[np.ndarray, " time"]:
    """Return in which bins every recorded column behind some signals was tracked."""
    names = recording.behavior_names
    columns = [
        names.index(column)
        for signal in base_signals(signals)
        for column in needed_columns(source_column(signal, names)[0], names)
    ]
    return np.logical_and.reduce(np.isfinite(recording.behavior[:, columns]), axis=1)


def _feature_moments(transform: BehaviorTransform, signals: Tensor) -> np.ndarray:
    """Return mean and sd of each feature, (2, feature); few features are in memory at a time."""
    n_features = len(transform.feature_names)
    # Numpy adds a lone column in another order than columns side by side, so none is left alone.
    edges = [*range(0, n_features - 1, FEATURES_AT_ONCE)] or [0]
    parts = [slice(a, b) for a, b in zip(edges, [*edges[1:], n_features], strict=True)]
    columns, center, scale = transform.constants(signals.dtype, signals.device)
    some = ((columns[:, part], center[part], scale[part]) for part in parts)
    moments = [_moments(transform.features(signals, few).numpy()) for few in some]
    return np.concatenate(moments, axis=1)


def _moments(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    sd = values.std(0)
    return values.mean(0), np.where(sd > 0, sd, 1.0)  # a constant column stays constant


def _filled_signals(
    recording: Recording, names: Sequence[str], nan_policy: NanPolicy, derivative: DerivativeRule
) -> np.ndarray:
    """Return raw signals (time, signal) in float64; NaN stays where a whole segment is lost."""
    out = np.empty((recording.n_bins, len(names)))
    for i, name in enumerate(names):
        column, is_derivative = source_column(name, recording.behavior_names)
        values = _column(recording, column)
        period = _period(recording, column)
        wave = None if name == column else {"cos_": np.cos, "sin_": np.sin}.get(name[:4])
        for segment in recording.segments:
            part = slice(segment.start, segment.stop)
            x = values[part] if period is None else _unwrap(values[part], period)
            if wave is not None and period is not None:
                out[part, i] = _fill_angle(x, wave, 2 * np.pi / period, nan_policy)
            else:
                out[part, i] = _segment_signal(
                    x, is_derivative, nan_policy, derivative, recording.bin_width_s
                )
    return out


def _period(recording: Recording, column: str) -> float | None:
    """Return a full turn in the unit of an angle that wraps around; ``None`` for other columns."""
    if column not in recording.behavior_names or not find_column(column).is_circular:
        return None
    unit = recording.behavior_units[recording.behavior_names.index(column)]
    return 2 * np.pi if unit.startswith("rad") else 360.0


def _unwrap(x: np.ndarray, period: float) -> np.ndarray:
    """Continue an angle beyond a turn, so that known neighbors are less than half a turn apart."""
    known = np.isfinite(x)
    out = x.copy()
    out[known] = np.unwrap(x[known], period=period)
    return out


def _fill_angle(
    x: np.ndarray, wave: Callable[[np.ndarray], np.ndarray], radians: float, nan_policy: NanPolicy
) -> np.ndarray:
    """Return the cosine or sine of an unwrapped angle; under ``zero`` a lost angle gives 0."""
    if nan_policy == "zero":
        return _fill(wave(x * radians), nan_policy)
    return wave(_fill(x, nan_policy) * radians)


def _column(recording: Recording, name: str) -> np.ndarray:
    needed = needed_columns(name, recording.behavior_names)
    columns = [recording.column(column).astype(np.float64) for column in needed]
    derive = None if needed == (name,) else find_column(name).derive
    return columns[0] if derive is None else derive(*columns)


def _segment_signal(
    x: np.ndarray,
    is_derivative: bool,
    nan_policy: NanPolicy,
    derivative: DerivativeRule,
    bin_width_s: float,
) -> np.ndarray:
    if not is_derivative:
        return _fill(x, nan_policy)
    if derivative == "paper":
        return np.diff(_fill(x, nan_policy), prepend=0.0)
    slope = np.diff(x, prepend=x[:1]) / bin_width_s
    return _fill(slope, nan_policy)


def _fill(x: np.ndarray, nan_policy: NanPolicy) -> np.ndarray:
    lost = np.isnan(x)
    if nan_policy == "zero":
        return np.where(lost, 0.0, x)
    if lost.all() or not lost.any():
        return x
    bins = np.arange(len(x))
    return np.interp(bins, bins[~lost], x[~lost])
