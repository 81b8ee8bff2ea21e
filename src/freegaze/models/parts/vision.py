"""A session's way from frames to visual drives: gaze, readout of the shared core, linear path."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import torch
from jaxtyping import Float
from pydantic import Discriminator, Field
from torch import Tensor, nn

from freegaze.config import StrictConfig
from freegaze.dataset.dims import EncoderDims
from freegaze.errors import ConfigError
from freegaze.models.parts.columns import Columns
from freegaze.models.parts.gaze import GazeCorrection, ShifterChoice, shifter_columns
from freegaze.models.parts.link import PositiveLink
from freegaze.nn.cores import AbstractCore, CoreConfig
from freegaze.nn.gaussian import GaussianReadout, GaussianReadoutConfig
from freegaze.nn.penalties import roughness
from freegaze.nn.readouts import FactorizedReadoutConfig, LinearReadoutConfig, PixelReadout
from freegaze.nn.separable import SeparableCoreConfig
from freegaze.nn.shifter import ShifterConfig
from freegaze.nn.timm_core import TimmCoreConfig

CoreChoice: TypeAlias = Annotated[
    CoreConfig | SeparableCoreConfig | TimmCoreConfig, Discriminator("kind")
]
ReadoutChoice: TypeAlias = Annotated[
    FactorizedReadoutConfig | LinearReadoutConfig | GaussianReadoutConfig, Discriminator("kind")
]


class VisionConfig(StrictConfig):
    """Choices that encoders with a core share; any core goes with any readout and any shifter.

    Args:
        shifter: What follows gaze: the frames (``image``), the places that readouts look at
            (``readout``, with the Gaussian readout only), or nothing (``none``).
        core: What turns frames into maps: ``conv``, ``separable`` (the Sensorium core) or ``timm``
            (any network of timm).
        readout: ``linear`` weighs every element of the maps, ``factorized`` has a mask and a weight
            a channel for each neuron, ``gaussian`` looks at one place for each neuron.
        planes: Behavior features that the core sees as constant planes beside the gray one.
        linear_path: Whether each neuron also has a linear receptive field beside the core.
        linear_downsample: Pixels, down and across, that the linear path averages into one.
        smoothness: Weight of the squared differences between neighbors in those receptive fields,
            summed for a neuron.
        positive_link: What keeps expected counts positive: ``softplus``, or ``elu1`` (ELU + 1).
        start_at_mean: Whether a fit starts from each neuron's mean response.
    """

    shifter: ShifterChoice = ShifterConfig()
    core: CoreChoice = CoreConfig()
    readout: ReadoutChoice = FactorizedReadoutConfig()
    planes: tuple[str, ...] = ()
    linear_path: bool = True
    linear_downsample: int = Field(default=2, ge=1)
    smoothness: float = Field(default=0.3, ge=0)
    positive_link: PositiveLink = "softplus"
    start_at_mean: bool = True

    def build_core(self) -> AbstractCore:
        """Build the core, which sessions share."""
        return self.core.build(1 + len(self.planes))

    def behavior_columns(self) -> tuple[str, ...]:
        """Name the behavior features that vision reads: the shifter's, then the planes."""
        return tuple(dict.fromkeys((*shifter_columns(self.shifter), *self.planes)))


class Vision(nn.Module):
    """Turns a session's frames into one visual drive a neuron.

    Args:
        config: What it is made of.
        core: The core that sessions share; it is not part of this module.
        dims: Sizes and names of the session.
        has_bias: Whether the readout adds a number for each neuron.

    Raises:
        ConfigError: If parts do not go together, or the session lacks what they read.
    """

    def __init__(
        self, config: VisionConfig, core: AbstractCore, dims: EncoderDims, has_bias: bool
    ) -> None:
        super().__init__()
        self.gaze = GazeCorrection(config.shifter, dims)
        self.planes = Columns(dims.columns(config.planes, "the core"))
        self.n_planes = len(config.planes)
        map_size = core.map_size(dims.frame_size)
        self.readout = config.readout.build(map_size, dims.n_neurons, has_bias)
        if config.shifter.kind == "readout" and config.readout.kind != "gaussian":
            raise ConfigError(
                f"a {config.readout.kind} readout has no positions that `shifter: readout` could "
                "move; set `readout: gaussian`, or `shifter: image`"
            )
        # From positions, which run from -1 to 1 between the outermost elements of the maps.
        self.px_per_position = tuple((side - 1) / 2 * core.step_px for side in map_size[:0:-1])
        self.pixels = (
            PixelReadout(dims.frame_size, config.linear_downsample, dims.n_neurons)
            if config.linear_path
            else None
        )
        self.smoothness = config.smoothness

    def forward(
        self,
        core: AbstractCore,
        frames: Float[Tensor, "batch 1 height width"],
        behavior: Float[Tensor, "batch feature"],
    ) -> Float[Tensor, "batch neuron"]:
        """Return the visual drives of frames seen in some behavior."""
        moved = self.gaze(frames, behavior)
        maps = core(self._with_planes(moved, behavior))
        offset = self.gaze.offset(behavior)
        drive = self.readout(maps) if offset is None else self.readout(maps, offset)
        return drive if self.pixels is None else drive + self.pixels(moved)

    def displacement(
        self, behavior: Float[Tensor, "batch feature"]
    ) -> Float[Tensor, "batch 3"] | None:
        """Return (x px, y px, angle deg) for each bin, or ``None`` without a shifter.

        A readout that looks further to the right is as good as a frame moved to the left.
        """
        offset = self.gaze.offset(behavior)
        if offset is None:
            return self.gaze.displacement(behavior)
        shift = -offset * offset.new_tensor(self.px_per_position)
        return torch.cat([shift, torch.zeros_like(shift[:, :1])], 1)

    def penalties(self) -> dict[str, Tensor]:
        """Return the penalties on the linear path's fields and on the readout's weights."""
        penalties = {}
        if isinstance(self.readout, GaussianReadout):
            penalties |= self.readout.penalties()
        if self.pixels is not None and self.smoothness:
            rough = roughness(self.pixels.field[None]).mean()
            penalties["smoothness"] = self.smoothness * rough
        return penalties

    def constrain(self) -> None:
        """Put positions of the readout that left the maps back on their edge."""
        if isinstance(self.readout, GaussianReadout):
            self.readout.constrain()

    def _with_planes(self, frames: Tensor, behavior: Tensor) -> Tensor:
        if not self.n_planes:
            return frames
        values = self.planes(behavior)[..., None, None]
        return torch.cat([frames, values.expand(-1, -1, *frames.shape[2:]).to(frames.dtype)], 1)
