"""One pass over the session that renders the frames of camera and retina.

Retinal frames of an hour would fill 4 GB; each is filtered as soon as it is rendered, and not kept.
"""

from __future__ import annotations

from collections.abc import Iterator
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
class Views:
    """Camera frames, and responses of the filters to the retinal frames.

    Args:
        mean_frames: Camera, mean of the three steps of each bin, uint8 (n_bins, height, width).
        middle_frames: Camera, middle step, uint8 (n_bins, height, width).
        brightness: Mean of the camera's frame at each step, 0..1, (n_steps,).
        drives: Drive of the neurons' filters at each step.
        best_affine: x_px, y_px, rotation_deg from camera to retina, (n_bins, 3).
    """

    mean_frames: np.ndarray
    middle_frames: np.ndarray
    brightness: np.ndarray
    drives: Drives
    best_affine: np.ndarray


def look(
    renderer: Renderer,
    bank: FilterBank,
    body: Body,
    eye: Eye,
    retina: RetinaKind,
    n_workers: int = 1,
    progress: Progress | None = None,
) -> Views:
    """Render the whole session, batch by batch.

    Args:
        renderer: The camera in its world.
        bank: The neurons' filters.
        body: Positions of the head.
        eye: Directions of the eye.
        retina: "sphere" renders the retinal frame, "affine" moves the camera's.
        n_workers: Batches rendered at a time; the result does not depend on it.
        progress: Called with ("render", bins done, bins in all).

    Returns:
        Frames, brightness, drives and affines.
    """
    n_bins = len(body.yaw_deg) // STEPS_PER_BIN
    frames = np.empty((2, n_bins, *renderer.frame_size), dtype=np.uint8)
    height, width = renderer.frame_size
    bins_per_batch = max(RAYS_PER_BATCH // (STEPS_PER_BIN * height * width), 1)

    def see(start: int) -> tuple[np.ndarray, np.ndarray, Drives]:
        bins = slice(start, min(start + bins_per_batch, n_bins))
        steps = slice(bins.start * STEPS_PER_BIN, bins.stop * STEPS_PER_BIN)
        camera, retinal, affine = _look_once(renderer, body, eye, retina, steps)
        in_bins = camera.view(-1, STEPS_PER_BIN, *renderer.frame_size)
        frames[0, bins] = _to_bytes(in_bins.mean(dim=1))
        frames[1, bins] = _to_bytes(in_bins[:, STEPS_PER_BIN // 2])
        return camera.mean(dim=(1, 2)).numpy(), affine, bank.see(retinal)

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
        drives=Drives.joined(drives),
        best_affine=np.concatenate(affine),
    )


def _look_once(
    renderer: Renderer, body: Body, eye: Eye, retina: RetinaKind, steps: slice
) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """Render one batch: camera frames, retinal frames minus gray, affine of each bin."""
    position = body.position_cm[steps]
    camera = camera_rotation(body.yaw_deg[steps], body.pitch_deg[steps], body.roll_deg[steps])
    gaze = (eye.theta_deg[steps], eye.phi_deg[steps], eye.torsion_deg[steps])
    pictures = renderer.render(position, camera)
    if retina == "affine":
        affine = affine_of_gaze(*gaze, renderer.scale_deg)
        in_bins = affine.reshape(-1, STEPS_PER_BIN, 3).mean(axis=1)
        return pictures, warp(pictures - MEAN_GRAY, affine), in_bins
    eye_position, axes = eye_pose(position, camera, *gaze)
    retinal = renderer.render(eye_position, axes) - MEAN_GRAY
    middle = slice(STEPS_PER_BIN // 2, None, STEPS_PER_BIN)
    affine = best_affine(
        renderer, position[middle], camera[middle], eye_position[middle], axes[middle]
    )
    return pictures, retinal, affine


def _to_bytes(pictures: torch.Tensor) -> np.ndarray:
    return (pictures * 255).round_().to(torch.uint8).numpy()
