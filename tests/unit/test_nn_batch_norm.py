"""Batch normalization of a batch that processes divide among themselves."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import distributed, nn

from freegaze.nn.batch_norm import BatchNorm1d, BatchNorm2d, divided_batch, normalize_by_batch


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


def test_as_learned_in_evaluation_and_with_a_gain(one_process):
    values = torch.randn(6, 3)
    norm = BatchNorm1d(3)
    plain = normalize_by_batch(values, norm)
    torch.testing.assert_close(normalize_by_batch(values, norm, gain=2.0), 2 * plain)
    norm.eval()
    with divided_batch():  # nothing of the batch is asked for
        torch.testing.assert_close(
            norm(values), (values - norm.running_mean) / (norm.running_var + norm.eps).sqrt()
        )
