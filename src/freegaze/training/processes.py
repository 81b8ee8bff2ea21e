"""Device, precision and processes of a fit, by accelerate."""

from __future__ import annotations

import os
import warnings

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.state import AcceleratorState
from torch import Tensor

from freegaze.runs.config import TrainingConfig


def make_accelerator(config: TrainingConfig) -> Accelerator:
    """Return accelerate's view of the device, the precision and the processes of a fit.

    Args:
        config: The recipe. Under ``torchrun`` or ``accelerate launch`` the processes connect
            here: by NCCL on GPUs, one each, otherwise by gloo.
    """
    AcceleratorState._reset_state(reset_partial_state=True)  # it refuses a second precision
    is_divided = own_rank()[1] > 1
    # Heads of sessions that a batch is not from take no part in a step.
    divided = DistributedDataParallelKwargs(find_unused_parameters=True, broadcast_buffers=False)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="OMP_NUM_THREADS")  # what it then sets is right
        return Accelerator(
            cpu=config.device == "cpu" or (is_divided and not torch.cuda.is_available()),
            mixed_precision="bf16" if config.precision == "bfloat16" else "no",
            kwargs_handlers=[divided],
        )


def device_of(accelerator: Accelerator) -> torch.device:
    """Return the device that this process computes on.

    Accelerate numbers the CPU where several processes share a fit, and tensors that are moved to a
    numbered CPU are copied, mapped frames of a whole session too.

    Args:
        accelerator: The processes.
    """
    device = accelerator.device
    return torch.device("cpu") if device.type == "cpu" else device


def is_first_process() -> bool:
    """Return whether this process, among those started together, writes and prints."""
    return own_rank()[0] == 0


def own_rank() -> tuple[int, int]:
    """Return the number of this process, and the number of processes that were started together."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def own_part(batch: Tensor, accelerator: Accelerator) -> tuple[Tensor, float]:
    """Return the part of a batch that this process works on.

    Args:
        batch: One element per sequence, (sequence, ...).
        accelerator: The processes.

    Returns:
        The part, and what a mean over it must be multiplied by so that the mean over processes is
        the mean over the batch. A batch of fewer sequences than processes is not divided.
    """
    n_processes = accelerator.num_processes
    if not is_divided(batch, accelerator):
        return batch, 1.0
    part = batch[accelerator.process_index :: n_processes]
    return part, len(part) * n_processes / len(batch)


def is_divided(batch: Tensor, accelerator: Accelerator) -> bool:
    """Return whether each process works on a part of this batch."""
    return 1 < accelerator.num_processes <= len(batch)
