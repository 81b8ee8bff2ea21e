"""What a machine can do, and how much work a step of training is."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

BLOCKS = ((1, 128, 27, 37), (128, 64, 11, 16), (64, 32, 3, 5))
"""Channels in and out, height and width of the maps of the original's three convolutions on frames
of 60 x 80 pixels; filters are 7 x 7."""


def forward_gflop(n_neurons: int) -> float:
    """Return the work of a window of history 1 in 10^9 operations: convolutions and products."""
    products = sum(h * w * n_out * n_in * 49 for n_in, n_out, h, w in BLOCKS)
    products += 480 * n_neurons + 66 * n_neurons  # readout, behavior
    products += 3 * 512 * (3 * n_neurons + 512) + 512 * n_neurons  # recurrent unit, output
    return 2 * products / 1e9


def training_gflop(n_neurons: int) -> float:
    """Return the work of training on a window; backward is twice forward."""
    return 3 * forward_gflop(n_neurons)


def measure_limits(device: str = "cpu") -> dict[str, float]:
    """Measure products of matrices, the second convolution, and copying.

    Args:
        device: ``"cpu"``, by as many threads as PyTorch has, or ``"cuda"``, whose convolutions of
            32-bit numbers round them to 19 bits, as in training.
    """
    found, side = {}, 2048 if device == "cpu" else 8192
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        a, b = torch.randn(2, side, side, device=device).to(dtype).unbind()
        found[f"product_{name}_gflops"] = 2 * side**3 / _seconds(lambda a=a, b=b: a @ b) / 1e9
        forward, both = _convolution(dtype, device)
        found[f"convolution_{name}_gflops"] = both
        found[f"convolution_forward_{name}_gflops"] = forward
    source = torch.zeros(64 << 20, device=device)
    target = torch.empty_like(source)
    n_bytes = 2 * source.numel() * source.element_size()
    found["copy_gb_per_s"] = n_bytes / _seconds(lambda: target.copy_(source)) / 1e9
    return found


def _convolution(dtype: torch.dtype, device: str) -> tuple[float, float]:
    """Return the rates of the second convolution, forward and with backward, channels last."""
    n_in, n_out, height, width = BLOCKS[1]
    shape = (256, n_in, 2 * height + 5, 2 * width + 5)
    maps = torch.randn(shape, device=device)
    filters = torch.randn(n_out, n_in, 7, 7, device=device)
    inputs = [_last(t.to(dtype)).requires_grad_() for t in (maps, filters)]
    out = F.conv2d(inputs[0], inputs[1], stride=2)
    gradient = torch.ones_like(out)

    def forward() -> None:
        with torch.no_grad():
            F.conv2d(inputs[0], inputs[1], stride=2)

    def both() -> None:
        torch.autograd.grad(F.conv2d(inputs[0], inputs[1], stride=2), inputs, gradient)

    gflop = 2 * 256 * height * width * n_in * n_out * 49 / 1e9
    return gflop / _seconds(forward), 3 * gflop / _seconds(both)


def _last(tensor: Tensor) -> Tensor:
    return tensor.contiguous(memory_format=torch.channels_last)


def _seconds(function: Callable[[], object], repeats: int = 7) -> float:
    function()
    wait()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        wait()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def wait() -> None:
    """Wait until the GPU has done what it was given, if there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
