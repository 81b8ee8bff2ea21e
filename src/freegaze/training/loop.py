"""Training loop: passes of steps, a validation after each, checkpoints at any step."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Mapping
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
from freegaze.training.fit_state import FitState
from freegaze.training.losses import Loss, choose_loss
from freegaze.training.objective import Objective
from freegaze.training.optimizer import (
    PLATEAU_FACTOR,
    PLATEAU_LOWEST,
    PLATEAU_PATIENCE,
    PLATEAU_THRESHOLD,
    average_share,
    make_optimizer,
    rate_factor,
    set_rate,
    update_average,
)
from freegaze.training.processes import is_divided, make_accelerator, own_part
from freegaze.training.validation import Validation
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
    """

    def __init__(
        self,
        encoder: AbstractEncoder,
        sessions: Mapping[str, PreparedSession],
        config: TrainingConfig,
        folder: RunFolder,
        accelerator: Accelerator | None = None,
        refit_passes: int | None = None,
    ) -> None:
        self.config, self.folder = config, folder
        self.accelerator = accelerator or make_accelerator(config)
        device = self.accelerator.device
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
        n_windows = {k: len(targets) for k, targets in self.train_targets.items()}
        is_summed = config.loss == "poisson_sum"
        objective = Objective(
            self.encoder, self.losses, n_windows if is_summed else None, config.compile
        )
        self.objective = (
            self.accelerator.prepare_model(objective) if self.is_trainable else objective
        )
        core = getattr(self.encoder, "core", None) if config.core_from is not None else None
        self._taken_over = [] if core is None else [p for p in core.parameters() if p.requires_grad]
        self._learn: Step = self._make_step()
        self.best: dict[str, Tensor] = {}
        self.state = FitState()
        self._saved_at = time.monotonic()

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
        device = self.accelerator.device
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
        found = list(self.validation(self.average))
        # Processes decide alike when to stop, also where they compute on unlike machines.
        loss, correlation = found if self._is_alone else broadcast_object_list(found)
        return loss, correlation

    def save(self) -> None:
        """Write a checkpoint from which ``restore`` continues bit for bit."""
        self._saved_at = time.monotonic()
        if not self.accelerator.is_main_process:
            return
        tensors = {f"weights/{k}": v for k, v in self.encoder.state_dict().items()}
        tensors |= {f"best/{k}": v for k, v in self.best.items()}
        if self.average is not self.encoder:
            tensors |= {f"average/{k}": v for k, v in self.average.state_dict().items()}
        for index, entry in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{index}/{k}": v for k, v in entry.items()}
        save_tensors(self.folder.checkpoint, tensors, asdict(self.state))
        self.folder.write_metrics(self.state.history)

    def restore(self) -> None:
        """Go back to the last checkpoint.

        Raises:
            CheckpointError: If it is missing, broken, or of another encoder.
        """
        tensors, state = load_tensors(self.folder.checkpoint, needs_sum=True)
        parts: dict[str, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            part, _, rest = name.partition("/")
            parts.setdefault(part, {})[rest] = tensor
        where = str(self.folder.checkpoint)
        load_weights(self.encoder, parts.get("weights", {}), where)
        if self.average is not self.encoder:
            load_weights(self.average, parts.get("average", {}), where)
        optimizer = self.optimizer.state_dict()
        for key, tensor in parts.get("optimizer", {}).items():
            index, _, name = key.partition("/")
            optimizer["state"].setdefault(int(index), {})[name] = tensor
        self.optimizer.load_state_dict(optimizer)
        self.best = parts.get("best", {})
        self.state = FitState(**state)

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
        batches = self._batches(self.state.passes)
        self._free_core(self.state.passes >= self.config.frozen_passes)
        began = time.monotonic()
        self.encoder.train()
        sums = {k: torch.tensor(v, dtype=torch.float64) for k, v in self.state.sums.items()}
        for step in range(self.state.step, len(batches)):
            for name, value in self._step(*batches[step], step, len(batches)).items():
                sums[name] = sums.get(name, torch.zeros((), dtype=torch.float64)) + value
            self.state.step = step + 1
            if time.monotonic() - self._saved_at > self.config.checkpoint_every_s:
                self._save_within_pass(sums)
            if progress is not None:
                done = self.state.passes * len(batches) + step + 1
                try:
                    n_passes = self.refit_passes or self.config.max_passes
                    progress(self._headline(), done, n_passes * len(batches))
                except StopRequestError:
                    self._save_within_pass(sums)
                    raise
        logged = {f"train_{k}": float(v) / len(batches) for k, v in sums.items()}
        self._finish_pass(logged, time.monotonic() - began)

    def _save_within_pass(self, sums: Mapping[str, Tensor]) -> None:
        self.state.sums = {k: float(v) for k, v in sums.items()}
        self.save()

    def _step(self, session: str, firsts: Tensor, step: int, n_steps: int) -> dict[str, Tensor]:
        """Take one step; return the loss and the penalties, still on the device."""
        number = self.state.passes * n_steps + step
        rank = self.accelerator.process_index if is_divided(firsts, self.accelerator) else 0
        torch.manual_seed(int(_seeds(self.config.seed, 1, number, *([rank] if rank else []))))
        factor = rate_factor(self.config, number, self.config.max_passes * n_steps)
        set_rate(self.optimizer, self.config.learning_rate * factor * self.state.rate)
        self._average_share.fill_(average_share(self.config, number))
        return self._learn(session, firsts)

    def _free_core(self, is_free: bool) -> None:
        """Let steps change a core that was taken over, or leave it as it is."""
        if any(weight.requires_grad != is_free for weight in self._taken_over):
            for weight in self._taken_over:
                weight.requires_grad_(is_free)
            self._learn = self._make_step()  # a recorded step would go on as before

    def _make_step(self) -> Step:
        config, device = self.config, self.accelerator.device
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
        self.optimizer.step()
        with torch.no_grad():
            self.encoder.constrain()
        if self.average is not self.encoder:
            update_average(self.average, self.encoder, self._average_share)
        if self._is_alone:
            return logged
        return {k: self.accelerator.reduce(v, "mean") for k, v in logged.items()}  # type: ignore[misc]

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
            self._lower_rate_on_plateau(monitored)
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

    def _lower_rate_on_plateau(self, monitored: float) -> None:
        state = self.state
        if monitored < state.plateau_best - PLATEAU_THRESHOLD:
            state.plateau_best, state.plateau_waited = monitored, 0
            return
        state.plateau_waited += 1
        if state.plateau_waited > PLATEAU_PATIENCE:
            lowest = min(1.0, PLATEAU_LOWEST / self.config.learning_rate)
            state.rate, state.plateau_waited = max(PLATEAU_FACTOR * state.rate, lowest), 0

    def _batches(self, pass_number: int) -> list[tuple[str, Tensor]]:
        """Return the pass's batches in a random order, each from one session."""
        n_windows = self.config.stretch_windows
        n_sequences = max(1, self.config.batch_windows // n_windows)
        device = self.accelerator.device
        batches: list[tuple[str, Tensor]] = []
        for i, (name, targets) in enumerate(self.train_targets.items()):
            seed = int(_seeds(self.config.seed, 2, pass_number, i))
            batches += [
                (name, firsts)
                for firsts in shuffled_sequences(targets, n_windows, n_sequences, seed, device)
            ]
        order = np.random.default_rng(_seeds(self.config.seed, 3, pass_number))
        return [batches[i] for i in order.permutation(len(batches))]

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
