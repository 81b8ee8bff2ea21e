"""Figure 5 as data: which behavior modulates which neurons, and how saliency is spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from freegaze.errors import CheckpointError, DataError
from freegaze.evaluation.compare import ALL_SESSIONS
from freegaze.evaluation.storage import load_evaluation
from freegaze.explanation.result import CLASSES, SessionExplanation
from freegaze.explanation.storage import load_explanation
from freegaze.files.pieces import load_piece
from freegaze.paper.classes import GOOD, THRESHOLD, count_modulated, modulation
from freegaze.paper.figures.figure import FigureSettings, figure_cells, saliency_file
from freegaze.paper.grid import Cell, Grid
from freegaze.paper.presets import Version


@dataclass(frozen=True, eq=False)
class Figure5:
    """Classes of neurons, saliency of every signal, and responses around gaze shifts.

    Args:
        version: Of the grid.
        counts: One row a session (and ``all``, where there are several) and bar. ``default``:
            ``session_id``, ``class``, ``n``, ``n_neurons``, ``share``. ``paper``: ``session_id``
            and the columns of ``freegaze.paper.classes.count_modulated``.
        saliency: One row a neuron and signal: ``session_id``, ``unit_id``, ``signal``, ``value``
            (what histograms show: ``default`` the mean size of the derivative, counts a bin for one
            training sd; ``paper`` z over the session's neurons) and ``signed`` (mean derivative).
        neurons: One row a neuron: ``session_id``, ``unit_id`` and its class, or for each variable
            whether it modulates.
        gaze_shifts: One row a neuron, direction and time, as in ``SessionExplanation``, with
            ``session_id``; empty in the ``paper`` version, which has no such figure.
        windows: Test windows that the original's saliency was averaged over; ``None`` for all.
    """

    version: Version
    counts: pd.DataFrame
    saliency: pd.DataFrame
    neurons: pd.DataFrame
    gaze_shifts: pd.DataFrame
    windows: int | None = None

    @property
    def session_ids(self) -> list[str]:
        """Sessions in order."""
        return list(dict.fromkeys(self.neurons["session_id"]))

    @property
    def tables(self) -> Mapping[str, pd.DataFrame]:
        """What is written beside the figure, by the end of the file's name."""
        tables = {"": self.counts, "_saliency": self.saliency, "_neurons": self.neurons}
        return tables | ({"_gaze_shifts": self.gaze_shifts} if len(self.gaze_shifts) else {})

    @property
    def caption(self) -> str:
        """What is shown."""
        if self.version == "paper":
            used = "all test windows" if self.windows is None else f"{self.windows} test windows"
            return (
                "Share of neurons that the original's rule calls strongly modulated: saliency "
                f"(signed mean derivative over {used}, dropout on, products as inputs of their "
                "own, raw units, the path through the shifter included) of the variable or of its "
                f"derivative is {THRESHOLD:g} sd or more from the mean over the session's neurons. "
                f"Good neurons: the original's correlation is {GOOD:g} or more. Lines: the share "
                "that the rule finds in Gaussian noise. Below: saliency over neurons in sd."
            )
        return (
            "Share of neurons to whose prediction on held-out bins one group of behavior adds "
            "significantly (or several: mixed, or none; false discovery rate 5 %), and mean size "
            "of the derivative of the rate by each signal, the retinal image held still. Responses "
            "around gaze shifts: each neuron scaled by its own mean, sorted by the time at which "
            "its predicted response to leftward shifts is largest."
        )


def figure5(grid: Grid, settings: FigureSettings) -> Figure5:
    """Gather Figure 5 from the cells of a grid that are done.

    Args:
        grid: The grid.
        settings: With which the cells were worked on.

    Returns:
        The figure's data.

    Raises:
        ConfigError: If the grid lacks the row.
        DataError: If no cell is done.
        CheckpointError: If a kept result is missing or broken.

    Source: Xu et al. (2023), Figure 5 (deviations Q38 to Q40).
    """
    cells = [c for own in figure_cells(grid, "figure5").values() for c in own if c.state == "done"]
    if not cells:
        raise DataError(f"{grid.path}: no session of figure5 is done yet")
    if grid.config.version == "default":
        return classes_of([load_explanation(c.run.path, c.session_id) for c in cells])
    parts = [_paper_session(cell, settings) for cell in cells]
    counts, saliency, neurons = (
        pd.concat(list(p), ignore_index=True) for p in zip(*parts, strict=True)
    )
    if len(cells) > 1:
        counts = pd.concat([counts, _all_modulated(counts)], ignore_index=True)
    return Figure5("paper", counts, saliency, neurons, pd.DataFrame(), settings.windows)


def classes_of(explanations: Sequence[SessionExplanation]) -> Figure5:
    """Gather the default figure from explanations.

    Args:
        explanations: One a session.
    """
    neurons = _stack(explanations, "neurons").loc[:, ["session_id", "unit_id", "class"]]
    saliency = _stack(explanations, "saliency").rename(columns={"absolute": "value"})
    groups = dict(list(neurons.groupby("session_id", sort=False)))
    if len(groups) > 1:
        groups[ALL_SESSIONS] = neurons
    counts = []
    for name, own in groups.items():
        kinds = own["class"].tolist()
        counts += [
            {
                "session_id": name,
                "class": kind,
                "n": kinds.count(kind),
                "n_neurons": len(kinds),
                "share": kinds.count(kind) / len(kinds),
            }
            for kind in CLASSES
        ]
    return Figure5(
        "default",
        pd.DataFrame(counts),
        saliency.loc[:, ["session_id", "unit_id", "signal", "value", "signed"]],
        neurons,
        _stack(explanations, "gaze_shifts"),
    )


def _stack(explanations: Sequence[SessionExplanation], table: str) -> pd.DataFrame:
    parts = []
    for explanation in explanations:
        part: pd.DataFrame = getattr(explanation, table).copy()
        part.insert(0, "session_id", explanation.session_id)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def _paper_session(
    cell: Cell, settings: FigureSettings
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return counts, saliency and modulation of one session."""
    path = saliency_file(cell.run.path, settings)
    kept = load_piece(path)
    if kept is None:
        raise CheckpointError(f"{path} is missing or broken; run this again")
    values, units = kept["saliency"], kept["unit_ids"].tolist()
    names = tuple(kept["features"].tolist())
    scores = load_evaluation(cell.run.path).table.astype({"unit_id": str})
    correlation = scores.set_index("unit_id")["paper_correlation"].reindex(units).to_numpy(float)
    found = modulation(values, names)
    own = {"session_id": cell.session_id}
    counts = count_modulated(found, correlation)
    counts.insert(0, "session_id", cell.session_id)
    neurons = pd.DataFrame({**own, "unit_id": units, "paper_correlation": correlation})
    neurons[list(found.variables)] = found.is_modulated
    signed = values[:, [names.index(name) for name in found.names]]
    saliency = pd.DataFrame(
        {
            **own,
            "unit_id": np.repeat(units, len(found.names)),
            "signal": np.tile(found.names, len(units)),
            "value": found.z.ravel(),
            "signed": signed.ravel(),
        }
    )
    return counts, saliency, neurons


def _all_modulated(counts: pd.DataFrame) -> pd.DataFrame:
    """Add up the neurons of all sessions."""
    numbers = [name for name in counts.columns if name.startswith("n_")]
    total = counts.groupby("variable", sort=False, as_index=False)[numbers].sum()
    assert isinstance(total, pd.DataFrame), "several columns are added up"
    total.insert(0, "session_id", ALL_SESSIONS)
    total["share"] = total["n_modulated"] / total["n_neurons"]
    total["share_good"] = total["n_modulated_good"] / total["n_good"]
    total["share_good_of_all"] = total["n_modulated_good"] / total["n_neurons"]
    expected = counts.drop_duplicates("variable")["expected_share"].to_numpy()
    return total.assign(expected_share=expected)
