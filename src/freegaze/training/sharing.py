"""Sessions of a joint fit, in groups that steps take batches from and that processes share.

With ``training.sessions_per_step`` above 1, a step minimizes the mean over batches of several
sessions, one batch from each of as many groups. Session ``i`` belongs to group ``i`` modulo the
number of groups, and group ``g`` to process ``g`` modulo the number of processes. A process reads
and holds its own sessions only, with their heads; gradients of what sessions share are summed over
processes. What a step computes does not depend on the number of processes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor, distributed, nn

from freegaze.errors import ConfigError
from freegaze.models.encoder import AbstractEncoder
from freegaze.training.processes import device_of, own_rank

T = TypeVar("T")
SessionBatch = tuple[str, Tensor]
"""A session, and the first target bins of the sequences of a batch of it."""

HEADS = "heads."
"""Beginning of the names of weights that belong to one session."""


@dataclass(frozen=True)
class Turn:
    """What one step is computed from.

    Args:
        batches: Own batches by number of the group.
        n_batches: Number of batches, those of other processes included.
    """

    batches: Mapping[int, SessionBatch]
    n_batches: int


@dataclass(frozen=True)
class Sharing:
    """Division of the sessions of a fit into groups, and of the groups among processes.

    Args:
        names: All sessions, in their order.
        n_groups: Batches of different sessions in a step.
        process: Number of this process, from 0.
        n_processes: Number of processes.

    Example:
        >>> Sharing(("a", "b", "c", "d"), n_groups=2, process=1, n_processes=2).own
        ('b', 'd')
    """

    names: tuple[str, ...]
    n_groups: int = 1
    process: int = 0
    n_processes: int = 1

    def __post_init__(self) -> None:
        if self.n_groups > len(self.names):
            raise ConfigError(
                f"training.sessions_per_step is {self.n_groups}, but there are only "
                f"{len(self.names)} sessions; give at most as many"
            )
        if 1 < self.n_groups < self.n_processes:
            raise ConfigError(
                f"{self.n_processes} processes cannot share {self.n_groups} batches of a step; "
                "start fewer processes, or raise training.sessions_per_step"
            )

    @classmethod
    def among_processes(cls, names: Iterable[str], n_groups: int) -> Sharing:
        """Return the division among the processes that were started together.

        Args:
            names: All sessions, in their order.
            n_groups: Batches of different sessions in a step.

        Raises:
            ConfigError: If there are fewer sessions than groups, or fewer groups than processes.
        """
        return cls(tuple(names), n_groups, *own_rank())

    @property
    def is_apart(self) -> bool:
        """Whether processes hold different sessions."""
        return self.n_groups > 1 and self.n_processes > 1

    @property
    def own(self) -> tuple[str, ...]:
        """The sessions that this process holds, in their order."""
        if not self.is_apart:
            return self.names
        return tuple(name for name in self.names if self._owner(name) == self.process)

    def group(self, name: str) -> int:
        """Return the number of a session's group."""
        return self.names.index(name) % self.n_groups

    def gather(self, own: Mapping[str, T]) -> dict[str, T]:
        """Return what all processes have of their sessions, to each of them, in order of sessions.

        Args:
            own: One value for each own session, small and of plain types.
        """
        found = dict(own)
        if self.is_apart:
            found = dict(pair for part in gather_object([list(own.items())]) for pair in part)
        return {name: found[name] for name in self.names if name in found}

    def sums(self, own: Mapping[str, float]) -> dict[str, float]:
        """Return sums over processes, to each of them.

        Args:
            own: What this process adds, by name.
        """
        if not self.is_apart:
            return dict(own)
        parts = gather_object([dict(own)])
        names = dict.fromkeys(name for part in parts for name in part)
        return {name: sum(part.get(name, 0.0) for part in parts) for name in names}

    def collect(self, own: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the tensors of all processes to the first one, and their own to all others.

        Args:
            own: Tensors by name; what several processes have is taken from the first.
        """
        if not self.is_apart:
            return dict(own)
        sent = {name: tensor.detach().cpu() for name, tensor in own.items()}
        parts: list[Any] | None = [None] * self.n_processes if self.process == 0 else None
        distributed.gather_object(sent, parts, dst=0)
        found = dict(own)
        for part in parts or ():
            found = part | found
        return found

    def turns(self, own: Mapping[int, Sequence[SessionBatch]]) -> list[Turn]:
        """Return the steps of a pass: one batch of each group, while it has some.

        Args:
            own: Batches of the own groups, in their order.
        """
        counts = {group: len(batches) for group, batches in own.items()}
        if self.is_apart:
            parts = gather_object([list(counts.items())])
            counts = dict(pair for part in parts for pair in part)
        return [
            Turn(
                {group: batches[step] for group, batches in own.items() if step < len(batches)},
                sum(step < n for n in counts.values()),
            )
            for step in range(max(counts.values()))
        ]

    @property
    def own_groups(self) -> list[int]:
        """The groups of this process."""
        groups = range(self.n_groups)
        return [g for g in groups if not self.is_apart or g % self.n_processes == self.process]

    def _owner(self, name: str) -> int:
        return self.group(name) % self.n_processes


class SharedStep:
    """Gradients and running statistics of one step that is computed from several batches.

    Args:
        encoder: The encoder.
        sharing: Division of the sessions.
        n_batches: Batches of the step, those of other processes included.
    """

    def __init__(self, encoder: AbstractEncoder, sharing: Sharing, n_batches: int) -> None:
        self.encoder, self.sharing, self.n_batches = encoder, sharing, n_batches
        named = [*encoder.named_parameters(), *encoder.named_buffers()]
        own = {name: tensor for name, tensor in named if not name.startswith(HEADS)}
        self._weights = [w for w in own.values() if isinstance(w, nn.Parameter) and w.requires_grad]
        self._buffers = [b for b in own.values() if not isinstance(b, nn.Parameter)]
        self._before = [buffer.clone() for buffer in self._buffers]
        self._changes = [torch.zeros_like(buffer) for buffer in self._buffers]

    def end_batch(self) -> None:
        """Note what a batch has changed in running statistics, and undo it.

        All batches of a step begin with the same statistics; their changes are averaged.
        """
        with torch.no_grad():
            for buffer, before, change in zip(
                self._buffers, self._before, self._changes, strict=True
            ):
                change += buffer - before
                buffer.copy_(before)

    def finish(self, accelerator: Accelerator, is_due: bool = False) -> bool:
        """Sum gradients and changes of statistics over processes.

        Args:
            accelerator: The processes.
            is_due: Whether the first process is to write a checkpoint.

        Returns:
            The value of ``is_due`` of the first process.
        """
        with torch.no_grad():
            if self.sharing.is_apart:
                is_due = self._sum_over_processes(accelerator, is_due)
            for buffer, before, change in zip(
                self._buffers, self._before, self._changes, strict=True
            ):
                buffer.copy_(before + change / self.n_batches)
        return is_due

    def clip(self, accelerator: Accelerator, most: float) -> None:
        """Scale all gradients so that their norm over all sessions is at most a number.

        Args:
            accelerator: The processes.
            most: Greatest norm.
        """
        if not self.sharing.is_apart:
            nn.utils.clip_grad_norm_(self.encoder.parameters(), most)
            return
        named = [(n, p) for n, p in self.encoder.named_parameters() if p.grad is not None]
        heads = [p.grad for name, p in named if name.startswith(HEADS) and p.grad is not None]
        shared = [p.grad for name, p in named if not name.startswith(HEADS) and p.grad is not None]
        nothing = torch.zeros((), device=device_of(accelerator))
        of_heads = nn.utils.get_total_norm(heads) ** 2 if heads else nothing
        total = accelerator.reduce(of_heads, "sum")
        assert isinstance(total, Tensor), "a tensor is reduced to a tensor"
        if shared:
            total = total + nn.utils.get_total_norm(shared) ** 2
        nn.utils.clip_grads_with_norm_([p for _, p in named], most, total.sqrt())

    def _sum_over_processes(self, accelerator: Accelerator, is_due: bool) -> bool:
        """Sum in one message; a weight without a gradient in all processes keeps none."""
        device, is_first = device_of(accelerator), self.sharing.process == 0
        gradients = [torch.zeros_like(w) if w.grad is None else w.grad for w in self._weights]
        has_gradient = [float(w.grad is not None) for w in self._weights]
        flags = torch.tensor([float(is_due and is_first), *has_gradient], device=device)
        parts = [flags, *gradients, *self._changes]
        message = torch.cat([part.flatten().float() for part in parts])
        found = accelerator.reduce(message, "sum")
        assert isinstance(found, Tensor), "a tensor is reduced to a tensor"
        flags, *rest = found.split([part.numel() for part in parts])
        for weight, n, total in zip(self._weights, flags[1:], rest, strict=False):
            weight.grad = total.view_as(weight).to(weight.dtype) if n > 0 else None
        for change, total in zip(self._changes, rest[len(self._weights) :], strict=True):
            change.copy_(total.view_as(change))
        return bool(flags[0] > 0)
