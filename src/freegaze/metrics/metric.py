"""Metrics, each a score per neuron, and their registry."""

from __future__ import annotations

from collections.abc import Callable
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
    """What a score may need to know besides predictions and observations.

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


Function = Callable[[np.ndarray, np.ndarray, ScoreContext], np.ndarray]
"""``(predicted, observed, context)`` to ``(neuron,)``."""

BlockStatistics = Callable[[np.ndarray, np.ndarray, ScoreContext, TimeBlocks], np.ndarray]
"""``(predicted, observed, context, blocks)`` to sums, ``(block, statistic, neuron)``."""

FromStatistics = Callable[[np.ndarray], np.ndarray]
"""Sums ``(..., statistic, neuron)`` over any blocks to scores ``(..., neuron)``."""


@dataclass(frozen=True)
class Metric:
    """One score per neuron, callable as ``metric(predicted, observed, context)``.

    The score must be a function of *means over bins* of per-bin quantities: ``from_statistics`` of
    their sums over all blocks equals ``function``, and does not change when all sums are multiplied
    by one number. That is what makes a bootstrap over blocks a matrix product.

    Args:
        name: Under which it is registered and named in tables.
        label: Heading of its column.
        unit: Of its values; empty where it has none.
        higher_is_better: False for errors.
        response_kinds: Kinds of responses that it applies to.
        function: The formula, plainly.
        block_statistics: Sums over blocks that the score is made of.
        from_statistics: The score from such sums.
        scale: On which its intervals are made.
        description: One line for listings, with its source.
    """

    name: str
    label: str
    unit: str
    higher_is_better: bool
    response_kinds: frozenset[str]
    function: Function = field(repr=False)
    block_statistics: BlockStatistics = field(repr=False)
    from_statistics: FromStatistics = field(repr=False)
    scale: Scale = field(default=IDENTITY, repr=False)
    description: str = ""

    def __call__(
        self,
        predicted: Real[np.ndarray, "time neuron"],
        observed: Real[np.ndarray, "time neuron"],
        context: ScoreContext,
    ) -> Float[np.ndarray, " neuron"]:
        """Score each neuron; one that never changes has no score (NaN).

        Args:
            predicted: Predicted responses.
            observed: Recorded responses.
            context: Baselines, segments, bin width and kind of response.

        Returns:
            One number a neuron.

        Raises:
            ShapeError: If shapes disagree.
            ConfigError: If the score does not apply to this kind of response.
        """
        predicted, observed = self.check(predicted, observed, context)
        return np.where(is_constant(observed), np.nan, self.function(predicted, observed, context))

    def statistics(
        self,
        predicted: Real[np.ndarray, "time neuron"],
        observed: Real[np.ndarray, "time neuron"],
        context: ScoreContext,
        blocks: TimeBlocks,
    ) -> Float[np.ndarray, "block statistic neuron"]:
        """Sum what the score is made of over each block; NaN for neurons that never change.

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
        sums = self.block_statistics(predicted, observed, context, blocks)
        return np.where(is_constant(observed), np.nan, sums)

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


METRICS: Registry[Metric] = Registry("metric")
"""All scores per neuron, by name."""


def register_metric(metric: Metric) -> Metric:
    """Enter a score in the registry under its own name, and return it.

    Raises:
        RegistryError: If the name is taken.
    """
    return METRICS.register(metric.name)(metric)


def metrics_for(response_kind: str) -> list[str]:
    """Return the names of the scores that apply to a kind of response, in alphabetical order.

    Args:
        response_kind: ``spike_counts``, ``inferred_spikes`` or ``fluorescence``.
    """
    return [name for name in METRICS if response_kind in METRICS.get(name).response_kinds]
