"""Gabor energies, phases and luminance of a frame on a small grid of places."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

SETS = ("energy", "phase", "normalized", "luminance")
"""Sets of features, in the order of the feature axis."""

ENVELOPE = 0.5
"""Standard deviation of a Gabor's envelope in wavelengths: about one octave of bandwidth, as in V1
(De Valois et al. 1982)."""

REACH = 2.5
"""Standard deviations after which an envelope is cut off."""


class LocalEnergies(nn.Module):
    """Computes features of frames at a grid of places around a center.

    A place has, for each wavelength: the energy (root of the summed squares of a Gabor pair in
    quadrature) of each orientation; both Gabors, half-wave rectified with either sign; the energy
    divided by the local energy of all orientations plus a constant; and the luminance under the
    envelope. The filters are separable, so that they are two small matrices for any center.
    Beyond its edges a frame continues with its border pixels.

    Args:
        frame_size: (height, width) in pixels.
        wavelengths: Wavelengths of the Gabors in pixels.
        n_orientations: Orientations, evenly over 180 degrees.
        n_places: Places (down, across).

    Attributes:
        center: Middle (x, y) of the grid in pixels.
        spacing: Pixels between neighboring places.
        contrast: Constant of the normalized energies for each wavelength.

    Example:
        >>> energies = LocalEnergies((30, 40), (4.0, 8.0), 4, (3, 3))
        >>> energies(torch.zeros(5, 1, 30, 40)).shape
        torch.Size([5, 50, 9])
    """

    center: Tensor
    spacing: Tensor
    contrast: Tensor
    set_index: Tensor
    wave: Tensor
    sigma: Tensor

    def __init__(
        self,
        frame_size: tuple[int, int],
        wavelengths: Sequence[float],
        n_orientations: int,
        n_places: tuple[int, int],
    ) -> None:
        super().__init__()
        self.frame_size, self.n_places = frame_size, n_places
        self.wavelengths, self.n_orientations = tuple(wavelengths), n_orientations
        height, width = frame_size
        self.register_buffer("center", torch.tensor([(width - 1) / 2, (height - 1) / 2]))
        self.register_buffer("spacing", torch.tensor(height / (n_places[0] + 1)))
        self.register_buffer("contrast", torch.ones(len(wavelengths)))
        angle = torch.arange(n_orientations) * (math.pi / n_orientations)
        direction = torch.stack([angle.cos(), angle.sin()], 1)  # (orientation, xy)
        length = torch.tensor(wavelengths, dtype=torch.float32)
        # The luminance is a Gabor of no frequency: one more "orientation" of each wavelength.
        wave = 2 * math.pi / length[:, None, None] * F.pad(direction, (0, 0, 0, 1))
        self.register_buffer("wave", wave, persistent=False)
        self.register_buffer("sigma", ENVELOPE * length, persistent=False)
        sizes = [n_orientations, 4 * n_orientations, n_orientations, 1]
        index = torch.arange(len(SETS)).repeat_interleave(len(wavelengths) * torch.tensor(sizes))
        self.register_buffer("set_index", index, persistent=False)

    @property
    def n_features(self) -> int:
        """Features of a place."""
        return len(self.set_index)

    def thinned(self, n_places: tuple[int, int]) -> LocalEnergies:
        """Return a module with half the orientations and fewer wavelengths, at other places.

        Of more than three wavelengths every second one is kept.

        Args:
            n_places: Places (down, across).
        """
        n_orientations = max(2, self.n_orientations // 2)
        every = 2 if len(self.wavelengths) > 3 else 1
        few = LocalEnergies(
            self.frame_size, self.wavelengths[::every], n_orientations, n_places
        ).to(self.center.device)
        few.contrast.copy_(self.contrast[::every])
        return few

    def places(self) -> Float[Tensor, "place 2"]:
        """Return the place positions (x, y) in pixels."""
        rows, columns = (self._axis(n) for n in self.n_places)
        y, x = torch.meshgrid(rows, columns, indexing="ij")
        return self.center + torch.stack([x.flatten(), y.flatten()], 1)

    def forward(
        self, frames: Float[Tensor, "batch 1 height width"]
    ) -> Float[Tensor, "batch feature place"]:
        """Return the features of each place, set after set."""
        even, odd = self.pairs(frames)
        luminance, even, odd = even[:, :, -1:], even[:, :, :-1], odd[:, :, :-1]
        energy = (even.square() + odd.square() + 1e-8).sqrt()
        phases = torch.cat([F.relu(even), F.relu(-even), F.relu(odd), F.relu(-odd)], 2)
        local = energy.square().mean(2, keepdim=True).sqrt()
        normalized = energy / (local + self.contrast[:, None, None])
        return torch.cat([s.flatten(1, 2) for s in (energy, phases, normalized, luminance)], 1)

    def pairs(
        self, frames: Float[Tensor, "batch 1 height width"]
    ) -> tuple[
        Float[Tensor, "batch wavelength wave place"], Float[Tensor, "batch wavelength wave place"]
    ]:
        """Return the responses of even and of odd Gabors of norm 1.

        The last wave of each wavelength has no frequency; its even response is the luminance.
        """
        height, width = self.frame_size
        across = self._matrices(width, 0)  # (wave of all, 2, place, pixel)
        down = self._matrices(height, 1)
        n_waves, _, n_down, _ = down.shape
        seen = torch.matmul(down.flatten(0, 2), frames[:, 0])
        # Whole rows of pixels are moved so that each wave has one product.
        seen = seen.unflatten(1, (n_waves, -1)).transpose(0, 1).flatten(1, 2)
        both = torch.bmm(seen, across.flatten(1, 2).mT)
        both = both.view(n_waves, len(frames), 2, n_down, 2, -1)
        even = both[:, :, 0, :, 0] - both[:, :, 1, :, 1]
        odd = both[:, :, 0, :, 1] + both[:, :, 1, :, 0]
        shape = (len(frames), len(self.sigma), -1, self.n_places[0] * self.n_places[1])
        return even.transpose(0, 1).reshape(shape), odd.transpose(0, 1).reshape(shape)

    def fit_contrast(self, frames: Float[Tensor, "batch 1 height width"]) -> None:
        """Set the constant of the normalized energies to half the mean local energy of frames."""
        even, odd = (part[:, :, :-1] for part in self.pairs(frames))
        local = (even.square() + odd.square()).mean(2).sqrt()
        self.contrast.copy_(0.5 * local.mean((0, 2)))

    def _axis(self, n: int) -> Float[Tensor, " place"]:
        """Return the places along one axis relative to the center, in pixels."""
        return self.spacing * (torch.arange(n, device=self.spacing.device) - (n - 1) / 2)

    def _matrices(self, n_pixels: int, axis: int) -> Float[Tensor, "wave 2 place pixel"]:
        """Return cosine and sine of each wave under the envelope along one axis."""
        margin = math.ceil(REACH * float(self.sigma.max()))
        pixel = torch.arange(-margin, n_pixels + margin, device=self.center.device)
        place = self.center[axis] + self._axis(self.n_places[1 - axis])
        distance = pixel - place[:, None]
        sigma = self.sigma[:, None, None, None]
        envelope = torch.exp(-0.5 * (distance / sigma).square())
        envelope = envelope * (distance.abs() <= REACH * sigma) * (2 / math.pi) ** 0.25
        phase = self.wave[:, :, axis, None, None] * distance
        waves = torch.stack([phase.cos(), phase.sin()], 2) * (envelope / sigma.sqrt())[:, :, None]
        inside = waves[..., margin : margin + n_pixels].clone()
        inside[..., 0] += waves[..., :margin].sum(-1)
        inside[..., -1] += waves[..., margin + n_pixels :].sum(-1)
        return inside.flatten(0, 1)
