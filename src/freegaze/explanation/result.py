"""Explanation of one session: receptive fields as arrays, tables of all else; reading and writing.

In a run's folder, one folder per session:

explanation/SESSION/about.json                 what was explained, and how
                    fields.npz                 receptive fields and pairs
                    neurons.csv, .parquet      and so on for each table of ``SessionExplanation``
                    checksums.sha256           of all these
                    pieces/                    results so far of an unfinished explanation
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from jaxtyping import Float

from freegaze.explanation.contributions.answers import count_answers
from freegaze.explanation.contributions.groups import UNTESTED
from freegaze.files.artifact import Artifact, Content, folder_name

T = TypeVar("T")

CLASSES = ("head", "eye", "speed", "pupil", "mixed", "none", "undecided", "not tested")
"""Classes of neurons by the groups of behavior with a significant contribution: one group;
``mixed`` for several groups or a column of no group; ``none`` where behavior adds nothing;
``undecided`` where it does and no group can be named; ``not tested``."""

TEXT = (
    *("unit_id", "method", "signal", "base", "unit", "group", "direction", "class"),
    *("answer", "reason", "response", "axis"),
)
"""Columns of words; all others hold numbers."""

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "neurons": ("unit_id",),
    "receptive_fields": ("unit_id", "method", "delay_s", "separability"),
    "saliency": (
        *("unit_id", "signal", "base", "absolute", "signed", "via_gaze"),
        *("absolute_low", "absolute_high", "signed_low", "signed_high", "integrated"),
        *("p", "least_p", "answer", "reason"),
    ),
    "contributions": (
        *("unit_id", "group", "deviance", "correlation", "only_deviance", "only_correlation"),
        *("statistic", "p", "least_p", "p_tail", "is_significant", "answer", "reason"),
    ),
    "tuning": (
        *("unit_id", "signal", "unit", "level", "observed", "observed_se", "predicted", "n_bins"),
    ),
    "gaze_shifts": ("unit_id", "direction", "offset_s", "observed", "predicted", "n_events"),
    "gratings": (
        *("unit_id", "response", "orientation_deg", "direction_deg", "frequency_cpp"),
        *("temporal_hz", "phase_deg", "osi", "dsi", "f1_f0", "largest", "blank"),
    ),
    "grating_curves": ("unit_id", "axis", "unit", "level", "value"),
    "squares": ("unit_id", "x_px", "y_px", "delay_s", "light", "dark", "polarity"),
    "patches": ("unit_id", "x_px", "y_px", "diameter_px", "suppression", "contrast_half"),
    "patch_curves": ("unit_id", "axis", "unit", "level", "value"),
    "scrambled": (
        *("unit_id", "natural", "scrambled", "natural_sd", "scrambled_sd", "modulation"),
    ),
}
"""Tables of an explanation with the columns that each always has."""

NEURON_COLUMNS = (
    *("unit_id", "invariance", "is_invariant"),
    *("deviance", "correlation", "multiplicative_bits", "class"),
)
"""Columns of ``neurons`` where all parts were computed."""

FOLDER = "explanation"

TABLES = tuple(COLUMNS)

LATER = ("gratings", "grating_curves", "squares", "patches", "patch_curves", "scrambled")
"""Tables that earlier versions did not write; without a file they have no rows."""

EXPLANATION = Artifact(
    what="explanation",
    command="freegaze explain {run}",
    about="about.json",
    tables=TABLES,
    arrays="fields.npz",
    optional=LATER,
)


def empty_table(name: str) -> pd.DataFrame:
    """Return a table of an explanation without rows."""
    return pd.DataFrame({c: pd.Series(dtype=object if c in TEXT else float) for c in COLUMNS[name]})


@dataclass(frozen=True, eq=False)
class SessionExplanation:
    """Results of ``explain`` for the neurons of one session.

    Tables name neurons by ``unit_id``. Responses and rates are counts (or values) per bin. What was
    not computed is missing from ``fields``, and its table has no rows.

    Args:
        session_id: The session.
        unit_ids: Names of the neurons, in the order of all arrays.
        bin_width_s: Width of a bin in seconds.
        lag: Target bin minus the latest bin of a window.
        deg_per_px: Calibration of the camera, or ``None``.
        parts: Names of the computed parts (see ``freegaze.explanation.explain.PARTS``), each with
            the settings it was computed with; empty for all of them (version 0.1.0).
        fields: Receptive fields by method (see ``freegaze.explanation.fields.fields.METHODS``), one
            image for each bin of the window, oldest first: (neuron, history, height, width). All
            but those of ``camera`` are in coordinates of the retinal frame.
        pairs: Two images that span the receptive field of a phase-invariant neuron, by method
            (``gradient``, ``gabor``, ``ascent``): (neuron, 2, height, width).
        neurons: One row per neuron: ``unit_id``; with ``fields.gradient`` also ``invariance`` (0
            linear to 1 phase-invariant) and ``is_invariant``; with ``contributions`` also
            ``deviance`` and ``correlation`` (of the full regression model),
            ``multiplicative_bits`` (per bin, gain of the model in which behavior multiplies vision
            over the one in which it adds), ``class`` (see ``CLASSES``).
        receptive_fields: One row per neuron and method: ``unit_id``, ``method``, ``delay_s`` (from
            the strongest image to the predicted bin), ``separability``, and of the Gabor fit
            ``center_x_px``, ``center_y_px`` (of the envelope, from the top left pixel),
            ``energy_x_px``, ``energy_y_px`` (center of the squared function), ``sigma_along_px``,
            ``sigma_across_px``, ``orientation_deg``, ``frequency_cpp`` (cycles per pixel),
            ``phase_deg``, ``explained`` (share of the field's sum of squares, 1 for ``gabor``);
            where the camera is calibrated also ``center_x_deg``, ``center_y_deg`` (from the middle
            of the frame), ``sigma_along_deg``, ``sigma_across_deg``, ``frequency_cpd``.
        saliency: One row per neuron and signal: ``unit_id``, ``signal``, ``base`` (the recorded
            column behind it), ``absolute`` and ``signed`` (mean derivative of the rate, in counts
            per bin for one training sd, the retinal image held still), ``via_gaze`` (mean size of
            the derivative through the shifter), ``absolute_low``, ``absolute_high``,
            ``signed_low`` and ``signed_high`` (95 % intervals over blocks of time), ``integrated``
            (mean size of integrated gradients from the training mean), ``p`` and ``least_p`` (of
            the test whether responses of test bins follow the encoder's use of the signal, the
            retinal image held), ``answer`` (``yes``, ``no`` or ``not tested``) and ``reason``.
        contributions: One row per neuron and group (``vision``; ``behavior``, which is all groups
            of behavior together; ``eye``, ``head``, ``speed``, ``pupil``): ``unit_id``, ``group``,
            ``deviance`` and ``correlation`` (unique contribution of the group on test bins),
            ``only_deviance``, ``only_correlation`` (of a
            model of the group alone), ``statistic``, ``p``, ``least_p``
            (the least p possible), ``p_tail``, ``is_significant``, ``answer`` (``yes``, ``no`` or
            ``not tested``) and ``reason`` (why not tested).
        tuning: One row per neuron, signal and level: ``unit_id``, ``signal``, ``unit``, ``level``,
            ``observed``, ``observed_se``, ``predicted``, ``n_bins``.
        gaze_shifts: One row per neuron, direction (``left``, where gaze velocity is positive, or
            ``right``) and time: ``unit_id``, ``direction``, ``offset_s``, ``observed``,
            ``predicted``, ``n_events``; no rows without eye angle or head velocity.
        gratings: One row per neuron, of the part ``probes.gratings``: ``unit_id`` and the values of
            a ``freegaze.explanation.probes.gratings.GratingTuning``; ``blank``, the rate for a
            uniform frame; ``frequency_cpd`` where the camera is calibrated.
        grating_curves: One row per neuron, axis (``direction``, ``frequency``, ``temporal``) and
            level: ``unit_id``, ``axis``, ``unit``, ``level``, ``value`` (response, per bin).
        squares: One row per neuron, of the part ``probes.squares``: ``unit_id``; place ``x_px`` and
            ``y_px`` of the responses on the retinal frame; ``delay_s`` before the predicted bin;
            ``light`` and ``dark``, the largest rises of the rate; ``polarity``.
        patches: One row per neuron, of the part ``probes.patches``: ``unit_id``, the place, and the
            values of a ``freegaze.explanation.probes.patches.PatchTuning``; ``diameter_deg`` where
            the camera is calibrated.
        patch_curves: One row per neuron, axis (``size``, ``contrast``) and level, as for gratings.
        scrambled: One row per neuron, of the part ``probes.scrambled``: ``unit_id``; means and
            standard deviations over windows of the rate for ``natural`` frames and for frames with
            ``scrambled`` phases; ``modulation``, their difference over their sum.
    """

    session_id: str
    unit_ids: tuple[str, ...]
    bin_width_s: float
    lag: int
    deg_per_px: float | None
    parts: Mapping[str, Mapping[str, Any]]
    fields: Mapping[str, Float[np.ndarray, "neuron history height width"]]
    pairs: Mapping[str, Float[np.ndarray, "neuron 2 height width"]]
    neurons: pd.DataFrame
    receptive_fields: pd.DataFrame
    saliency: pd.DataFrame
    contributions: pd.DataFrame
    tuning: pd.DataFrame
    gaze_shifts: pd.DataFrame
    gratings: pd.DataFrame = field(default_factory=lambda: empty_table("gratings"))
    grating_curves: pd.DataFrame = field(default_factory=lambda: empty_table("grating_curves"))
    squares: pd.DataFrame = field(default_factory=lambda: empty_table("squares"))
    patches: pd.DataFrame = field(default_factory=lambda: empty_table("patches"))
    patch_curves: pd.DataFrame = field(default_factory=lambda: empty_table("patch_curves"))
    scrambled: pd.DataFrame = field(default_factory=lambda: empty_table("scrambled"))

    def __repr__(self) -> str:
        counts = count_answers(self.contributions)
        told = ", ".join(
            f"{group} {yes} of {tested}" if tested else f"{group} {UNTESTED}"
            for group, yes, tested in counts[["group", "yes", "tested"]].to_numpy().tolist()
        )
        return (
            f"SessionExplanation of {self.session_id!r}: {len(self.unit_ids)} neurons\n"
            f"  receptive fields: {', '.join(self.fields) or 'none'}\n"
            f"  significant contributions, of tested neurons: {told or 'not computed'}"
        )

    def picture(self, method: str, neuron: int) -> Float[np.ndarray, "height width"]:
        """Return the image of a receptive field at its strongest bin."""
        field = self.fields[method][neuron]
        return field[int((field.astype(np.float64) ** 2).sum((1, 2)).argmax())]


def session_folder(run_folder: Path | str, session_id: str) -> Path:
    """Return the folder of a session's explanation; special characters of its name are escaped."""
    return Path(run_folder) / FOLDER / folder_name(session_id)


def save_explanation(
    run_folder: Path | str, explanation: SessionExplanation, settings: Mapping[str, Any]
) -> Path:
    """Write a session's explanation: whole, or not at all.

    Args:
        run_folder: The run.
        explanation: Explanation to write.
        settings: Settings of the explanation, for ``about.json``.

    Returns:
        The folder written to.

    Raises:
        DataError: If the disk refuses.
    """
    folder = session_folder(run_folder, explanation.session_id)
    arrays = {f"fields/{name}": field for name, field in explanation.fields.items()}
    arrays |= {f"pairs/{name}": pair for name, pair in explanation.pairs.items()}
    about = {
        "session_id": explanation.session_id,
        "unit_ids": list(explanation.unit_ids),
        "bin_width_s": explanation.bin_width_s,
        "lag": explanation.lag,
        "deg_per_px": explanation.deg_per_px,
        "settings": dict(settings),
        "parts": explanation.parts,
    }
    tables = {name: getattr(explanation, name) for name in TABLES}
    return EXPLANATION.write(folder, Content(about, tables, arrays))


def load_beside(
    kind: Artifact, run_folder: Path | str, session_id: str, build: Callable[[Content], T]
) -> T | None:
    """Read an artifact that is kept beside a session's explanation, ``None`` where there is none.

    Args:
        kind: Declaration of the artifact.
        run_folder: The run.
        session_id: The session.
        build: Called with the content.

    Raises:
        CheckpointError: If a file is broken.
    """
    folder = session_folder(run_folder, session_id)
    return kind.read(folder, run_folder, build) if kind.is_whole(folder) else None


def is_explained(run_folder: Path | str) -> bool:
    """Return whether there is a whole explanation of any session of a run."""
    return bool(_whole(run_folder))


def load_explanations(run_folder: Path | str) -> tuple[SessionExplanation, ...]:
    """Read the explanations of all sessions of a run.

    Args:
        run_folder: The run.

    Returns:
        One explanation per session, in order of their names.

    Raises:
        CheckpointError: If the run was not explained, or a file is broken.
    """
    folders = _whole(run_folder) or [Path(run_folder) / FOLDER / "SESSION"]
    return tuple(EXPLANATION.read(folder, run_folder, _build) for folder in folders)


def load_explanation(run_folder: Path | str, session_id: str) -> SessionExplanation:
    """Read the explanation of one session.

    Args:
        run_folder: The run.
        session_id: The session.

    Raises:
        CheckpointError: If it was not explained, or a file is broken.
    """
    return EXPLANATION.read(session_folder(run_folder, session_id), run_folder, _build)


def settings_of(run_folder: Path | str, session_id: str) -> dict[str, Any] | None:
    """Return how a session was explained, ``None`` if it was not, or not to the end.

    Raises:
        CheckpointError: If ``about.json`` is broken.
    """
    folder = session_folder(run_folder, session_id)
    if not EXPLANATION.is_whole(folder):
        return None
    return EXPLANATION.read_about(folder, run_folder).get("settings")


def _whole(run_folder: Path | str) -> list[Path]:
    found = Path(run_folder).glob(f"{FOLDER}/*/{EXPLANATION.about}")
    return sorted(path.parent for path in found)


def _build(content: Content) -> SessionExplanation:
    about = content.about
    scale = about["deg_per_px"]
    return SessionExplanation(
        session_id=str(about["session_id"]),
        unit_ids=tuple(map(str, about["unit_ids"])),
        bin_width_s=float(about["bin_width_s"]),
        lag=int(about["lag"]),
        deg_per_px=None if scale is None else float(scale),
        parts=about.get("parts", {}),
        fields=content.group("fields"),
        pairs=content.group("pairs"),
        **content.tables,
    )
