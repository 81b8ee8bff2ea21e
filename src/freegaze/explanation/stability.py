"""Stability of an explanation over refits on halves of the recording, without repeated stimuli.

explanation/SESSION/stability.csv, stability.json, stability.npz
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from freegaze.explanation.result import SessionExplanation, load_beside, session_folder
from freegaze.explanation.truth import CommonDisplacement, moved_fields, subspace_overlap
from freegaze.files.artifact import Artifact, Content
from freegaze.nn.warp import affine_matrix, rotation_center

STABILITY = Artifact(
    what="stability",
    command="freegaze explain {run} --refits 4",
    about="stability.json",
    tables=("stability",),
    arrays="stability.npz",
    sums="stability.sha256",
    has_parquet=False,
)

METHOD = "gabor"
"""Method whose fields are compared: it gives each neuron one place and one span of both phases."""

PARTS = (f"fields.{METHOD}", "saliency", "contributions")
"""Parts of an explanation that are computed for each refit."""

LEAST_OVERLAP = 0.7
"""Fields of the run whose spans overlap less with those of refits are called unreliable. Chosen on
two sessions of the virtual mouse (39 neurons, 6 and 20 minutes): 16 of 18 fields above it lie
within 3 px of the truth, and 16 of 22 that lie within 3 px are above it; any limit from 0.54 to
0.76 gives the same. Results on other sessions are in ``docs/results.md``."""

WHOLE = -1
"""Number that stands for the run among its refits."""

RELIABLE, UNRELIABLE, NOT_TESTED = "reliable", "unreliable", "not tested"


@dataclass(frozen=True)
class Refit:
    """An explanation of one session by an encoder that was fitted to half of the recording.

    Args:
        explanation: Explanation of the session, with the parts ``PARTS``.
        half: Number of the half, 0 or 1.
    """

    explanation: SessionExplanation
    half: int


@dataclass(frozen=True, eq=False)
class Stability:
    """Agreement of refits on different halves of one session.

    Args:
        session_id: The session.
        table: One row per neuron: ``unit_id``; ``field``, the overlap (0 to 1) of the spans of both
            phases of its Gabor function in the run and in a refit, the common displacement of both
            retinas taken out, mean over refits; ``distance_px`` between the middles of energy of
            run and refit, median over refits; ``halves``, the same overlap between refits on
            different halves, median over pairs of them; ``class``, the share of these pairs that
            agree in the class; ``saliency``, the correlation over signals of the signed saliency,
            median over these pairs. NaN where they are not defined. ``reliability`` of the field is
            ``reliable``, ``unreliable`` or ``not tested`` (the run or some refit has no field of
            the neuron).
        about: ``n_refits``, ``n_pairs``, ``least_overlap``, and of the shifter ``shifter_rms_px``
            and ``shifter_rms_deg``: root mean square difference of displacements, in the median
            over pairs; ``null`` without a shifter.
    """

    session_id: str
    table: pd.DataFrame
    about: Mapping[str, Any]

    def __repr__(self) -> str:
        return in_words(self)


def compare_refits(
    whole: SessionExplanation,
    refits: Sequence[Refit],
    unit_ids: Sequence[str],
    displacements: Mapping[tuple[int, int], CommonDisplacement],
    shifter: Mapping[str, float | None],
) -> Stability:
    """Compare the explanations of refits with that of the run, and with those on the other half.

    Args:
        whole: Explanation by the run, which is fitted to both halves.
        refits: Explanations by refits, at least one on each half.
        unit_ids: Neurons of the run; one that some refit did not fit is not tested.
        displacements: Common displacement from the retina of the second to that of the first, for
            pairs of positions in ``refits``, `WHOLE` for the run; pairs without one are compared as
            they are.
        shifter: Differences of the shifters, for ``Stability.about``.

    Returns:
        The stability of each neuron.
    """
    pairs = [
        (i, j) for i, j in combinations(range(len(refits)), 2) if refits[i].half != refits[j].half
    ]

    def fields(i: int, j: int) -> tuple[np.ndarray, np.ndarray]:
        first = whole if i == WHOLE else refits[i].explanation
        return _compare_fields(first, refits[j].explanation, unit_ids, displacements.get((i, j)))

    own = np.stack([fields(WHOLE, j) for j in range(len(refits))])
    halves = np.stack([fields(i, j)[0] for i, j in pairs])
    explained = [(refits[i].explanation, refits[j].explanation) for i, j in pairs]
    # A neuron counts only where all are compared, so that every neuron has the same evidence.
    table: dict[str, Any] = {
        "unit_id": list(unit_ids),
        "field": own[:, 0].mean(0),
        "distance_px": np.median(own[:, 1], axis=0),
        "halves": np.median(halves, axis=0),
        "class": np.mean([_compare_classes(*two, unit_ids) for two in explained], axis=0),
        "saliency": np.median([_compare_saliency(*two, unit_ids) for two in explained], axis=0),
    }
    table["reliability"] = [_reliability(float(value)) for value in table["field"]]
    about = {
        "n_refits": len(refits),
        "n_pairs": len(pairs),
        "least_overlap": LEAST_OVERLAP,
        **shifter,
    }
    return Stability(refits[0].explanation.session_id, pd.DataFrame(table), about)


def save_stability(run_folder: Path | str, stability: Stability) -> Path:
    """Write the stability beside the session's explanation; return the folder.

    Args:
        run_folder: The run.
        stability: Stability to write.

    Raises:
        DataError: If the disk refuses.
    """
    folder = session_folder(run_folder, stability.session_id)
    return STABILITY.write(folder, Content(stability.about, {"stability": stability.table}))


def load_stability(run_folder: Path | str, session_id: str) -> Stability | None:
    """Read the stability of a session, ``None`` where there is none.

    Args:
        run_folder: The run.
        session_id: The session.

    Raises:
        CheckpointError: If a file is broken.
    """
    return load_beside(
        STABILITY,
        run_folder,
        session_id,
        lambda content: Stability(session_id, content.tables["stability"], content.about),
    )


def in_words(stability: Stability) -> str:
    """Return the stability of a session in one sentence.

    Args:
        stability: Stability of the session.
    """
    words = list(stability.table["reliability"])
    n, n_reliable, n_not = len(words), words.count(RELIABLE), words.count(NOT_TESTED)
    told = (
        f"Receptive fields of {n_reliable} of {n} neurons of {stability.session_id} are reliable: "
        f"their mean overlap with {stability.about['n_refits']} refits on halves of the recording "
        f"is at least {stability.about['least_overlap']:g}"
    )
    if n_not:
        told += f"; {n_not} could not be tested"
    if (rms := stability.about.get("shifter_rms_px")) is not None:
        told += f". Displacements of the shifters differ by {rms:.2g} px (root mean square)"
    return told + "."


def _reliability(overlap: float) -> str:
    if np.isnan(overlap):
        return NOT_TESTED
    return RELIABLE if overlap >= LEAST_OVERLAP else UNRELIABLE


def _compare_fields(
    first: SessionExplanation,
    second: SessionExplanation,
    units: Sequence[str],
    displacement: CommonDisplacement | None,
) -> tuple[Float[np.ndarray, " neuron"], Float[np.ndarray, " neuron"]]:
    """Return overlap and distance of fields; NaN where a neuron has none."""
    found = np.full((2, len(units)), np.nan)
    both = [u for u in units if u in first.unit_ids and u in second.unit_ids]
    if METHOD not in first.pairs or METHOD not in second.pairs or not both:
        return found[0], found[1]
    place = [list(units).index(unit) for unit in both]
    ours, theirs = (e.pairs[METHOD][[e.unit_ids.index(u) for u in both]] for e in (first, second))
    middles = [_middles(explanation, both) for explanation in (first, second)]
    is_flat = ~(ours.any((1, 2, 3)) & theirs.any((1, 2, 3)))
    if displacement is not None:
        shift, rotation = displacement.shift_px, displacement.rotation_deg
        theirs = moved_fields(theirs, shift, rotation)
        height, width = theirs.shape[2:]
        movement = torch.tensor([[*shift, rotation]], dtype=torch.float64)
        matrix = affine_matrix(movement, rotation_center((height, width)))[0].numpy()
        middles[1] = middles[1] @ matrix[:, :2].T + matrix[:, 2]
    overlaps = np.array([subspace_overlap(a, b) for a, b in zip(ours, theirs, strict=True)])
    distance = np.hypot(*(middles[0] - middles[1]).T)
    found[:, place] = np.where(is_flat, np.nan, [overlaps, distance])
    return found[0], found[1]


def _middles(
    explanation: SessionExplanation, units: Sequence[str]
) -> Float[np.ndarray, "neuron 2"]:
    table = explanation.receptive_fields
    rows = table[table["method"] == METHOD].set_index("unit_id").loc[list(units)]
    return rows[["energy_x_px", "energy_y_px"]].to_numpy(np.float64)


def _compare_classes(
    first: SessionExplanation, second: SessionExplanation, units: Sequence[str]
) -> Float[np.ndarray, " neuron"]:
    """Return 1 where both classes are the same, 0 where they differ, NaN where not tested."""
    tables = [e.neurons.set_index("unit_id") for e in (first, second)]
    if any("class" not in table for table in tables):
        return np.full(len(units), np.nan)
    ours, theirs = (table["class"].reindex(units, fill_value=NOT_TESTED) for table in tables)
    is_known = (ours != NOT_TESTED) & (theirs != NOT_TESTED)
    return np.where(is_known, (ours == theirs).to_numpy(), np.nan)


def _compare_saliency(
    first: SessionExplanation, second: SessionExplanation, units: Sequence[str]
) -> Float[np.ndarray, " neuron"]:
    """Correlate the signed saliency over signals; NaN with fewer than three signals."""
    tables = [
        e.saliency.pivot_table(index="unit_id", columns="signal", values="signed")
        for e in (first, second)
    ]
    signals = [s for s in tables[0].columns if s in set(tables[1].columns)]
    if len(signals) < 3:
        return np.full(len(units), np.nan)
    values = [table.reindex(units)[signals].to_numpy(np.float64) for table in tables]
    centered = [v - v.mean(1, keepdims=True) for v in values]
    size = np.sqrt((centered[0] ** 2).sum(1) * (centered[1] ** 2).sum(1))
    is_varied = size > 0
    products = (centered[0] * centered[1]).sum(1)
    return np.where(is_varied, products / np.where(is_varied, size, 1.0), np.nan)
