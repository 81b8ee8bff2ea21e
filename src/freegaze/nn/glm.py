"""Penalized generalized linear models of single neurons, fitted by Fisher scoring."""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy.special import expit, xlogy

Family = Literal["poisson", "gaussian"]
Link = Literal["exp", "floor", "identity"]

RIDGE = 3.0
"""Penalty on standardized weights, equal to the information in 3 bins at 1 count per bin."""

SHARPNESS = 100.0
"""Sharpness of the bend of the link ``floor``, which is round over 0.01 counts per bin."""

STEPS = 25
"""Newton steps at most; eight do as a rule."""


def newton(design: np.ndarray, y: np.ndarray, link: Link) -> np.ndarray:
    """Maximize the penalized likelihood by Fisher scoring; the first column is the constant."""
    penalty = np.full(design.shape[1], RIDGE)
    penalty[0] = 1e-6
    weights = np.zeros(design.shape[1])
    if link == "identity":
        variance = max(float(y.var()), 1e-12)
        gram = design.T @ design / variance + np.diag(penalty)
        return np.linalg.solve(gram, design.T @ y / variance)
    baseline = max(float(y.mean()), 1e-6)
    weights[0] = np.log(baseline) if link == "exp" else baseline
    scale = np.ones(design.shape[1]) if link == "exp" else np.full(design.shape[1], baseline**-2)
    penalty = penalty * scale  # weights of a sum are counts, weights of a product are shares
    value = _penalized(design, y, weights, penalty, link)
    for _ in range(STEPS):
        mean, slope = mean_and_slope(design @ weights, link)
        gradient = design.T @ ((y - mean) / mean * slope) - penalty * weights
        hessian = (design * (slope**2 / mean)[:, None]).T @ design + np.diag(penalty)
        step = np.linalg.solve(hessian, gradient)
        tried = value
        for _ in range(30):  # a full step can overshoot where rates are far off
            tried = _penalized(design, y, weights + step, penalty, link)
            if tried >= value - 1e-9 * abs(value):
                break
            step = step / 2
        weights = weights + step
        if abs(tried - value) <= 1e-9 * (1 + abs(value)):
            break
        value = tried
    return weights


def _penalized(
    design: np.ndarray, y: np.ndarray, weights: np.ndarray, penalty: np.ndarray, link: Link
) -> float:
    return likelihood(mean_and_slope(design @ weights, link)[0], y) - 0.5 * float(
        (penalty * weights**2).sum()
    )


def likelihood(mean: np.ndarray, y: np.ndarray) -> float:
    """Return the Poisson log likelihood in nats, up to what depends on the counts alone."""
    return float((y * np.log(mean) - mean).sum())


def mean_and_slope(eta: np.ndarray, link: Link) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of each bin and its derivative with respect to the linear predictor."""
    if link == "exp":
        mean = np.exp(np.clip(eta, -30.0, 10.0))
        return mean, mean
    if link == "floor":  # the identity, bent where a sum of parts would fall below zero
        return np.logaddexp(0.0, SHARPNESS * eta) / SHARPNESS + 1e-9, expit(SHARPNESS * eta)
    return eta, np.ones_like(eta)


def explained(mean: np.ndarray, y: np.ndarray, baseline: float, family: Family) -> float:
    """Return the share of the deviance from the training mean that a model explains."""
    if family == "gaussian":
        null = ((y - baseline) ** 2).sum()
        return float(1 - ((y - mean) ** 2).sum() / null) if null > 0 else float("nan")
    deviance = 2 * (xlogy(y, y / mean) - (y - mean)).sum()
    null = 2 * (xlogy(y, y / baseline) - (y - baseline)).sum() if baseline > 0 else 0.0
    return float(1 - deviance / null) if null > 0 else float("nan")
