"""Baselines of the Sensorium competition: depth-separable core, Gaussian readout."""

from __future__ import annotations

from freegaze.dataset.features import FEATURE_SETS
from freegaze.models.encoder import register_model
from freegaze.models.parts.gaze import ShifterChoice
from freegaze.models.parts.head import PositiveLink
from freegaze.models.parts.vision import CoreChoice, ReadoutChoice, VisionConfig, VisionEncoder
from freegaze.nn.gaussian import GaussianReadoutConfig
from freegaze.nn.separable import SeparableCoreConfig
from freegaze.nn.shifter import NoShifterConfig, ReadoutShifterConfig


class SensoriumConfig(VisionConfig):
    """Choices of the encoder: those of ``VisionConfig``, with other defaults."""

    shifter: ShifterChoice = ReadoutShifterConfig()
    core: CoreChoice = SeparableCoreConfig()
    readout: ReadoutChoice = GaussianReadoutConfig(l1=0.0005)
    linear_path: bool = False
    positive_link: PositiveLink = "elu1"

    @classmethod
    def paper(cls, is_shifted: bool = True) -> SensoriumConfig:
        """Return the encoder of the original's Sensorium row, with or without its shifter.

        Source: Xu et al. (2023), Table 1; deviation Q27.
        """
        return cls(
            shifter=ReadoutShifterConfig.paper() if is_shifted else NoShifterConfig(),
            core=SeparableCoreConfig.paper(),
            readout=GaussianReadoutConfig.paper(),
            start_at_mean=False,
        )


@register_model("sensorium")
class Sensorium(VisionEncoder):
    """Predicts responses from one place of the maps for each neuron; gaze moves those places.

    Source: Willeke et al. (2022), "The Sensorium competition"; Xu et al. (2023), Table 1.
    """

    Config = SensoriumConfig


class SensoriumPlusConfig(SensoriumConfig):
    """Choices of the encoder: those of ``VisionConfig``, with other defaults."""

    planes: tuple[str, ...] = FEATURE_SETS["S"]

    @classmethod
    def paper(cls, is_shifted: bool = True) -> SensoriumPlusConfig:
        """Return the encoder of the original's Sensorium+ row, with or without its shifter.

        Source: Xu et al. (2023), Table 2; deviations Q27, Q28.
        """
        vision = SensoriumConfig.paper(is_shifted)
        planes = ("pupil_area", "d_pupil_area", "speed")
        return cls.model_validate({**vision.model_dump(), "planes": planes})


@register_model("sensorium_plus")
class SensoriumPlus(Sensorium):
    """Predicts responses from frames to which behavior is added as channels of constant value.

    Source: Willeke et al. (2022), "The Sensorium competition"; Xu et al. (2023), Table 2.
    """

    Config = SensoriumPlusConfig
