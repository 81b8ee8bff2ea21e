"""Sums of products of shifted columns with fixed ones, by Fourier transform."""

from __future__ import annotations

import numpy as np
from scipy.fft import next_fast_len


class Correlator:
    """Sums of products of a shifted column and a fixed one, for all shifts at once."""

    def __init__(self, n: int, shifts: np.ndarray) -> None:
        self.size = next_fast_len(2 * n, real=True)
        self.shifts = shifts

    def __call__(self, column: np.ndarray, fixed: np.ndarray) -> np.ndarray:
        """Return sum over t of column[t + shift] * fixed[t]."""
        product = np.fft.rfft(column, self.size) * np.conj(np.fft.rfft(fixed, self.size))
        return np.fft.irfft(product, self.size)[self.shifts]

    def many(self, columns: np.ndarray, fixed: np.ndarray) -> np.ndarray:
        """Return the same for all pairs, (shift, column, fixed)."""
        moved = np.fft.rfft(columns, self.size, axis=0)
        still = np.conj(np.fft.rfft(fixed, self.size, axis=0))
        out = np.empty((len(self.shifts), columns.shape[1], fixed.shape[1]))
        for i in range(columns.shape[1]):
            out[:, i] = np.fft.irfft(moved[:, [i]] * still, self.size, axis=0)[self.shifts]
        return out
