"""The virtual mouse: recordings whose truth is known.

``simulate(SimulationConfig(...))`` returns a ``Recording`` like any source's, and a ``Truth``.
"""

from freegaze.simulation.processes import BIN_S, STEP_S
from freegaze.simulation.realism import CardRow, realism_card, realism_card_markdown
from freegaze.simulation.recorded import make_segments
from freegaze.simulation.replay import retinal_pictures
from freegaze.simulation.retina import affine_of_gaze, warp
from freegaze.simulation.session import simulate
from freegaze.simulation.spiking import draw_spikes
from freegaze.simulation.tracks import (
    STANDARD_SESSIONS,
    TRACKS,
    VERSION,
    VERSION_2,
    SimulationConfig,
    Track,
)
from freegaze.simulation.truth import Truth
from freegaze.simulation.vm2.violations import VIOLATIONS
from freegaze.simulation.white_noise import show_white_noise

__all__ = [
    "BIN_S",
    "STANDARD_SESSIONS",
    "STEP_S",
    "TRACKS",
    "VERSION",
    "VERSION_2",
    "VIOLATIONS",
    "CardRow",
    "SimulationConfig",
    "Track",
    "Truth",
    "affine_of_gaze",
    "draw_spikes",
    "make_segments",
    "realism_card",
    "realism_card_markdown",
    "retinal_pictures",
    "show_white_noise",
    "simulate",
    "warp",
]
