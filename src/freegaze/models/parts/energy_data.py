"""Windows of a fit of the convex encoder, and the distinct retinal frames that they show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Integer
from torch import Tensor

from freegaze.dataset.sessions import PreparedSession
from freegaze.dataset.windows import input_bins
from freegaze.models.parts.energy_basis import SAMPLE, EnergyBasis
from freegaze.models.parts.energy_head import LocalEnergyHead
from freegaze.nn.fold_ridge import FoldSums, sum_folds

FRAMES_AT_ONCE = 256
"""Frames whose features are in memory together."""

REPEATS = 2
"""Windows for each distinct one from which on equal windows are summed first."""


@dataclass(frozen=True)
class FitData:
    """Windows of a fit, and the distinct frames that they show.

    Args:
        read: Returns the retinal frames of some of ``shown``.
        shown: Bin of each distinct frame.
        rows: Row of ``shown`` of each bin of each window, the last bin first.
        responses: Centered responses of the target bins.
        folds: Fold of each window, from 0.
    """

    read: Callable[[Integer[Tensor, " row"]], Float[Tensor, "row 1 height width"]]
    shown: Integer[Tensor, " row"]
    rows: Integer[Tensor, "window lag"]
    responses: Float[Tensor, "window neuron"]
    folds: Integer[Tensor, " window"]

    def in_memory(self) -> FitData:
        """Return the same windows with all frames in memory, to be read many times."""
        frames = torch.cat([self.read(part) for part in self.shown.split(FRAMES_AT_ONCE)])
        rows = torch.arange(len(frames)).to(self.shown)
        return replace(self, read=lambda part: frames[part], shown=rows)

    def sample(self, n: int = SAMPLE) -> Float[Tensor, "row 1 height width"]:
        """Return about ``n`` of the frames."""
        return self.read(self.shown[:: max(1, len(self.shown) // n)])

    def project(
        self, basis: EnergyBasis
    ) -> tuple[Float[Tensor, "row component"], Float[Tensor, " component"]]:
        """Return the components of all frames less their mean over all windows, and that mean."""
        parts = [basis.project(self.read(part)) for part in self.shown.split(FRAMES_AT_ONCE)]
        features = torch.cat(parts)
        usage = torch.bincount(self.rows.flatten(), minlength=len(features)).to(features)
        middle = (usage @ features) / usage.sum()
        return features - middle, middle

    def sums(
        self, features: Float[Tensor, "row component"], kernel: Float[Tensor, " lag"]
    ) -> FoldSums:
        """Sum products in each fold, of components that a kernel has summed over the bins."""
        rows, responses, folds, counts = self._distinct
        lagged = torch.zeros(len(rows), features.shape[1]).to(features)
        for lag, weight in enumerate(kernel.tolist()):
            if weight:
                lagged += weight * features[rows[:, lag]]
        return sum_folds(lagged, responses, folds, counts)

    def drives(
        self,
        features: Float[Tensor, "row component"],
        weights: Float[Tensor, "fold component neuron"],
    ) -> Float[Tensor, "window lag neuron"]:
        """Return the drive of each bin of each window by the weights of its fold, or zero."""
        found = features.new_zeros(*self.rows.shape, weights.shape[2])
        for fold, weight in enumerate(weights):
            own = self.folds == fold
            found[own] = (features @ weight)[self.rows[own]]
        return found

    @cached_property
    def _distinct(self) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Return rows, responses, folds and counts, of equal windows of a fold only once."""
        if len(self.rows) < REPEATS * len(self.shown):
            return self.rows, self.responses, self.folds, None
        keys = torch.cat([self.folds[:, None], self.rows], 1)
        distinct, index, counts = keys.unique(dim=0, return_inverse=True, return_counts=True)
        sums = torch.zeros(len(distinct), self.responses.shape[1]).to(self.responses)
        sums.index_add_(0, index, self.responses)
        return distinct[:, 1:], sums, distinct[:, 0], counts.to(sums)


def read_windows(
    head: LocalEnergyHead,
    session: PreparedSession,
    targets: Integer[np.ndarray, " window"],
    folds: Integer[np.ndarray, " window"],
    mean: Float[Tensor, " neuron"],
) -> FitData:
    """Gather windows, each distinct frame once.

    Args:
        head: Head whose gaze correction moves the frames.
        session: The prepared session.
        targets: Target bins of the windows, in order of time.
        folds: Fold of each window.
        mean: Response of each neuron that is subtracted.
    """
    device = head.weight.device
    tensors = session.tensors(device)
    bins = input_bins(targets, head.kernel.shape[0], session.lag)[:, ::-1]
    keys = np.stack([session.recording.frame_index, session.recording.segment_index()], 1)
    if session.preparation.video.rule != "minmax_segment":
        keys[:, 1] = 0
    if head.shifter is not None:
        keys[:, 0] = np.arange(len(keys))
    _, first, rows = np.unique(keys[bins.ravel()], axis=0, return_index=True, return_inverse=True)

    def read(part: Integer[Tensor, " row"]) -> Float[Tensor, "row 1 height width"]:
        return head.retinal_frames(tensors.video(part), behavior_of(session, part))

    return FitData(
        read,
        torch.from_numpy(bins.ravel()[first].copy()).to(device),
        torch.from_numpy(rows.reshape(bins.shape)).to(device),
        tensors.responses[torch.from_numpy(targets).to(device)] - mean,
        torch.from_numpy(folds).to(device),
    )


def behavior_of(
    session: PreparedSession, bins: Integer[Tensor, "*batch"]
) -> Float[Tensor, "*batch feature"]:
    """Return the behavior features of some bins, on the device of ``bins``."""
    tensors, transform = session.tensors(bins.device), session.preparation.behavior
    return transform.features(
        tensors.signals[bins], transform.constants(torch.float32, bins.device)
    )
