"""Training loop: passes of steps, a validation after each, checkpoints at any step."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch import Tensor

from freegaze.dataset.batches import shuffled_sequences
from freegaze.dataset.sessions import PreparedSession
from freegaze.errors import NumericsError, StopRequestError
from freegaze.models.encoder import AbstractEncoder
from freegaze.nn.cores import set_fast
from freegaze.nn.fast.batch_norm import divided_batch
from freegaze.nn.fast.captured import CapturedSteps, Step
from freegaze.progress import PassHook, Progress
from freegaze.recording.recording import Role
from freegaze.runs.checkpoint import load_tensors, save_tensors
from freegaze.runs.config import TrainingConfig
from freegaze.runs.run_folder import RunFolder
from freegaze.training.fit_state import FitState, lower_rate_on_plateau
from freegaze.training.fit_tensors import fit_tensors, load_fit_tensors
from freegaze.training.losses import Loss, choose_loss
from freegaze.training.objective import Objective
from freegaze.training.optimizer import (
    average_share,
    make_optimizer,
    parameter_places,
    rate_factor,
    set_rate,
    update_average,
)
from freegaze.training.processes import device_of, is_divided, make_accelerator, own_part
from freegaze.training.sharing import SessionBatch, SharedStep, Sharing, Turn
from freegaze.training.validation import Validation, joint_validation
from freegaze.weights import load_weights


class Fit:
    """One fit of one encoder, from its first step or from a checkpoint.

    Batches, dropout and learning rate depend only on the seed and the number of the step, so that a
    stopped fit continues exactly as if it had not been stopped. Several processes each compute a
    part of every batch and reach the weights of one process; the first of them writes.

    Args:
        encoder: The encoder, with its initial weights.
        sessions: Prepared sessions by id.
        config: The recipe.
        folder: Folder of checkpoints and metrics.
        accelerator: Device, precision and processes; without it, those of the recipe.
        refit_passes: Passes of a fit to training and validation windows together, whose last
            weights are kept; ``None`` fits to training windows, and validates.
        sharing: Division of the sessions among processes, where each holds its own ones only.
        order: Names of the parameters of all sessions, where other processes hold some of them;
            see ``freegaze.training.optimizer.parameter_order``.
    """

    def __init__(
        self,
        encoder: AbstractEncoder,
        sessions: Mapping[str, PreparedSession],
        config: TrainingConfig,
        folder: RunFolder,
        accelerator: Accelerator | None = None,
        refit_passes: int | None = None,
        sharing: Sharing | None = None,
        order: Sequence[str] | None = None,
    ) -> None:
        self.config, self.folder = config, folder
        self.accelerator = accelerator or make_accelerator(config)
        self.sharing = sharing or Sharing(tuple(sessions), config.sessions_per_step)
        device = self.device = device_of(self.accelerator)
        self.encoder = encoder.to(device)
        set_fast(self.encoder, config.fast)
        self.tensors = {k: s.tensors(device) for k, s in sessions.items()}
        self.refit_passes = refit_passes
        roles: tuple[Role, ...] = ("train",) if refit_passes is None else ("train", "validation")
        self.train_targets = {
            k: np.sort(np.concatenate([s.targets(role) for role in roles]))
            for k, s in sessions.items()
        }
        self.losses = {k: self._loss_of(k, s) for k, s in sessions.items()}
        targets = {k: s.targets("validation") for k, s in sessions.items()}
        self.validation = Validation(self.tensors, targets, self.losses, config)
        self.sessions = sessions
        self.is_trainable = not encoder.is_solved and any(
            p.requires_grad for p in self.encoder.parameters()
        )
        is_averaged = self.is_trainable and config.average_decay > 0
        self.average = copy.deepcopy(self.encoder) if is_averaged else self.encoder
        self._average_share = torch.zeros((), device=device)  # a tensor: steps may be recorded
        self.optimizer = make_optimizer(self.encoder, config, device)
        self._places = parameter_places(self.encoder, order)
        n_windows = {k: len(targets) for k, targets in self.train_targets.items()}
        is_summed = config.loss == "poisson_sum"
        objective = Objective(
            self.encoder, self.losses, n_windows if is_summed else None, config.compile
        )
        self.objective = (
            self.accelerator.prepare_model(objective, evaluation_mode=self.sharing.is_apart)
            if self.is_trainable
            else objective
        )
        core = getattr(self.encoder, "core", None) if config.core_from is not None else None
        self._taken_over = [] if core is None else [p for p in core.parameters() if p.requires_grad]
        self._learn: Step = self._make_step()
        self.best: dict[str, Tensor] = {}
        self.state = FitState()
        self._saved_at, self._is_due = time.monotonic(), False

    def run(self, progress: Progress | None = None, on_pass: PassHook | None = None) -> None:
        """Train until the last pass, or until patience runs out; then load the best weights.

        Args:
            progress: Called with (description, done, total) after each step.
            on_pass: Called with what is logged after each pass, which is then on disk.

        Raises:
            NumericsError: If the loss leaves the finite numbers.
            CheckpointError: If a checkpoint cannot be written.
        """
        if not self.is_trainable:
            self._solve(progress)
        device = self.device
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            while self.is_trainable and not self.is_over():
                self._run_pass(progress)
                if on_pass is not None:
                    on_pass(self.state.history[-1])
        load_weights(self.encoder, self.best, "best weights")

    def is_over(self) -> bool:
        """Return whether all passes are done, or patience has run out in the last round."""
        if self.refit_passes is not None:
            return self.state.passes >= self.refit_passes
        is_last_round = self.state.round >= self.config.rounds
        return self.state.passes >= self.config.max_passes or (
            is_last_round and self._has_lost_patience()
        )

    def validate(self) -> tuple[float, float]:
        """Return the loss over all validation windows of all sessions, and the correlation.

        See ``freegaze.training.validation.Validation``.
        """
        found = list(
            joint_validation(self.sharing.gather(self.validation.of_sessions(self.average)))
        )
        # Processes decide alike when to stop, also where they compute on unlike machines.
        loss, correlation = found if self._is_alone else broadcast_object_list(found)
        return loss, correlation

    def save(self) -> None:
        """Write a checkpoint from which ``restore`` continues bit for bit."""
        self._saved_at, self._is_due = time.monotonic(), False
        is_first = self.accelerator.is_main_process
        if not (is_first or self.sharing.is_apart):
            return
        parts = (self.encoder, self.average, self.best, self.optimizer, self._places)
        tensors = self.sharing.collect(fit_tensors(*parts))
        if not is_first:
            return
        save_tensors(self.folder.checkpoint, tensors, asdict(self.state))
        self.folder.write_metrics(self.state.history)

    def restore(self) -> None:
        """Go back to the last checkpoint.

        Raises:
            CheckpointError: If it is missing, broken, or of another encoder.
        """
        tensors, state = load_tensors(self.folder.checkpoint, needs_sum=True)
        parts = (self.encoder, self.average, self.optimizer, self._places)
        where, is_apart = str(self.folder.checkpoint), self.sharing.is_apart
        self.best = load_fit_tensors(tensors, *parts, where, is_of_all=is_apart)
        self.state = FitState(**state)
        if is_apart and not self.accelerator.is_main_process:
            self.state.sums = {}  # the first process goes on from the sums of all

    def _solve(self, progress: Progress | None) -> None:
        """Fit weights that no step of an optimizer finds, as one pass."""
        began = time.monotonic()
        if not self.state.passes:
            if self.encoder.is_solved:
                self.encoder.solve(self.sessions, progress)
            self._finish_pass({"train_loss": 0.0}, time.monotonic() - began)
        if self.encoder.is_solved:
            self.encoder.refit(self.sessions)
            self.best = self._weights_on_cpu(self.encoder)

    def _run_pass(self, progress: Progress | None) -> None:
        turns = self._turns(self.state.passes)
        self._free_core(self.state.passes >= self.config.frozen_passes)
        began = time.monotonic()
        self.encoder.train()
        sums = {k: torch.tensor(v, dtype=torch.float64) for k, v in self.state.sums.items()}
        for step in range(self.state.step, len(turns)):
            for name, value in self._step(turns[step], step, len(turns)).items():
                sums[name] = sums.get(name, torch.zeros((), dtype=torch.float64)) + value
            self.state.step = step + 1
            if self._is_due if self.sharing.is_apart else self._is_late():
                self._save_within_pass(sums)
            if progress is not None:
                done = self.state.passes * len(turns) + step + 1
                try:
                    n_passes = self.refit_passes or self.config.max_passes
                    progress(self._headline(), done, n_passes * len(turns))
                except StopRequestError:
                    self._save_within_pass(sums)
                    raise
        total = self.sharing.sums({k: float(v) for k, v in sums.items()})
        logged = {f"train_{k}": v / len(turns) for k, v in total.items()}
        self._finish_pass(logged, time.monotonic() - began)

    def _save_within_pass(self, sums: Mapping[str, Tensor]) -> None:
        self.state.sums = self.sharing.sums({k: float(v) for k, v in sums.items()})
        self.save()

    def _is_late(self) -> bool:
        return time.monotonic() - self._saved_at > self.config.checkpoint_every_s

    def _step(self, turn: Turn, step: int, n_steps: int) -> dict[str, Tensor]:
        """Take one step; return the loss and the penalties, still on the device."""
        number = self.state.passes * n_steps + step
        factor = rate_factor(self.config, number, self.config.max_passes * n_steps)
        set_rate(self.optimizer, self.config.learning_rate * factor * self.state.rate)
        self._average_share.fill_(average_share(self.config, number))
        if self.sharing.n_groups > 1:
            return self._learn_together(turn, number)
        ((session, firsts),) = turn.batches.values()
        rank = self.accelerator.process_index if is_divided(firsts, self.accelerator) else 0
        self._seed_step(number, rank)
        return self._learn(session, firsts)

    def _seed_step(self, number: int, part: int) -> None:
        """Fix what a part of a step draws, such as dropout."""
        torch.manual_seed(int(_seeds(self.config.seed, 1, number, *([part] if part else []))))

    def _free_core(self, is_free: bool) -> None:
        """Let steps change a core that was taken over, or leave it as it is."""
        if any(weight.requires_grad != is_free for weight in self._taken_over):
            for weight in self._taken_over:
                weight.requires_grad_(is_free)
            self._learn = self._make_step()  # a recorded step would go on as before

    def _make_step(self) -> Step:
        config, device = self.config, self.device
        is_captured = config.fast and config.capture and device.type == "cuda" and self._is_alone
        return CapturedSteps(self._learn_eagerly, device) if is_captured else self._learn_eagerly

    def _learn_eagerly(self, session: str, firsts: Tensor) -> dict[str, Tensor]:
        """Take a step on the device."""
        n_windows = self.config.stretch_windows
        part, share = own_part(firsts, self.accelerator)
        batch = self.tensors[session].gather(part, n_windows)
        with divided_batch(is_divided(firsts, self.accelerator)):
            minimized, logged = self.objective(batch, share, len(firsts) * n_windows)
            self.optimizer.zero_grad(set_to_none=True)
            self.accelerator.backward(minimized)
        if self.config.gradient_clip is not None:
            torch.nn.utils.clip_grad_norm_(self.encoder.parameters(), self.config.gradient_clip)
        self._change_weights()
        if self._is_alone:
            return logged
        return {k: self.accelerator.reduce(v, "mean") for k, v in logged.items()}  # type: ignore[misc]

    def _learn_together(self, turn: Turn, number: int) -> dict[str, Tensor]:
        """Take a step on a batch from each group; return this process's part of what is logged."""
        n_windows, logged = self.config.stretch_windows, {}
        self.optimizer.zero_grad(set_to_none=True)
        step = SharedStep(self.encoder, self.sharing, turn.n_batches)
        for group, (session, firsts) in turn.batches.items():
            self._seed_step(number, group)
            batch = self.tensors[session].gather(firsts, n_windows)
            minimized, found = self.objective(batch, 1.0, len(firsts) * n_windows)
            self.accelerator.backward(minimized / turn.n_batches)
            step.end_batch()
            for name, value in found.items():
                logged[name] = logged.get(name, 0.0) + value / turn.n_batches
        self._is_due = step.finish(self.accelerator, self._is_late())
        if self.config.gradient_clip is not None:
            step.clip(self.accelerator, self.config.gradient_clip)
        self._change_weights()
        return logged

    def _change_weights(self) -> None:
        self.optimizer.step()
        with torch.no_grad():
            self.encoder.constrain()
        if self.average is not self.encoder:
            update_average(self.average, self.encoder, self._average_share)

    def _finish_pass(self, logged: dict[str, float], seconds: float) -> None:
        if self.refit_passes is not None:
            self._finish_refit_pass(logged, seconds)
            return
        loss, correlation = self.validate()
        self._require_finite(logged["train_loss"], f" and {loss} in validation", loss)
        monitored = loss if self.config.monitor == "loss" else -correlation
        self.state.passes += 1
        self.state.step, self.state.sums = 0, {}
        if not self.best or monitored < self.state.best:
            self.state.best = monitored if math.isfinite(monitored) else math.inf
            self.state.best_pass = self.state.passes
            self.best = self._weights_on_cpu(self.average)
        self.state.history.append(
            {
                "pass": self.state.passes,
                **logged,
                "validation_loss": loss,
                "validation_correlation": correlation if math.isfinite(correlation) else None,
                "seconds": seconds,
            }
        )
        if self.config.schedule == "plateau":
            lower_rate_on_plateau(self.state, monitored, self.config.learning_rate)
        if self._has_lost_patience() and self.state.round < self.config.rounds:
            load_weights(self.encoder, self.best, "best weights")
            load_weights(self.average, self.best, "best weights")
            self.state.round, self.state.round_start = self.state.round + 1, self.state.passes
        self.save()

    def _finish_refit_pass(self, logged: dict[str, float], seconds: float) -> None:
        """End a pass without validation: its weights are the best so far."""
        self._require_finite(logged["train_loss"])
        self.state.passes += 1
        self.state.step, self.state.sums = 0, {}
        self.best = self._weights_on_cpu(self.average)
        self.state.history.append({"pass": self.state.passes, **logged, "seconds": seconds})
        self.save()

    def _require_finite(self, training: float, more: str = "", validation: float = 0.0) -> None:
        if self.is_trainable and not math.isfinite(training + validation):
            raise NumericsError(
                f"pass {self.state.passes + 1}: the loss is {training} in training{more}; lower "
                "`training.learning_rate`"
            )

    def _has_lost_patience(self) -> bool:
        since = max(self.state.best_pass, self.state.round_start)
        return self.state.passes - since >= self.config.patience

    def _turns(self, pass_number: int) -> list[Turn]:
        """Return the steps of a pass: batches of each group in a random order."""
        n_windows = self.config.stretch_windows
        n_sequences = max(1, self.config.batch_windows // n_windows)
        device = self.device
        groups: dict[int, list[SessionBatch]] = {group: [] for group in self.sharing.own_groups}
        for name, targets in self.train_targets.items():
            i = self.sharing.names.index(name)
            seed = int(_seeds(self.config.seed, 2, pass_number, i))
            groups[self.sharing.group(name)] += [
                (name, firsts)
                for firsts in shuffled_sequences(targets, n_windows, n_sequences, seed, device)
            ]
        for group, batches in groups.items():
            seeds = _seeds(self.config.seed, 3, pass_number, *([group] if group else []))
            order = np.random.default_rng(seeds).permutation(len(batches))
            groups[group] = [batches[i] for i in order]
        return self.sharing.turns(groups)

    def _weights_on_cpu(self, encoder: AbstractEncoder) -> dict[str, Tensor]:
        return {k: v.detach().cpu().clone() for k, v in encoder.state_dict().items()}

    def _headline(self) -> str:
        if self.refit_passes is not None:
            return f"refit, pass {self.state.passes + 1}/{self.refit_passes}"
        text = f"pass {self.state.passes + 1}/{self.config.max_passes}"
        if self.state.history:
            last = self.state.history[-1]
            text += f", train {last['train_loss']:.4f}, validation {last['validation_loss']:.4f}"
        return text

    def _loss_of(self, name: str, session: PreparedSession) -> Loss:
        training = torch.from_numpy(session.split.bins("train"))
        responses, kind = self.tensors[name].responses, session.recording.response_kind
        return choose_loss(self.config.loss, kind, responses, training)

    @property
    def _is_alone(self) -> bool:
        return self.accelerator.num_processes == 1


def _seeds(*numbers: int) -> np.uint32:
    """Mix numbers into one seed, so that neighboring numbers give unrelated streams."""
    return np.random.SeedSequence(numbers).generate_state(1)[0]
