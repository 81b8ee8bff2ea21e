"""Principal components of local energies under a prior on places and sets of features."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from freegaze.models.parts.energy_head import LocalEnergyHead
from freegaze.nn.lagged_ridge import PENALTIES, LagMoments, gram_of, neurons_by_kernel
from freegaze.nn.local_energies import SETS, LocalEnergies

FRAMES_AT_ONCE = 256
"""Number of frames whose features are in memory at once."""

SAMPLE = 1000
"""Number of frames whose features give the scales and the components."""

LEAST_SHARE = 1e-6
"""Share of the variance below which components are left out."""


def prior_scales(
    features: Float[Tensor, "row feature place"],
    energies: LocalEnergies,
    set_weights: Float[Tensor, " set"],
    window: Float[Tensor, " place"],
) -> Float[Tensor, "feature place"]:
    """Return the prior standard deviation of each weight.

    Features are divided by the root of their standard deviation, which is half of what would make
    them alike: of natural frames, long wavelengths have more power. Each set then has its prior
        variance in total, spread over places like the window.

    Args:
        features: Features of some frames.
        energies: Module that computed them.
        set_weights: Prior variance of each set.
        window: Weight of each place, of sum 1.
    """
    variance = features.var(0, correction=0)
    scale = variance.mean(1).clamp_min(1e-12) ** -0.25
    scaled = variance * scale[:, None].square() * window
    power = torch.zeros(len(SETS)).to(scaled).index_add(0, energies.set_index, scaled.sum(1))
    of_set = (set_weights / power.clamp_min(1e-12)).sqrt()
    return scale[:, None] * of_set[energies.set_index][:, None] * window.sqrt()


def window_of(energies: LocalEnergies, sd: float | Float[Tensor, ""]) -> Float[Tensor, " place"]:
    """Return Gaussian weights of places around the center, of sum 1."""
    distance = (energies.places() - energies.center).square().sum(1)
    window = torch.exp(-0.5 * distance / sd**2)
    return window / window.sum()


@dataclass(frozen=True)
class EnergyBasis:
    """Components of weighted features; a ridge on them is a ridge on all features.

    Args:
        energies: Module that computes features.
        scale: Prior standard deviation of each weight, (feature * place,).
        components: Directions, (feature * place, component).
        offset: Mean of each component over windows.
    """

    energies: LocalEnergies
    scale: Float[Tensor, " input"]
    components: Float[Tensor, "input component"]
    offset: Float[Tensor, " component"]

    @classmethod
    def fit(
        cls,
        head: LocalEnergyHead,
        frames: Float[Tensor, "row 1 height width"],
        n_components: int,
    ) -> EnergyBasis:
        """Find the components of some frames.

        Args:
            head: Its window and weights of sets give the prior.
            frames: Retinal frames; a sample of them is used.
            n_components: Largest number of components.
        """
        energies = head.energies
        every = max(1, len(frames) // SAMPLE)
        features = compute_features(energies, frames[::every])
        window = window_of(energies, head.window_sd)
        scale = prior_scales(features, energies, head.set_weights, window).flatten()
        weighted = features.flatten(1) * scale
        centered = weighted - weighted.mean(0)
        values, vectors = torch.linalg.eigh((centered @ centered.T).double())
        keep = values.flip(0)[:n_components] > LEAST_SHARE * values.sum()
        vectors = vectors.flip(1)[:, :n_components][:, keep]
        roots = values.flip(0)[:n_components][keep].sqrt()
        components = centered.T @ (vectors / roots).to(centered)
        return cls(energies, scale, components, weighted.mean(0) @ components)

    def project(
        self, frames: Float[Tensor, "row 1 height width"]
    ) -> Float[Tensor, "row component"]:
        """Return the components of frames."""
        directions = self.scale[:, None] * self.components
        parts = [
            self.energies(part).flatten(1) @ directions for part in frames.split(FRAMES_AT_ONCE)
        ]
        return torch.cat(parts) - self.offset

    def weights(self, found: Float[Tensor, "component neuron"]) -> Float[Tensor, "neuron input"]:
        """Return weights of features from weights of components."""
        return (self.scale[:, None] * (self.components @ found)).T

    def posterior_sd(
        self,
        moments: LagMoments,
        kernels: Float[Tensor, "lag neuron"],
        chosen: Integer[Tensor, " neuron"],
        noise: Float[Tensor, " neuron"],
    ) -> Float[Tensor, "neuron input"]:
        """Return the posterior standard deviation of each weight of a feature.

        This is the posterior, within the components, of a Gaussian likelihood and the prior that
        corresponds to the ridge penalty.

        Args:
            moments: Sums over all windows.
            kernels: Kernel of each neuron, the last bin first.
            chosen: Position of each neuron's penalty in ``PENALTIES``.
            noise: Variance of each neuron's residuals.
        """
        result = self.scale.new_empty(len(noise), len(self.scale))
        for same in neurons_by_kernel(kernels):
            gram = gram_of(moments, kernels[:, same[0]])
            for index in chosen[same].unique():
                own = same[chosen[same] == index]
                ridge = PENALTIES[int(index)] * gram.diagonal().mean()
                factor = torch.linalg.cholesky(gram + ridge * torch.eye(len(gram)).to(gram))
                spread = torch.linalg.solve_triangular(factor, self.components.T, upper=False)
                sd = self.scale * spread.square().sum(0).sqrt()
                result[own] = noise[own, None].sqrt() * sd
        return result


def compute_features(
    energies: LocalEnergies, frames: Float[Tensor, "row 1 height width"]
) -> Float[Tensor, "row feature place"]:
    """Compute the features of frames in batches."""
    return torch.cat([energies(part) for part in frames.split(FRAMES_AT_ONCE)])
