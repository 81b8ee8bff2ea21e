"""Answers of the tests of contributions, counted and in words."""

from __future__ import annotations

import numpy as np
import pandas as pd

from freegaze.explanation.contributions.groups import NO, TOGETHER, UNTESTED, YES
from freegaze.explanation.contributions.regression import BEHAVIOR, VISION


def with_answers(table: pd.DataFrame) -> pd.DataFrame:
    """Add ``answer``, ``reason`` and ``least_p`` to a table of version 0.1, which lacks them.

    Args:
        table: ``contributions`` of a ``SessionExplanation``.
    """
    if "answer" in table:
        return table
    answer = np.where(table["is_significant"].astype(bool), YES, NO)
    missing = {"least_p": np.nan} if "least_p" not in table else {}
    return table.assign(answer=np.where(table["p"].isna(), UNTESTED, answer), reason="", **missing)


def count_answers(table: pd.DataFrame) -> pd.DataFrame:
    """Count the answers of each group over neurons.

    Args:
        table: ``contributions`` of a ``SessionExplanation``.

    Returns:
        One row per group: ``group``, ``yes``, ``no``, ``not_tested``, ``tested`` (numbers of
        neurons), ``least_p`` (the smallest p possible), ``deviance`` and ``correlation`` (medians
        over all neurons).

    Example:
        >>> p = [0.001, float("nan")]
        >>> table = {"group": ["eye"] * 2, "p": p, "answer": ["yes", "not tested"]}
        >>> table = pd.DataFrame(table).assign(least_p=p, deviance=0.1, correlation=0.2)
        >>> count_answers(table)[["group", "yes", "no", "not_tested"]].values.tolist()
        [['eye', 1, 0, 1]]
    """
    rows = []
    for group, own in with_answers(table).groupby("group", sort=False):
        answers = own["answer"].tolist()
        yes, no, untested = (answers.count(answer) for answer in (YES, NO, UNTESTED))
        rows.append(
            {
                "group": str(group),
                "yes": yes,
                "no": no,
                "not_tested": untested,
                "tested": yes + no,
                "least_p": own["least_p"].min(),
                "deviance": own["deviance"].median(),
                "correlation": own["correlation"].median(),
            }
        )
    columns = ["group", "yes", "no", "not_tested", "tested", "least_p", "deviance", "correlation"]
    return pd.DataFrame(rows, columns=columns)


def behavior_answers(table: pd.DataFrame) -> list[str]:
    """Return for each neuron whether behavior as a whole adds something.

    Args:
        table: ``contributions`` of one or more sessions, with answers. Tables of version 0.1 have
            no joint test; there the answer is yes if any group of behavior adds something.

    Returns:
        ``yes``, ``no`` or ``not tested`` of each neuron, in order of their first rows.
    """
    wanted = BEHAVIOR if BEHAVIOR in set(table["group"]) else None
    answers: dict[str, set[str]] = {}
    for unit, group, answer in table[["unit_id", "group", "answer"]].to_numpy().tolist():
        if group == wanted or (wanted is None and group != VISION):
            answers.setdefault(unit, set()).add(answer)
    return [next((a for a in (YES, NO) if a in own), UNTESTED) for own in answers.values()]


def explain_answers(table: pd.DataFrame) -> list[str]:
    """Return sentences on what was not tested and why, and on groups that are judged together.

    Args:
        table: ``contributions`` of a ``SessionExplanation``.
    """
    table = with_answers(table)
    said = []
    known = dict.fromkeys(map(str, table["group"]))
    has_reason = table["answer"].eq(UNTESTED) & table["reason"].fillna("").ne("")
    for reason, own in table.loc[has_reason].groupby("reason", sort=False):
        n, groups = len(set(own["unit_id"])), list(dict.fromkeys(map(str, own["group"])))
        of = "all groups" if len(groups) == len(known) else ", ".join(groups)
        neurons = "neuron" if n == 1 else "neurons"
        said.append(f"Not tested in {n} {neurons} ({of}): {reason}.")
    said += [f"{group}: nearly collinear, judged together." for group in known if TOGETHER in group]
    return said
