"""Fit of one session of the convex encoder: window, sets of features, penalties, kernels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from jaxtyping import Float, Integer
from torch import Tensor, nn

from freegaze.dataset.batches import SessionTensors
from freegaze.dataset.folds import assign_folds
from freegaze.dataset.sessions import PreparedSession
from freegaze.dataset.windows import input_bins
from freegaze.models.parts.energy_basis import EnergyBasis
from freegaze.models.parts.energy_head import LocalEnergyHead
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
from freegaze.progress import Progress

SEARCH_WINDOWS = 4000
"""Most windows of a movie that the search reads; of repeated frames it reads all."""

RUN = 64
"""Consecutive windows that are taken together for the search."""

KERNEL_ROUNDS = 2
"""Alternations between weights and kernels."""

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
    """

    frames: Float[Tensor, "row 1 height width"]
    rows: Integer[Tensor, "window lag"]
    responses: Float[Tensor, "window neuron"]
    folds: Integer[Tensor, " window"]

    def moments(self, features: Float[Tensor, "row feature"]) -> list[LagMoments]:
        """Sum products of features and responses in each fold."""
        parts = [(self.folds == k).nonzero()[:, 0] for k in self.folds.unique()]
        return [sum_moments(features, self.rows[p], self.responses[p]) for p in parts]

    def usage(self) -> Float[Tensor, " row"]:
        """Return how often each row is seen."""
        return torch.bincount(self.rows.flatten(), minlength=len(self.frames)).float()


@torch.no_grad()
def solve_session(
    head: LocalEnergyHead,
    session: PreparedSession,
    n_components: int,
    n_folds: int,
    progress: Progress | None = None,
) -> None:
    """Fit all weights of a session's head.

    Args:
        head: The head; its tensors are overwritten.
        session: The prepared session.
        n_components: Principal components of the features.
        n_folds: Folds of the training windows.
        progress: Called with (description, done, total) between the parts of the fit.
    """
    step = progress or (lambda *_: None)
    device = head.weight.device
    tensors = session.tensors(device)
    targets = session.targets("train")
    folds = assign_folds(session.recording, session.split, targets, n_folds)
    mean = tensors.responses[torch.from_numpy(targets).to(device)].mean(0)
    start_gaze(head, session)
    step("find window", 0, 4)
    data = read_windows(head, session, tensors, _some(session, targets), folds, targets, mean)
    find_window(head, data)
    step("fit weights", 1, 4)
    data = read_windows(head, session, tensors, targets, folds, targets, mean)
    basis = EnergyBasis.fit(head, data.frames, n_components)
    features = basis.project(data.frames)
    middle = data.usage() @ features / data.usage().sum()
    features -= middle
    moments = data.moments(features)
    kernels, chosen, weights = fit_ridge(moments, head.kernel.flip(0))
    step("fit behavior", 3, 4)
    bins = torch.from_numpy(input_bins(targets, len(kernels), session.lag)).to(device)
    constants = session.preparation.behavior.constants(torch.float32, device)
    behavior = session.preparation.behavior.features(tensors.signals[bins], constants)
    recent = torch.einsum("bhf,h->bf", head.columns(behavior), head.recency)
    visual = held_out_drives(features, data, kernels, weights)
    scale = head.response.fit(visual, recent, data.responses + mean)
    found, total = fit_all(moments, kernels, chosen)
    head.weight.copy_(basis.weights(found))
    head.kernel.copy_(scale * kernels.flip(0))
    head.response.bias.sub_(head.kernel.sum(0) * ((basis.offset + middle) @ found))
    noise = (data.responses - scale * visual).var(0)
    head.weight_sd.copy_(basis.posterior_sd(total, kernels, chosen, noise))
    head.penalty.copy_(torch.tensor(PENALTIES).to(device)[chosen])
    step("fit behavior", 4, 4)


def start_gaze(head: LocalEnergyHead, session: PreparedSession) -> None:
    """Start the shifter from the camera's calibration: pixels grow with the eye's angles.

    Args:
        head: Its shifter is overwritten, if it has one.
        session: The prepared session; without ``deg_per_px`` the frame is taken to be 120 degrees
            wide, as that of common head cameras.
    """
    if head.shifter is None or head.gaze is None:
        return
    recording, transform = session.recording, session.preparation.behavior
    deg_per_px = recording.deg_per_px or 120.0 / recording.frame_size[1]
    names = [session.dims.behavior_names[i] for i in head.gaze.columns.positions.tolist()]
    line = cast("nn.Linear", head.shifter.displacement.layers[-1])
    sd = dict(zip(transform.signal_names, transform.signal_scale, strict=True))
    for axis, name in enumerate(("theta", "phi")):
        if name in names:
            line.weight[axis, names.index(name)] = sd[name] / deg_per_px


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
    tensors: SessionTensors,
    targets: np.ndarray,
    folds: np.ndarray,
    all_targets: np.ndarray,
    mean: Float[Tensor, " neuron"],
) -> FitData:
    """Gather windows, each distinct frame once."""
    bins = input_bins(targets, head.kernel.shape[0], session.lag)[:, ::-1]
    keys = np.stack([session.recording.frame_index, session.recording.segment_index()], 1)
    if session.preparation.video.rule != "minmax_segment":
        keys[:, 1] = 0
    if head.shifter is not None:
        keys[:, 0] = np.arange(len(keys))
    _, first, rows = np.unique(keys[bins.ravel()], axis=0, return_index=True, return_inverse=True)
    device = head.weight.device
    shown = torch.from_numpy(bins.ravel()[first].copy()).to(device)
    constants = session.preparation.behavior.constants(torch.float32, device)
    behavior = session.preparation.behavior.features(tensors.signals[shown], constants)
    parts = [
        head.retinal_frames(tensors.video(b), x)
        for b, x in zip(shown.split(512), behavior.split(512), strict=True)
    ]
    return FitData(
        torch.cat(parts),
        torch.from_numpy(rows.reshape(bins.shape)).to(device),
        tensors.responses[torch.from_numpy(targets).to(device)] - mean,
        torch.from_numpy(folds[np.searchsorted(all_targets, targets)]).to(device),
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
    for _ in range(KERNEL_ROUNDS if len(kernels) > 1 else 0):
        errors, weights = held_out_errors(moments, kernels)
        found = fit_kernels(moments, pick(weights, choose(errors, moments)), kernels, KERNEL_PRIOR)
        scale = found.abs().sum(0, keepdim=True).clamp_min(1e-12)
        kernels = found / scale
    errors, weights = held_out_errors(moments, kernels)
    chosen = choose(errors, moments)
    return kernels, chosen, pick(weights, chosen)


def choose(
    errors: Float[Tensor, "penalty neuron"], moments: list[LagMoments]
) -> Integer[Tensor, " neuron"]:
    """Choose each neuron's penalty by its own held-out error and the mean over neurons."""
    relative = errors / sum(m.power for m in moments)
    return (relative + relative.mean(1, keepdim=True)).argmin(0)


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
    """Return windows for the search: all where frames repeat, else some runs of them."""
    if len(session.recording.frames) <= SEARCH_WINDOWS or len(targets) <= SEARCH_WINDOWS:
        return targets
    run = np.arange(len(targets)) // RUN
    return targets[run % math.ceil(len(targets) / SEARCH_WINDOWS) == 0]
