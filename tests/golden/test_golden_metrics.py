"""The original's scores, to the tolerance of tests/golden/README.md: max|a-b| <= 1e-5 * max|b|."""

from pathlib import Path

import numpy as np
import pytest
import torch

from freegaze.metrics.correlation import single_bin_correlation
from freegaze.paper import scores
from freegaze.training.losses import poisson_loss

GOLDEN = np.load(Path(__file__).parent / "metrics.npz")
PREDICTED, OBSERVED = GOLDEN["predicted"], GOLDEN["observed"]


@pytest.mark.parametrize(
    ("name", "computed"),
    [
        ("correlation_single_bin", single_bin_correlation(PREDICTED, OBSERVED)),
        ("smoothed_predicted", scores.smooth_paper(PREDICTED)),
        ("smoothed_observed", scores.smooth_paper(OBSERVED)),
        ("correlation_smoothed", scores.correlation_smoothed(PREDICTED, OBSERVED)),
        ("mse_smoothed", scores.mse_smoothed(PREDICTED, OBSERVED).mean()),
        ("r2_paper", scores.r2_paper(PREDICTED, OBSERVED)),
        ("poisson_nll", poisson_loss(*map(torch.from_numpy, (PREDICTED, OBSERVED))).numpy()),
    ],
)
def test_equals_what_the_original_computes(name, computed):
    expected = GOLDEN[name]
    assert np.shape(computed) == expected.shape
    assert np.abs(computed - expected).max() <= 1e-5 * np.abs(expected).max()
