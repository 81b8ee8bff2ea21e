"""EfficientNet-B0, trained on photographs, as a core."""

from __future__ import annotations

from freegaze.models.encoder import register_model
from freegaze.models.parts.vision import CoreChoice
from freegaze.models.timm import Timm, TimmConfig
from freegaze.nn.timm_core import TimmCoreConfig


class EfficientNetB0Config(TimmConfig):
    """Choices of the encoder: those of ``VisionConfig``, with this network's core."""

    core: CoreChoice = TimmCoreConfig(network="efficientnet_b0")


@register_model("efficientnet_b0")
class EfficientNetB0(Timm):
    """Predicts responses from the maps of EfficientNet-B0, which starts from ImageNet weights.

    Source: Tan and Le (2019); Xu et al. (2023), Table 1.
    """

    Config = EfficientNetB0Config
