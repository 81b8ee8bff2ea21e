"""The original's scores, to the tolerance of tests/golden/README.md: max|a-b| <= 1e-5 * max|b|."""

from pathlib import Path

import numpy as np
import pytest

from freegaze.metrics import paper
from freegaze.metrics.correlation import single_bin_correlation

GOLDEN = np.load(Path(__file__).parent / "metrics.npz")
PREDICTED, OBSERVED = GOLDEN["predicted"], GOLDEN["observed"]


@pytest.mark.parametrize(
    ("name", "computed"),
    [
        ("correlation_single_bin", single_bin_correlation(PREDICTED, OBSERVED)),
        ("smoothed_predicted", paper.smooth_paper(PREDICTED)),
        ("smoothed_observed", paper.smooth_paper(OBSERVED)),
        ("correlation_smoothed", paper.correlation_smoothed(PREDICTED, OBSERVED)),
        ("mse_smoothed", paper.mse_smoothed(PREDICTED, OBSERVED)),
        ("r2_paper", paper.r2_paper(PREDICTED, OBSERVED)),
        ("poisson_nll", paper.poisson_nll(PREDICTED, OBSERVED)),
    ],
)
def test_equals_what_the_original_computes(name, computed):
    expected = GOLDEN[name]
    assert np.shape(computed) == expected.shape
    assert np.abs(computed - expected).max() <= 1e-5 * np.abs(expected).max()
