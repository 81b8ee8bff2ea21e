"""A shifter that moves where readouts look instead of moving the frames."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from freegaze.config import StrictConfig
from freegaze.nn.precision import at_least_float32


class ReadoutShifterConfig(StrictConfig):
    """A small network from the eye's position to a shift of all neurons' positions.

    Args:
        kind: ``"readout"``.
        columns: Behavior features that it reads.
        hidden: Units of each hidden layer.
        start: ``"zero"`` starts unshifted; ``"random"`` as PyTorch initializes.

    Source: Willeke et al. (2022), code; Xu et al. (2023), code.
    """

    kind: Literal["readout"] = "readout"
    columns: tuple[str, ...] = Field(default=("theta", "phi"), min_length=1)
    hidden: tuple[int, ...] = (5, 5)
    start: Literal["zero", "random"] = "zero"

    @classmethod
    def paper(cls) -> ReadoutShifterConfig:
        """Return the competition's shifter.

        Source: Willeke et al. (2022), code; Xu et al. (2023), code.
        """
        return cls(start="random")

    def build(self) -> ReadoutShifter:
        """Build the shifter."""
        return ReadoutShifter(len(self.columns), self.hidden, self.start == "zero")


class ReadoutShifter(nn.Module):
    """Maps angles to a shift (x, y) of positions that run from -1 to 1 across the maps.

    Args:
        n_inputs: Number of angles.
        hidden: Units of each hidden layer.
        starts_at_zero: Whether the first shift is zero.
    """

    def __init__(self, n_inputs: int, hidden: tuple[int, ...], starts_at_zero: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width_in, width_out in pairwise((n_inputs, *hidden, 2)):
            layers += [nn.Linear(width_in, width_out), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        if starts_at_zero:
            for parameter in layers[-2].parameters():
                nn.init.zeros_(parameter)

    def forward(self, angles: Float[Tensor, "batch angle"]) -> Float[Tensor, "batch 2"]:
        """Return the shift (x, y) for each bin's angles."""
        return at_least_float32(self.layers(angles))
