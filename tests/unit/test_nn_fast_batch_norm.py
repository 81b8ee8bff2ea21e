"""Batch normalization of a batch that processes divide among themselves."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import distributed, nn

from freegaze.nn.fast.batch_norm import BatchNorm1d, BatchNorm2d, divided_batch, normalize_parts


@pytest.fixture
def one_process(tmp_path: Path):
    """Let a group of one process meet; several are tried in tests/e2e."""
    distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/meeting", rank=0, world_size=1
    )
    yield
    distributed.destroy_process_group()


@pytest.mark.parametrize(
    ("make", "oracle", "shape"),
    [(BatchNorm1d, nn.BatchNorm1d, (9, 4)), (BatchNorm2d, nn.BatchNorm2d, (3, 4, 5, 2))],
)
def test_a_divided_batch_is_normalized_as_a_whole_one(one_process, make, oracle, shape):
    torch.manual_seed(0)
    values = torch.randn(shape, dtype=torch.float64) + 3
    weights = torch.randn(shape, dtype=torch.float64)
    expected, ours = oracle(4).double(), make(4).double()
    found = []
    for norm, is_divided in ((expected, False), (ours, True), (copy.deepcopy(ours), False)):
        nn.init.constant_(norm.weight, 1.5)
        nn.init.constant_(norm.bias, 0.5)
        inputs = values.clone().requires_grad_()
        with divided_batch(is_divided):
            (norm(inputs) * weights).sum().backward()
        found.append([inputs.grad, norm.weight.grad, norm.bias.grad, *norm.buffers()])
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            torch.testing.assert_close(b, a, rtol=1e-9, atol=1e-12)


def test_as_learned_in_evaluation(one_process):
    values = torch.randn(6, 3)
    norm = BatchNorm1d(3)
    norm(values)
    norm.eval()
    with divided_batch():  # nothing of the batch is asked for
        torch.testing.assert_close(
            norm(values), (values - norm.running_mean) / (norm.running_var + norm.eps).sqrt()
        )


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("is_divided", [False, True])
def test_parts_are_normalized_as_a_whole(one_process, dtype, is_divided):
    torch.manual_seed(0)
    start = torch.randn(6, 70, 50, 40).add(2).contiguous(memory_format=torch.channels_last)
    weights = torch.randn(6, 70, 50, 40)  # 840,000 elements are several pieces
    found = []
    for sizes in ((6,), (1, 3, 2)):
        kind = torch.float64 if len(sizes) == 1 else torch.promote_types(dtype, torch.float32)
        norm = BatchNorm2d(70, dtype=kind)
        norm.weight.data.copy_(torch.linspace(0.5, 1.5, 70))
        inputs = start.to(dtype).to(torch.float64 if len(sizes) == 1 else dtype).requires_grad_()
        parts = [part * 1 for part in inputs.split(sizes)]
        with divided_batch(is_divided):
            normalized = normalize_parts(parts, norm, 2.0)
        out = torch.cat(list(normalized))
        (out * weights.to(out.dtype)).sum().backward(retain_graph=True)
        found.append([out, inputs.grad, norm.weight.grad, norm.bias.grad, *norm.buffers()])
    assert torch.equal(torch.cat(parts), inputs.grad)  # it is written there
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.sum().backward()
    near = {torch.float64: 1e-12, torch.float32: 2e-6, torch.bfloat16: 8e-3}[dtype]
    for whole, in_parts in zip(*found, strict=True):
        assert (in_parts - whole).abs().max() < near * whole.abs().max()
