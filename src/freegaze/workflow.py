"""The whole way in three calls, for notebooks and for the command line: open, fit, evaluate."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from freegaze.config import read_config, read_setting
from freegaze.errors import ConfigError
from freegaze.evaluation.displacement import DisplacementFit, compare_displacement
from freegaze.evaluation.prediction_files import save_predictions
from freegaze.fitted.encoder import FittedEncoder
from freegaze.fitted.storage import load_encoder
from freegaze.progress import Progress
from freegaze.recording.recording import Recording
from freegaze.registry import nearest_names
from freegaze.runs.config import RunConfig, SourceConfig
from freegaze.runs.run_folder import RunFolder
from freegaze.sources import open_recordings
from freegaze.sources.nwb.predictions import write_predicted_recording
from freegaze.sources.simulation import load_truth
from freegaze.training.fit import train


def fit(
    recordings: Recording | Sequence[Recording],
    run_dir: Path | str,
    *,
    model: str = "cnn_gru",
    config: Path | str | None = None,
    settings: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> FittedEncoder:
    """Fit an encoder and return it.

    Args:
        recordings: One session, or several that share a core.
        run_dir: New folder for configuration, checkpoints and the fitted encoder.
        model: Registered name of the encoder; ``freegaze models`` lists them.
        config: YAML file with further settings.
        settings: Settings by dotted name, on top: ``{"training.max_passes": 5}``.
        progress: Told of every step as (description, done, total).

    Returns:
        The fitted encoder, in evaluation mode.

    Raises:
        FreegazeError: If settings or data do not fit; the message says which and what to do.

    Example:
        >>> encoder = freegaze.fit(recordings, "runs/first", model="glm")  # doctest: +SKIP
    """
    overrides = [f"model.name={model}"]
    overrides += [f"{k}={json.dumps(v, default=str)}" for k, v in (settings or {}).items()]
    run_config = read_config(RunConfig, Path(config) if config else None, overrides)
    sessions = [recordings] if isinstance(recordings, Recording) else list(recordings)
    train(sessions, run_config, Path(run_dir), progress)
    return load_encoder(run_dir)


def displacement_against_truth(
    encoder: FittedEncoder, recordings: Sequence[Recording]
) -> dict[str, DisplacementFit]:
    """Compare a shifter with the eye's true movement, for sessions of the virtual mouse.

    Args:
        encoder: A fitted encoder.
        recordings: Sessions it was fitted on; those whose truth is unknown are passed over.

    Returns:
        The comparison on tracked bins by session; empty for an encoder without a shifter.

    Raises:
        DataError: If the truth of a simulated session is damaged.
    """
    fits = {}
    for recording in recordings:
        if "truth" not in recording.provenance:
            continue
        estimated = encoder.displacement(recording)
        if estimated is not None:
            truth = load_truth(recording.provenance["truth"])
            fits[recording.session_id] = compare_displacement(
                estimated, truth.best_affine, truth.is_tracked
            )
    return fits


def predict_run(
    run_dir: Path | str, out: Path | str, role: str | None = "test", session: str | None = None
) -> Path:
    """Write what a run predicts for the recordings that it was fitted on.

    Args:
        run_dir: The run folder.
        out: A name ending in ``.nwb`` for a new NWB file with the recording and its predictions;
            any other for a ``.npz`` as ``save_predictions`` writes it, which is replaced.
        role: Bins to predict; all for ``None``.
        session: The only session to predict; by default all, of which NWB holds one a file.

    Returns:
        The file.

    Raises:
        ConfigError: If there is no such session, or one must be chosen.
        FreegazeError: If the run or its data cannot be read, or the file cannot be written.

    Example:
        >>> predict_run("runs/first", "first.nwb")  # doctest: +SKIP
    """
    encoder, recordings = load_encoder(run_dir), open_run_recordings(run_dir)
    names = [recording.session_id for recording in recordings]
    if session is not None and session not in names:
        raise ConfigError(
            f"{run_dir} was not fitted on session {session!r} ({nearest_names(session, names)})"
        )
    chosen = [r for r in recordings if session in (None, r.session_id)]
    target = Path(out)
    if target.suffix != ".nwb":
        save_predictions(target, [encoder.predict(r, role) for r in chosen])
        return target
    if len(chosen) > 1:
        raise ConfigError(
            f"{target}: NWB holds one session a file and {run_dir} has {len(chosen)}; choose one "
            f"with --session ({', '.join(names)})"
        )
    (recording,) = chosen
    predicted = encoder.predict(recording, role)
    text = f"Encoder {encoder.model_name}, fitted in run {Path(run_dir).resolve().name}."
    return write_predicted_recording(
        target, recording, predicted.rates, predicted.targets, predicted.unit_ids, description=text
    )


def open_run_recordings(run_dir: Path | str) -> list[Recording]:
    """Open the recordings that a run was fitted on, from the source in its configuration.

    Args:
        run_dir: The run folder.

    Raises:
        FreegazeError: If there is no run, or its data cannot be opened any more.
    """
    return open_source(RunFolder(Path(run_dir)).config().source)


def open_against(run_dir: Path | str, changes: Sequence[str]) -> list[Recording]:
    """Open recordings beside those that a run was fitted on: its source, with changes.

    Args:
        run_dir: The run folder.
        changes: ``path=...``, ``source=...`` (whose options begin anew) and options, ``name=value``
            each; a word alone is the option ``block``.

    Raises:
        FreegazeError: If there is no run, or the data cannot be opened.

    Example:
        >>> open_against("runs/niell", ["hfwn"])  # doctest: +SKIP
    """
    source = RunFolder(Path(run_dir)).config().source
    given = dict(read_setting(c if "=" in c else f"block={c}", "--against") for c in changes)
    name, path = given.pop("source", None), given.pop("path", None)
    return open_source(
        source.model_copy(
            update={
                "name": name or source.name,
                "path": source.path if path is None else Path(str(path)),
                "options": {**({} if name else source.options), **given},
            }
        )
    )


def open_source(source: SourceConfig) -> list[Recording]:
    """Open the recordings that a configuration names.

    Args:
        source: Name of the format, path and options.

    Raises:
        ConfigError: If no path is given.
        FreegazeError: If the data cannot be opened.
    """
    if source.path is None:
        raise ConfigError("give the path of a recording, or set source.path in the configuration")
    return open_recordings(source.name, source.path, **source.options)
