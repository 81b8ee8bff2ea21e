"""Functions of the command line for Python: fit, evaluate, predict, explain, report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from freegaze.config import read_config
from freegaze.errors import ConfigError
from freegaze.evaluation.compare import compare_with_baselines
from freegaze.evaluation.displacement import displacement_against_truth
from freegaze.evaluation.evaluate import evaluate as score_encoder
from freegaze.evaluation.evaluation import Evaluation
from freegaze.evaluation.multiplicity import correct_evaluation
from freegaze.evaluation.prediction_files import save_predicted_recording, save_predictions
from freegaze.evaluation.storage import is_evaluated, load_evaluation, save_evaluation
from freegaze.evaluation.timeline import save_timeline
from freegaze.explanation.config import ExplainConfig
from freegaze.explanation.explain import explain as explain_session
from freegaze.explanation.fields.against import compare_with, pick_other, save_comparison
from freegaze.explanation.result import (
    SessionExplanation,
    is_explained,
    load_explanations,
    session_folder,
)
from freegaze.explanation.truth import TRUTH, keep_truth_comparison
from freegaze.fitted.encoder import FittedEncoder, Prediction
from freegaze.fitted.storage import load_encoder
from freegaze.metrics.bootstrap import DRAWS
from freegaze.paper.scores import paper_scores
from freegaze.progress import Progress
from freegaze.recording.recording import Recording, as_list
from freegaze.registry import require_name
from freegaze.reports import write_readme_figure, write_report
from freegaze.runs.config import RunConfig
from freegaze.runs.own_code import Model, configure_run
from freegaze.runs.recordings import open_against, open_run_recordings, source_of
from freegaze.runs.run_folder import RunFolder
from freegaze.studies.baseline import BASELINE, baseline_folder, fit_baseline
from freegaze.studies.cross_validation import cross_validate
from freegaze.studies.refits import stability_of
from freegaze.training.fit import train

Run = FittedEncoder | Path | str
"""A run folder, or the encoder that ``fit`` or ``load_encoder`` returned."""


def fit(
    recordings: Recording | Sequence[Recording],
    run_dir: Path | str,
    *,
    model: Model | None = None,
    config: RunConfig | Path | str | None = None,
    settings: Mapping[str, Any] | None = None,
    device: str | None = None,
    progress: Progress | None = None,
) -> FittedEncoder:
    """Fit an encoder to recordings, in a new run folder.

    Args:
        recordings: One session, or several that share a core.
        run_dir: New folder for configuration, checkpoints and the fitted encoder.
        model: Registered name of the encoder, your own class, or ``FILE.py:Class`` (the file is
            executed). Without it, the encoder of ``config`` is used, or ``cnn_gru`` if there is
            none.
        config: Settings as a ``RunConfig``, or the path of a YAML file with them.
        settings: Settings by dotted name, which override ``config``. ``training.loss`` may be a
            function of (predicted, observed), or ``FILE.py:function``.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``; short for the setting ``training.device``.
        progress: Called with (description, done, total) after each step.

    Returns:
        The fitted encoder, in evaluation mode.

    Raises:
        ConfigError: If a setting is unknown or of the wrong kind.
        DataError: If the recordings cannot be fitted; nothing is written then.
        CheckpointError: If the folder holds a run already, or cannot be written.

    Example:
        >>> settings = {"data.history": 4, "training.max_passes": 1}
        >>> encoder = freegaze.fit(recordings, "runs/first", model="glm", settings=settings)
        >>> encoder.data.history
        4
    """
    sessions = as_list(recordings)
    of_device = {} if device is None else {"training.device": device}
    run_config = configure_run(config, {**(settings or {}), **of_device}, model)
    if run_config.source.path is None and (source := source_of(sessions)):
        run_config = run_config.model_copy(update={"source": source})
    train(sessions, run_config, Path(run_dir), progress)
    return load_encoder(run_dir, run_config.training.device)


def evaluate(
    run: Run,
    recordings: Recording | Sequence[Recording] | None = None,
    *,
    draws: int = DRAWS,
    seed: int = 0,
    role: str = "test",
    predictions: Sequence[Prediction] | None = None,
    condition: str | None = None,
    controls: Sequence[str] = (),
    paper: bool = False,
    folds: int | None = None,
    correct_across: str | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> Evaluation:
    """Score every neuron on held-out bins, with intervals, baselines and chance.

    Scores of test bins are written into the run folder, as by ``freegaze evaluate``, with the
    predictions of all bins for ``freegaze view``.

    Args:
        run: The run folder, or its encoder.
        recordings: Sessions that the encoder was fitted on. Without them, those of the run's
            configuration are opened.
        draws: Number of resampled recordings behind the intervals.
        seed: Fixes the draws.
        role: Bins to score; scores of other bins than ``test`` are returned and not written.
        predictions: Predictions of these recordings, computed before; computed here by default.
        condition: Annotation that marks which trials repeat a stimulus; by default trials with the
            same frames.
        controls: ``history`` and ``coupling`` add scores of predictions that also read the neuron's
            own past responses, or the summed responses of the other neurons, as columns of their
            own. See ``freegaze.evaluation.controls``.
        paper: Whether to add the scores of Xu et al. (2023), computed as they did.
        folds: Cross-validate with so many folds instead: the run's configuration is fitted to each,
            in run folders inside the run, and each bin is tested once. See
            ``freegaze.studies.cross_validation``.
        correct_across: ``neurons`` adds the column ``correlation_q``, the p of chance adjusted for
            the number of neurons. See ``freegaze.evaluation.multiplicity``.
        device: Device to compute on, if ``run`` is a folder.
        progress: Called with (description, done, total) after each step.

    Returns:
        The evaluation: ``table`` has one row per neuron.

    Raises:
        CheckpointError: If the run is missing, unfinished or broken.
        DataError: If the recordings are not those fitted, or there is nothing to score.

    Example:
        >>> evaluation = freegaze.evaluate("runs/glm", draws=100)
        >>> list(evaluation.table["unit_id"][:2])
        ['unit_000', 'unit_001']
    """
    encoder, sessions = _encoder_and_recordings(run, recordings, device)
    how: dict[str, Any] = {"draws": draws, "seed": seed, "condition": condition}
    how |= {"extra_score": paper_scores if paper else None, "progress": progress}
    if folds is not None:
        if role != "test" or predictions is not None or controls:
            raise ConfigError(
                "cross-validation predicts the test bins of its folds; leave out `role`, "
                "`predictions` and `controls`"
            )
        evaluation = cross_validate(_folder_of(encoder), sessions, folds, **how)
    else:
        how |= {"role": role, "predictions": predictions, "controls": controls}
        if encoder.run is not None and role == "test":
            how["keep"] = partial(save_timeline, encoder.run, encoder)
        evaluation = score_encoder(encoder, sessions, **how)
    if correct_across is not None:
        evaluation = correct_evaluation(evaluation, correct_across)
    if encoder.run is not None and role == "test":
        save_evaluation(encoder.run, evaluation, is_cross_validated=folds is not None)
    return evaluation


def predict(
    run: Run,
    recordings: Recording | Sequence[Recording] | None = None,
    *,
    role: str | None = "test",
    session: str | None = None,
    out: Path | str | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> list[Prediction]:
    """Predict the response of every fitted neuron in every bin of a role.

    Args:
        run: The run folder, or its encoder.
        recordings: Sessions that the encoder was fitted on. Without them, those of the run's
            configuration are opened.
        role: ``train``, ``validation`` or ``test``; every bin with a full window for ``None``.
        session: The only session to predict; all by default.
        out: File for the predictions: a new NWB file with the recording if the name ends in
            ``.nwb`` (one session), otherwise an ``.npz``, which replaces a file of that name.
        device: Device to compute on, if ``run`` is a folder.
        progress: Called with (description, done, total) after each session.

    Returns:
        One prediction per session.

    Raises:
        ConfigError: If there is no such session, or NWB would have to hold several.
        CheckpointError: If the run is missing, unfinished or broken.
        DataError: If the recordings cannot be opened, or the file cannot be written.

    Example:
        >>> [prediction] = freegaze.predict("runs/glm", out="predictions.npz")
        >>> prediction.rates.shape[1]
        6
    """
    encoder, sessions = _encoder_and_recordings(run, recordings, device)
    names = [recording.session_id for recording in sessions]
    where = encoder.run or "this encoder"
    if session is not None:
        require_name(session, names, f"{where} was not fitted on session", ConfigError)
    chosen = [r for r in sessions if session in (None, r.session_id)]
    is_nwb = out is not None and Path(out).suffix == ".nwb"
    if is_nwb and len(chosen) > 1:
        raise ConfigError(
            f"{out}: an NWB file holds one session, and {where} has {len(chosen)}; choose "
            f"one with --session ({', '.join(names)})"
        )
    predictions = []
    for done, recording in enumerate(chosen, start=1):
        predictions.append(encoder.predict(recording, role))
        if progress is not None:
            progress(f"predicting {recording.session_id}", done, len(chosen))
    if is_nwb:
        save_predicted_recording(Path(str(out)), chosen[0], predictions[0], encoder)
    elif out is not None:
        save_predictions(out, predictions)
    return predictions


def explain(
    run: Run,
    recordings: Recording | Sequence[Recording] | None = None,
    *,
    config: ExplainConfig | Path | str | None = None,
    settings: Mapping[str, Any] | None = None,
    only: Sequence[str] | None = None,
    against: Sequence[str] | Sequence[Recording] = (),
    refits: int | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> list[SessionExplanation]:
    """Compute receptive fields, saliency, contributions and tuning of a run's neurons.

    Results are kept in the run folder, neuron by neuron: after an interruption the same call
    continues.

    Args:
        run: The run folder, or its encoder.
        recordings: Sessions that the encoder was fitted on. Without them, those of the run's
            configuration are opened.
        config: Settings as an ``ExplainConfig``, or the path of a YAML file with them.
        settings: Settings by name, which override ``config``.
        only: Parts to compute, such as ``["fields.gradient", "tuning"]`` (see
            ``freegaze.explanation.explain.PARTS``); by default all but probes. Others are kept.
        against: Recordings of the same units to compare receptive fields with, or how they differ
            from the run's recordings (see ``open_against``).
        refits: Also fit the run's configuration so many times to halves of the recordings, in run
            folders inside the run, and keep how far their explanations agree for each neuron. See
            ``freegaze.studies.refits``.
        device: Device to compute on, if ``run`` is a folder.
        progress: Called with (description, done, total) after each step.

    Returns:
        One explanation per session. For a simulated session the run folder also holds its
        comparison with the truth, see ``freegaze.explanation.truth``.

    Raises:
        CheckpointError: If the run is missing, unfinished or broken.
        DataError: If the recordings are not those fitted, or a file cannot be written.

    Example:
        >>> settings = {"n_windows": 10, "n_starts": 1, "ascent_steps": 2, "n_shifts": 2}
        >>> [explanation] = freegaze.explain("runs/glm", settings=settings)
        >>> len(explanation.neurons)
        6
    """
    encoder, sessions = _encoder_and_recordings(run, recordings, device)
    folder = _folder_of(encoder)
    chosen = read_config(ExplainConfig, config, settings or {})
    others = [other for other in against if isinstance(other, Recording)]
    if against and not others:
        others = open_against(folder, [str(change) for change in against])
    with RunFolder(folder).locked():
        found = [explain_session(encoder, r, folder, chosen, progress, only=only) for r in sessions]
        for recording, explanation in zip(sessions, found, strict=True):
            is_kept = TRUTH.is_whole(session_folder(folder, recording.session_id))
            if "truth" in recording.provenance and not is_kept:
                fits = displacement_against_truth(encoder, [recording])
                fit = fits.get(recording.session_id)
                keep_truth_comparison(folder, encoder, recording, explanation, fit)
        for explanation in found if against else ():
            other = pick_other(explanation.session_id, others)
            save_comparison(folder, compare_with(explanation, other))
        if refits is not None:
            stability_of(folder, sessions, refits, chosen, progress)
    return found


def report(
    run: Run,
    recordings: Recording | Sequence[Recording] | None = None,
    *,
    against: Sequence[Path | str] = (),
    baseline: bool = False,
    out: Path | str | None = None,
    picture: Path | str | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> Path:
    """Write the report of an evaluated run: one HTML file that needs neither network nor files.

    Args:
        run: The run folder, or its encoder.
        recordings: Sessions that the encoder was fitted on. Without them, those of the run's
            configuration are opened.
        against: Folders of evaluated runs whose scores are shown beside.
        baseline: Whether to fit and evaluate ``local_energy`` on the same bins first, in the folder
            ``baseline`` of the run. Where that was done, all reports show it.
        out: HTML file to write; by default ``report.html`` in the run folder.
        picture: PNG file for an overview.
        device: Device to compute on, if ``run`` is a folder.
        progress: Called with (description, done, total) after each step.

    Returns:
        The HTML file.

    Raises:
        CheckpointError: If a run is missing, unfinished, not evaluated or broken.
        DataError: If the recordings cannot be opened, or a file cannot be written.

    Example:
        >>> freegaze.report("runs/glm", out="glm.html").name
        'glm.html'
    """
    encoder, sessions = _encoder_and_recordings(run, recordings, device)
    folder = _folder_of(encoder)
    step = progress or (lambda *_: None)
    evaluation = load_evaluation(folder)
    shown = [Path(other) for other in against]
    if baseline and encoder.model_name != BASELINE:
        fit_baseline(folder, sessions, progress)
    if is_evaluated(baseline_folder(folder)):
        shown.insert(0, baseline_folder(folder))
    baselines = {other.name: load_evaluation(other) for other in shown}
    step("displacement of gaze", 0, 4)
    truth = displacement_against_truth(encoder, sessions)
    step("comparisons", 1, 4)
    compared = compare_with_baselines(encoder.model_name, evaluation, baselines)
    step("overview", 2, 4)
    if picture is not None:
        write_readme_figure(folder, sessions, encoder, evaluation, picture, baselines, truth)
    found = load_explanations(folder) if is_explained(folder) else ()
    step("sections", 3, 4)
    page = write_report(
        folder,
        sessions,
        encoder,
        evaluation,
        baselines,
        out,
        truth,
        explanations=found,
        comparisons=compared,
    )
    step("sections", 4, 4)
    return page


def _encoder_and_recordings(
    run: Run, recordings: Recording | Sequence[Recording] | None, device: str
) -> tuple[FittedEncoder, list[Recording]]:
    encoder = run if isinstance(run, FittedEncoder) else load_encoder(run, device)
    if recordings is not None:
        return encoder, as_list(recordings)
    return encoder, open_run_recordings(_folder_of(encoder))


def _folder_of(encoder: FittedEncoder) -> Path:
    if encoder.run is None:
        raise ConfigError("this encoder has no run folder; give the folder of a run")
    return encoder.run
