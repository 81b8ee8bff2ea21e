"""The box that the virtual mouse walks in: six textured planes, one with a brighter monitor.

Coordinates are centimeters, x along the long side, y along the short side, z up, the origin in a
corner of the floor. Textures are dead leaves (edges) on a 1/f field, as natural images are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

BOX_SIZE_CM = (48.0, 37.0, 30.0)
"""Size of the arena along x, y, z (the arena of the recordings that this imitates)."""

TEXELS_PER_CM = 5.0
"""At the usual 10 cm to a wall a 1.5 degree pixel covers 0.26 cm, so that a texel is a bit
smaller."""

N_BLUR_LEVELS = 10
"""Half-octave levels of blur: pixels up to 2**4.5 = 22 texels wide (60 cm away and oblique)."""

MONITOR_CM = (27.0, 15.0)
"""Width and height of the screen on the wall at the largest x (a 12-inch monitor)."""

FACE_MEANS = {"wall": 0.40, "floor": 0.30, "ceiling": 0.50, "monitor": 0.78}
"""Mean brightness (0..1): light falls from above, and the monitor is the brightest thing."""

FACE_CONTRAST = 0.17
"""Standard deviation of brightness on each face; with the means it keeps few texels clipped."""


@dataclass(frozen=True)
class World:
    """A box seen from inside, its textures ready for sampling.

    Args:
        size_cm: Extent along x, y, z.
        atlas: All faces below each other (x-, x+, y-, y+, z-, z+), and that stack once for every
            level of blur, shape (n_levels * rows, columns), float32 in 0..1.
        texels_per_cm: Resolution of the textures.
        n_levels: Number of blur levels, each half an octave wider than the one before.
    """

    size_cm: tuple[float, float, float]
    atlas: torch.Tensor
    texels_per_cm: float
    n_levels: int

    @property
    def atlas_height_cm(self) -> float:
        """Height of the stack of six faces of one blur level."""
        return 2 * (self.size_cm[2] + self.size_cm[2] + self.size_cm[1])


def make_world(rng: np.random.Generator) -> World:
    """Draw the textures of one box.

    Args:
        rng: Source of randomness; the same state gives the same box.

    Returns:
        The box of ``BOX_SIZE_CM``.
    """
    x_cm, y_cm, z_cm = BOX_SIZE_CM
    extents = [("wall", z_cm, y_cm)] * 2 + [("wall", z_cm, x_cm)] * 2
    extents += [("floor", y_cm, x_cm), ("ceiling", y_cm, x_cm)]
    faces = [_face(rng, *extent) for extent in extents]
    faces[1] = _with_monitor(rng, faces[1])
    return world_from_faces(faces, BOX_SIZE_CM, TEXELS_PER_CM, N_BLUR_LEVELS)


def world_from_faces(
    faces: list[np.ndarray],
    size_cm: tuple[float, float, float],
    texels_per_cm: float = TEXELS_PER_CM,
    n_levels: int = N_BLUR_LEVELS,
) -> World:
    """Build a box from given pictures, for scenes whose view is known in closed form.

    Args:
        faces: Brightness of x-, x+, y-, y+, z-, z+; rows run along z (walls) or y (floor and
            ceiling), columns along y (x faces) or x, both from the origin.
        size_cm: Extent along x, y, z.
        texels_per_cm: Resolution of the pictures.
        n_levels: Number of blur levels.

    Returns:
        The box.
    """
    n_columns = max(face.shape[1] for face in faces)
    levels = []
    for level in range(n_levels):
        for face in faces:
            blurred = _blur(face, level)
            levels.append(np.pad(blurred, ((0, 0), (0, n_columns - face.shape[1])), mode="edge"))
    atlas = torch.from_numpy(np.concatenate(levels).astype(np.float32))
    return World(size_cm, atlas, texels_per_cm, n_levels)


def _blur(face: np.ndarray, level: int) -> np.ndarray:
    """Blur for a pixel that is 2**(level/2) texels wide; level 0 is not blurred.

    A Gaussian of half the pixel's width passes about 30 % at the pixel's Nyquist frequency.
    """
    return face if level == 0 else gaussian_filter(face, 0.5 * 2 ** (level / 2), mode="nearest")


def _face(rng: np.random.Generator, kind: str, height_cm: float, width_cm: float) -> np.ndarray:
    shape = (round(height_cm * TEXELS_PER_CM), round(width_cm * TEXELS_PER_CM))
    picture = _scaled(0.7 * _dead_leaves(rng, shape) + 0.3 * _one_over_f(rng, shape))
    return np.clip(FACE_MEANS[kind] + FACE_CONTRAST * picture, 0.0, 1.0)


def _with_monitor(rng: np.random.Generator, wall: np.ndarray) -> np.ndarray:
    height, width = (round(side * TEXELS_PER_CM) for side in MONITOR_CM[::-1])
    picture = _scaled(_dead_leaves(rng, (height, width)))
    top, left = (wall.shape[0] - height) // 2, (wall.shape[1] - width) // 2
    wall = wall.copy()
    wall[top : top + height, left : left + width] = np.clip(
        FACE_MEANS["monitor"] + 0.6 * FACE_CONTRAST * picture, 0.0, 1.0
    )
    return wall


def _scaled(picture: np.ndarray) -> np.ndarray:
    """Give a picture zero mean and unit variance."""
    return (picture - picture.mean()) / picture.std()


def _one_over_f(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Random field with amplitude 1/f (power 1/f**2), zero mean and unit variance."""
    frequency = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None])
    frequency[0, 0] = np.inf
    return _scaled(np.fft.irfft2(np.fft.rfft2(rng.standard_normal(shape)) / frequency, shape))


def _dead_leaves(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Occluding disks with radii from a cube law, which is what makes the picture scale-free.

    Disks are laid from the back to the front; 8 % of the background stays uncovered.
    """
    picture = rng.standard_normal() * np.ones(shape)
    r_min, r_max = 1.3, 0.35 * min(shape)
    # As many disks as cover the face two and a half times, for the mean area of this law of radii.
    mean_area = 2 * np.pi * np.log(r_max / r_min) / (r_min**-2 - r_max**-2)
    n_disks = int(2.5 * picture.size / mean_area)
    radii = (r_min**-2 - rng.random(n_disks) * (r_min**-2 - r_max**-2)) ** -0.5
    centers = rng.random((n_disks, 2)) * shape
    grays = rng.standard_normal(n_disks)
    for (row, column), radius, gray in zip(centers, radii, grays, strict=True):
        top, bottom = max(int(row - radius), 0), int(row + radius) + 2
        left, right = max(int(column - radius), 0), int(column + radius) + 2
        patch = picture[top:bottom, left:right]
        rows = np.arange(top, top + patch.shape[0]) - row
        columns = np.arange(left, left + patch.shape[1]) - column
        patch[rows[:, None] ** 2 + columns**2 <= radius**2] = gray
    return (picture - picture.mean()) / max(picture.std(), 1e-9)
