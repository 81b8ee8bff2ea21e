"""ResNet-18, trained on photographs, as a core."""

from __future__ import annotations

from freegaze.models.encoder import register_model
from freegaze.models.parts.vision import CoreChoice
from freegaze.models.timm import Timm, TimmConfig
from freegaze.nn.timm_core import TimmCoreConfig


class ResNet18Config(TimmConfig):
    """Choices of the encoder: those of ``VisionConfig``, with this network's core."""

    core: CoreChoice = TimmCoreConfig(network="resnet18.tv_in1k")


@register_model("resnet18")
class ResNet18(Timm):
    """Predicts responses from the maps of ResNet-18, which starts from ImageNet weights.

    Source: He et al. (2016); Xu et al. (2023), Table 1.
    """

    Config = ResNet18Config
