"""Receptive fields of a session's neurons, by every method."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Integer
from torch import Tensor

from freegaze.errors import DataError, ShapeError
from freegaze.explanation.config import ExplainConfig
from freegaze.explanation.fields.ascent import Converged, FixedNorm, SmoothClimb, ascend, blur
from freegaze.explanation.fields.gabor import Gabor, fit_gabor
from freegaze.explanation.fields.gabor_models import fit_gabor_models
from freegaze.explanation.fields.gradients import (
    INVARIANT,
    gradient_fields,
    separate,
    summarize_field,
)
from freegaze.explanation.fields.linear import (
    Frames,
    LinearFields,
    smooth_linear_fit,
    spike_triggered_average,
)
from freegaze.explanation.session import ExplainedSession
from freegaze.files.pieces import Arrays
from freegaze.models.callables import undisturbed
from freegaze.recording.recording import ResponseKind

START_BLUR_PX = 2.0
"""Starting images of an ascent are white noise smoothed by this: finer grain is beyond any cell."""

MIN_DRIVE, MAX_GAIN = 1e-4, 5.0
"""Counts a bin below which a visual drive is none, and the most that behavior is believed to
multiply or divide a rate by: beyond that one of the two predictions is next to nothing."""


def gradients(session: ExplainedSession, config: ExplainConfig) -> Arrays:
    """Average the encoder's gradients over training windows, behavior at its median."""
    targets = session.sample("train", config.n_windows, config.seed)
    video = session.retinal_video(session.bins(targets))
    found = gradient_fields(
        session.encoder,
        video,
        session.still(len(targets)),
        session=session.session_id,
        blur_px=config.blur_px,
    )
    pairs = [_pair(subspace) for subspace in found.subspace]
    return {"field": found.mean, "pair": np.stack(pairs), "invariance": found.invariance}


def typical_norm(session: ExplainedSession, config: ExplainConfig) -> float:
    """Return the median norm of a training window's retinal images, all bins together."""
    targets = session.sample("train", config.n_windows, config.seed)
    return float(session.retinal_video(session.bins(targets)).flatten(1).norm(dim=1).median())


def ascents(session: ExplainedSession, config: ExplainConfig, neuron: int, norm: float) -> Arrays:
    """Climb to a neuron's most exciting retinal images from several starts.

    The field is the mean over starts: for a phase-invariant cell it says little, and the pair spans
    where the starts ended.

    Args:
        session: The session.
        config: Starts and steps.
        neuron: Its number.
        norm: Of every image, so that none is stranger than what the encoder was fitted on.
    """
    generator = torch.Generator().manual_seed(config.seed * 100_003 + neuron)
    shape = (config.n_starts, session.history, 1, *session.recording.frame_size)
    starts = blur(torch.randn(shape, generator=generator), START_BLUR_PX)
    found = ascend(
        session.encoder,
        torch.full((config.n_starts,), neuron, device=session.encoder.device),
        starts.to(session.encoder.device),
        session.still(config.n_starts),
        climb=SmoothClimb(blur_px=config.blur_px),
        stopping=Converged(max_steps=config.ascent_steps),
        postprocess=(FixedNorm(norm),),
        session=session.session_id,
    )
    return {
        "field": found.video.mean(0),
        "pair": _pair(found.video),
        "n_gradients": np.array(found.n_gradients),
    }


def linear(session: ExplainedSession, frames: Frames) -> Arrays:
    """Fit smooth linear fields; validation bins choose how smooth."""
    training, validation = session.targets["train"], session.targets["validation"]
    responses = session.recording.responses
    return _kept(
        smooth_linear_fit(
            *(frames, training, responses[training]),
            *(validation, responses[validation], session.history, session.lag),
        )
    )


def triggered(session: ExplainedSession, frames: Frames) -> Arrays:
    """Average the frames before spikes of training bins."""
    training = session.targets["train"]
    responses = session.recording.responses[training]
    return _kept(spike_triggered_average(frames, training, responses, session.history, session.lag))


def _kept(fields: LinearFields) -> Arrays:
    return {"field": fields.fields.astype(np.float32)}


def gabor_models(session: ExplainedSession, drive: Float[np.ndarray, "window neuron"]) -> Arrays:
    """Fit Gabor models to responses on retinal video; what behavior does is the encoder's word.

    Args:
        session: The session.
        drive: Its visual drive in every window.
    """
    targets, training = session.targets[None], session.targets["train"]
    with undisturbed(session.encoder):
        rates = session.encoder.predict(session.recording, targets=targets).rates
    place = np.searchsorted(targets, training)
    rates, drive = rates[place], drive[place]
    responses = session.recording.responses[training]
    is_count = session.recording.response_kind != ResponseKind.FLUORESCENCE
    gain = None
    if is_count:
        gain = np.clip(rates / np.maximum(drive, MIN_DRIVE), 1 / MAX_GAIN, MAX_GAIN)
    else:  # values of any sign have no gain: what behavior adds is taken away
        responses = responses - (rates - drive)
    found = fit_gabor_models(
        partial(retinal_frames, session),
        *(training, responses, session.history, session.lag),
        gain=gain,
        noise="poisson" if is_count else "gaussian",
    )
    return {"field": found.field, "pair": found.pair, "is_energy": found.is_energy}


def retinal_frames(session: ExplainedSession, bins: Integer[np.ndarray, " bin"]) -> Tensor:
    """Return frames as the shifter moved them, (bin, height, width)."""
    return session.retinal_video(_numbers(session, bins))[:, 0]


def camera_frames(session: ExplainedSession, bins: Integer[np.ndarray, " bin"]) -> Tensor:
    """Return frames as the camera saw them, (bin, height, width)."""
    return session.video(_numbers(session, bins))[:, 0]


def _numbers(session: ExplainedSession, bins: np.ndarray) -> Integer[Tensor, " bin"]:
    return torch.from_numpy(np.ascontiguousarray(bins)).to(session.encoder.device)


SESSION_WIDE: dict[str, Callable[[ExplainedSession], Arrays]] = {
    "linear": lambda s: linear(s, partial(retinal_frames, s)),
    "linear_camera": lambda s: linear(s, partial(camera_frames, s)),
    "triggered": lambda s: triggered(s, partial(retinal_frames, s)),
    "triggered_camera": lambda s: triggered(s, partial(camera_frames, s)),
}
"""Methods that find the fields of all neurons at once, without gradients."""


def describe_field(
    field: Float[np.ndarray, "history height width"],
    pair: Float[np.ndarray, "2 height width"] | None,
    is_invariant: bool,
    lag: int,
    bin_width_s: float,
    deg_per_px: float | None,
) -> dict[str, float]:
    """Return the numbers of one field, see ``SessionExplanation.receptive_fields``.

    Args:
        field: In space and time.
        pair: What spans a phase-invariant field, where the method finds it.
        is_invariant: Whether to fit the pair instead of the field.
        lag: Target bin minus the latest bin.
        bin_width_s: Width of a bin in seconds.
        deg_per_px: Calibration, or ``None``.
    """
    summary = summarize_field(field)
    delay = (lag + len(field) - 1 - summary.peak) * bin_width_s if field.any() else float("nan")
    pictures = pair if is_invariant and pair is not None else summary.spatial[None]
    row = {"delay_s": delay, "separability": summary.separability}
    try:
        gabor = fit_gabor(pictures)
    except (DataError, ShapeError):  # a flat field has no Gabor function; its numbers stay away
        return row
    return row | _gabor_row(gabor, field.shape[1:], deg_per_px)


def _gabor_row(gabor: Gabor, size: tuple[int, ...], deg_per_px: float | None) -> dict[str, float]:
    (x, y), (along, across) = gabor.center_px, gabor.sigma_px
    energy_x, energy_y = gabor.energy_px
    row = {
        "center_x_px": x,
        "center_y_px": y,
        "energy_x_px": energy_x,
        "energy_y_px": energy_y,
        "sigma_along_px": along,
        "sigma_across_px": across,
        "orientation_deg": gabor.orientation_deg,
        "frequency_cpp": gabor.frequency,
        "phase_deg": gabor.phase_deg,
        "explained": gabor.explained,
    }
    if deg_per_px is not None:
        row |= {
            "center_x_deg": (x - (size[1] - 1) / 2) * deg_per_px,
            "center_y_deg": (y - (size[0] - 1) / 2) * deg_per_px,
            "sigma_along_deg": along * deg_per_px,
            "sigma_across_deg": across * deg_per_px,
            "frequency_cpd": gabor.frequency / deg_per_px,
        }
    return row


def is_invariant(invariance: Float[np.ndarray, " neuron"]) -> np.ndarray:
    """Tell which neurons count as phase-invariant."""
    return np.nan_to_num(invariance) > INVARIANT


def field_table(rows: list[dict[str, object]], deg_per_px: float | None) -> pd.DataFrame:
    """Return the rows with every column that a fit could have given, NaN where it gave none."""
    columns = ["unit_id", "method", "delay_s", "separability"]
    blank = Gabor((0.0, 0.0), (1.0, 1.0), 0.0, 1.0, 0.0, 0.0, np.zeros((1, 1, 1)))
    columns += list(_gabor_row(blank, (1, 1), deg_per_px))
    return pd.DataFrame(rows, columns=columns)


def _pair(pictures: Float[np.ndarray, "picture history height width"]) -> np.ndarray:
    """Return the two pictures in space that span some pictures in space and time best."""
    flat = pictures.reshape(-1, *pictures.shape[-2:])
    return separate(flat, 2)[0].astype(np.float32)
