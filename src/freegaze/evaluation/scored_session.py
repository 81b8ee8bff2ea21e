"""The scored bins of one session: predictions, observations, and what else scores need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Integer

from freegaze.contiguous import run_ids
from freegaze.dataset.behavior import tracked_bins
from freegaze.dataset.splits import Split
from freegaze.dataset.stimuli import SeenStimuli, find_seen_stimuli
from freegaze.dataset.windows import input_bins
from freegaze.errors import DataError, ShapeError
from freegaze.evaluation.chance import Chance, chance_correlation
from freegaze.evaluation.repeats import repeat_cells
from freegaze.evaluation.trial_to_trial import TrialToTrial
from freegaze.fitted.encoder import Prediction
from freegaze.metrics.blocks import TimeBlocks, blocks_of_bins
from freegaze.metrics.metric import ScoreContext
from freegaze.recording.recording import Recording


@dataclass(frozen=True)
class ScoredSession:
    """Predicted and observed responses of the scored bins of one session.

    Args:
        session_id: The session.
        unit_ids: The source's name of each neuron.
        targets: The scored bins, in order of time, (window,).
        rates: Predicted responses per bin, (window, neuron).
        observed: Recorded responses of the same bins.
        baseline: Mean response per bin of each neuron over training bins, (neuron,).
        segment_ids: Number of the recording's segment that each scored bin lies in, (window,).
        is_trial: Whether that segment is a trial, (window,).
        is_tracked: Whether all behavior was tracked in all inputs of the window, (window,).
        repeat_cells: Number of the stimulus and time in trial, -1 where not repeated, (window,).
        bin_width_s: Width of a bin in seconds.
        response_kind: Kind of the responses.
        chance: Correlations of the predictions by chance.
        references: Expected responses known from elsewhere (``oracle``, ``attainable``).
        seen: Shares of the scored bins whose stimulus is in training bins too.
        trials: What is locked to conditions and what changes from trial to trial; ``None`` where no
            condition is given.

    Raises:
        ShapeError: If arrays disagree in shape.
        DataError: If no bin is scored, or the bins are not in order of time.
    """

    session_id: str
    unit_ids: tuple[str, ...]
    targets: Integer[np.ndarray, " window"]
    rates: Float[np.ndarray, "window neuron"]
    observed: Float[np.ndarray, "window neuron"]
    baseline: Float[np.ndarray, " neuron"]
    segment_ids: Integer[np.ndarray, " window"]
    is_trial: Bool[np.ndarray, " window"]
    is_tracked: Bool[np.ndarray, " window"]
    repeat_cells: Integer[np.ndarray, " window"]
    bin_width_s: float
    response_kind: str
    chance: Chance
    references: Mapping[str, Float[np.ndarray, "window neuron"]] = field(default_factory=dict)
    seen: SeenStimuli = field(default_factory=SeenStimuli)
    trials: TrialToTrial | None = None

    def __post_init__(self) -> None:
        _check(self)

    @property
    def prediction(self) -> Prediction:
        """The predictions alone."""
        return Prediction(self.session_id, self.targets, self.rates, self.unit_ids)

    def to_xarray(self) -> Any:
        """Return a ``Dataset`` of bins and neurons; see ``evaluation.xarray_objects``."""
        from freegaze.evaluation.xarray_objects import session_to_xarray

        return session_to_xarray(self)

    @property
    def run_ids(self) -> Integer[np.ndarray, " window"]:
        """Number of the contiguous segment of scored bins around each; smoothing stays inside."""
        return run_ids(self.targets - np.arange(len(self.targets)), self.segment_ids)

    @property
    def context(self) -> ScoreContext:
        """Values that metrics need besides predictions and observations."""
        return ScoreContext(self.baseline, self.run_ids, self.bin_width_s, str(self.response_kind))

    @property
    def blocks(self) -> TimeBlocks:
        """Blocks to resample: whole trials, and elsewhere blocks of at least 20 s."""
        blocks = blocks_of_bins(self.run_ids, self.segment_ids, self.is_trial, self.bin_width_s)
        return blocks.at(self.targets)

    def select(
        self, bins: np.ndarray | slice = slice(None), neurons: np.ndarray | slice = slice(None)
    ) -> ScoredSession:
        """Return some of the scored bins and some of the neurons, in the order given.

        Args:
            bins: Positions among the scored bins, or a mask of them.
            neurons: Positions of neurons, or a mask of them.
        """
        names = np.array(self.unit_ids, dtype=object)[neurons]
        return replace(
            self,
            unit_ids=tuple(names.tolist()),
            targets=self.targets[bins],
            rates=self.rates[bins][:, neurons],
            observed=self.observed[bins][:, neurons],
            baseline=self.baseline[neurons],
            segment_ids=self.segment_ids[bins],
            is_trial=self.is_trial[bins],
            is_tracked=self.is_tracked[bins],
            repeat_cells=self.repeat_cells[bins],
            chance=self.chance.select(neurons),
            trials=None if self.trials is None else self.trials.select(neurons),
            references={k: v[bins][:, neurons] for k, v in self.references.items()},
        )


def scored_session(
    recording: Recording,
    prediction: Prediction,
    baseline: Float[np.ndarray, " neuron"],
    targets: Integer[np.ndarray, " window"] | None = None,
    *,
    history: int = 1,
    lag: int = 0,
    condition: str | None = None,
    split: Split | None = None,
) -> ScoredSession:
    """Put predictions beside what was recorded in the same bins.

    Args:
        recording: The session, with the predicted neurons in the predicted order.
        prediction: Predicted responses, in the scored bins at least. Those in other bins serve to
            estimate the correlation by chance, see ``freegaze.evaluation.chance``.
        baseline: Mean response per bin of each neuron over training bins.
        targets: The bins to score, in order of time; all predicted ones by default.
        history: Input bins of a window, which must all be tracked for a bin to count as tracked.
        lag: Target bin minus last input bin.
        condition: Annotation that names the stimulus of each trial; by default, trials with equal
            frames repeat a stimulus.
        split: Roles of the bins; the share of scored bins whose stimulus training bins show is
            unknown without it.

    Returns:
        The scored bins.

    Raises:
        DataError: If neurons differ or predicted bins are not in the recording.
    """
    if prediction.unit_ids != recording.unit_ids:
        raise DataError(
            f"session {recording.session_id!r}: predictions are for neurons "
            f"{', '.join(prediction.unit_ids[:3])} ..., the recording has "
            f"{', '.join(recording.unit_ids[:3])} ...; give both the same neurons in one order"
        )
    targets = prediction.targets if targets is None else targets
    _check_targets(recording, prediction.targets, targets)
    is_scored = np.isin(prediction.targets, targets)
    baseline = np.asarray(baseline, dtype=np.float64)
    segment_ids = recording.segment_index()[targets]
    return ScoredSession(
        session_id=recording.session_id,
        unit_ids=recording.unit_ids,
        targets=targets,
        rates=prediction.rates[is_scored],
        observed=recording.responses[targets],
        baseline=baseline,
        segment_ids=segment_ids,
        is_trial=recording.is_in_trial()[targets],
        is_tracked=_is_window_tracked(recording, targets, history, lag),
        repeat_cells=repeat_cells(recording, targets, condition),
        bin_width_s=recording.bin_width_s,
        response_kind=str(recording.response_kind),
        chance=chance_correlation(recording, prediction, is_scored, baseline),
        references={k: v[targets] for k, v in recording.reference_rates.items()},
        seen=SeenStimuli()
        if split is None
        else find_seen_stimuli(recording, split.bins("train"), targets),
    )


def _is_window_tracked(
    recording: Recording, targets: np.ndarray, history: int, lag: int
) -> np.ndarray:
    is_tracked = tracked_bins(recording, recording.behavior_names)
    return np.logical_and.reduce(is_tracked[input_bins(targets, history, lag)], axis=1)


def _check_targets(recording: Recording, predicted: np.ndarray, targets: np.ndarray) -> None:
    where = f"session {recording.session_id!r}"
    if not len(targets):
        raise DataError(f"{where}: there is no predicted bin to score")
    if predicted.min() < 0 or predicted.max() >= recording.n_bins:
        raise DataError(
            f"{where}: predictions name bins {predicted.min()} to {predicted.max()}, the recording "
            f"has bins 0 to {recording.n_bins - 1}"
        )
    if (np.diff(predicted) <= 0).any():
        raise DataError(f"{where}: predicted bins must be in order of time, each once")
    missing = np.setdiff1d(targets, predicted)
    if len(missing):
        raise DataError(
            f"{where}: {len(missing)} of the {len(targets)} bins to be scored are not predicted "
            f"(the first is {missing[0]}); predict them all"
        )


def _check(session: ScoredSession) -> None:
    where = f"session {session.session_id!r}"
    n_bins, n_neurons = len(session.targets), len(session.unit_ids)
    shapes = {
        "rates": (session.rates, (n_bins, n_neurons)),
        "observed": (session.observed, (n_bins, n_neurons)),
        "baseline": (session.baseline, (n_neurons,)),
        "segment_ids": (session.segment_ids, (n_bins,)),
        "is_trial": (session.is_trial, (n_bins,)),
        "is_tracked": (session.is_tracked, (n_bins,)),
        "repeat_cells": (session.repeat_cells, (n_bins,)),
        **{f"references[{k!r}]": (v, (n_bins, n_neurons)) for k, v in session.references.items()},
    }
    for name, (array, expected) in shapes.items():
        if array.shape != expected:
            raise ShapeError(
                f"{where}: {name} must have shape {expected} for {n_bins} bins and {n_neurons} "
                f"neurons, got {array.shape}"
            )
    if n_bins == 0 or n_neurons == 0:
        raise DataError(f"{where}: {n_bins} bins and {n_neurons} neurons are left to be scored")
    if (np.diff(session.targets) <= 0).any():
        raise DataError(f"{where}: predicted bins must be in order of time, each once")
