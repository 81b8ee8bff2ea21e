"""Look again at moments of a simulated session, from its truth alone."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Integer

from freegaze.simulation.camera import Renderer
from freegaze.simulation.processes import STEPS_PER_BIN
from freegaze.simulation.retina import affine_of_gaze, eye_pose, warp
from freegaze.simulation.rotation import camera_rotation
from freegaze.simulation.streams import random_streams
from freegaze.simulation.tracks import TRACKS
from freegaze.simulation.truth import Truth
from freegaze.simulation.world import make_world


def retinal_pictures(
    truth: Truth, bins: Integer[np.ndarray, " n"]
) -> Float[np.ndarray, "n height width"]:
    """Render what fell on the retina in the middle of some bins.

    Retinal frames are not stored: this draws the world again from the seed and looks from the
    true path.

    Args:
        truth: Truth of the session.
        bins: Numbers of the bins.

    Returns:
        Brightness in 0..1, shape (n, height, width); in the affine retina, what lies outside the
        camera's frame is 0.
    """
    height, width = truth.receptive_field.shape[2:]
    renderer = Renderer(
        make_world(random_streams(truth.seed, truth.version)["world"]), (height, width)
    )
    steps = np.asarray(bins) * STEPS_PER_BIN + STEPS_PER_BIN // 2
    path = {name: np.asarray(signal, np.float64)[steps] for name, signal in truth.path.items()}
    position = np.column_stack([path[f"true_{axis}_cm"] for axis in "xyz"])
    camera = camera_rotation(path["true_yaw"], path["true_pitch"], path["true_roll"])
    gaze = (path["true_theta"], path["true_phi"], path["true_torsion"])
    if TRACKS[truth.track].retina == "affine":
        pictures = renderer.render(position, camera)
        return warp(pictures, affine_of_gaze(*gaze, renderer.scale_deg)).numpy()
    eye_position, eye = eye_pose(position, camera, *gaze)
    return renderer.render(eye_position, eye).numpy()
