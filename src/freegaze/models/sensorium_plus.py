"""The Sensorium+ baseline: as Sensorium, with behavior as planes beside the picture."""

from __future__ import annotations

from freegaze.dataset.features import FEATURE_SETS
from freegaze.models.encoder import register_model
from freegaze.models.sensorium import Sensorium, SensoriumConfig


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
    """Predicts responses from frames to which constant planes of behavior are added.

    Source: Willeke et al. (2022), "The Sensorium competition"; Xu et al. (2023), Table 2.
    """

    Config = SensoriumPlusConfig
