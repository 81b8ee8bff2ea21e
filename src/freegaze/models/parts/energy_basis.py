"""Principal components of the local energies at each place, under a prior on sets of features."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from freegaze.nn.local_energies import SETS, LocalEnergies

SAMPLE = 1000
"""Frames whose features give the scales and the components."""

LEAST_VALUE = 1e-3
"""Singular value, relative to the greatest, below which joined components are left out."""

COMMON_SHARE = 0.1
"""Share of the window of all neurons in the prior of each. With the own contributions of places
beside it, the test correlation on a simulated session of 6 minutes (``affine``, seed 3) was .181
instead of .174."""

OWN_REACH = 0.5
"""Standard deviation of the smoothing over places, in distances of neighbors."""


def prior_scales(
    features: Float[Tensor, "row feature place"],
    energies: LocalEnergies,
    set_weights: Float[Tensor, " set"],
) -> Float[Tensor, " feature"]:
    """Return the prior standard deviation of the weight of each feature.

    Features are divided by the root of their standard deviation, which is half of what would make
    them alike: of natural frames, long wavelengths have more power. Then each set has the variance
    of its weight in all.

    Args:
        features: Features of some frames.
        energies: Module that computed them.
        set_weights: Prior variance of each set.
    """
    variance = features.var(0, correction=0).mean(1)
    scale = variance.clamp_min(1e-12) ** -0.25
    power = torch.zeros(len(SETS)).to(scale)
    power.index_add_(0, energies.set_index, variance * scale.square())
    of_set = (set_weights / power.clamp_min(1e-12)).sqrt()
    return scale * of_set[energies.set_index]


def window_of(
    energies: LocalEnergies, center: Float[Tensor, " xy"], sd: float | Float[Tensor, ""]
) -> Float[Tensor, " place"]:
    """Return Gaussian weights of places around a center, of sum 1."""
    distance = (energies.places() - center).square().sum(1)
    window = torch.exp(-0.5 * distance / sd**2)
    return window / window.sum()


@dataclass(frozen=True)
class EnergyBasis:
    """The first components of the weighted features at each place.

    Features of one place are so alike that few components carry what a regression under their prior
    can use, and components of a place leave the choice of places to the prior.

    Args:
        energies: Module that computes features.
        directions: Component of features, times the prior standard deviation of their weights.
        rotation: Components of all places together, from those of each place.
    """

    energies: LocalEnergies
    directions: Float[Tensor, "place feature component"]
    rotation: Float[Tensor, "by_place joint"] | None = None

    @classmethod
    def fit(
        cls,
        energies: LocalEnergies,
        set_weights: Float[Tensor, " set"],
        frames: Float[Tensor, "row 1 height width"],
        n_components: int,
    ) -> EnergyBasis:
        """Find the components of some frames.

        Args:
            energies: Module that computes features.
            set_weights: Prior variance of each set.
            frames: Retinal frames.
            n_components: Components of each place.
        """
        features = torch.cat([energies(part) for part in frames.split(256)])
        scale = prior_scales(features, energies, set_weights)
        used = (scale > 0).nonzero()[:, 0]
        weighted = (features[:, used] * scale[used, None]).permute(2, 0, 1)
        centered = weighted - weighted.mean(1, keepdim=True)
        vectors = torch.linalg.eigh((centered.mT @ centered).double())[1]
        found = vectors[:, :, -n_components:].to(features) * scale[used, None]
        directions = features.new_zeros(features.shape[2], features.shape[1], found.shape[2])
        directions[:, used] = found
        return cls(energies, directions)

    def joined(
        self,
        window: Float[Tensor, " place"],
        frames: Float[Tensor, "row 1 height width"],
        n_components: int,
    ) -> EnergyBasis:
        """Return the first components of all places together, under a window.

        Args:
            window: Prior variance of each place.
            frames: Retinal frames.
            n_components: Components at most.
        """
        sd = self.place_prior(window).sqrt()
        features = self.project(frames) * sd
        values, vectors = torch.linalg.svd(features - features.mean(0), full_matrices=False)[1:]
        kept = values > LEAST_VALUE * values[0]
        rotation = sd[:, None] * vectors[kept][:n_components].T
        return EnergyBasis(self.energies, self.directions, rotation)

    @property
    def n_places(self) -> int:
        """Number of places."""
        return len(self.directions)

    def project(
        self, frames: Float[Tensor, "row 1 height width"]
    ) -> Float[Tensor, "row component"]:
        """Return the components of each frame; those of the first place come first, and so on."""
        features = self.energies(frames).permute(2, 0, 1)
        found = torch.bmm(features, self.directions).transpose(0, 1).flatten(1)
        return found if self.rotation is None else found @ self.rotation

    def weights(self, found: Float[Tensor, "component neuron"]) -> Float[Tensor, "neuron input"]:
        """Return weights of features from weights of components."""
        found = found if self.rotation is None else self.rotation @ found
        by_place = found.unflatten(0, (self.n_places, -1))
        return torch.bmm(self.directions, by_place).permute(2, 1, 0).flatten(1)

    def weight_sd(
        self, covariance: Float[Tensor, "component component"]
    ) -> Float[Tensor, " input"]:
        """Return standard deviations of weights of features from a covariance of components."""
        if self.rotation is not None:
            covariance = self.rotation @ covariance @ self.rotation.T
        n = self.n_places
        blocks = covariance.unflatten(1, (n, -1)).unflatten(0, (n, -1)).diagonal(dim1=0, dim2=2)
        spread = torch.bmm(self.directions, blocks.permute(2, 0, 1))
        variance = (spread * self.directions).sum(2).clamp_min(0)
        return variance.sqrt().T.flatten()

    def place_prior(self, prior: Float[Tensor, "*neuron place"]) -> Float[Tensor, "*neuron comp"]:
        """Return the prior variance of each component's weight from that of its place.

        Components of all places together have the prior of the window that they were found under.
        """
        if self.rotation is not None:
            return prior.new_ones(*prior.shape[:-1], self.rotation.shape[1])
        return prior.repeat_interleave(self.directions.shape[2], -1)


def own_windows(
    basis: EnergyBasis,
    weights: Float[Tensor, "component neuron"],
    cross: Float[Tensor, "component neuron"],
    window: Float[Tensor, " place"],
) -> Float[Tensor, "neuron place"]:
    """Return a prior variance of each place for each neuron.

    It is mostly what the places contribute to a first fit, smoothed over places. The window of all
    neurons makes up the rest.

    Args:
        basis: Components.
        weights: Weights of the first fit.
        cross: Sum of products of components with responses, of the same windows.
        window: Prior variance of each place for all neurons, of sum 1.
    """
    explained = (weights * cross).unflatten(0, (basis.n_places, -1)).sum(1).clamp_min(0)
    places, reach = basis.energies.places(), OWN_REACH * basis.energies.spacing
    near = torch.exp(-0.5 * torch.cdist(places, places).square() / reach**2)
    own = near @ explained
    own = own / own.sum(0).clamp_min(1e-12)
    return (COMMON_SHARE * window[:, None] + (1 - COMMON_SHARE) * own).T
