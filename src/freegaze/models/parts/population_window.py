"""Window of the retinal frame in which a population's receptive fields lie."""

from __future__ import annotations

from freegaze.dataset.sessions import PreparedSession
from freegaze.models.parts.energy_head import LocalEnergyHead
from freegaze.models.parts.energy_window import search_session
from freegaze.models.parts.gaze import ShifterChoice
from freegaze.nn.shifter import NoShifterConfig, ShifterConfig
from freegaze.nn.window import Window

WAVELENGTHS = (3.0, 6.5, 14.0)
N_ORIENTATIONS = 4
PLACES = (5, 5)
N_FOLDS = 5
"""Features and folds of the search, fewer than those of ``local_energy``."""

HEIGHT_IN_SD = 10.0
"""Height of the window in standard deviations of the population's Gaussian."""

GAZE_MARGIN = 0.1
"""Height that is added where a shifter moves frames, as a share of the frame's: its first
displacements are off by some pixels."""

LEAST_HEIGHT_PX = 24.0
"""Height of the smallest window. On macaque V1 smaller ones lost correlation when their center was
a few pixels off."""


def place_window(window: Window, session: PreparedSession, shifter: ShifterChoice) -> None:
    """Place the window of an encoder around the receptive fields of a session's population.

    The center and the spread of the fields are those of ``local_energy``: the Gaussian window in
    which ridge regression on local energies predicts held-out folds of the training windows best.

    Args:
        window: Changed in place; it remains the whole frame where fields are spread over it, or
            where the frame is no higher than ``LEAST_HEIGHT_PX``.
        session: The prepared session; training windows are used.
        shifter: The encoder's shifter; an image shifter starts from the camera's calibration.
    """
    height = session.dims.frame_size[0]
    if height <= LEAST_HEIGHT_PX:
        return
    is_moved = isinstance(shifter, ShifterConfig)
    moved = ShifterConfig.affine().model_copy(update={"columns": shifter.columns})
    head = LocalEnergyHead(
        session.dims,
        moved if is_moved else NoShifterConfig(),
        (),
        WAVELENGTHS,
        N_ORIENTATIONS,
        PLACES,
    )
    if head.gaze is not None:
        head.gaze.start_from_camera(session)
    search_session(head, session, N_FOLDS)
    place_around(window, head)


def place_around(window: Window, head: LocalEnergyHead) -> None:
    """Place the window of an encoder around the Gaussian window of a head.

    Args:
        window: Changed in place; it remains the whole frame where the frame is no higher than
            ``LEAST_HEIGHT_PX``.
        head: Its window has been found.
    """
    height = window.frame_size[0]
    if height <= LEAST_HEIGHT_PX:
        return
    margin = 0.0 if head.shifter is None else GAZE_MARGIN * height
    wanted = HEIGHT_IN_SD * float(head.window_sd) + margin
    x, y = head.energies.center.tolist()
    window.place((x, y), height / min(max(wanted, LEAST_HEIGHT_PX), height))
