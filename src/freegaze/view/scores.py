"""Scores of neurons by which the explorer sorts them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from freegaze.errors import CheckpointError
from freegaze.files.artifact import CHECKSUMS
from freegaze.files.checksums import check_files
from freegaze.metrics.metric import METRICS

TABLE = Path("evaluation") / "scores.csv"

_OTHER = {
    "correlation_p": "p of correlation by chance",
    "correlation_fraction": "correlation / attainable",
    "bits_per_spike_fraction": "bits per spike / attainable",
    "attainable_correlation": "attainable correlation",
    "noise_ceiling": "noise ceiling",
    "feve": "FEVE",
    "cc_norm": "CC norm",
    "trial_to_trial_correlation": "trial-to-trial correlation",
    "condition_mean_correlation": "correlation of the condition mean",
}
"""Labels of columns that are no metrics."""


@dataclass(frozen=True)
class NeuronScore:
    """One score of all neurons of a session.

    Args:
        name: Column of the table of scores.
        label: Its name in words, with the unit.
        values: One per neuron, NaN where there is none, (neuron,).
        is_ascending: Whether smaller is better.
    """

    name: str
    label: str
    values: Float[np.ndarray, " neuron"]
    is_ascending: bool = False


def neuron_scores(run: Path, session_id: str, unit_ids: Sequence[str]) -> list[NeuronScore]:
    """Read the scores of a session's neurons from an evaluated run.

    Args:
        run: The run folder.
        session_id: The session.
        unit_ids: The neurons, in the order wanted.

    Returns:
        Registered metrics first; scores that no neuron has are left out.

    Raises:
        CheckpointError: If the run was not evaluated, or its table is not as it was written.
    """
    file = run / TABLE
    if not file.is_file():
        raise CheckpointError(f"{run} is not evaluated; run `freegaze evaluate {run}`")
    check_files(file.parent / CHECKSUMS, [file.name])
    table = pd.read_csv(file, dtype={"unit_id": str, "session_id": str}, keep_default_na=True)
    own = table.loc[(table["session_id"] == session_id).to_numpy(bool)]
    own = own.drop_duplicates("unit_id").set_index("unit_id").reindex(list(unit_ids))
    labels = {name: _label(name) for name in METRICS}
    labels |= {f"attainable_{name}": f"attainable {label}" for name, label in labels.items()}
    labels |= _OTHER
    found = [
        NeuronScore(name, label, own[name].to_numpy(np.float64), _is_ascending(name))
        for name, label in labels.items()
        if name in own.columns
    ]
    return [score for score in found if np.isfinite(score.values).any()]


def _label(name: str) -> str:
    metric = METRICS.get(name)
    has_unit = metric.unit and metric.unit not in metric.label
    is_named = metric.label.replace(" per ", "/") == metric.unit
    return f"{metric.label} ({metric.unit})" if has_unit and not is_named else metric.label


def _is_ascending(name: str) -> bool:
    if name in METRICS:
        return not METRICS.get(name).higher_is_better
    return name == "correlation_p"
