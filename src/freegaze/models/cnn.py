"""Vision only: a shifter, a convolutional core, a readout, a temporal kernel for each neuron."""

from __future__ import annotations

from freegaze.models.encoder import register_model
from freegaze.models.parts.vision import VisionConfig, VisionEncoder, WindowChoice
from freegaze.nn.cores import CoreConfig
from freegaze.nn.readouts import LinearReadoutConfig
from freegaze.nn.shifter import NoShifterConfig, ShifterConfig


class CNNConfig(VisionConfig):
    """Choices of the vision-only encoder: those of ``VisionConfig``, and a window that is found."""

    window: WindowChoice = "auto"

    @classmethod
    def paper(cls, is_shifted: bool = True) -> CNNConfig:
        """Return the original's encoder, with or without its shifter.

        Source: Xu et al. (2023), Table 1; deviations Q11, Q12, Q13, Q15, Q19.
        """
        return cls(
            shifter=ShifterConfig.paper() if is_shifted else NoShifterConfig(),
            core=CoreConfig.paper(),
            readout=LinearReadoutConfig(),
            window="whole",
            linear_path=False,
            start_at_mean=False,
        )


@register_model("cnn")
class CNN(VisionEncoder):
    """Predicts responses from the video alone; behavior only moves the frames.

    With a history of one bin this is the original's CNN.

    Source: Xu et al. (2023), Table 1.
    """

    Config = CNNConfig
