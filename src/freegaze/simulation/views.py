"""One pass over the session that renders the frames of camera and retina.

Retinal frames of an hour would fill 4 GB; each is filtered as soon as it is rendered, and not kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from freegaze.progress import Progress
from freegaze.simulation.body import Body
from freegaze.simulation.camera import Renderer
from freegaze.simulation.eye import Eye
from freegaze.simulation.processes import STEPS_PER_BIN
from freegaze.simulation.rates import MEAN_GRAY, Drives, FilterBank
from freegaze.simulation.retina import RetinaKind, affine_of_gaze, best_affine, eye_pose, warp
from freegaze.simulation.rotation import camera_rotation

RAYS_PER_BATCH = 120_000
"""Eight bins of 60 x 80 pixels: the arrays of the ray caster then stay in the processor's cache."""


@contextmanager
def single_threaded() -> Iterator[int]:
    """Let each tensor operation run on one thread, and give the number of threads there were.

    The arrays here are small: threads within an operation would mostly wait for each other, batches
    side by side do not. And the results do not depend on how many cores there are.
    """
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield n_threads
    finally:
        torch.set_num_threads(n_threads)


@dataclass(frozen=True)
class Glance:
    """Rendered steps.

    Args:
        camera: Camera frames, brightness in 0..1, (steps, height, width).
        retina: Retinal frames minus gray, of the same shape.
        affine: x_px, y_px, rotation_deg from camera to retina, (bins, 3).
        brightness: Mean brightness of the view, 0..1, (steps,).
    """

    camera: torch.Tensor
    retina: torch.Tensor
    affine: np.ndarray
    brightness: np.ndarray


@dataclass(frozen=True)
class Views:
    """Camera frames, and responses of the filters to the retinal frames.

    Args:
        mean_frames: Camera, mean of the three steps of each bin, uint8 (n_bins, height, width).
        middle_frames: Camera, middle step, uint8 (n_bins, height, width).
        brightness: Mean brightness of the view at each step, 0..1, (n_steps,).
        drives: Drive of the neurons' filters at each step.
        best_affine: x_px, y_px, rotation_deg from camera to retina, (n_bins, 3).
    """

    mean_frames: np.ndarray
    middle_frames: np.ndarray
    brightness: np.ndarray
    drives: Drives
    best_affine: np.ndarray


def look(
    glance: Callable[[slice], Glance],
    bank: FilterBank,
    n_bins: int,
    frame_size: tuple[int, int],
    n_workers: int = 1,
    progress: Progress | None = None,
) -> Views:
    """Render the whole session, batch by batch.

    Args:
        glance: Renders the steps of a slice.
        bank: The neurons' filters.
        n_bins: Length of the session.
        frame_size: (height, width) of the frames.
        n_workers: Batches rendered at a time; the result does not depend on it.
        progress: Called with ("render", bins done, bins in all).

    Returns:
        Frames, brightness, drives and affines.
    """
    frames = np.empty((2, n_bins, *frame_size), dtype=np.uint8)
    height, width = frame_size
    bins_per_batch = max(RAYS_PER_BATCH // (STEPS_PER_BIN * height * width), 1)

    def see(start: int) -> tuple[np.ndarray, np.ndarray, Drives]:
        bins = slice(start, min(start + bins_per_batch, n_bins))
        steps = slice(bins.start * STEPS_PER_BIN, bins.stop * STEPS_PER_BIN)
        seen = glance(steps)
        in_bins = seen.camera.view(-1, STEPS_PER_BIN, *frame_size)
        frames[0, bins] = _to_bytes(in_bins.mean(dim=1))
        frames[1, bins] = _to_bytes(in_bins[:, STEPS_PER_BIN // 2])
        return seen.brightness, seen.affine, bank.see(seen.retina)

    parts: list[tuple[np.ndarray, np.ndarray, Drives]] = []
    with ThreadPoolExecutor(n_workers) as pool:
        for part in pool.map(see, range(0, n_bins, bins_per_batch)):
            parts.append(part)
            if progress is not None:
                progress("render", min(len(parts) * bins_per_batch, n_bins), n_bins)
    brightness, affine, drives = zip(*parts, strict=True)
    return Views(
        mean_frames=frames[0],
        middle_frames=frames[1],
        brightness=np.concatenate(brightness),
        drives=type(drives[0]).joined(drives),
        best_affine=np.concatenate(affine),
    )


def glance_of_mouse(
    renderer: Renderer, body: Body, eye: Eye, retina: RetinaKind, steps: slice
) -> Glance:
    """Render some steps of a mouse with an ideal camera.

    Args:
        renderer: The camera in its world.
        body: Positions of the head.
        eye: Directions of the eye.
        retina: "sphere" renders the retinal frame, "affine" moves the camera's.
        steps: Steps of whole bins.

    Returns:
        What is seen; brightness is that of the camera's frame.
    """
    position = body.position_cm[steps]
    camera = camera_rotation(body.yaw_deg[steps], body.pitch_deg[steps], body.roll_deg[steps])
    gaze = (eye.theta_deg[steps], eye.phi_deg[steps], eye.torsion_deg[steps])
    pictures = renderer.render(position, camera)
    brightness = pictures.mean(dim=(1, 2)).numpy()
    if retina == "affine":
        affine = affine_of_gaze(*gaze, renderer.scale_deg)
        in_bins = affine.reshape(-1, STEPS_PER_BIN, 3).mean(axis=1)
        return Glance(pictures, warp(pictures - MEAN_GRAY, affine), in_bins, brightness)
    eye_position, axes = eye_pose(position, camera, *gaze)
    retinal = renderer.render(eye_position, axes) - MEAN_GRAY
    middle = slice(STEPS_PER_BIN // 2, None, STEPS_PER_BIN)
    affine = best_affine(
        renderer, position[middle], camera[middle], eye_position[middle], axes[middle]
    )
    return Glance(pictures, retinal, affine, brightness)


def _to_bytes(pictures: torch.Tensor) -> np.ndarray:
    return (pictures * 255).round_().to(torch.uint8).numpy()
