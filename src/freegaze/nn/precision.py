"""Leaving half precision where a computation needs more digits."""

from __future__ import annotations

import torch
from torch import Tensor


def at_least_float32(values: Tensor) -> Tensor:
    """Return half-precision values as float32, and float32 or float64 as they are."""
    return values if values.dtype == torch.float64 else values.float()
