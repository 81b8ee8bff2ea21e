"""Any network of timm as a core."""

from __future__ import annotations

from freegaze.models.encoder import register_model
from freegaze.models.parts.vision import CoreChoice, VisionConfig, VisionEncoder
from freegaze.nn.readouts import LinearReadoutConfig
from freegaze.nn.shifter import NoShifterConfig, ShifterConfig
from freegaze.nn.timm_core import TimmCoreConfig


class TimmConfig(VisionConfig):
    """Choices of the encoder: those of ``VisionConfig``; ``core.network`` names the network."""

    core: CoreChoice = TimmCoreConfig()

    @classmethod
    def paper(cls, is_shifted: bool = True) -> TimmConfig:
        """Return the original's way with such networks, with or without its shifter.

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

    By default its first three stages, whose maps keep places apart, are read like any other core's;
    the original averaged the last stage over the frame.

    Source: Wightman (2019), "PyTorch Image Models".
    """

    Config = TimmConfig
