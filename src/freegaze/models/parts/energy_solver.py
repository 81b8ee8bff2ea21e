"""Fit of one session of the convex encoder: penalties, windows, kernels, gain and offset."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor

from freegaze.dataset.folds import assign_folds, group_windows
from freegaze.dataset.sessions import PreparedSession
from freegaze.dataset.windows import input_bins
from freegaze.models.parts.energy_basis import EnergyBasis, own_windows, window_of
from freegaze.models.parts.energy_data import behavior_of, read_windows
from freegaze.models.parts.energy_head import LocalEnergyHead, first_kernel
from freegaze.models.parts.energy_shrinkage import choose_shares
from freegaze.nn.fold_ridge import (
    PENALTIES,
    FoldSums,
    fit_kernels,
    held_out_errors,
    held_out_ridge,
    lag_groups,
    posterior_covariance,
    solve_under_prior,
)

KERNEL_PRIOR = 0.1
"""Strength of the common kernel in each neuron's kernel, relative to the power of its drive."""

WIDE_SD = 0.15
"""Standard deviation of the window, as a share of the frame's height, from which on each neuron has
a window of its own within it. Narrow windows leave nothing to choose: test correlation .176 with
and without on ``ay4_u005``, a recording of macaque V1."""

NARROW_COMPONENTS = 3
"""Factor on the components of each place in narrow windows, where neighbors are near. With it the
test correlation on two recordings of macaque V1 was .184 and .204 instead of .176 and .196."""

JOINED_COMPONENTS = 400
"""Components of all places of a narrow window together."""

STEPS = (-2, -1, 0, 1)
"""Penalties that are tried under a neuron's own window, counted from that under the common one."""


class SessionFit:
    """Fit of one session in the window that was found.

    Each step is fitted without a fold in turn, so that the next step sees drives of windows that
    were held out. ``refit`` adds the validation windows, which no choice has seen, as one more
    fold.

    Args:
        head: The head; all but its gaze correction, window and weights of sets is overwritten.
        session: The prepared session.
        n_components: Principal components of each place.
        n_folds: Folds of the training windows.
    """

    def __init__(
        self, head: LocalEnergyHead, session: PreparedSession, n_components: int, n_folds: int
    ) -> None:
        self.head = head
        train, validation = session.targets("train"), session.targets("validation")
        folds = assign_folds(session.recording, session.split, train, n_folds)
        self.n_folds = int(folds.max()) + 1
        targets = np.concatenate([train, validation])
        folds = np.concatenate([folds, np.full(len(validation), self.n_folds)])
        order = np.argsort(targets, kind="stable")
        self.is_training = torch.from_numpy(folds[order] < self.n_folds)
        groups = group_windows(session.recording, session.split, targets[order])
        self.groups = torch.from_numpy(groups)
        device = head.weight.device
        responses = session.tensors(device).responses
        self.mean = responses[torch.from_numpy(train).to(device)].mean(0)
        self.data = read_windows(head, session, targets[order], folds[order], self.mean)
        self.window = window_of(head.energies, head.energies.center, head.window_sd)
        self.is_wide = float(head.window_sd) > WIDE_SD * head.energies.frame_size[0]
        sample = self.data.sample()
        n = n_components if self.is_wide else NARROW_COMPONENTS * n_components
        self.basis = EnergyBasis.fit(head.energies, head.set_weights, sample, n)
        if not self.is_wide:
            self.basis = self.basis.joined(self.window, sample, JOINED_COMPONENTS)
        self.features, self.middle = self.data.project(self.basis)
        self.power = self.data.responses[self.is_training].square().sum(0)
        bins = torch.from_numpy(input_bins(targets[order], session.dims.history, session.lag)).to(
            device
        )
        behavior = head.columns(behavior_of(session, bins))
        self.behavior = torch.einsum("bhf,h->bf", behavior, head.recency)

    def fit(self) -> None:
        """Fit everything to training windows."""
        n_lags = len(self.head.kernel)
        kernel = first_kernel(n_lags).to(self.features).flip(0)
        weights = self._fit_under_common_window(kernel)
        if n_lags > 1:
            found = self._fit_kernels(weights, kernel).sum(1)
            kernel = found / found.abs().sum()
            weights = self._fit_under_common_window(kernel)
        weights = self._fit_under_own_windows(weights)
        self.kernels = kernel[:, None].repeat(1, len(self.mean))
        if n_lags > 1:
            found = self._fit_kernels(weights, kernel)
            self.kernels = found / found.abs().sum(0).clamp_min(1e-12)
        total = self._final_weights(self.sums.of(self.n_folds))
        # The validation windows are held out from the weights of all training windows.
        self.weights = torch.cat([weights, total[None]])
        self._finish(total, self.is_training)

    def refit(self) -> None:
        """Fit weights, gain, offset and shares again, to training and validation windows."""
        total = self._final_weights(self.sums)
        noise = self._finish(total, torch.ones_like(self.is_training))
        self.head.weight_sd.copy_(self._posterior_sd(noise))

    def _fit_under_common_window(
        self, kernel: Float[Tensor, " lag"]
    ) -> Float[Tensor, "fold component neuron"]:
        """Return weights without each fold, under the window and a kernel that neurons share."""
        self.sums = self.data.sums(self.features, kernel)
        prior = self.basis.place_prior(self.window)
        self.errors, weights = held_out_ridge(self.sums.of(self.n_folds), prior)
        self.penalty = choose(self.errors, self.power)
        return pick(weights, self.penalty)

    def _fit_under_own_windows(
        self, weights: Float[Tensor, "fold component neuron"]
    ) -> Float[Tensor, "fold component neuron"]:
        """Return weights without each fold, under each neuron's own window where it pays.

        Args:
            weights: Weights without each fold under the common window.
        """
        self.is_own, self.own_penalty = torch.zeros_like(self.penalty).bool(), self.penalty
        if not self.is_wide:
            return weights
        sums = self.sums.of(self.n_folds)
        tried = (self.penalty[:, None] + torch.tensor(STEPS)).clamp(0, len(PENALTIES) - 1)
        folds = [
            self._solve_own(*sums.without(fold), weights[fold], tried)[0]
            for fold in range(self.n_folds)
        ]
        own = torch.stack(folds, 1)
        errors = held_out_errors(sums, own)
        step = choose(errors, self.power)
        both = torch.stack([pick_error(self.errors, self.penalty), pick_error(errors, step)])
        self.is_own = choose(both, self.power) == 1
        self.own_penalty = tried.gather(1, step[:, None])[:, 0]
        return torch.where(self.is_own, pick(own, step), weights)

    def _solve_own(
        self,
        gram: Float[Tensor, "component component"],
        cross: Float[Tensor, "component neuron"],
        weights: Float[Tensor, "component neuron"],
        tried: Integer[Tensor, "neuron penalty"],
    ) -> tuple[Float[Tensor, "penalty component neuron"], Float[Tensor, "neuron component"]]:
        """Return weights under each neuron's own window, and the prior variance of each."""
        windows = own_windows(self.basis, weights, cross, self.window)
        priors = self.basis.place_prior(windows)
        found = [
            solve_under_prior(gram, target[:, None], prior, [PENALTIES[i] for i in index.tolist()])
            for target, prior, index in zip(cross.T, priors, tried, strict=True)
        ]
        return torch.cat(found, 2), priors

    def _final_weights(self, sums: FoldSums) -> Float[Tensor, "component neuron"]:
        """Return the weights of a fit to all folds, with the penalties that were chosen."""
        gram, cross = sums.gram.sum(0), sums.cross.sum(0)
        prior = self.basis.place_prior(self.window)
        weights = torch.zeros_like(cross)
        for index in self.penalty.unique():
            same = self.penalty == index
            penalty = PENALTIES[int(index)]
            weights[:, same] = solve_under_prior(gram, cross[:, same], prior, [penalty])[0]
        self.prior = prior.expand(len(self.mean), -1)
        if not self.is_wide:
            return weights
        own, priors = self._solve_own(gram, cross, weights, self.own_penalty[:, None])
        self.prior = torch.where(self.is_own[:, None], priors, prior)
        return torch.where(self.is_own, own[0], weights)

    def _fit_kernels(
        self, weights: Float[Tensor, "fold component neuron"], kernel: Float[Tensor, " lag"]
    ) -> Float[Tensor, "lag neuron"]:
        """Return each neuron's kernel, fitted to held-out drives of training windows."""
        drives = self.data.drives(self.features, weights)[self.is_training]
        responses = self.data.responses[self.is_training]
        prior = kernel[:, None].repeat(1, len(self.mean))
        return fit_kernels(drives, responses, prior, KERNEL_PRIOR, lag_groups(len(kernel)))

    def _finish(
        self, weights: Float[Tensor, "component neuron"], used: Bool[Tensor, " window"]
    ) -> Float[Tensor, " neuron"]:
        """Fit gain, offset and shares to held-out drives, and write all into the head.

        Args:
            weights: Weights that the head gets.
            used: Windows to which gain, offset and shares are fitted.

        Returns:
            Variance of the residuals of held-out drives.
        """
        head = self.head
        drives = self.data.drives(self.features, self.weights)[used]
        visual = torch.einsum("wln,ln->wn", drives, self.kernels)
        observed, behavior = self.data.responses[used] + self.mean, self.behavior[used]
        scale = head.response.fit(visual, behavior, observed)
        visual = scale * visual
        groups = self.groups[used]
        shares = choose_shares(head.response, visual, behavior, observed, groups)
        head.response.share.copy_(shares)
        head.weight.copy_(self.basis.weights(weights))
        head.kernel.copy_(scale * self.kernels.flip(0))
        head.response.bias.sub_(head.kernel.sum(0) * (self.middle @ weights))
        chosen = torch.where(self.is_own, self.own_penalty, self.penalty)
        head.penalty.copy_(torch.tensor(PENALTIES).to(weights)[chosen])
        return (observed - visual).var(0)

    def _posterior_sd(self, noise: Float[Tensor, " neuron"]) -> Float[Tensor, "neuron input"]:
        """Return the posterior standard deviation of each weight of a feature.

        The posterior is that of a Gaussian likelihood with the prior of the final fit, within the
        components and with the kernel that neurons share.

        Args:
            noise: Variance of each neuron's residuals.
        """
        gram, result = self.sums.gram.sum(0), torch.zeros_like(self.head.weight_sd)
        for neuron, (prior, penalty) in enumerate(
            zip(self.prior, self.head.penalty.tolist(), strict=True)
        ):
            covariance = posterior_covariance(gram, prior, penalty)
            result[neuron] = noise[neuron].sqrt() * self.basis.weight_sd(covariance)
        return result


def choose(
    errors: Float[Tensor, "choice neuron"], power: Float[Tensor, " neuron"]
) -> Integer[Tensor, " neuron"]:
    """Choose for each neuron by its own held-out error and the mean over neurons.

    Args:
        errors: Sums of squared errors.
        power: Sum of squared responses of each neuron.
    """
    relative = errors / power.clamp_min(1e-12)
    return (relative + relative.mean(1, keepdim=True)).argmin(0)


def pick(
    weights: Float[Tensor, "choice fold feature neuron"], chosen: Integer[Tensor, " neuron"]
) -> Float[Tensor, "fold feature neuron"]:
    """Return the weights of each neuron's choice."""
    index = chosen.expand(1, *weights.shape[1:3], -1)
    return weights.gather(0, index)[0]


def pick_error(
    errors: Float[Tensor, "choice neuron"], chosen: Integer[Tensor, " neuron"]
) -> Float[Tensor, " neuron"]:
    """Return the error of each neuron's choice."""
    return errors.gather(0, chosen[None])[0]
