"""Linear receptive fields against direct sums and an explicit ridge regression."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from freegaze.errors import ConfigError, DataError
from freegaze.explanation.fields import linear as linear_fields
from freegaze.explanation.fields.linear import smooth_linear_fit, spike_triggered_average
from type_checks import unchecked

HEIGHT, WIDTH, HISTORY = 6, 8, 2


def data(n: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frames, the fields of three neurons (the last silent), their counts."""
    rng = np.random.default_rng(seed)
    movie = rng.normal(size=(n, HEIGHT, WIDTH)).astype(np.float32)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    blob = np.exp(-((x - 3.0) ** 2 + (y - 2.0) ** 2) / 6)
    fields = np.stack([np.stack([-0.3 * blob, 0.6 * blob]), np.stack([0.5 * blob, 0 * blob])])
    drive = np.zeros((n, 3))
    for t in range(HISTORY, n):
        window = movie[t - HISTORY : t]  # lag 1: the latest frame is the one before
        drive[t, :2] = (window[None] * fields).sum((1, 2, 3))
    responses = drive + 0.1 * rng.normal(size=drive.shape)
    responses[:, 2] = 0.0
    return movie, fields, responses


def looked_up(movie: np.ndarray):
    return lambda bins: torch.from_numpy(movie[bins])


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


@pytest.mark.parametrize("lag", [0, 1, 2])
@pytest.mark.parametrize("batch", [7, 2048])
def test_averages_are_plain_sums(lag: int, batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear_fields, "BINS_PER_BATCH", batch)
    movie, _, _ = data(60)
    counts = np.random.default_rng(1).poisson(0.5, (60, 3)).astype(float)
    counts[:, 2] = 0
    targets = np.arange(5, 57)
    found = spike_triggered_average(looked_up(movie), targets, counts[targets], 3, lag)
    for n in range(2):
        expected = np.zeros((3, HEIGHT, WIDTH))
        average = np.zeros_like(expected)
        for t in targets:
            window = movie[t - lag - 2 : t - lag + 1]
            expected += counts[t, n] * window
            average += window / len(targets)
        expected = expected / counts[targets, n].sum() - average
        np.testing.assert_allclose(found.fields[n], expected, atol=1e-5)
    assert (found.fields[2] == 0).all()
    assert np.isnan(found.correlation).all()
    assert (found.strength == 0).all()


def direct_ridge(
    movie: np.ndarray, targets: np.ndarray, y: np.ndarray, cutoff: float, strength: float
) -> np.ndarray:
    """Write every wave and the whole design matrix down, and solve."""
    rows, columns = np.arange(HEIGHT), np.arange(WIDTH)
    waves, frequencies = [], []
    for i in range(HEIGHT):
        for j in range(WIDTH):
            frequency = np.hypot(i / (2 * HEIGHT), j / (2 * WIDTH))
            if frequency <= cutoff:
                wave = np.outer(
                    np.cos(np.pi * i * (rows + 0.5) / HEIGHT),
                    np.cos(np.pi * j * (columns + 0.5) / WIDTH),
                )
                waves.append(wave / np.linalg.norm(wave))
                frequencies.append(frequency)
    waves, frequencies = np.array(waves), np.array(frequencies)
    windows = np.stack([movie[t - HISTORY : t] for t in targets]).astype(float)
    design = np.einsum("thyx,wyx->thw", windows, waves).reshape(len(targets), -1)
    design -= design.mean(0)
    slope2 = np.tile(frequencies**2 + frequencies[frequencies > 0].min() ** 2, HISTORY)
    gram = design.T @ design
    penalty = strength * slope2 * np.trace(gram) / slope2.sum()
    weights = np.linalg.solve(gram + np.diag(penalty), design.T @ (y - y.mean(0)))
    return np.einsum("hwn,wyx->nhyx", weights.reshape(HISTORY, len(waves), -1), waves)


@pytest.mark.parametrize("cutoff", [0.16, 0.3])
def test_the_smooth_fit_is_a_direct_ridge_regression(
    cutoff: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linear_fields, "BINS_PER_BATCH", 64)
    movie, _, responses = data()
    training, held_out = np.arange(2, 300), np.arange(300, 400)
    found = smooth_linear_fit(
        *(looked_up(movie), training, responses[training], held_out, responses[held_out]),
        HISTORY,
        cutoff=cutoff,
        strengths=(0.05,),
    )
    expected = direct_ridge(movie, training, responses[training], cutoff, 0.05)
    np.testing.assert_allclose(found.fields[:2], expected[:2], atol=2e-5)
    windows = np.stack([movie[t - HISTORY : t] for t in held_out])
    for n in range(2):
        predicted = (windows * expected[n]).sum((1, 2, 3))
        assert found.correlation[n] == pytest.approx(
            correlation(predicted, responses[held_out, n]), abs=1e-4
        )


def test_fields_are_found_and_validation_chooses_each_penalty() -> None:
    movie, fields, responses = data()
    training, held_out = np.arange(2, 300), np.arange(300, 400)
    strengths = (1e-3, 1e-1, 1e3)
    arguments = (looked_up(movie), training, responses[training], held_out, responses[held_out])
    found = smooth_linear_fit(*arguments, HISTORY, cutoff=0.3, strengths=strengths)
    for n in range(2):
        assert correlation(found.fields[n], fields[n]) > 0.95
        alone = [
            smooth_linear_fit(*arguments, HISTORY, cutoff=0.3, strengths=(s,)).correlation[n]
            for s in strengths
        ]
        assert found.correlation[n] == pytest.approx(max(alone), abs=1e-6)
        assert found.strength[n] == strengths[int(np.argmax(alone))]
    assert np.isnan(found.correlation[2])
    assert (found.fields[2] == 0).all()


@unchecked()
def test_what_cannot_be_fitted_is_named() -> None:
    movie, _, responses = data(40)
    frames, bins = looked_up(movie), np.arange(5, 20)
    with pytest.raises(DataError, match="0 bins"):
        spike_triggered_average(frames, bins[:0], responses[:0], 2)
    with pytest.raises(DataError, match="15 bins and 40 rows"):
        spike_triggered_average(frames, bins, responses, 2)
    with pytest.raises(DataError, match="0 bins"):
        smooth_linear_fit(frames, bins, responses[bins], bins[:0], responses[:0], 2)
    with pytest.raises(ConfigError, match="no wave"):
        smooth_linear_fit(frames, bins, responses[bins], bins, responses[bins], 2, cutoff=0.01)
