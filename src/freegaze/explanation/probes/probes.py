"""Experiments in silico on a session's neurons, by every probe of ``PROBES``.

To add a probe: write it in a file of its own as a function of callables and arrays, add a function
here that calls it with a session, and enter it in ``PROBES``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from freegaze.explanation.config import ExplainConfig
from freegaze.explanation.probes.gratings import (
    GratingResponses,
    default_gratings,
    describe_gratings,
    show_gratings,
)
from freegaze.explanation.session import ExplainedSession
from freegaze.files.pieces import Arrays

N_TYPICAL = 100
"""Training windows whose median contrast gratings have."""

GRATING_VALUES = (
    *("orientation_deg", "direction_deg", "frequency_cpp", "temporal_hz", "phase_deg"),
    *("osi", "dsi", "f1_f0", "largest"),
)
"""Numbers of a ``GratingTuning`` that are columns of the table ``gratings``."""


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


def _gratings(session: ExplainedSession, config: ExplainConfig) -> dict[str, Any]:
    """Show gratings to the encoder, behavior at its training median."""
    recording = session.recording
    gratings = default_gratings(recording.frame_size, recording.bin_width_s)

    def find() -> Arrays:
        targets = session.sample("train", N_TYPICAL, config.seed)
        found = show_gratings(
            session.encoder,
            session.retinal_video(session.bins(targets)),
            session.still(len(targets)),
            bin_width_s=recording.bin_width_s,
            gratings=gratings,
            contrast=config.grating_contrast,
            session=session.session_id,
        )
        parts = {"mean": found.mean, "blank": found.blank, "highest": found.highest}
        return {**parts, "real": np.real(found.harmonic), "imaginary": np.imag(found.harmonic)}

    kept = session.keep("gratings", find)
    harmonic = kept["real"] + 1j * kept["imaginary"]
    found = GratingResponses(gratings, kept["mean"], harmonic, kept["blank"], kept["highest"])
    return grating_tables(found, recording.unit_ids, recording.deg_per_px)


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


PROBES: Mapping[str, Probe] = {
    "gratings": Probe(
        "drifting and static gratings",
        _gratings,
        tables=("gratings", "grating_curves"),
        settings=("seed", "grating_contrast"),
    ),
}
"""Probes by name, in the order in which they are shown."""
