"""A session's way from frames to visual drives: gaze, readout of the shared core, linear path."""

from __future__ import annotations

from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from freegaze.config import StrictConfig
from freegaze.models._gaze import GazeCorrection, ShifterChoice
from freegaze.models.encoder import EncoderDims
from freegaze.nn.cores import ConvCore, CoreConfig
from freegaze.nn.penalties import roughness
from freegaze.nn.readouts import PixelReadout, ReadoutKind, build_readout
from freegaze.nn.shifter import ShifterConfig


class VisionConfig(StrictConfig):
    """Choices that encoders with a convolutional core share.

    Args:
        shifter: How frames are moved by gaze, or ``none``.
        core: The convolutional core.
        readout: ``"linear"`` weighs every element of the maps, ``"factorized"`` has a mask and a
            weight a channel for each neuron.
        linear_path: Whether each neuron also has a linear receptive field beside the core.
        linear_downsample: Pixels, down and across, that the linear path averages into one.
        smoothness: Weight of the squared differences between neighbors in those receptive fields,
            summed for a neuron.
        start_at_mean: Whether a fit starts from each neuron's mean response.
    """

    shifter: ShifterChoice = ShifterConfig()
    core: CoreConfig = CoreConfig()
    readout: ReadoutKind = "factorized"
    linear_path: bool = True
    linear_downsample: int = Field(default=2, ge=1)
    smoothness: float = Field(default=0.3, ge=0)
    start_at_mean: bool = True


class Vision(nn.Module):
    """Turns a session's frames into one visual drive a neuron.

    Args:
        config: What it is made of.
        core: The core that sessions share; it is not part of this module.
        dims: Sizes and names of the session.
        has_bias: Whether the readout adds a number for each neuron.
    """

    def __init__(
        self, config: VisionConfig, core: ConvCore, dims: EncoderDims, has_bias: bool
    ) -> None:
        super().__init__()
        self.gaze = GazeCorrection(config.shifter, dims)
        map_size = core.map_size(dims.frame_size)
        self.readout = build_readout(config.readout, map_size, dims.n_neurons, has_bias)
        self.pixels = (
            PixelReadout(dims.frame_size, config.linear_downsample, dims.n_neurons)
            if config.linear_path
            else None
        )
        self.smoothness = config.smoothness

    def forward(
        self,
        core: ConvCore,
        frames: Float[Tensor, "batch 1 height width"],
        behavior: Float[Tensor, "batch feature"],
    ) -> Float[Tensor, "batch neuron"]:
        """Return the visual drives of frames seen in some behavior."""
        moved = self.gaze(frames, behavior)
        drive = self.readout(core(moved))
        return drive if self.pixels is None else drive + self.pixels(moved)

    def penalties(self) -> dict[str, Tensor]:
        """Return the penalty on rough receptive fields of the linear path."""
        if self.pixels is None or not self.smoothness:
            return {}
        return {"smoothness": self.smoothness * roughness(self.pixels.field[None]).mean()}
