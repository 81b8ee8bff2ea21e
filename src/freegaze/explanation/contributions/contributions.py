"""Unique contributions of vision and behavior to a session's neurons."""

from __future__ import annotations

from dataclasses import fields
from functools import partial

import numpy as np
import pandas as pd

from freegaze.explanation.config import ExplainConfig
from freegaze.explanation.contributions.groups import (
    NO,
    UNTESTED,
    YES,
    class_of,
)
from freegaze.explanation.contributions.predictors import Predictors
from freegaze.explanation.contributions.regression import (
    BEHAVIOR,
    VISION,
    Contribution,
    neuron_contributions,
)
from freegaze.explanation.contributions.selection import discoveries, select_in_two_steps
from freegaze.explanation.session import ExplainedSession
from freegaze.files.pieces import Arrays

NUMBERS = tuple(field.name for field in fields(Contribution) if field.type == "float")
"""Numbers of a ``Contribution``, and columns of the table."""


def contribution_tables(
    session: ExplainedSession, config: ExplainConfig
) -> dict[str, pd.DataFrame]:
    """Compute the contributions of vision, of all behavior and of each group of behavior.

    Neurons are selected by the test of all behavior together, then groups within the selected
    neurons, see `select_in_two_steps`. False discoveries of vision are controlled by themselves:
    nearly every neuron is visual, which would make the other tests lenient.

    Args:
        session: The session.
        config: Number of shifts and rate of false discoveries.

    Returns:
        ``contributions`` of a ``SessionExplanation``, and its columns of ``neurons``.
    """
    predictors = Predictors(session)
    found = session.keep_by_neuron(
        "contribution", partial(_fit, predictors, n_shifts=config.n_shifts)
    )
    units, behavior = session.recording.unit_ids, list(predictors.groups)
    names = [VISION, *([BEHAVIOR] if behavior else []), *behavior]
    numbers = np.stack([arrays["numbers"] for arrays in found])
    untested = np.stack([arrays["untested"] for arrays in found])
    p, rate = numbers[:, :, NUMBERS.index("p")], config.false_discovery_rate
    is_real = discoveries(p[:, :1], rate)
    if behavior:
        adds, groups = select_in_two_steps(p[:, 1], p[:, 2:], rate)
        is_real = np.hstack([is_real, adds[:, None], groups])
    answers = np.where(np.isnan(p), UNTESTED, np.where(is_real, YES, NO))
    index = pd.MultiIndex.from_product([units, names], names=["unit_id", "group"])
    table = pd.DataFrame(numbers.reshape(len(index), -1), index, NUMBERS).reset_index()
    table["is_significant"] = is_real.ravel()
    table["answer"] = answers.ravel()
    table["reason"] = untested.ravel()
    whole = np.stack([arrays["whole"] for arrays in found])
    neurons = pd.DataFrame(whole, columns=["deviance", "correlation", "multiplicative_bits"])
    neurons.insert(0, "unit_id", units)
    neurons["class"] = [
        class_of(np.array(behavior)[real[2:]].tolist(), str(answer[1])) if behavior else UNTESTED
        for real, answer in zip(is_real, answers, strict=True)
    ]
    return {"contributions": table, "neurons": neurons}


def _fit(predictors: Predictors, neuron: int, n_shifts: int) -> Arrays:
    """Return a neuron's contributions: of vision, all behavior, each group, and the model."""
    data = predictors.data(neuron, predictors.session.drive[:, neuron], predictors.groups)
    found = neuron_contributions(data, n_shifts=n_shifts)
    first, *groups = found.groups
    rows = [first, *([found.behavior] if found.behavior else []), *groups]
    return {
        "numbers": np.array([[getattr(row, name) for name in NUMBERS] for row in rows]),
        "untested": np.array([row.untested for row in rows], dtype=str),
        "whole": np.array([found.deviance, found.correlation, found.multiplicative]),
    }
