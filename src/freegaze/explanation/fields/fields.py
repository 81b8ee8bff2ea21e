"""Receptive fields of a session's neurons, by every method of ``METHODS``.

To add a method: write it in a file of its own as a function of arrays or callables, add a function
here that calls it with a session, and enter it in ``METHODS``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from freegaze.explanation.config import ExplainConfig
from freegaze.explanation.fields.ascent import Converged, FixedNorm, SmoothClimb, ascend
from freegaze.explanation.fields.gabor import describe_field
from freegaze.explanation.fields.gabor_models import fit_gabor_models
from freegaze.explanation.fields.gradients import INVARIANT, blur, gradient_fields, separate
from freegaze.explanation.fields.linear import (
    Frames,
    LinearFields,
    smooth_linear_fit,
    spike_triggered_average,
)
from freegaze.explanation.session import ExplainedSession
from freegaze.files.pieces import Arrays

START_BLUR_PX = 2.0
"""Standard deviation of the Gaussian that smooths the white noise an ascent starts from: finer
grain is beyond the resolution of any neuron of mouse V1."""

MIN_DRIVE, MAX_GAIN = 1e-4, 5.0
"""Counts per bin below which a visual drive counts as none, and the largest factor by which
behavior is taken to multiply or divide a rate: beyond it one of both predictions is close to 0."""


@dataclass(frozen=True)
class FieldMethod:
    """A method for receptive fields.

    Args:
        label: Name as reports print it.
        unit: Unit of the field; one unit of video is one of the scaled frames.
        find: Computes ``field`` (neuron, history, height, width) and, where the method has them,
            ``pair`` (neuron, 2, height, width), ``invariance`` and ``is_energy`` (neuron,).
        settings: Settings of ``ExplainConfig`` that the field depends on.
        is_of_encoder: Whether the field is computed from the encoder; one that does not read the
            video then has none.
    """

    label: str
    unit: str
    find: Callable[[ExplainedSession, ExplainConfig], Arrays]
    settings: tuple[str, ...] = ()
    is_of_encoder: bool = False


def receptive_fields(
    session: ExplainedSession,
    config: ExplainConfig,
    methods: Iterable[str],
    is_invariant: np.ndarray | None = None,
) -> dict[str, Any]:
    """Compute and describe the receptive fields of all neurons.

    Args:
        session: The session.
        config: Settings.
        methods: Names of methods, see ``METHODS``.
        is_invariant: Whether each neuron is phase-invariant, if it is known. Otherwise,
            ``gradient`` decides; without this method, all neurons are described by their field.

    Returns:
        ``fields``, ``pairs`` and ``receptive_fields`` of a ``SessionExplanation``, and with the
        method ``gradient`` the table ``neurons``.
    """
    recording, methods = session.recording, [m for m in METHODS if m in set(methods)]
    found = {
        name: method.find(session, config)
        for name, method in possible_methods(session, methods).items()
    }
    parts: dict[str, Any] = {
        "fields": {name: arrays["field"] for name, arrays in found.items()},
        "pairs": {name: a["pair"] for name, a in found.items() if "pair" in a},
    }
    nobody = np.zeros(recording.n_neurons, dtype=bool)
    if "gradient" in methods:
        unknown = np.full(recording.n_neurons, np.nan)
        invariance = found.get("gradient", {}).get("invariance", unknown)
        is_invariant = np.nan_to_num(invariance) > INVARIANT
        parts["neurons"] = pd.DataFrame(
            {
                "unit_id": recording.unit_ids,
                "invariance": invariance,
                "is_invariant": is_invariant,
            }
        )
    tables = []
    for name, arrays in found.items():
        by_pair = arrays.get("is_energy", is_invariant) if "pair" in arrays else None
        describe = partial(_describe, session, arrays, nobody if by_pair is None else by_pair)
        rows = session.keep_by_neuron(f"{name}_fit", describe)
        table = pd.DataFrame([{key: float(value) for key, value in row.items()} for row in rows])
        table.insert(0, "method", name)
        table.insert(0, "unit_id", recording.unit_ids)
        tables.append(table)
    if tables:
        parts["receptive_fields"] = pd.concat(tables, ignore_index=True)
    return parts


def possible_methods(session: ExplainedSession, methods: Iterable[str]) -> dict[str, FieldMethod]:
    """Return those of some methods that the session's encoder has, by name and in order.

    Args:
        session: The session.
        methods: Names of methods, see ``METHODS``.
    """
    reads_video, asked = session.encoder.encoder.inputs in ("video", "both"), set(methods)
    return {
        name: method
        for name, method in METHODS.items()
        if name in asked and (reads_video or not method.is_of_encoder)
    }


def _describe(session: ExplainedSession, found: Arrays, by_pair: np.ndarray, neuron: int) -> Arrays:
    row = describe_field(
        found["field"][neuron],
        found["pair"][neuron] if by_pair[neuron] else None,
        lag=session.lag,
        bin_width_s=session.recording.bin_width_s,
        deg_per_px=session.recording.deg_per_px,
    )
    return {key: np.array(value) for key, value in row.items()}


def _gradient(session: ExplainedSession, config: ExplainConfig) -> Arrays:
    """Average the encoder's gradients over training windows, behavior at its median."""

    def find() -> Arrays:
        targets = session.sample("train", config.n_windows, config.seed)
        found = gradient_fields(
            session.encoder,
            session.retinal_video(session.bins(targets)),
            session.still(len(targets)),
            session=session.session_id,
            blur_px=config.blur_px,
        )
        pairs = np.stack([_pair(subspace) for subspace in found.subspace])
        return {"field": found.mean, "pair": pairs, "invariance": found.invariance}

    return session.keep("gradient", find, "gradients")


def _ascent(session: ExplainedSession, config: ExplainConfig) -> Arrays:
    """Optimize each neuron's retinal images from several starts.

    The field is the mean over starts, which is not informative for a phase-invariant neuron; the
    pair spans the final images. All images have the median norm of a training window, so that all
    are within the range that the encoder was fitted on.
    """
    targets = session.sample("train", config.n_windows, config.seed)
    norms = session.retinal_video(session.bins(targets)).flatten(1).norm(dim=1)
    norm = FixedNorm(float(norms.median()))
    shape = (config.n_starts, session.history, 1, *session.recording.frame_size)
    device = session.encoder.device

    def find(neuron: int) -> Arrays:
        generator = torch.Generator().manual_seed(config.seed * 100_003 + neuron)
        starts = blur(torch.randn(shape, generator=generator), START_BLUR_PX)
        found = ascend(
            session.encoder,
            torch.full((config.n_starts,), neuron, device=device),
            starts.to(device),
            session.still(config.n_starts),
            climb=SmoothClimb(blur_px=config.blur_px),
            stopping=Converged(max_steps=config.ascent_steps),
            postprocess=(norm,),
            session=session.session_id,
        )
        return {
            "field": found.video.mean(0),
            "pair": _pair(found.video),
            "n_gradients": np.array(found.n_gradients),
        }

    ends = session.keep_by_neuron("ascent", find)
    return {key: np.stack([end[key] for end in ends]) for key in ends[0]}


def _gabor(session: ExplainedSession, _: ExplainConfig) -> Arrays:
    """Fit Gabor models to responses on retinal video, given the encoder's effect of behavior."""
    drive = session.drive

    def find() -> Arrays:
        targets, training = session.targets[None], session.targets["train"]
        place = np.searchsorted(targets, training)
        rates, visual = session.rates(targets)[place], drive[place]
        responses, gain = session.recording.responses[training], None
        if session.has_counts:
            gain = np.clip(rates / np.maximum(visual, MIN_DRIVE), 1 / MAX_GAIN, MAX_GAIN)
        else:  # values of any sign have no gain: the effect of behavior is subtracted
            responses = responses - (rates - visual)
        found = fit_gabor_models(
            session.retinal_frames,
            training,
            responses,
            session.history,
            session.lag,
            gain=gain,
            noise="poisson" if session.has_counts else "gaussian",
        )
        return {"field": found.field, "pair": found.pair, "is_energy": found.is_energy}

    return session.keep("gabor", find, METHODS["gabor"].label)


def _without_encoder(
    session: ExplainedSession,
    _: ExplainConfig,
    *,
    name: str,
    fit: Callable[[ExplainedSession, Frames], LinearFields],
) -> Arrays:
    """Compute fields from responses and frames: of the camera where the name says so."""
    frames = session.camera_frames if name.endswith("_camera") else session.retinal_frames

    def find() -> Arrays:
        return {"field": fit(session, frames).fields.astype(np.float32)}

    return session.keep(name, find, METHODS[name].label)


def _linear(session: ExplainedSession, frames: Frames) -> LinearFields:
    """Fit smooth linear fields; validation bins choose the penalty."""
    training, validation = session.targets["train"], session.targets["validation"]
    responses = session.recording.responses
    return smooth_linear_fit(
        frames,
        training,
        responses[training],
        validation,
        responses[validation],
        session.history,
        session.lag,
    )


def _triggered(session: ExplainedSession, frames: Frames) -> LinearFields:
    """Average the frames before spikes of training bins."""
    training = session.targets["train"]
    responses = session.recording.responses[training]
    return spike_triggered_average(frames, training, responses, session.history, session.lag)


def _pair(images: Float[np.ndarray, "image history height width"]) -> np.ndarray:
    """Return the two images in space that best span some images in space and time."""
    flat = images.reshape(-1, *images.shape[-2:])
    return separate(flat, 2)[0].astype(np.float32)


RATE_UNIT, VIDEO_UNIT = "responses/bin per unit of video", "units of video"

METHODS: Mapping[str, FieldMethod] = {
    "gradient": FieldMethod(
        "averaged gradient of the encoder",
        RATE_UNIT,
        _gradient,
        settings=("seed", "n_windows", "blur_px"),
        is_of_encoder=True,
    ),
    "gabor": FieldMethod("Gabor model of the responses, retinal video", "of length 1", _gabor),
    "ascent": FieldMethod(
        "most exciting retinal image",
        VIDEO_UNIT,
        _ascent,
        settings=("seed", "n_windows", "blur_px", "n_starts", "ascent_steps"),
        is_of_encoder=True,
    ),
    "linear": FieldMethod(
        "smooth linear fit, retinal video",
        RATE_UNIT,
        partial(_without_encoder, name="linear", fit=_linear),
    ),
    "linear_camera": FieldMethod(
        "smooth linear fit, camera video",
        RATE_UNIT,
        partial(_without_encoder, name="linear_camera", fit=_linear),
    ),
    "triggered": FieldMethod(
        "spike-triggered average, retinal video",
        VIDEO_UNIT,
        partial(_without_encoder, name="triggered", fit=_triggered),
    ),
    "triggered_camera": FieldMethod(
        "spike-triggered average, camera video",
        VIDEO_UNIT,
        partial(_without_encoder, name="triggered_camera", fit=_triggered),
    ),
}
"""Methods by name, in the order in which they are shown."""
