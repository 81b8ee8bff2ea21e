"""Experiments in silico on a session's neurons, by every probe of ``PROBES``.

To add a probe: write it in a file of its own as a function of callables and arrays, add a function
here that calls it with a session, and enter it in ``PROBES``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from freegaze.explanation.config import ExplainConfig
from freegaze.explanation.probes.gratings import (
    FIRST,
    GratingResponses,
    default_gratings,
    describe_gratings,
    show_gratings,
)
from freegaze.explanation.probes.patches import PatchGrating, PatchTuning, show_patches
from freegaze.explanation.probes.scrambled import ScrambledResponses, show_scrambled
from freegaze.explanation.probes.squares import (
    SquareResponses,
    describe_squares,
    show_squares,
)
from freegaze.explanation.result import empty_table
from freegaze.explanation.session import ExplainedSession
from freegaze.files.pieces import Arrays

N_TYPICAL = 100
"""Training windows whose level and median contrast synthetic stimuli have."""

N_NATURAL = 400
"""Training windows that are shown as they are and with scrambled phases."""

GRATING_VALUES = (
    *("orientation_deg", "direction_deg", "frequency_cpp", "temporal_hz", "phase_deg"),
    *("osi", "dsi", "f1_f0", "largest"),
)
"""Numbers of a ``GratingTuning`` that are columns of the table ``gratings``."""

PATCH_VALUES = ("x_px", "y_px", "diameter_px", "suppression", "contrast_half")
"""Columns of the table ``patches``: the place, then numbers of a ``PatchTuning``."""


@dataclass(frozen=True)
class Probe:
    """An experiment in silico.

    Args:
        label: Name as reports print it.
        find: Returns tables of a ``SessionExplanation`` by name.
        tables: Names of these tables.
        settings: Settings of ``ExplainConfig`` that the result depends on.
    """

    label: str
    find: Callable[[ExplainedSession, ExplainConfig], dict[str, Any]]
    tables: tuple[str, ...]
    settings: tuple[str, ...] = ()


def probe_tables(
    session: ExplainedSession, config: ExplainConfig, probes: Iterable[str]
) -> dict[str, Any]:
    """Return the tables of some probes; none for an encoder that does not read the video.

    Args:
        session: The session.
        config: Settings.
        probes: Names of probes, see ``PROBES``.
    """
    if session.encoder.encoder.inputs not in ("video", "both"):
        return {}
    return {
        name: table
        for probe in probes
        for name, table in PROBES[probe].find(session, config).items()
    }


def _typical(
    session: ExplainedSession, config: ExplainConfig, n: int = N_TYPICAL
) -> dict[str, Any]:
    """Return arguments that all probes take: typical retinal frames, behavior at its median."""
    targets = session.sample("train", n, config.seed)
    return {
        "predict": session.encoder,
        "video": session.retinal_video(session.bins(targets)),
        "behavior": session.still(len(targets)),
        "session": session.session_id,
    }


def _grating_responses(session: ExplainedSession, config: ExplainConfig) -> GratingResponses:
    recording = session.recording
    gratings = default_gratings(recording.frame_size, recording.bin_width_s)

    def find() -> Arrays:
        found = show_gratings(
            **_typical(session, config),
            bin_width_s=recording.bin_width_s,
            gratings=gratings,
            contrast=config.grating_contrast,
        )
        parts = {"mean": found.mean, "blank": found.blank, "highest": found.highest}
        return {**parts, "real": np.real(found.harmonic), "imaginary": np.imag(found.harmonic)}

    kept = session.keep("gratings", find)
    harmonic = kept["real"] + 1j * kept["imaginary"]
    return GratingResponses(gratings, kept["mean"], harmonic, kept["blank"], kept["highest"])


def _gratings(session: ExplainedSession, config: ExplainConfig) -> dict[str, Any]:
    """Show gratings across the whole retinal frame."""
    recording = session.recording
    found = _grating_responses(session, config)
    return grating_tables(found, recording.unit_ids, recording.deg_per_px)


def _square_responses(session: ExplainedSession, config: ExplainConfig) -> SquareResponses:
    def find() -> Arrays:
        found = show_squares(**_typical(session, config))
        return {**vars(found), "size_px": np.array(found.size_px)}

    kept = session.keep("squares", find)
    return SquareResponses(**{**kept, "size_px": int(kept["size_px"])})


def _squares(session: ExplainedSession, config: ExplainConfig) -> dict[str, Any]:
    """Flash light and dark squares."""
    found, rows = _square_responses(session, config), []
    for neuron, unit in enumerate(session.recording.unit_ids):
        row = dict(vars(describe_squares(found, neuron)))
        delay_s = session.recording.bin_width_s * (row.pop("bins_ago") + session.lag)
        rows.append({"unit_id": unit, **row, "delay_s": delay_s})
    return {"squares": pd.DataFrame(rows)}


def _patches(session: ExplainedSession, config: ExplainConfig) -> dict[str, Any]:
    """Show patches of each neuron's best grating at the place of its responses to squares."""
    recording = session.recording
    tuned, mapped = _grating_responses(session, config), _square_responses(session, config)
    gratings: list[PatchGrating | None] = []
    for neuron in range(recording.n_neurons):
        best, place = describe_gratings(tuned, neuron), describe_squares(mapped, neuron)
        direction = best.direction_deg if best.temporal_hz > 0 else best.orientation_deg
        wave = (direction, best.frequency_cpp, best.temporal_hz, place.x_px, place.y_px)
        is_known = bool(np.isfinite(wave).all())
        gratings.append(PatchGrating(*wave, best.response == FIRST) if is_known else None)
    found = show_patches(
        **_typical(session, config), gratings=gratings, bin_width_s=recording.bin_width_s
    )
    return patch_tables(gratings, found, recording.unit_ids, recording.deg_per_px)


def _scrambled(session: ExplainedSession, config: ExplainConfig) -> dict[str, Any]:
    """Show training frames as they are and with scrambled phases."""
    found = show_scrambled(**_typical(session, config, N_NATURAL), seed=config.seed)
    return {"scrambled": scrambled_table(found, session.recording.unit_ids)}


def grating_tables(
    found: GratingResponses, unit_ids: tuple[str, ...], deg_per_px: float | None
) -> dict[str, pd.DataFrame]:
    """Return ``gratings`` and ``grating_curves`` of a ``SessionExplanation``.

    Args:
        found: Rates for all gratings.
        unit_ids: Names of the neurons.
        deg_per_px: Calibration of the camera, or ``None``.
    """
    gratings = found.gratings
    axes = {
        "direction": ("deg", gratings.directions_deg),
        "frequency": ("cycles/px", gratings.frequencies_cpp),
        "temporal": ("Hz", gratings.temporal_hz),
    }
    if deg_per_px is not None:
        axes["frequency"] = ("cycles/deg", gratings.frequencies_cpp / deg_per_px)
    rows, curves = [], []
    for neuron, unit in enumerate(unit_ids):
        tuning = describe_gratings(found, neuron)
        row: dict[str, Any] = {"unit_id": unit, "response": tuning.response}
        row |= {name: getattr(tuning, name) for name in GRATING_VALUES}
        row["blank"] = float(found.blank[neuron])
        if deg_per_px is not None:
            row["frequency_cpd"] = tuning.frequency_cpp / deg_per_px
        rows.append(row)
        for axis, (unit_of, levels) in axes.items():
            values = {"unit_id": unit, "axis": axis, "unit": unit_of, "level": levels}
            curves.append(pd.DataFrame(values | {"value": getattr(tuning, f"by_{axis}")}))
    return {"gratings": pd.DataFrame(rows), "grating_curves": pd.concat(curves, ignore_index=True)}


def patch_tables(
    gratings: Sequence[PatchGrating | None],
    found: Sequence[PatchTuning | None],
    unit_ids: tuple[str, ...],
    deg_per_px: float | None,
) -> dict[str, pd.DataFrame]:
    """Return ``patches`` and ``patch_curves`` of a ``SessionExplanation``.

    Args:
        gratings: Grating and place of each neuron's patches; ``None`` where there are none.
        found: Tuning of each neuron.
        unit_ids: Names of the neurons.
        deg_per_px: Calibration of the camera, or ``None``.
    """
    rows, curves = [], []
    scale, unit_of = (1.0, "px") if deg_per_px is None else (deg_per_px, "deg")
    for unit, grating, tuning in zip(unit_ids, gratings, found, strict=True):
        row: dict[str, Any] = {"unit_id": unit} | dict.fromkeys(PATCH_VALUES, np.nan)
        if grating is not None and tuning is not None:
            row |= {name: getattr(tuning, name) for name in PATCH_VALUES[2:]}
            row |= {"x_px": grating.x_px, "y_px": grating.y_px}
            axes = {
                "size": (unit_of, scale * tuning.diameters_px, tuning.by_size),
                "contrast": ("of typical frames", tuning.contrasts, tuning.by_contrast),
            }
            for axis, (words, levels, values) in axes.items():
                of_axis = {"unit_id": unit, "axis": axis, "unit": words, "level": levels}
                curves.append(pd.DataFrame(of_axis | {"value": values}))
        if deg_per_px is not None:
            row["diameter_deg"] = row["diameter_px"] * deg_per_px
        rows.append(row)
    joined = pd.concat(curves, ignore_index=True) if curves else empty_table("patch_curves")
    return {"patches": pd.DataFrame(rows), "patch_curves": joined}


def scrambled_table(found: ScrambledResponses, unit_ids: tuple[str, ...]) -> pd.DataFrame:
    """Return ``scrambled`` of a ``SessionExplanation``.

    Args:
        found: Rates for natural frames and for frames with scrambled phases.
        unit_ids: Names of the neurons.
    """
    rates = {"natural": found.natural, "scrambled": found.scrambled}
    return pd.DataFrame(
        {
            "unit_id": unit_ids,
            **{name: values.mean(0) for name, values in rates.items()},
            **{f"{name}_sd": values.std(0) for name, values in rates.items()},
            "modulation": found.modulation,
        }
    )


PROBES: Mapping[str, Probe] = {
    "gratings": Probe(
        "drifting and static gratings",
        _gratings,
        tables=("gratings", "grating_curves"),
        settings=("seed", "grating_contrast"),
    ),
    "squares": Probe("light and dark squares", _squares, tables=("squares",), settings=("seed",)),
    "patches": Probe(
        "patches of gratings by size and contrast",
        _patches,
        tables=("patches", "patch_curves"),
        settings=("seed", "grating_contrast"),
    ),
    "scrambled": Probe(
        "natural frames and frames with scrambled phases",
        _scrambled,
        tables=("scrambled",),
        settings=("seed",),
    ),
}
"""Probes by name, in the order in which they are shown."""
