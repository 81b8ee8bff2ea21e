"""Fit of one session of the convex encoder: window, sets of features, penalties, kernels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor

from freegaze.dataset.folds import assign_folds
from freegaze.dataset.sessions import PreparedSession
from freegaze.dataset.windows import input_bins
from freegaze.models.parts.energy_basis import EnergyBasis
from freegaze.models.parts.energy_head import LocalEnergyHead, first_kernel
from freegaze.models.parts.energy_shrinkage import choose_shares
from freegaze.models.parts.energy_window import find_window
from freegaze.nn.lagged_ridge import (
    PENALTIES,
    LagMoments,
    fit_kernels,
    gram_of,
    held_out_errors,
    neurons_by_kernel,
    solve_ridge,
    sum_moments,
)
from freegaze.recording.recording import Role

SEARCH_WINDOWS = 4000
"""Largest number of windows that the search reads of a movie. If frames repeat, it reads all."""

RUN = 64
"""Number of consecutive windows that are sampled together for the search."""

KERNEL_ROUNDS = 2
"""Number of alternations between weights and kernels."""

KERNEL_PRIOR = 0.1
"""Strength of the mean kernel in each neuron's kernel, relative to the power of its drive."""


@dataclass(frozen=True)
class FitData:
    """Windows of a fit, and the distinct frames that they show.

    Args:
        frames: Retinal frames, (row, 1, height, width).
        rows: Row of each bin of each window, the last bin first.
        responses: Centered responses of the target bins.
        folds: Fold of each window.
        mean: Mean response of each neuron, which was subtracted.
    """

    frames: Float[Tensor, "row 1 height width"]
    rows: Integer[Tensor, "window lag"]
    responses: Float[Tensor, "window neuron"]
    folds: Integer[Tensor, " window"]
    mean: Float[Tensor, " neuron"]

    @property
    def n_neurons(self) -> int:
        """Number of neurons."""
        return self.responses.shape[1]

    def moments(self, features: Float[Tensor, "row feature"]) -> list[LagMoments]:
        """Sum products of features and responses in each fold."""
        parts = [(self.folds == k).nonzero()[:, 0] for k in self.folds.unique()]
        return [sum_moments(features, self.rows[p], self.responses[p]) for p in parts]

    def summed_moments(
        self, features: Float[Tensor, "row feature"], kernel: Float[Tensor, " lag"]
    ) -> list[LagMoments]:
        """Sum products in each fold, of features that one kernel has summed over the bins."""
        lagged = torch.zeros(len(self.rows), features.shape[1]).to(features)
        for lag, weight in enumerate(kernel.tolist()):
            if weight:
                lagged += weight * features[self.rows[:, lag]]
        rows = torch.arange(len(lagged), device=lagged.device)[:, None]
        parts = [(self.folds == k).nonzero()[:, 0] for k in self.folds.unique()]
        return [sum_moments(lagged, rows[p], self.responses[p]) for p in parts]

    def usage(self) -> Float[Tensor, " row"]:
        """Return how often each row is seen."""
        return torch.bincount(self.rows.flatten(), minlength=len(self.frames)).float()


@torch.no_grad()
def search_session(head: LocalEnergyHead, session: PreparedSession, n_folds: int) -> None:
    """Start the gaze correction, and find the window and the weights of sets of features.

    Args:
        head: The head; its gaze correction, window and weights of sets are overwritten.
        session: The prepared session; training windows are used.
        n_folds: Folds of the training windows.
    """
    if head.gaze is not None:
        head.gaze.start_from_camera(session)
    targets = session.targets("train")
    folds = assign_folds(session.recording, session.split, targets, n_folds)
    find_window(head, read_windows(head, session, _some(session, targets), folds, targets))


@torch.no_grad()
def fit_session(
    head: LocalEnergyHead,
    session: PreparedSession,
    roles: Sequence[Role],
    n_components: int,
    n_folds: int,
) -> None:
    """Fit weights, kernels and responses to behavior in the window that was found.

    Args:
        head: The head; all but its gaze correction, window and weights of sets is overwritten.
        session: The prepared session.
        roles: Roles of the windows to fit.
        n_components: Principal components of the features.
        n_folds: Folds of the windows.
    """
    targets = np.sort(np.concatenate([session.targets(role) for role in roles]))
    folds = assign_folds(session.recording, session.split, targets, n_folds)
    data = read_windows(head, session, targets, folds, targets)
    basis = EnergyBasis.fit(head, data.frames, n_components)
    features = basis.project(data.frames)
    middle = data.usage() @ features / data.usage().sum()
    features -= middle
    moments = data.moments(features)
    first = first_kernel(session.dims.history).to(features).flip(0)
    kernels, chosen, weights = fit_ridge(moments, first[:, None].repeat(1, data.n_neurons))
    bins = torch.from_numpy(input_bins(targets, len(kernels), session.lag)).to(features.device)
    behavior = behavior_of(session, bins)
    recent = torch.einsum("bhf,h->bf", head.columns(behavior), head.recency)
    visual = held_out_drives(features, data, kernels, weights)
    observed = data.responses + data.mean
    scale = head.response.fit(visual, recent, observed)
    shares = choose_shares(head.response, scale * visual, recent, observed, data.folds)
    head.response.share.copy_(shares)
    found, total = fit_all(moments, kernels, chosen)
    head.weight.copy_(basis.weights(found))
    head.kernel.copy_(scale * kernels.flip(0))
    head.response.bias.sub_(head.kernel.sum(0) * ((basis.offset + middle) @ found))
    noise = (data.responses - scale * visual).var(0)
    head.weight_sd.copy_(basis.posterior_sd(total, kernels, chosen, noise))
    head.penalty.copy_(torch.tensor(PENALTIES).to(features)[chosen])


def fit_all(
    moments: list[LagMoments], kernels: Float[Tensor, "lag neuron"], chosen: Tensor
) -> tuple[Float[Tensor, "feature neuron"], LagMoments]:
    """Return the weights of a ridge on all folds, and the sums over all folds."""
    total = moments[0]
    for other in moments[1:]:
        total = total + other
    weights = kernels.new_zeros(total.cross.shape[1:])
    for same in neurons_by_kernel(kernels):
        kernel = kernels[:, same[0]]
        gram = gram_of(total, kernel)
        for index in chosen[same].unique():
            own = same[chosen[same] == index]
            cross = torch.einsum("l,lfn->fn", kernel, total.cross[:, :, own])
            weights[:, own] = solve_ridge(gram, cross, PENALTIES[int(index)])
    return weights, total


def read_windows(
    head: LocalEnergyHead,
    session: PreparedSession,
    targets: np.ndarray,
    folds: np.ndarray,
    all_targets: np.ndarray,
) -> FitData:
    """Gather windows, each distinct frame once.

    Args:
        head: Its gaze correction moves the frames.
        session: The prepared session.
        targets: Target bins of the windows, in order of time.
        folds: Fold of each of ``all_targets``.
        all_targets: Target bins whose mean response is subtracted.
    """
    tensors = session.tensors(head.weight.device)
    bins = input_bins(targets, head.kernel.shape[0], session.lag)[:, ::-1]
    keys = np.stack([session.recording.frame_index, session.recording.segment_index()], 1)
    if session.preparation.video.rule != "minmax_segment":
        keys[:, 1] = 0
    if head.shifter is not None:
        keys[:, 0] = np.arange(len(keys))
    _, first, rows = np.unique(keys[bins.ravel()], axis=0, return_index=True, return_inverse=True)
    device = head.weight.device
    mean = tensors.responses[torch.from_numpy(all_targets).to(device)].mean(0)
    shown = torch.from_numpy(bins.ravel()[first].copy()).to(device)
    behavior = behavior_of(session, shown)
    parts = [
        head.retinal_frames(tensors.video(b), x)
        for b, x in zip(shown.split(512), behavior.split(512), strict=True)
    ]
    return FitData(
        torch.cat(parts),
        torch.from_numpy(rows.reshape(bins.shape)).to(device),
        tensors.responses[torch.from_numpy(targets).to(device)] - mean,
        torch.from_numpy(folds[np.searchsorted(all_targets, targets)]).to(device),
        mean,
    )


def behavior_of(
    session: PreparedSession, bins: Integer[Tensor, "*batch"]
) -> Float[Tensor, "*batch feature"]:
    """Return the behavior features of some bins, on the device of ``bins``."""
    tensors, transform = session.tensors(bins.device), session.preparation.behavior
    return transform.features(
        tensors.signals[bins], transform.constants(torch.float32, bins.device)
    )


def fit_ridge(
    moments: list[LagMoments], kernel: Float[Tensor, "lag neuron"]
) -> tuple[Tensor, Tensor, Tensor]:
    """Alternate between weights and kernels.

    Args:
        moments: Sums of each fold.
        kernel: First kernels, the last bin first.

    Returns:
        Kernels; relative penalty of each neuron; weights without each fold, (fold, feature,
        neuron).
    """
    kernels = kernel.clone()
    errors, weights = held_out_errors(moments, kernels)
    chosen = choose(errors, moments)
    for _ in range(KERNEL_ROUNDS if len(kernels) > 1 else 0):
        found = fit_kernels(moments, pick(weights, chosen), kernels, KERNEL_PRIOR)
        kernels = found / found.abs().sum(0, keepdim=True).clamp_min(1e-12)
        near, weights = held_out_errors(moments, kernels, near=chosen)
        errors = torch.where(near.isfinite(), near, errors)
        chosen = choose(errors, moments, near.isfinite())
    return kernels, chosen, pick(weights, chosen)


def choose(
    errors: Float[Tensor, "penalty neuron"],
    moments: list[LagMoments],
    tried: Bool[Tensor, "penalty neuron"] | None = None,
) -> Integer[Tensor, " neuron"]:
    """Choose each neuron's penalty by its own held-out error and the mean over neurons.

    Args:
        errors: Sums of squared errors; for penalties that were not tried, those of an earlier fit.
        moments: Sums of each fold.
        tried: Penalties to choose from; all by default.
    """
    relative = errors / sum(m.power for m in moments)
    total = relative + relative.mean(1, keepdim=True)
    return (total if tried is None else torch.where(tried, total, torch.inf)).argmin(0)


def pick(
    weights: Float[Tensor, "penalty fold feature neuron"], chosen: Integer[Tensor, " neuron"]
) -> Float[Tensor, "fold feature neuron"]:
    """Return the weights at each neuron's penalty."""
    index = chosen.expand(1, *weights.shape[1:3], -1)
    return weights.gather(0, index)[0]


def held_out_drives(
    features: Float[Tensor, "row feature"],
    data: FitData,
    kernels: Float[Tensor, "lag neuron"],
    weights: Float[Tensor, "fold feature neuron"],
) -> Float[Tensor, "window neuron"]:
    """Return each window's drive by weights that were fitted without its fold."""
    visual = torch.empty_like(data.responses)
    for k, fold in enumerate(data.folds.unique()):
        own = data.folds == fold
        drive = features @ weights[k]
        lagged = (drive[data.rows[own, lag]] * kernels[lag] for lag in range(len(kernels)))
        visual[own] = sum(lagged)
    return visual


def _some(session: PreparedSession, targets: np.ndarray) -> np.ndarray:
    """Return windows for the search: all if frames repeat, else blocks of consecutive ones."""
    if len(session.recording.frames) <= SEARCH_WINDOWS or len(targets) <= SEARCH_WINDOWS:
        return targets
    run = np.arange(len(targets)) // RUN
    return targets[run % math.ceil(len(targets) / SEARCH_WINDOWS) == 0]
