"""Template of a metric: copy this file as ``<your_metric>.py`` into this folder and edit it.

Tables, intervals, comparisons, nulls, the command line and the contract tests find the metric by
its name. A metric is a function of means over bins: the function below returns the quantities to
be summed over bins, the formula computes the score from their sums (here their ratio). A median
over bins cannot be written this way.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from freegaze.metrics.metric import ScoreContext, ratio, register_metric
from freegaze.metrics.scales import LOG


@register_metric(
    "mean_absolute_error",
    label="mean absolute error",
    unit="response",
    higher_is_better=False,
    formula=ratio,
    scale=LOG,
)
def mean_absolute_error(
    predicted: np.ndarray, observed: np.ndarray, context: ScoreContext
) -> Sequence[np.ndarray]:
    """Mean absolute error in single bins."""
    error = np.abs(predicted - observed)
    return error, np.ones_like(error)
