"""Scores of a bench: one line per encoder and recording, and differences from the first encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Integer

from freegaze.errors import ConfigError
from freegaze.evaluation.compare import ALL_SESSIONS, compare_pair
from freegaze.evaluation.evaluation import Evaluation, interval_text
from freegaze.evaluation.scored_session import ScoredSession
from freegaze.evaluation.shared_sessions import SharedSession, share_sessions
from freegaze.files.artifact import read_json
from freegaze.jobs.fits import Fit
from freegaze.metrics.blocks import TimeBlocks
from freegaze.metrics.intervals import t_interval
from freegaze.metrics.metric import METRICS, metrics_for
from freegaze.recording.recording import Recording
from freegaze.registry import require_name
from freegaze.reports.wording import duration
from freegaze.studies.fitting import load_evaluations
from freegaze.studies.folder import Bench

METRIC = "correlation"
"""Score of the ceiling, of the differences in the table, and of the drawing."""

COMPARED = ("correlation", "bits_per_spike")
"""Scores by which encoders are compared."""

COST_FILE = "cost.json"

CEILINGS = ("attainable_correlation", "noise_ceiling")
"""Columns of an evaluation that hold the highest correlation to be expected, the best one first."""

Evaluations = Mapping[tuple[str, str], Sequence[Evaluation]]
"""Evaluations of each encoder and recording, one per seed."""


@dataclass(frozen=True)
class BenchResult:
    """Tables of a bench, of the fits that are done.

    Args:
        bench: The bench.
        table: One line per encoder and recording, and per encoder for all recordings
            (``session_id`` is ``all``): ``encoder``, ``session_id``, ``n_neurons``,
            ``correlation`` and ``bits_per_spike`` (mean over neurons and seeds; NaN bits for
            fluorescence) with intervals ``_low`` and ``_high`` over blocks of time,
            ``share_of_ceiling`` (mean correlation over mean ceiling of the neurons with a ceiling),
            ``ceiling`` (which one: ``attainable_correlation`` or ``noise_ceiling``),
            ``difference`` in correlation from the first encoder with ``difference_low``,
            ``difference_high`` and ``p``, ``seconds`` to fit, ``n_weights``, ``n_seeds``,
            ``adapted`` (settings that follow from the recording).
        differences: One line per encoder, recording (and ``all``) and score, as in
            ``freegaze.evaluation.compare.Comparison``, the first encoder being ``first``; for
            ``all`` also ``recordings_low`` and ``recordings_high``, the interval by Student's t
            over recordings.
        failures: Name of each failed fit, and the reason.
        n_missing: Fits that were not run yet.
    """

    bench: Bench
    table: pd.DataFrame
    differences: pd.DataFrame
    failures: dict[str, str]
    n_missing: int

    def __repr__(self) -> str:
        text = self.headline.to_string(index=False, float_format="{:.4g}".format)
        return f"BenchResult of {self.bench.path}\n{text}"

    @property
    def headline(self) -> pd.DataFrame:
        """The scores as a narrow table for printing; ``share`` is that of the ceiling."""
        table = self.table
        if not len(table):
            return table
        low, high = table["difference_low"], table["difference_high"]
        return pd.DataFrame(
            {
                "encoder": table["encoder"],
                "session": table["session_id"],
                "correlation": table["correlation"],
                "bits/spike": table["bits_per_spike"],
                "share": table["share_of_ceiling"],
                "difference": table["difference"],
                "interval": [interval_text(a, b) for a, b in zip(low, high, strict=True)],
                "fit": [duration(seconds) for seconds in table["seconds"]],
            }
        )


def collect(bench: Bench) -> BenchResult:
    """Gather the scores of a bench.

    Args:
        bench: The bench; fits that are not done are left out and counted.

    Raises:
        CheckpointError: If the evaluation of a fit is broken.
        ConfigError: If there is no annotation of the name of ``clusters``.
        DataError: If a recording cannot be opened any more.
    """
    done = load_evaluations(bench.fits)
    differences = _differences(bench, done)
    lines = [
        _line(encoder, session, done[encoder, session], bench.fits)
        for session in bench.config.recordings
        for encoder in bench.config.encoders
        if (encoder, session) in done
    ]
    table = pd.DataFrame([*lines, *_over_recordings(bench, lines)])
    if len(table):
        table = table.astype({"n_weights": "Int64"})  # those of all recordings are unknown
    return BenchResult(
        bench=bench,
        table=_with_differences(table, differences),
        differences=differences,
        failures={fit.name: fit.error for fit in bench.fits if fit.state == "failed"},
        n_missing=sum(fit.state == "waiting" for fit in bench.fits),
    )


def _line(
    encoder: str, session_id: str, evaluations: Sequence[Evaluation], all_fits: Sequence[Fit]
) -> dict[str, Any]:
    fits = [f for f in all_fits if (f.row, f.session_id, f.state) == (encoder, session_id, "done")]
    line: dict[str, Any] = {"encoder": encoder, "session_id": session_id}
    line["n_neurons"] = len(evaluations[0].table)
    for name in COMPARED:
        parts = [e.summary["sessions"][session_id]["scores"].get(name) for e in evaluations]
        for key, column in (
            ("mean", name),
            ("mean_low", f"{name}_low"),
            ("mean_high", f"{name}_high"),
        ):
            known = [part[key] for part in parts if part is not None]
            line[column] = float(np.mean(known)) if known else float("nan")
    line["share_of_ceiling"], line["ceiling"] = _share_of_ceiling(evaluations)
    costs = [read_json(fit.run.path / COST_FILE) for fit in fits]
    line["seconds"] = float(np.mean([cost["seconds"] for cost in costs]))
    line["n_weights"] = costs[0]["n_weights"]
    line["n_seeds"] = len(evaluations)
    line["adapted"] = _adapted(fits[0])
    return line


def _share_of_ceiling(evaluations: Sequence[Evaluation]) -> tuple[float, str]:
    """Return mean correlation over mean ceiling, of neurons that have both, and which ceiling."""
    table = evaluations[0].table
    for name in CEILINGS:
        if name in table:
            ceiling = table[name].to_numpy(float)
            reached = np.mean([e.table[METRIC].to_numpy(float) for e in evaluations], axis=0)
            known = np.isfinite(ceiling)
            if known.any():
                reached = np.nan_to_num(reached[known])  # a constant prediction explains nothing
                return float(reached.sum() / ceiling[known].sum()), name
    return float("nan"), ""


def _adapted(fit: Fit) -> str:
    """Return the settings of a fit that follow from its recording, as text."""
    config = fit.run.config()
    shifter = config.model.get("shifter")
    texts = [f"history {config.data.history}", f"lag {config.data.lag}"]
    if isinstance(shifter, dict):
        texts.append(f"shifter {shifter['kind']}")
    return ", ".join(texts)


def _over_recordings(bench: Bench, lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Average over recordings, each counting the same, for encoders that have all of them."""
    means = []
    sessions = {line["session_id"] for line in lines}
    for encoder in bench.config.encoders if len(sessions) > 1 else ():
        own = [line for line in lines if line["encoder"] == encoder]
        if len(own) < len(sessions):
            continue
        mean: dict[str, Any] = {"encoder": encoder, "session_id": ALL_SESSIONS}
        for name in (*COMPARED, "share_of_ceiling", "seconds"):
            values = np.array([line[name] for line in own])
            known = values[np.isfinite(values)]
            mean[name] = float(known.mean()) if len(known) else float("nan")
        mean["n_neurons"] = sum(line["n_neurons"] for line in own)
        mean["n_seeds"] = min(line["n_seeds"] for line in own)
        means.append(mean)
    return means


def _with_differences(table: pd.DataFrame, differences: pd.DataFrame) -> pd.DataFrame:
    columns = ["difference", "difference_low", "difference_high", "p"]
    if not len(table):
        return table
    if not len(differences):
        return table.assign(**dict.fromkeys(columns, float("nan")))
    own = differences.loc[differences["metric"] == METRIC, ["second", "session_id", *columns]]
    return table.merge(own.set_axis(["encoder", "session_id", *columns], axis=1), how="left")


def _differences(bench: Bench, done: Evaluations) -> pd.DataFrame:
    """Compare each encoder with the first one, on each recording and on all that both have."""
    first, *others = bench.config.encoders
    rows: list[dict[str, Any]] = []
    for other in others:
        names = [s for s in bench.config.recordings if {(first, s), (other, s)} <= done.keys()]
        shared = {
            name: _clustered(
                bench, share_sessions({e: done[e, name] for e in (first, other)})[name]
            )
            for name in names
        }
        for metric in COMPARED:
            scored = {
                name: one
                for name, one in shared.items()
                if metric in metrics_for(one.session.response_kind)
            }
            found, _ = compare_pair(first, other, METRICS.get(metric), scored, bench.config.draws)
            known = [row for row in found if row["n_neurons"]]
            each = [row["difference"] for row in known if row["session_id"] != ALL_SESSIONS]
            for row in known:
                is_pooled = row["session_id"] == ALL_SESSIONS
                low, high = t_interval(each) if is_pooled else (float("nan"), float("nan"))
                rows.append({**row, "recordings_low": low, "recordings_high": high})
    return pd.DataFrame(rows)


def _clustered(bench: Bench, shared: SharedSession) -> SharedSession:
    if bench.config.clusters is None:
        return shared
    recording = bench.recording(shared.session.session_id)
    clusters = cluster_blocks(recording, shared.session, bench.config.clusters)
    return replace(shared, clusters=clusters)


def cluster_blocks(
    recording: Recording, session: ScoredSession, annotation: str
) -> tuple[Integer[np.ndarray, " window"], TimeBlocks]:
    """Order scored bins by an annotation, and make one block of each of its values.

    Args:
        recording: The recording.
        session: Scored bins of the recording.
        annotation: Name of the annotation.

    Returns:
        The order of the bins, and the blocks of the bins in that order.

    Raises:
        ConfigError: If there is no such annotation.
    """
    what = f"clusters: session {recording.session_id!r} has no annotation"
    require_name(annotation, recording.annotations, what, ConfigError)
    labels = np.unique(recording.annotations[annotation][session.targets], return_inverse=True)[1]
    order = np.argsort(labels, kind="stable")
    starts = np.flatnonzero(np.diff(labels[order], prepend=-1))
    return order, TimeBlocks(starts, len(order))
