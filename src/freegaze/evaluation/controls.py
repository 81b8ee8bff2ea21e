"""Controls: predictions that also read the neuron's own past spikes, or the other neurons.

An encoder predicts responses from video and behavior alone. How much more could be predicted is a
control, and no score of the encoder: each control is a reference with columns of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Integer

from freegaze.errors import ConfigError, DataError
from freegaze.fitted.encoder import Prediction
from freegaze.metrics.metric import SPIKES
from freegaze.nn.glm import mean_and_slope, newton
from freegaze.recording.recording import Recording
from freegaze.registry import require_names
from freegaze.standard_scores import standardize

HISTORY, COUPLING = "with_history", "with_coupling"

CONTROLS = {"history": HISTORY, "coupling": COUPLING}
"""Name of each control, and of its reference in tables."""

LAGS = ((1, 1), (2, 2), (3, 4), (5, 8), (9, 16), (17, 32))
"""First and last bin before the predicted one over which past responses are averaged."""

LEAST_RATE = 1e-3
"""Smallest expected count per bin of the encoder that enters as a logarithm."""


def control_rates(
    recording: Recording,
    prediction: Prediction,
    training: Integer[np.ndarray, " bin"],
    targets: Integer[np.ndarray, " window"],
    controls: Sequence[str],
) -> dict[str, Float[np.ndarray, "window neuron"]]:
    """Predict responses from the encoder's prediction and from recorded responses.

    For each neuron a generalized linear model is fitted to training bins: Poisson with the
    logarithm of the encoder's rate for counts, linear for fluorescence. ``history`` adds the
    neuron's own responses in past bins, ``coupling`` the summed responses of all other neurons in
    the predicted bin and in past bins. Past bins do not cross the start of a segment, where there
    are none they count as the mean.

    Args:
        recording: The session, with the predicted neurons in the predicted order.
        prediction: The encoder's, of training bins and scored bins at least.
        training: Training bins.
        targets: The scored bins, in order of time.
        controls: Names from ``CONTROLS``.

    Returns:
        Predictions of the scored bins by the name of the reference.

    Raises:
        ConfigError: If there is no such control.
        DataError: If there is one neuron alone, or no training bin is predicted.

    Source: J. W. Pillow et al. (2008), Nature 454:995-999 (coupling of neurons); here to the sum
    over neurons.
    """
    require_names(controls, CONTROLS, "no control is called", ConfigError)
    if "coupling" in controls and len(prediction.unit_ids) < 2:
        raise DataError(
            f"session {recording.session_id!r}: coupling needs at least 2 neurons; leave it out"
        )
    is_training = np.isin(prediction.targets, training)
    if not is_training.any():
        raise DataError(
            f"session {recording.session_id!r}: controls are fitted to training bins, and none is "
            "predicted; predict all bins"
        )
    is_scored = np.isin(prediction.targets, targets)
    has_counts = str(recording.response_kind) in SPIKES
    responses = recording.responses.astype(np.float64)
    observed, drive = responses[prediction.targets], prediction.rates.astype(np.float64)
    if has_counts:
        drive = np.log(np.maximum(drive, LEAST_RATE))
    found = {}
    for name in controls:
        rates = np.empty((int(is_scored.sum()), observed.shape[1]))
        for neuron in range(observed.shape[1]):
            source = responses[:, neuron]
            if name == "coupling":
                source = responses.sum(1) - source
            predictors = past_means(source, recording, includes_now=name == "coupling")
            columns = np.column_stack([drive[:, neuron], predictors[prediction.targets]])
            scaled = standardize(columns, is_training)
            design = np.column_stack([np.ones(len(scaled)), scaled])
            link = "exp" if has_counts else "identity"
            weights = newton(design[is_training], observed[is_training, neuron], link)
            rates[:, neuron] = mean_and_slope(design[is_scored] @ weights, link)[0]
        found[CONTROLS[name]] = rates
    return found


def past_means(
    source: Float[np.ndarray, " time"], recording: Recording, *, includes_now: bool
) -> Float[np.ndarray, "time predictor"]:
    """Average a signal over past bins of the same segment, for each entry of ``LAGS``.

    Args:
        source: The signal.
        recording: The session, for its segments.
        includes_now: Whether the first predictor is the signal in the bin itself.

    Returns:
        The averages over the bins that lie in the segment; the mean of the signal where none does.

    Example:
        >>> source = np.arange(recordings[0].n_bins, dtype=float)
        >>> past_means(source, recordings[0], includes_now=False)[10, :3].tolist()
        [9.0, 8.0, 6.5]
    """
    columns = [source] if includes_now else []
    for first, last in LAGS:
        column = np.full(len(source), source.mean())
        for segment in recording.segments:
            inside = source[segment.start : segment.stop]
            total = np.concatenate([[0.0], np.cumsum(inside)])
            place = np.arange(first, segment.n_bins)
            oldest = np.maximum(place - last, 0)
            means = (total[place - first + 1] - total[oldest]) / (place - first + 1 - oldest)
            column[segment.start + place] = means
        columns.append(column)
    return np.column_stack(columns)
