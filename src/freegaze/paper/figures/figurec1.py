"""Figure C1: most exciting inputs of the best neurons, found in three ways."""

from __future__ import annotations

from typing import ClassVar

from pydantic import PositiveInt

from freegaze.paper.figure import PaperFigure, register_figure
from freegaze.paper.figures.figure4 import AscentGallery, FieldGallery
from freegaze.paper.presets import MULTIMODAL


class MethodGallery(FieldGallery):
    """Receptive fields by three methods that have little in common."""

    methods: ClassVar[tuple[str, ...]] = ("ascent", "gradient", "linear")


class RepeatGallery(AscentGallery):
    """The original's images, repeated in drawn behavior; see ``AscentGallery``."""

    repeats: PositiveInt = 3
    smaller: ClassVar = {
        **AscentGallery.smaller,
        "tiny": {**AscentGallery.smaller["tiny"], "repeats": 2},
    }
    is_behavior_optimized: ClassVar[bool] = False


register_figure(
    PaperFigure(
        name="figurec1",
        title="Does what excites a neuron depend on how it is found?",
        rows=(MULTIMODAL,),
        default=MethodGallery,
        paper=RepeatGallery,
    )
)
