"""Encoders with a core: gaze correction, core, readout, linear path, temporal kernels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import torch
from jaxtyping import Float
from pydantic import Discriminator, Field
from torch import Tensor, nn

from freegaze.config import StrictConfig
from freegaze.dataset.dims import EncoderDims
from freegaze.dataset.sessions import PreparedSession
from freegaze.errors import ConfigError
from freegaze.models.encoder import AbstractEncoder
from freegaze.models.parts.columns import Columns
from freegaze.models.parts.gaze import GazeCorrection, ShifterChoice
from freegaze.models.parts.head import KernelHead, PositiveLink
from freegaze.models.parts.population_window import place_window
from freegaze.nn.cores import AbstractCore, CoreConfig
from freegaze.nn.gaussian import GaussianReadoutConfig
from freegaze.nn.penalties import roughness
from freegaze.nn.pooled import PooledReadoutConfig
from freegaze.nn.readouts import FactorizedReadoutConfig, LinearReadoutConfig, PixelReadout
from freegaze.nn.separable import SeparableCoreConfig
from freegaze.nn.shifter import ShifterConfig
from freegaze.nn.timm_core import TimmCoreConfig
from freegaze.nn.window import Window

CoreChoice: TypeAlias = Annotated[
    CoreConfig | SeparableCoreConfig | TimmCoreConfig, Discriminator("kind")
]
ReadoutChoice: TypeAlias = Annotated[
    FactorizedReadoutConfig | LinearReadoutConfig | GaussianReadoutConfig | PooledReadoutConfig,
    Discriminator("kind"),
]

WindowChoice = Literal["auto", "found", "whole"]

POSITIONED = ("gaussian", "pooled")
"""Readouts whose neurons have a position that a shifter can move."""


class VisionConfig(StrictConfig):
    """Choices of encoders with a core; core, readout and shifter can be combined freely.

    Args:
        shifter: What is moved by gaze: the frames (``image``), the positions of the readout
            (``readout``, with the readouts ``gaussian`` and ``pooled`` only), or nothing
            (``none``).
        core: Network from frames to maps: ``conv``, ``separable`` (the Sensorium core) or ``timm``
            (any network of timm).
        readout: ``linear`` weighs every element of the maps, ``factorized`` has one mask and one
            weight per channel for each neuron, ``gaussian`` reads one position for each neuron,
            ``pooled`` averages under a Gaussian of each neuron.
        window: Part of the retinal frame that the core reads, magnified to the size of the frame:
            ``whole``; ``found``, a window around the receptive fields of the population, which is
            searched on training windows before the fit; ``auto``, which is ``found`` where nothing
            is moved by gaze, and otherwise ``whole``.
        planes: Behavior features that the core reads as channels of constant value, beside the gray
            frame.
        linear_path: Whether each neuron also has a linear receptive field, added to the core.
        linear_downsample: Pixels, down and across, that the linear path averages into one.
        smoothness: Weight of the squared differences between neighboring pixels of the linear
            receptive fields, summed per neuron.
        positive_link: Link of expected counts: ``softplus``, or ``elu1`` (ELU + 1).
        start_at_mean: Whether a fit starts from each neuron's mean response.
    """

    shifter: ShifterChoice = ShifterConfig()
    core: CoreChoice = CoreConfig()
    readout: ReadoutChoice = PooledReadoutConfig()
    window: WindowChoice = "whole"
    planes: tuple[str, ...] = ()
    linear_path: bool = False
    linear_downsample: int = Field(default=2, ge=1)
    smoothness: float = Field(default=0.3, ge=0)
    positive_link: PositiveLink = "softplus"
    start_at_mean: bool = True


class Vision(nn.Module):
    """Turns a session's frames into one visual drive per neuron.

    Args:
        config: Choices of the parts.
        core: The core that sessions share; it is not part of this module.
        dims: Sizes and names of the session.
        has_bias: Whether the readout has a bias for each neuron.

    Raises:
        ConfigError: If parts cannot be combined, or the session lacks behavior that they read.
    """

    def __init__(
        self, config: VisionConfig, core: AbstractCore, dims: EncoderDims, has_bias: bool
    ) -> None:
        super().__init__()
        map_size = core.map_size(dims.frame_size)
        across, down = ((side - 1) / 2 * core.step_px for side in map_size[:0:-1])
        is_found = config.window == "found" or (
            config.window == "auto" and config.shifter.kind == "none"
        )
        window = Window(dims.frame_size) if is_found else None
        self.gaze = GazeCorrection(config.shifter, dims, (across, down), window)
        self.planes = Columns(dims, config.planes, "the core")
        self.readout = config.readout.build(map_size, dims.n_neurons, has_bias)
        if config.shifter.kind == "readout" and config.readout.kind not in POSITIONED:
            raise ConfigError(
                f"a {config.readout.kind} readout has no positions that `shifter: readout` could "
                "move; set `readout: gaussian` or `pooled`, or `shifter: image`"
            )
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
        """Return the visual drives of frames, each with the behavior of its bin."""
        moved = self.gaze.in_window(frames, behavior)
        maps = core(self._with_planes(moved, behavior))
        offset = self.gaze.offset(behavior)
        drive = self.readout(maps) if offset is None else self.readout(maps, offset)
        return drive if self.pixels is None else drive + self.pixels(moved)

    def penalties(self) -> dict[str, Tensor]:
        """Return the penalties on the linear path's fields and on the readout's weights."""
        penalties = self.readout.penalties()
        if self.pixels is not None and self.smoothness:
            rough = roughness(self.pixels.field[None]).mean()
            penalties["smoothness"] = self.smoothness * rough
        return penalties

    def _with_planes(self, frames: Tensor, behavior: Tensor) -> Tensor:
        if not self.planes.n_features:
            return frames
        values = self.planes(behavior)[..., None, None]
        return torch.cat([frames, values.expand(-1, -1, *frames.shape[2:]).to(frames.dtype)], 1)


class VisionHead(KernelHead):
    """One session's part: vision, temporal kernels, biases."""

    def __init__(self, config: VisionConfig, core: AbstractCore, dims: EncoderDims) -> None:
        super().__init__(dims, config.positive_link)
        self.vision = Vision(config, core, dims, has_bias=False)
        self.add_kernels(dims)


class VisionEncoder(AbstractEncoder):
    """Predicts responses from the video; behavior moves the gaze, or fills planes of the frames.

    With more than one bin of history, each neuron weighs the bins of its window by a kernel of its
    own. An encoder of this kind is a ``VisionConfig`` and a name.

    Attributes:
        Head: Class of the heads, built from (config, core, dims); its ``vision`` is a ``Vision``.
        core: The core, which sessions share.
    """

    Config = VisionConfig
    Head: ClassVar[Any] = VisionHead
    inputs = "both"

    def __init__(self, config: VisionConfig, sessions: Mapping[str, EncoderDims]) -> None:
        super().__init__(config, sessions)
        self.shifter_choice = config.shifter
        self.core = config.core.build(1 + len(config.planes))
        self.add_heads(lambda dims: self.Head(config, self.core, dims))

    @classmethod
    def reads(cls, config: Any) -> Sequence[str | Sequence[str]]:
        """Return the features of the shifter, then those of the planes."""
        return [config.shifter.columns, config.planes]

    def encode(
        self,
        video: Float[Tensor, "batch time 1 height width"],
        behavior: Float[Tensor, "batch time feature"],
        session: str | None = None,
    ) -> Float[Tensor, "batch time hidden"]:
        """Return one visual drive per neuron for each frame."""
        vision = self.head(session).vision
        drive = vision(self.core, video.flatten(0, 1), behavior.flatten(0, 1))
        return drive.unflatten(0, video.shape[:2])

    def respond(
        self, features: Float[Tensor, "batch history hidden"], session: str | None = None
    ) -> Float[Tensor, "batch neuron"]:
        """Weigh the bins of each window and apply the response link."""
        return self.head(session).respond(features)

    def penalties(self, session: str | None = None) -> dict[str, Tensor]:
        """Return the penalties on the core's filters, the readout and the linear path."""
        return self.core.penalties() | self.head(session).vision.penalties()

    def gaze(self, session: str | None = None) -> GazeCorrection:
        """Return a session's gaze correction."""
        return self.head(session).vision.gaze

    def prepare(
        self, session: str, data: PreparedSession, like: AbstractEncoder | None = None
    ) -> None:
        """Start the shifter and the window from the data, where the configuration says so."""
        gaze, shifter = self.gaze(session), self.shifter_choice
        if isinstance(shifter, ShifterConfig) and shifter.start == "camera":
            gaze.start_from_camera(data)
        found = None if like is None else like.gaze(session)
        if gaze.window is not None and found is not None and found.window is not None:
            gaze.window.load_state_dict(found.window.state_dict())
        elif gaze.window is not None:
            place_window(gaze.window, data, shifter)

    def constrain(self) -> None:
        """Return the positions of readouts that left the maps to the maps' edge."""
        for session in self.sessions:
            self.head(session).vision.readout.constrain()

    def load_pretrained(self) -> None:
        """Load the weights that the core starts a fit from.

        Raises:
            ConfigError: If they cannot be downloaded.
            CheckpointError: If their file is broken or belongs to another network.
        """
        self.core.load_pretrained()
