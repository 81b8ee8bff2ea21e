"""Networks of timm as cores; the only module that imports timm."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from freegaze.config import StrictConfig
from freegaze.errors import ConfigError
from freegaze.nn.cores import AbstractCore
from freegaze.registry import nearest_names
from freegaze.weights import load_weights, read_state_dict

NO_WEIGHTS, IMAGENET = "none", "imagenet"


class TimmCoreConfig(StrictConfig):
    """A network of timm, whole or its first stages.

    Args:
        kind: ``"timm"``.
        network: timm's name of it; ``timm.list_models()`` lists them.
        weights: Start of a fit: ``"imagenet"`` (downloaded once), ``"none"`` (random), or
            the path of a file with the network's state dict (``.safetensors``, ``.pth``).
        first_layer: ``"adapted"`` sums the loaded filters over colors, so that a gray frame has
            the same effect as in color; ``"new"`` replaces them by random ones, as in the original.
        stages: Stages kept; most halve the maps. ``None`` keeps the whole network and averages its
            last maps over the frame, which leaves no positions.
        downsample: Pixels of the frame, down and across, that are averaged into one first.

    Source: Xu et al. (2023), Table 1; deviation Q25.
    """

    kind: Literal["timm"] = "timm"
    network: str = "resnet18"
    weights: str = IMAGENET
    first_layer: Literal["adapted", "new"] = "adapted"
    stages: int | None = Field(default=3, ge=1)
    downsample: int = Field(default=1, ge=1)

    @classmethod
    def paper(cls, network: str) -> TimmCoreConfig:
        """Return the original's use of a network: all of it, with a new first layer.

        Source: Xu et al. (2023), code; deviation Q25.
        """
        return cls(network=network, first_layer="new", stages=None)

    def build(self, n_planes: int = 1) -> TimmCore:
        """Build the core for ``n_planes`` input channels, with random weights.

        Raises:
            ConfigError: If timm has no such network, or it has fewer stages.
        """
        sizes = (n_planes, self.network, self.stages, self.downsample)
        return TimmCore(*sizes, self.weights, self.first_layer)


class TimmCore(AbstractCore):
    """A network of timm without its classifier.

    Args:
        n_planes: Input channels: the gray frame, and one constant plane per behavior feature.
        network: timm's name.
        n_stages: Stages kept, or ``None`` for the whole network and an average over the frame.
        downsample: Pixels of the frame, down and across, that are averaged into one first.
        weights: See ``TimmCoreConfig``.
        first_layer: See ``TimmCoreConfig``.

    Raises:
        ConfigError: If timm has no such network, or it has fewer stages.
    """

    def __init__(
        self,
        n_planes: int,
        network: str,
        n_stages: int | None,
        downsample: int,
        weights: str,
        first_layer: str,
    ) -> None:
        super().__init__()
        self.weights, self.first_layer = weights, first_layer
        self.n_planes, self.name, self.n_stages = n_planes, network, n_stages
        self.downsample = downsample
        self.network = create_network(network, n_planes)
        stage = len(self.network.feature_info) if n_stages is None else n_stages
        _check_stages(self.network, network, stage)
        if n_stages is not None:
            self.network.prune_intermediate_layers([n_stages - 1], prune_norm=True, prune_head=True)
        self.step_px = downsample * self.network.feature_info[stage - 1]["reduction"]

    def forward(
        self, frames: Float[Tensor, "batch plane height width"]
    ) -> Float[Tensor, "batch channel h w"]:
        """Return the last stage's maps; of the whole network, one element for the frame."""
        frames = self.coarse(frames)
        if self.n_stages is None:
            return self.network(frames)[..., None, None]
        (maps,) = self.network.forward_intermediates(
            frames, indices=[self.n_stages - 1], stop_early=True, intermediates_only=True
        )
        return maps

    def map_size(self, frame_size: tuple[int, int]) -> tuple[int, int, int]:
        """Return (channels, height, width) of the maps of frames of (height, width) pixels.

        Raises:
            ConfigError: If the network cannot read such frames.
        """
        was_training = self.training
        self.eval()
        try:
            with torch.no_grad():
                maps = self(torch.zeros(1, self.n_planes, *frame_size))
        except (RuntimeError, AssertionError) as error:
            raise ConfigError(
                f"{self.name!r} cannot read frames of {frame_size[0]} x {frame_size[1]} px: "
                f"{str(error).splitlines()[0]}; take another network, or another `core.downsample`"
            ) from None
        finally:
            self.train(was_training)
        return maps.shape[1], maps.shape[2], maps.shape[3]

    def load_pretrained(self) -> None:
        """Load the weights that a fit starts from.

        Raises:
            ConfigError: If ImageNet weights can be neither downloaded nor found in timm's cache.
            CheckpointError: If a file cannot be read, or is of another network.
        """
        if self.weights == NO_WEIGHTS:
            return
        is_file = self.weights != IMAGENET
        state = read_state_dict(Path(self.weights)) if is_file else self._imagenet_weights()
        own = self.network.state_dict()
        first_layer = f"{self.network.pretrained_cfg['first_conv']}.weight"
        if self.first_layer == "new":
            state[first_layer] = own[first_layer]
        elif first_layer in state and state[first_layer].shape != own[first_layer].shape:
            # The filters of a file are of color: their sum is the filter of a gray frame.
            summed = state[first_layer].sum(1, keepdim=True)
            state[first_layer] = summed.expand(-1, self.n_planes, -1, -1) / self.n_planes
        of_core = {name: state[name] for name in own if name in state}  # without the classifier
        load_weights(self.network, of_core, f"core.weights {self.weights!r} of {self.name!r}")

    def _imagenet_weights(self) -> dict[str, Tensor]:
        try:
            return create_network(self.name, self.n_planes, pretrained=True).state_dict()
        except (OSError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise ConfigError(
                f"ImageNet weights of {self.name!r} could not be downloaded ({reason}); connect "
                "once, or set `core.weights` to a file of them, or to `none`"
            ) from None


def create_network(name: str, n_planes: int, pretrained: bool = False) -> Any:
    """Create a network of timm without its classifier.

    Args:
        name: timm's name.
        n_planes: Input channels: the gray frame, and one constant plane per behavior feature.
        pretrained: Whether to download ImageNet weights.

    Raises:
        ConfigError: If timm has no such network.
    """
    timm = import_timm()
    if not timm.is_model(name):
        known = nearest_names(name, timm.list_models())
        raise ConfigError(f"timm {timm.__version__} has no network {name!r} ({known})")
    return timm.create_model(name, num_classes=0, in_chans=n_planes, pretrained=pretrained)


def _check_stages(network: Any, name: str, stage: int) -> None:
    if not hasattr(network, "prune_intermediate_layers"):
        raise ConfigError(f"{name!r} does not give the maps of its stages; take another network")
    if stage > len(network.feature_info):
        raise ConfigError(
            f"{name!r} has {len(network.feature_info)} stages, core.stages is {stage}; set it "
            "lower, or to null for the whole network"
        )


def import_timm() -> ModuleType:
    """Import timm, also where torchvision comes without its compiled operators.

    torchvision's wheel for GPUs registers shapes of two operators on import, which fails on a torch
    without GPU support unless their schemas are declared. No core uses them.
    """
    for schema in (
        "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
        "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    ):
        name = schema.split("(")[0]
        if not torch.cuda.is_available() and not hasattr(torch.ops.torchvision, name):
            torch.library.define(f"torchvision::{name}", schema.removeprefix(name))
    import timm

    return timm
