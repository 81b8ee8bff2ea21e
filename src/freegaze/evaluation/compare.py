"""Paired differences between runs, on the same bins of the same neurons."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from freegaze.errors import ConfigError, DataError
from freegaze.evaluation.evaluation import Evaluation, interval_text
from freegaze.evaluation.score_predictions import score_beside
from freegaze.evaluation.shared_sessions import SharedSession, share_sessions
from freegaze.evaluation.storage import load_evaluation
from freegaze.metrics.bootstrap import DRAWS
from freegaze.metrics.comparison import compare_models
from freegaze.metrics.metric import METRICS, Metric, metrics_for
from freegaze.metrics.sampled_scores import NO_INTERVAL, Interval
from freegaze.progress import Progress
from freegaze.runs.run_folder import RunFolder

ALL_SESSIONS = "all"
"""In the column ``session``: the mean over sessions, each counting the same."""

COUNTED = {
    "n_second_better": "second better in",
    "n_first_better": "first better in",
    "n_tested": "neurons tested",
}
"""Headings of columns that ``freegaze.evaluation.multiplicity.correct_comparison`` adds."""

SEED_KEYS = ("seed", "checkpoint_every_s")
"""Settings of the training that may differ between runs of one model."""


@dataclass(frozen=True)
class Comparison:
    """Differences between models, second minus first.

    Args:
        table: One row for each pair of models, metric and session (and ``all``): ``first``,
            ``second``, ``session_id``, ``metric``, ``first_mean`` and ``second_mean`` (over neurons
            and seeds), ``difference`` with its interval ``difference_low`` and ``difference_high``
            over blocks of time, neurons and seeds, ``p`` from the same resampling,
            ``is_second_better`` (whether the whole interval says so), ``n_neurons`` (with a score
            in every run), ``n_bins``, ``n_blocks``, ``stimuli_seen`` (share of the bins whose frame
            training bins show), ``n_seeds_first``, ``n_seeds_second``.
        neurons: The same for each neuron, with intervals over blocks of time alone.
    """

    table: pd.DataFrame
    neurons: pd.DataFrame

    def __repr__(self) -> str:
        table = self.headline.to_string(index=False, float_format="{:.4g}".format)
        return f"Comparison: paired differences with 95 % intervals\n{table}"

    @property
    def headline(self) -> pd.DataFrame:
        """The differences as a narrow table for printing, intervals as text."""
        columns = ("first", "second", "difference_low", "difference_high")
        first, second, low, high = (self.table[name] for name in columns)
        frame = pd.DataFrame(
            {
                "models": [f"{b} - {a}" for a, b in zip(first, second, strict=True)],
                "session": self.table["session_id"],
                "metric": self.table["metric"],
                "difference": self.table["difference"],
                "interval": [interval_text(a, b) for a, b in zip(low, high, strict=True)],
                "p": self.table["p"],
            }
        )
        for name, heading in COUNTED.items():
            if name in self.table:
                frame[heading] = self.table[name]
        return frame if len(set(frame["session"])) > 1 else frame.drop(columns="session")

    def markdown(self) -> str:
        """Return the table in Markdown."""
        return to_markdown(self.table)


def compare(
    runs: Sequence[Path | str] | Mapping[str, Sequence[Evaluation]],
    *,
    metrics: Sequence[str] | None = None,
    only_tracked: bool = False,
    is_cross_validated: bool = False,
    draws: int = DRAWS,
    seed: int = 0,
    progress: Progress | None = None,
) -> Comparison:
    """Compare models on the bins and neurons that all of them were scored on.

    Runs whose configurations differ in the seed alone are taken as one model. Every pair of models
    is compared, in the order given.

    Args:
        runs: Folders of evaluated runs, and beside them prediction files (``.npz``, see
            ``freegaze.evaluation.prediction_files``); or evaluations of each model by name, one
            per seed.
        metrics: Names of the scores to compare; all that apply by default.
        only_tracked: Compare on bins whose inputs were all tracked.
        is_cross_validated: Compare the scores of the folds of each run
            (``freegaze evaluate RUN --folds K``).
        draws: Number of resampled recordings.
        seed: Fixes the draws.
        progress: Called with (description, done, total) after each pair of models and score.

    Returns:
        Differences over neurons and for each neuron.

    Raises:
        ConfigError: If there are fewer than two models.
        CheckpointError: If a run was not evaluated.
        DataError: If the runs share no session, bin or neuron, if their recorded responses differ,
            or if a prediction file does not fit.

    Example:
        >>> comparison = freegaze.compare(["runs/behavior_only", "runs/glm"], draws=20)
        >>> list(comparison.table["second"].unique())
        ['glm']
    """
    models = (
        dict(runs)
        if isinstance(runs, Mapping)
        else group_runs(runs, is_cross_validated=is_cross_validated)
    )
    if len(models) < 2:
        raise ConfigError(
            f"a comparison needs two models or more, got {len(models)} ({', '.join(models)}); runs "
            "that differ in their seed alone are one model"
        )
    sessions = share_sessions(models)
    if only_tracked:
        sessions = {name: _tracked(shared) for name, shared in sessions.items()}
    kind = next(iter(sessions.values())).session.response_kind
    rows: list[dict[str, Any]] = []
    neurons: list[pd.DataFrame] = []
    steps = list(product(combinations(models, 2), metrics or metrics_for(kind)))
    for done, ((first, second), name) in enumerate(steps, start=1):
        metric = METRICS.get(name)
        pair_rows, pair_neurons = compare_pair(first, second, metric, sessions, draws, seed)
        rows += pair_rows
        neurons += pair_neurons
        if progress is not None:
            progress(f"{name} of {second} and {first}", done, len(steps))
    by_neuron = pd.concat(neurons, ignore_index=True) if neurons else pd.DataFrame()
    return Comparison(pd.DataFrame(rows), by_neuron)


def compare_with_baselines(
    name: str, evaluation: Evaluation, baselines: Mapping[str, Evaluation]
) -> dict[str, Comparison | str]:
    """Compare a model with each of its baselines by every score, model minus baseline.

    Args:
        name: Name of the model.
        evaluation: Scores of the model.
        baselines: Scores of the baselines, by name.

    Returns:
        By baseline the comparison, or the reason why there is none.
    """
    found: dict[str, Comparison | str] = {}
    for baseline, other in baselines.items():
        try:
            models = {baseline: [other], f"{name} (this run)": [evaluation]}
            found[baseline] = compare(models)
        except DataError as error:
            found[baseline] = str(error)
    return found


def group_runs(
    runs: Sequence[Path | str], *, is_cross_validated: bool = False
) -> dict[str, list[Evaluation]]:
    """Load evaluations, those of runs that differ in their seed alone under one name.

    Args:
        runs: Folders of evaluated runs, and prediction files (``.npz``), which are scored on the
            bins of the runs.
        is_cross_validated: Whether to take the scores of the folds of each run.

    Returns:
        Evaluations by name: the folder's, joined by ``+`` where there are several seeds, or the
        file's.

    Raises:
        ConfigError: If a run is given twice, or there are only files.
        CheckpointError: If a run was not evaluated.
        DataError: If a prediction file cannot be read or does not fit the runs.
    """
    paths = [Path(run) for run in runs]
    if len({path.resolve() for path in paths}) < len(paths):
        raise ConfigError(f"a run is given twice: {', '.join(map(str, paths))}")
    folders = [path for path in paths if path.suffix != ".npz" or path.is_dir()]
    if not folders:
        raise ConfigError(
            f"prediction files ({', '.join(map(str, paths))}) are compared beside a run, whose "
            "recorded responses they are scored on; add the folder of an evaluated run"
        )
    evaluations = {
        folder: load_evaluation(folder, is_cross_validated=is_cross_validated) for folder in folders
    }
    beside = tuple(evaluations.values())
    groups: dict[str, list[Path]] = {}
    for path in paths:
        if path not in evaluations:
            evaluations[path] = score_beside(path, beside)
        groups.setdefault(_settings_without_seed(path), []).append(path)
    is_short = len({path.name for path in paths}) == len(paths)
    return {
        "+".join(p.name if is_short else str(p) for p in group): [evaluations[p] for p in group]
        for group in groups.values()
    }


def to_markdown(table: pd.DataFrame) -> str:
    """Write a table in Markdown, numbers with three significant digits.

    Args:
        table: Any table of plain values.
    """
    lines = [list(map(str, table.columns)), ["---"] * len(table.columns)]
    lines += [[_text(value) for value in row] for row in table.itertuples(index=False)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _settings_without_seed(folder: Path) -> str:
    if not (folder / "config.yaml").is_file():
        return str(folder.resolve())  # scored from elsewhere: nothing is known, a model of its own
    settings = RunFolder(folder).config().model_dump(mode="json")
    for key in SEED_KEYS:
        settings["training"].pop(key)
    return json.dumps(settings, sort_keys=True)


def _tracked(shared: SharedSession) -> SharedSession:
    keep = shared.session.is_tracked
    rates = {name: rates[:, keep] for name, rates in shared.rates.items()}
    return SharedSession(shared.session.select(keep), rates, shared.n_left_out)


def compare_pair(
    first: str,
    second: str,
    metric: Metric,
    sessions: Mapping[str, SharedSession],
    draws: int,
    seed: int = 0,
) -> tuple[list[dict[str, Any]], list[pd.DataFrame]]:
    """Compare two models by one score.

    Args:
        first: Name of a model.
        second: Name of another model.
        metric: The score.
        sessions: The sessions that both were scored on, by id.
        draws: Number of resampled recordings.
        seed: Fixes the draws.

    Returns:
        Rows of ``Comparison.table``, and for each session its rows of ``Comparison.neurons``.
    """
    rows, neurons = [], []
    means = {name: _mean_scores(metric, s, first, second) for name, s in sessions.items()}
    known = [name for name in sessions if means[name]["n_neurons"]]
    groups = {name: [name] for name in sessions}
    if len(known) > 1:
        groups[ALL_SESSIONS] = known
    for label, names in groups.items():
        same = {"first": first, "second": second, "session_id": label, "metric": metric.name}
        over = _over_sessions([means[name] for name in names])
        mean, p = NO_INTERVAL, float("nan")
        if over["n_neurons"]:  # a constant prediction has no correlation
            pairs = [sessions[name].paired(first, second) for name in names]
            found = compare_models(metric.name, pairs, draws, seed)
            mean, p = found.mean, found.p_value
            if label != ALL_SESSIONS:
                unit_ids, (by_neuron,) = sessions[label].session.unit_ids, found.recordings
                columns = _difference_columns(by_neuron.neurons, by_neuron.neuron_p)
                neurons.append(pd.DataFrame({**same, "unit_id": unit_ids, **columns}))
        is_better = mean.low > 0 if metric.higher_is_better else mean.high < 0
        rows.append(
            {**same, **over, **_difference_columns(mean, p), "is_second_better": bool(is_better)}
        )
    return rows, neurons


def _mean_scores(metric: Metric, shared: SharedSession, first: str, second: str) -> dict[str, Any]:
    """Average the scores of both models over the neurons that have a score in every run."""
    session = shared.session
    scores = [
        np.mean([metric(r, session.observed, session.context) for r in shared.rates[model]], axis=0)
        for model in (first, second)
    ]
    known = np.isfinite(scores).all(0)
    means = [float(s[known].mean()) if known.any() else float("nan") for s in scores]
    return {
        "first_mean": means[0],
        "second_mean": means[1],
        "n_neurons": int(known.sum()),
        "n_bins": len(session.targets),
        "n_blocks": shared.blocks.n_blocks,
        "stimuli_seen": session.seen.frames,
        "n_seeds_first": len(shared.rates[first]),
        "n_seeds_second": len(shared.rates[second]),
    }


def _over_sessions(means: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    names = ("first_mean", "second_mean", "stimuli_seen")
    averaged = {k: float(np.mean([m[k] for m in means])) for k in names}
    summed = {k: sum(m[k] for m in means) for k in ("n_neurons", "n_bins", "n_blocks")}
    return {**means[0], **averaged, **summed}


def _difference_columns(found: Interval, p: float | np.ndarray) -> dict[str, Any]:
    return {
        "difference": found.value.tolist(),
        "difference_low": found.low.tolist(),
        "difference_high": found.high.tolist(),
        "p": p,
    }


def _text(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
