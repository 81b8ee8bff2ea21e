"""Fitting: from recordings and a configuration to a run folder with a fitted encoder."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from freegaze.dataset import sessions as dataset
from freegaze.dataset.sessions import PreparedSession
from freegaze.errors import ConfigError
from freegaze.fitted.encoder import FittedSession
from freegaze.fitted.storage import describe_encoder
from freegaze.models.averaged import AveragedEncoder, share_gaze
from freegaze.models.encoder import MODELS, AbstractEncoder, build_encoder
from freegaze.nn.device import pick_device
from freegaze.progress import PassHook, Progress
from freegaze.recording.recording import Recording
from freegaze.runs.checkpoint import save_tensors, write_atomically
from freegaze.runs.config import RunConfig, model_config, resolve_config
from freegaze.runs.own_code import Loss, Model, own_code_of, require_loss, require_model
from freegaze.runs.run_folder import RunFolder, recording_checksum
from freegaze.training.completion import complete
from freegaze.training.loop import Fit
from freegaze.training.optimizer import parameter_order
from freegaze.training.processes import make_accelerator
from freegaze.training.search import combinations, trial_folder, with_settings
from freegaze.training.sharing import Sharing
from freegaze.training.transfer import load_core


def train(
    recordings: Sequence[Recording],
    config: RunConfig,
    folder: Path,
    progress: Progress | None = None,
    on_pass: PassHook | None = None,
) -> RunFolder:
    """Fit an encoder to one or several sessions, in a new run folder.

    Under ``torchrun`` or ``accelerate launch`` all processes call this alike and share the work.

    Args:
        recordings: The sessions; several share a core.
        config: Everything the run depends on.
        folder: A new folder.
        progress: Called with (description, done, total) after each step.
        on_pass: Called with what is logged after each pass of a fit by steps of an optimizer; not
            of a search, nor of several seeds, nor of the fit that is repeated with validation bins.

    Returns:
        The finished run.

    Raises:
        ConfigError: If the configuration does not fit the data.
        DataError: If the data cannot be fitted; nothing is written then.
        CheckpointError: If the folder is taken or cannot be written.
        NumericsError: If the loss leaves the finite numbers.
    """
    config = resolve_config(config)
    if config.training.device != "auto":
        pick_device(config.training.device)  # accelerate would compute on the CPU instead
    own_code_of(config)  # code that cannot be recorded is refused before anything is written
    sharing, own = _share(recordings, config)
    sessions = prepare_sessions(own, config)
    run = RunFolder(Path(folder))
    with _at_work(run, config, is_new=True) as accelerator:
        n_fitted = {name: session.recording.n_neurons for name, session in sessions.items()}
        checksums = None
        if sharing.is_apart:
            n_fitted = sharing.gather(n_fitted)
            checksums = sharing.gather({r.session_id: recording_checksum(r) for r in own})
        if accelerator.is_main_process:
            run.create(config, recordings, n_fitted, checksums)
        _fit_or_search(run, config, recordings, sessions, progress, accelerator, on_pass, sharing)
    return run


def resume(
    folder: Path,
    recordings: Sequence[Recording],
    progress: Progress | None = None,
    on_pass: PassHook | None = None,
    *,
    model: Model | None = None,
    loss: Loss | str | None = None,
    accept_changed_model: bool = False,
) -> RunFolder:
    """Continue a run that was stopped; the result is that of an undisturbed run, bit for bit.

    Args:
        folder: The run folder.
        recordings: The sessions it was started on.
        progress: Called with (description, done, total) after each step.
        on_pass: See ``train``.
        model: The encoder's class, or ``FILE.py:Class``, if it is your own.
        loss: The loss, or ``FILE.py:function``, if it is your own.
        accept_changed_model: Whether to go on if the source of either has changed.

    Raises:
        CheckpointError: If there is no run, its data changed, another process works on it, or its
            encoder or loss is your own and is not given, or has changed.
        ConfigError: If ``model`` or ``loss`` cannot be loaded, or is not that of the run.
    """
    run = RunFolder(Path(folder))
    config = run.config()
    require_model(run, config.model["name"], model, accept_changed_model)
    require_loss(run, config.training.loss, loss, accept_changed_model)
    sharing, own = _share(recordings, config)
    run.check_data(recordings, sharing.own)
    with _at_work(run, config, is_new=False) as accelerator:
        if not run.is_finished:
            sessions = prepare_sessions(own, config)
            _fit_or_search(
                run, config, recordings, sessions, progress, accelerator, on_pass, sharing
            )
        elif not run.is_sealed and accelerator.is_main_process:
            run.seal()  # it was killed between the encoder and the checksums
    return run


def prepare_sessions(
    recordings: Sequence[Recording], config: RunConfig
) -> dict[str, PreparedSession]:
    """Prepare all sessions of a fit, by session id.

    Args:
        recordings: The sessions.
        config: The run's configuration.

    Raises:
        DataError: If a session cannot be fitted, or sessions do not go together.
        ConfigError: If the encoder needs behavior that was not recorded.
    """
    encoder = MODELS.get(config.model["name"])
    required = partial(encoder.required_features, model_config(config))
    return dataset.prepare_sessions(recordings, config.data, config.split, required)


def _share(recordings: Sequence[Recording], config: RunConfig) -> tuple[Sharing, list[Recording]]:
    """Return the division of the sessions among processes, and the sessions of this one."""
    dataset.check_together(recordings)
    names = [recording.session_id for recording in recordings]
    sharing = Sharing.among_processes(names, config.training.sessions_per_step)
    encoder = MODELS.get(config.model["name"])
    if sharing.is_apart and encoder.solve is not AbstractEncoder.solve:
        raise ConfigError(
            f"{config.model['name']} is fitted without steps, in one process; start it alone"
        )
    return sharing, [r for r in recordings if r.session_id in sharing.own]


@contextmanager
def _at_work(run: RunFolder, config: RunConfig, *, is_new: bool) -> Iterator[Accelerator]:
    """Wait for the other processes of this fit, if there are any, and lock the folder for all."""
    accelerator = make_accelerator(config.training)
    parts = {
        "a search": config.search,
        "a fit of several seeds": config.training.seeds > 1,
        "a fit with another run's core": config.training.core_from is not None,
    }
    what = next((name for name, is_asked in parts.items() if is_asked), None)
    if accelerator.num_processes > 1 and what is not None:
        raise ConfigError(
            f"{what} runs in one process, not under torchrun or accelerate launch; start it alone"
        )
    if accelerator.is_main_process and is_new:
        run.make()
    with run.locked() if accelerator.is_main_process else nullcontext():
        accelerator.wait_for_everyone()  # the first process holds the lock
        yield accelerator
        accelerator.wait_for_everyone()
    if accelerator.num_processes > 1:
        accelerator.wait_for_everyone()
        accelerator.end_training()


def _fit_or_search(
    run: RunFolder,
    config: RunConfig,
    recordings: Sequence[Recording],
    sessions: Mapping[str, PreparedSession],
    progress: Progress | None,
    accelerator: Accelerator,
    on_pass: PassHook | None,
    sharing: Sharing,
) -> None:
    if not config.search:
        _fit(run, config, recordings, sessions, progress, accelerator, on_pass, sharing)
        return
    trials = [
        (trial_folder(run, number), with_settings(config, options, number))
        for number, options in enumerate(combinations(config.search))
    ]
    for trial, trial_config in trials:
        if not (trial.path / "config.yaml").exists():
            trial.create(trial_config, recordings)
        if not trial.is_finished:
            prepared = prepare_sessions(recordings, trial_config)
            _fit(trial, trial_config, recordings, prepared, progress)
    best = min((t for t, _ in trials), key=lambda t: t.kept_pass()["validation_loss"])
    run.write_metrics(best.metrics())
    write_atomically(run.encoder, best.encoder.read_bytes())
    run.seal()


def _fit(
    run: RunFolder,
    config: RunConfig,
    recordings: Sequence[Recording],
    sessions: Mapping[str, PreparedSession],
    progress: Progress | None,
    accelerator: Accelerator | None = None,
    on_pass: PassHook | None = None,
    sharing: Sharing | None = None,
) -> None:
    """Fit one encoder, or the several that become one, and keep it in the run folder."""
    if config.training.seeds > 1:
        encoder = _fit_members(run, config, recordings, sessions, progress)
    else:
        accelerator = accelerator or make_accelerator(config.training)
        found = _fit_one(
            run, config, sessions, progress, accelerator, on_pass=on_pass, sharing=sharing
        )
        encoder = found.kept
    _keep(run, config, encoder, sessions, accelerator, sharing)


def _keep(
    run: RunFolder,
    config: RunConfig,
    encoder: AbstractEncoder,
    sessions: Mapping[str, PreparedSession],
    accelerator: Accelerator | None = None,
    sharing: Sharing | None = None,
) -> None:
    fitted = {
        name: FittedSession(
            session.dims,
            session.preparation,
            session.recording.unit_ids,
            session.recording.bin_width_s,
            session.mean_response,
        )
        for name, session in sessions.items()
    }
    weights = encoder.state_dict()
    if sharing is not None:
        fitted, weights = sharing.gather(fitted), sharing.collect(weights)
    if accelerator is None or accelerator.is_main_process:
        save_tensors(run.encoder, weights, describe_encoder(config, fitted))
        run.seal()


@dataclass(frozen=True)
class _Fitted:
    """Encoders of one fit.

    Args:
        validated: Fitted to training windows; best on validation windows.
        kept: Fitted to both, or the same.
    """

    validated: AbstractEncoder
    kept: AbstractEncoder


def _fit_one(
    run: RunFolder,
    config: RunConfig,
    sessions: Mapping[str, PreparedSession],
    progress: Progress | None,
    accelerator: Accelerator | None = None,
    first: _Fitted | None = None,
    on_pass: PassHook | None = None,
    sharing: Sharing | None = None,
) -> _Fitted:
    """Fit one encoder, or continue its fit; with the gaze correction of another, if given.

    The encoder is fitted to training windows, then again to training and validation windows, with
    the number of passes that was best in validation.
    """
    is_refitted = config.training.is_refitted
    report = _within(progress, "", 0, 2) if is_refitted else progress
    sharing = sharing or Sharing(tuple(sessions), config.training.sessions_per_step)
    encoder, order = _first_encoder(run, config, sessions, sharing, first and first.validated)
    shared = {"sharing": sharing, "order": order}
    fit = Fit(encoder.trained, sessions, config.training, run, accelerator, **shared)
    _continue(fit, report, on_pass)
    complete(fit, encoder)
    if not (is_refitted and fit.is_trainable):
        return _Fitted(encoder, encoder)
    run.refit.path.mkdir(exist_ok=True)
    kept, _ = _first_encoder(run.refit, config, sessions, sharing, first and first.kept, encoder)
    passes = fit.state.best_pass
    again = Fit(
        kept.trained, sessions, config.training, run.refit, fit.accelerator, passes, **shared
    )
    _continue(again, _within(progress, "", 1, 2))
    complete(again, kept, like=encoder)
    return _Fitted(encoder, kept)


def _first_encoder(
    folder: RunFolder,
    config: RunConfig,
    sessions: Mapping[str, PreparedSession],
    sharing: Sharing,
    first: AbstractEncoder | None,
    prepared: AbstractEncoder | None = None,
) -> tuple[AbstractEncoder, list[str]]:
    """Build the encoder with the weights that a fit starts from, unless it has a checkpoint.

    The gaze correction is that of ``first``, if given. What ``prepared`` has found is taken over.
    Initial weights are drawn for all sessions; then those that other processes hold are removed.

    Returns:
        The encoder, and the order of the parameters of all sessions in the optimizer.
    """
    dims = sharing.gather({name: session.dims for name, session in sessions.items()})
    encoder = build_encoder(config.model["name"], model_config(config), dims, config.training.seed)
    order = parameter_order(encoder.trained)
    if sharing.is_apart:
        if encoder.trained is not encoder:
            raise ConfigError(
                f"the encoder {config.model['name']} is fitted in two steps, of which the second "
                "needs all sessions in one process: start one process, set "
                "training.sessions_per_step to 1, or fit the network alone with --model cnn_gru"
            )
        encoder.keep_sessions(sharing.own)
    if not folder.checkpoint.exists():
        encoder.load_pretrained()
        if config.training.core_from is not None:
            load_core(encoder, config.training.core_from)
    for name, session in sessions.items():
        encoder.initialize(name, torch.from_numpy(session.mean_response))
        if not folder.checkpoint.exists():
            encoder.prepare(name, session, prepared or first)
    if first is not None:
        share_gaze(encoder, first)
    return encoder, order


def _continue(fit: Fit, progress: Progress | None, on_pass: PassHook | None = None) -> None:
    if fit.folder.checkpoint.exists():
        fit.restore()
    fit.run(progress, on_pass)


def _fit_members(
    run: RunFolder,
    config: RunConfig,
    recordings: Sequence[Recording],
    sessions: Mapping[str, PreparedSession],
    progress: Progress | None,
) -> AbstractEncoder:
    """Fit the members of an averaged encoder, each in a run folder of its own, one at a time.

    Each fit that was stopped goes on. A member that has ended is restored from its checkpoint.
    """
    members: list[_Fitted] = []
    lines: list[dict[str, Any]] = []
    n_members = config.training.seeds
    for number in range(n_members):
        changed = {"seed": config.training.seed + number, "seeds": 1}
        training = config.training.model_copy(update=changed)
        own = config.model_copy(update={"training": training, "search": {}})
        member = run.member(number)
        if not (member.path / "config.yaml").exists():
            member.create(own, recordings)
        report = _within(progress, f"seed {number + 1}/{n_members}, ", number, n_members)
        fitted = _fit_one(member, own, sessions, report, first=members[0] if members else None)
        if not member.is_sealed:
            _keep(member, own, fitted.kept, sessions)
        members.append(fitted)
        lines.append({**member.kept_pass(), "seconds": member.seconds()})
    # Of the averaged encoder there is one line: its own validation, and what its members took.
    validated = AveragedEncoder([fitted.validated for fitted in members])
    loss, correlation = Fit(validated, sessions, config.training, run).validate()
    line = {key: sum(own[key] for own in lines) for key in ("train_loss", "seconds")}
    line |= {"pass": 1, "train_loss": line["train_loss"] / n_members, "validation_loss": loss}
    is_known = math.isfinite(correlation)
    run.write_metrics([{**line, "validation_correlation": correlation if is_known else None}])
    return AveragedEncoder([fitted.kept for fitted in members])


def _within(progress: Progress | None, prefix: str, number: int, n: int) -> Progress | None:
    """Return the progress of one of ``n`` fits, as a part of all, with a prefix to its texts."""
    if progress is None:
        return None
    return lambda what, done, total: progress(prefix + what, number * total + done, n * total)
