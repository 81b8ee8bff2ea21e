"""Shifters: from eye and head angles to a displacement of frames, or of what readouts see."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from pydantic import Field, PositiveFloat
from torch import Tensor, nn

from freegaze.config import StrictConfig
from freegaze.errors import ConfigError
from freegaze.nn.fast.batch_norm import BatchNorm1d
from freegaze.nn.precision import at_least_float32
from freegaze.nn.warp import Center, Padding, rotation_center, warp_frames

Bound = Literal["tanh", "tanh_then_bias", "clamp"]


class ShifterConfig(StrictConfig):
    """A network from angles to displacements of frames.

    The default is a small network that starts from no displacement at all, plus a straight line,
    since pixels grow nearly linearly with the angle of the eye.

    Args:
        kind: ``"image"``: it moves frames.
        columns: Behavior features that it reads.
        hidden: Units of each hidden layer.
        activation: Between layers.
        normalize: ``"batch"`` normalizes inputs and hidden layers by statistics of the batch;
            ``"none"`` relies on standardized features.
        linear: Whether inputs also reach the output directly, by a matrix.
        bound: Limit of displacements: by tanh, by tanh with a free offset outside it,
            or clipped.
        max_shift: Largest shift (x, y) as a fraction of the frame's (width, height).
        max_angle_deg: Largest rotation in degrees.
        center: Point that is rotated about (see ``freegaze.nn.warp.rotation_center``).
        padding: Value outside the frame.
        speed: Factor on the speed of displacements in training, relative to other weights: fields
            and gaze must be learned together, and fields that converge first are blurred.
        start: ``"zero"`` starts unshifted; ``"camera"`` from the camera's calibration (shifts grow
            with the angles theta and phi of the eye as pixels of the camera do); ``"random"`` as
            PyTorch initializes.

    Source: Xu et al. (2023); deviations Q11, Q12, Q13, Q14.
    """

    kind: Literal["image"] = "image"
    columns: tuple[str, ...] = Field(default=("theta", "phi", "pitch", "roll"), min_length=1)
    hidden: tuple[int, ...] = (16,)
    activation: Literal["tanh", "softplus"] = "tanh"
    normalize: Literal["none", "batch"] = "none"
    linear: bool = True
    bound: Bound = "tanh"
    max_shift: tuple[PositiveFloat, PositiveFloat] = (0.5, 0.5)
    max_angle_deg: PositiveFloat = 45.0
    center: Center = "true"
    padding: Padding = "zeros"
    speed: float = Field(default=5.0, gt=0)
    start: Literal["zero", "camera", "random"] = "zero"

    @classmethod
    def paper(cls, max_shift: float = 1 / 4, hidden: int = 256) -> ShifterConfig:
        """Return the original's shifter.

        Args:
            max_shift: 1/4 in Table 1, 1/5.5 in Tables 2 and 3.
            hidden: Units of both hidden layers: 256, in the autoencoder 128.

        Source: Xu et al. (2023), code; deviations Q11, Q12.
        """
        return cls(
            hidden=(hidden, hidden),
            normalize="batch",
            linear=False,
            bound="tanh_then_bias",
            max_shift=(max_shift, max_shift),
            center="swapped",
            speed=1.0,
            start="random",
        )

    @classmethod
    def parker2022(cls) -> ShifterConfig:
        """Return the shifter of Parker et al. (2022): clipped to 15 px of their 30 x 40 and 45 deg.

        Source: Parker et al. (2022), code.
        """
        return cls(
            columns=("theta", "phi", "pitch"),
            hidden=(20,),
            activation="softplus",
            linear=False,
            bound="clamp",
            max_shift=(15 / 40, 15 / 30),
            speed=1.0,
            start="random",
        )

    @classmethod
    def affine(cls) -> ShifterConfig:
        """Return a shifter of few parameters: displacements are linear in the angles."""
        return cls(hidden=(), linear=False, bound="clamp", speed=1.0)

    def build(self, frame_size: tuple[int, int]) -> ImageShifter:
        """Build the shifter for frames of (height, width) pixels."""
        height, width = frame_size
        displacement = DisplacementNetwork(
            n_inputs=len(self.columns),
            hidden=self.hidden,
            limits=(self.max_shift[0] * width, self.max_shift[1] * height, self.max_angle_deg),
            activation=self.activation,
            is_normalized=self.normalize == "batch",
            has_linear=self.linear,
            bound=self.bound,
            speed=self.speed,
            starts_at_zero=self.start != "random",
        )
        center = rotation_center(frame_size, self.center)
        return ImageShifter(displacement, center, self.padding)


class NoShifterConfig(StrictConfig):
    """No shifter: frames stay as the head camera recorded them.

    Args:
        kind: ``"none"``.
    """

    kind: Literal["none"] = "none"
    columns: ClassVar[tuple[str, ...]] = ()


class ReadoutShifterConfig(StrictConfig):
    """A small network from the eye's position to a shift of all neurons' positions.

    Args:
        kind: ``"readout"``: it moves the positions that readouts see.
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

    def build(self) -> DisplacementNetwork:
        """Build the shifter, to (x, y) in positions from -1 to 1 across the maps."""
        return DisplacementNetwork(
            len(self.columns), self.hidden, (1.0, 1.0), starts_at_zero=self.start == "zero"
        )


class DisplacementNetwork(nn.Module):
    """Maps angles to displacements, such as (x px, y px, angle deg).

    Args:
        n_inputs: Number of angles.
        hidden: Units of each hidden layer.
        limits: Largest value of each displacement.
        activation: ``"tanh"`` or ``"softplus"``.
        is_normalized: Whether inputs and hidden layers are batch-normalized.
        has_linear: Whether inputs also reach the output by a matrix.
        bound: Limit of the output, to ``limits``.
        speed: Factor on the output before it is bounded. An optimizer that changes every weight by
            equal steps moves displacements faster by this factor.
        starts_at_zero: Whether the first displacement is zero.
    """

    limits: Tensor

    def __init__(
        self,
        n_inputs: int,
        hidden: tuple[int, ...],
        limits: tuple[float, ...],
        *,
        activation: str = "tanh",
        is_normalized: bool = False,
        has_linear: bool = False,
        bound: Bound = "tanh",
        speed: float = 1.0,
        starts_at_zero: bool = False,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [BatchNorm1d(n_inputs)] if is_normalized else []
        for width_in, width_out in pairwise((n_inputs, *hidden)):
            layers.append(nn.Linear(width_in, width_out))
            layers += [BatchNorm1d(width_out)] if is_normalized else []
            layers.append(nn.Tanh() if activation == "tanh" else nn.Softplus())
        layers.append(nn.Linear((n_inputs, *hidden)[-1], len(limits)))
        self.layers = nn.Sequential(*layers)
        self.linear = nn.Linear(n_inputs, len(limits), bias=False) if has_linear else None
        self.offset = nn.Parameter(torch.zeros(len(limits))) if bound == "tanh_then_bias" else None
        self.bound = bound
        self.speed = speed
        self.register_buffer("limits", torch.tensor(limits), persistent=False)
        if starts_at_zero:
            zero = nn.ModuleList([layers[-1], self.linear or nn.Identity()])
            for parameter in zero.parameters():
                nn.init.zeros_(parameter)

    def start_from(self, slopes: Float[Tensor, "value angle"]) -> None:
        """Start from displacements that grow linearly with the angles.

        Args:
            slopes: Displacement per unit of each angle.

        Raises:
            ConfigError: If inputs reach the output through hidden layers alone.
        """
        line = self.layers[-1] if self.linear is None else self.linear
        if not isinstance(line, nn.Linear) or line.weight.shape != slopes.shape:
            raise ConfigError(
                "a shifter of hidden layers alone cannot start from the camera's calibration; set "
                "`shifter.linear: true`, or `shifter.start: zero`"
            )
        unit = torch.ones_like(self.limits) if self.bound == "clamp" else self.limits
        line.weight.data.copy_(slopes / (self.speed * unit)[:, None])

    def forward(self, angles: Float[Tensor, "batch angle"]) -> Float[Tensor, "batch value"]:
        """Return the displacement for each bin's angles."""
        raw = self.layers(angles)
        if self.linear is not None:
            raw = raw + self.linear(angles)
        raw = self.speed * at_least_float32(raw)  # pixels need more digits than bfloat16 has
        if self.bound == "clamp":
            return torch.clamp(raw, -self.limits, self.limits)
        bounded = torch.tanh(raw)
        return (bounded if self.offset is None else bounded + self.offset) * self.limits


class ImageShifter(nn.Module):
    """Moves each frame against the movement of the eye.

    Args:
        displacement: Network that turns angles into (x px, y px, angle deg).
        center: Point (x, y) that frames are rotated about.
        padding: Value outside the frame.
    """

    def __init__(
        self, displacement: DisplacementNetwork, center: tuple[float, float], padding: Padding
    ) -> None:
        super().__init__()
        self.displacement = displacement
        self.center = center
        self.padding: Padding = padding

    def forward(
        self,
        frames: Float[Tensor, "batch channel height width"],
        angles: Float[Tensor, "batch angle"],
        axes: tuple[Float[Tensor, " width"], Float[Tensor, " height"]] | None = None,
    ) -> Float[Tensor, "batch channel height width"]:
        """Return the frames moved by the displacements of the angles.

        Args:
            frames: The frames.
            angles: Eye and head angles in the bin of the frame, one row per frame.
            axes: Columns and rows that are returned, see ``warp_frames``; by default all.
        """
        return warp_frames(frames, self.displacement(angles), self.center, self.padding, axes)
