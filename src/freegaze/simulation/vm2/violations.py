"""Violations of what encoders assume, each a switch of ``VM-2``."""

from __future__ import annotations

NEURAL: dict[str, str] = {
    "natural_fields": "A quarter of the neurons have fields learned from scenes, no Gabor fields.",
    "direction": "An eighth of the neurons prefer one direction of movement.",
    "normalization": "Local contrast and that of a surround divide the drive.",
    "adaptation": "Brightness and contrast of the last seconds divide the drive.",
    "long_kernels": "Latencies go from 30 to 200 ms, and responses go on for more than 0.5 s.",
    "history": "Spikes are followed by a dead time, by bursts and by slower adaptation.",
    "latents": "Neurons share a fast and a slow latent, and the rate of each drifts.",
    "gaze_shifts": "Neurons respond to yaw velocity and to four kinds of gaze shift.",
    "curved_tuning": "Behavior acts through peaked tuning curves, up to a second later.",
}
INSTRUMENTS: dict[str, str] = {
    "eye_scale": "Eye angles are too large by 15 %, or too small by as much.",
    "eye_offset": "Eye angles are off by a constant of some degrees.",
    "eye_drift": "Eye angles drift by some degrees over minutes.",
    "lens": "The camera's projection is not equidistant.",
    "exposure": "The camera adjusts its exposure to the brightness of the scene.",
    "rolling_shutter": "Rows of a frame are taken one after the other.",
    "camera_pitch": "The camera is mounted 8 degrees higher than is assumed, and a screen of white "
    "noise is rolled by 10 degrees.",
    "behavior_loss": "Tracking is lost most while the mouse runs or the eye is turned far.",
}

VIOLATIONS: dict[str, str] = NEURAL | INSTRUMENTS
"""Names, and what each does. With none of them, neurons and instruments are as VM-1 assumes."""
