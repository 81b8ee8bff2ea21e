"""Scores per neuron, and the registry in which they are found by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool, Float, Integer, Real

from freegaze.errors import ConfigError
from freegaze.metrics.blocks import TimeBlocks, relabel_runs
from freegaze.metrics.checks import as_pair, as_per_neuron, check_length, is_constant
from freegaze.metrics.scales import IDENTITY, Scale
from freegaze.registry import Registry

SPIKES = frozenset({"spike_counts", "inferred_spikes"})
"""Kinds of responses that are never negative, so that a Poisson likelihood makes sense."""

ALL_KINDS = SPIKES | {"fluorescence"}
"""All kinds of responses; the names are those of the recording's response kind."""


@dataclass(frozen=True)
class ScoreContext:
    """Values that a score may need besides predictions and observations.

    Args:
        baseline_rate: Mean response of each neuron over the *training* bins, per bin, (neuron,).
        segment_ids: Label of the segment of each scored bin, (time,).
        bin_width_s: Width of a bin in seconds.
        response_kind: ``spike_counts``, ``inferred_spikes`` or ``fluorescence``.

    Raises:
        ConfigError: If the kind is unknown or the bin width is not positive.
    """

    baseline_rate: Real[np.ndarray, " neuron"]
    segment_ids: Integer[np.ndarray, " time"]
    bin_width_s: float
    response_kind: str = "spike_counts"

    def __post_init__(self) -> None:
        if self.response_kind not in ALL_KINDS:
            raise ConfigError(
                f"response_kind must be one of {sorted(ALL_KINDS)}, got {self.response_kind!r}"
            )
        if not (np.isfinite(self.bin_width_s) and self.bin_width_s > 0):
            raise ConfigError(f"bin_width_s must be a positive number, got {self.bin_width_s}")

    def select_bins(self, keep: Bool[np.ndarray, " time"]) -> ScoreContext:
        """Return the context of some bins; a segment is cut where bins are missing."""
        return replace(self, segment_ids=relabel_runs(self.segment_ids, keep))

    def select_neurons(self, keep: np.ndarray) -> ScoreContext:
        """Return the context of some neurons (a mask, numbers, or a new order)."""
        return replace(self, baseline_rate=np.asarray(self.baseline_rate)[keep])


Sums = Sequence[np.ndarray]
"""Sums over any bins of what a metric is made of, in its order, (..., neuron) each."""

PerBin = Callable[[np.ndarray, np.ndarray, ScoreContext], Sequence[np.ndarray]]
"""``(predicted, observed, context)`` to what is summed over bins, (time, neuron) each."""

Formula = Callable[[Sums], np.ndarray]
"""The score of each neuron, (..., neuron), from sums over any bins."""


@dataclass(frozen=True)
class Metric:
    """A score per neuron, callable as ``metric(predicted, observed, context)``.

    The score is a function of *means over bins* of per-bin quantities: the formula does not change
    when all sums are multiplied by one number. That is what makes a bootstrap over blocks a matrix
    product.

    Args:
        name: Under which it is registered and named in tables.
        label: Heading of its column.
        unit: Unit of the score; empty if the score has no unit.
        higher_is_better: False for errors.
        per_bin: The quantities that are summed over bins.
        formula: The score from their sums.
        response_kinds: Kinds of responses that it applies to.
        scale: Scale on which intervals are computed.
        description: One line for listings, with its source.
    """

    name: str
    label: str
    unit: str
    higher_is_better: bool
    per_bin: PerBin = field(repr=False)
    formula: Formula = field(repr=False)
    response_kinds: frozenset[str] = ALL_KINDS
    scale: Scale = field(default=IDENTITY, repr=False)
    description: str = ""

    def __call__(
        self,
        predicted: Real[np.ndarray, "time neuron"],
        observed: Real[np.ndarray, "time neuron"],
        context: ScoreContext,
    ) -> Float[np.ndarray, " neuron"]:
        """Score each neuron; a neuron whose observations are constant has no score (NaN).

        Args:
            predicted: Predicted responses.
            observed: Recorded responses.
            context: Baselines, segments, bin width and kind of response.

        Returns:
            One number per neuron.

        Raises:
            ShapeError: If shapes disagree.
            ConfigError: If the score does not apply to this kind of response.
        """
        whole = TimeBlocks(np.array([0]), len(observed))
        return self.from_statistics(self.statistics(predicted, observed, context, whole)[0])

    def statistics(
        self,
        predicted: Real[np.ndarray, "time neuron"],
        observed: Real[np.ndarray, "time neuron"],
        context: ScoreContext,
        blocks: TimeBlocks,
    ) -> Float[np.ndarray, "block statistic neuron"]:
        """Sum the per-bin quantities over each block; NaN for neurons that never change.

        Args:
            predicted: Predicted responses.
            observed: Recorded responses.
            context: Baselines, segments, bin width and kind of response.
            blocks: The blocks.

        Returns:
            Sums over each block.

        Raises:
            ShapeError: If shapes disagree.
            ConfigError: If the score does not apply to this kind of response.
        """
        predicted, observed = self.check(predicted, observed, context)
        sums = [blocks.sums(values) for values in self.per_bin(predicted, observed, context)]
        return np.where(is_constant(observed), np.nan, np.stack(sums, axis=1))

    def from_statistics(
        self, statistics: Float[np.ndarray, "... statistic neuron"]
    ) -> Float[np.ndarray, "... neuron"]:
        """Compute the score of each neuron from sums over any blocks.

        Args:
            statistics: Sums in the order of ``statistics``.
        """
        return self.formula(tuple(np.moveaxis(statistics, -2, 0)))

    def check(
        self, predicted: np.ndarray, observed: np.ndarray, context: ScoreContext
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return both arrays in float64 after checking them against the context.

        Raises:
            ShapeError: If shapes disagree.
            ConfigError: If the score does not apply to this kind of response.
        """
        if context.response_kind not in self.response_kinds:
            raise ConfigError(
                f"metric {self.name!r} is for {sorted(self.response_kinds)}, but the responses are "
                f"{context.response_kind!r}; leave it out"
            )
        predicted, observed = as_pair(predicted, observed)
        check_length(context.segment_ids, len(observed))
        as_per_neuron(context.baseline_rate, observed.shape[1], "baseline_rate")
        return predicted, observed


def ratio(sums: Sums) -> np.ndarray:
    """Divide the first sum by the second; NaN where the second is not positive."""
    part, whole = sums
    is_positive = whole > 0
    return np.where(is_positive, part / np.where(is_positive, whole, 1), np.nan)


def remainder(sums: Sums) -> np.ndarray:
    """Compute 1 - first sum / second sum; NaN where the second is not positive."""
    return 1 - ratio(sums)


METRICS: Registry[Metric] = Registry("metric")
"""All scores per neuron, by name."""


def register_metric(
    name: str,
    *,
    label: str,
    unit: str,
    higher_is_better: bool,
    formula: Formula,
    response_kinds: frozenset[str] = ALL_KINDS,
    scale: Scale = IDENTITY,
) -> Callable[[PerBin], Metric]:
    """Return a decorator that makes a registered metric of a function of predictions.

    The function returns the quantities that are summed over bins; the first line of its docstring
    becomes the description.

    Args:
        name: Name in tables, options and the registry.
        label: Heading of its column.
        unit: Unit of the score; empty if the score has no unit.
        higher_is_better: False for errors.
        formula: The score from the sums, such as `ratio`.
        response_kinds: Kinds of responses that it applies to.
        scale: Scale on which intervals are computed.

    Raises:
        RegistryError: If the name is taken.
    """

    def enter(per_bin: PerBin) -> Metric:
        return METRICS.register(name)(
            Metric(
                name=name,
                label=label,
                unit=unit,
                higher_is_better=higher_is_better,
                per_bin=per_bin,
                formula=formula,
                response_kinds=response_kinds,
                scale=scale,
                description=(per_bin.__doc__ or "").partition("\n")[0].rstrip("."),
            )
        )

    return enter


def metrics_for(response_kind: str) -> list[str]:
    """Return the names of the scores that apply to a kind of response, in alphabetical order.

    Args:
        response_kind: ``spike_counts``, ``inferred_spikes`` or ``fluorescence``.
    """
    return [name for name in METRICS if response_kind in METRICS.get(name).response_kinds]
