"""Networks of timm as cores: any of them by name, and two that start from ImageNet weights."""

from __future__ import annotations

from freegaze.models.encoder import register_model
from freegaze.models.parts.vision import CoreChoice, ReadoutChoice, VisionConfig, VisionEncoder
from freegaze.nn.readouts import FactorizedReadoutConfig, LinearReadoutConfig
from freegaze.nn.shifter import NoShifterConfig, ShifterConfig
from freegaze.nn.timm_core import TimmCoreConfig


class TimmConfig(VisionConfig):
    """Choices of the encoder: those of ``VisionConfig``; ``core.network`` names the network.

    Defaults of readout and linear path are those with which the pretrained cores were measured.
    """

    core: CoreChoice = TimmCoreConfig()
    readout: ReadoutChoice = FactorizedReadoutConfig()
    linear_path: bool = True

    @classmethod
    def paper(cls, is_shifted: bool = True) -> TimmConfig:
        """Return the original's encoder with such a network, with or without its shifter.

        Source: Xu et al. (2023), Table 1; deviations Q11, Q12, Q13, Q25.
        """
        return cls(
            shifter=ShifterConfig.paper() if is_shifted else NoShifterConfig(),
            core=TimmCoreConfig.paper(cls.model_fields["core"].default.network),
            readout=LinearReadoutConfig(),
            linear_path=False,
            start_at_mean=False,
        )


@register_model("timm")
class Timm(VisionEncoder):
    """Predicts responses from the maps of any network of timm; ``timm:NAME`` is short for it.

    By default its first three stages are read like the maps of any other core. The original
    averaged the last stage over the frame.

    Source: Wightman (2019), "PyTorch Image Models".
    """

    Config = TimmConfig


class ResNet18Config(TimmConfig):
    """Choices of the encoder: those of ``VisionConfig``, with this network's core."""

    core: CoreChoice = TimmCoreConfig(network="resnet18.tv_in1k")


@register_model("resnet18")
class ResNet18(Timm):
    """Predicts responses from the maps of ResNet-18, which starts from ImageNet weights.

    Source: He et al. (2016); Xu et al. (2023), Table 1.
    """

    Config = ResNet18Config


class EfficientNetB0Config(TimmConfig):
    """Choices of the encoder: those of ``VisionConfig``, with this network's core."""

    core: CoreChoice = TimmCoreConfig(network="efficientnet_b0")


@register_model("efficientnet_b0")
class EfficientNetB0(Timm):
    """Predicts responses from the maps of EfficientNet-B0, which starts from ImageNet weights.

    Source: Tan and Le (2019); Xu et al. (2023), Table 1.
    """

    Config = EfficientNetB0Config
