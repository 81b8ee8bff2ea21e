"""Explanations of fitted encoders: computation and storage of the wanted parts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from freegaze.errors import ConfigError, DataError
from freegaze.explanation.config import ExplainConfig
from freegaze.explanation.contributions.contributions import contribution_tables
from freegaze.explanation.fields.against import COMPARED, COMPARISON
from freegaze.explanation.fields.fields import METHODS, receptive_fields
from freegaze.explanation.probes.probes import PROBES, probe_tables
from freegaze.explanation.result import (
    COLUMNS,
    NEURON_COLUMNS,
    SessionExplanation,
    empty_table,
    load_explanation,
    save_explanation,
    session_folder,
    settings_of,
)
from freegaze.explanation.saliency.saliency import saliency_table
from freegaze.explanation.session import ExplainedSession
from freegaze.explanation.truth import TRUTH
from freegaze.explanation.tuning.tuning import tuning_tables
from freegaze.files.pieces import Pieces
from freegaze.fitted.encoder import FittedEncoder
from freegaze.progress import Progress
from freegaze.recording.recording import Recording
from freegaze.registry import require_names
from freegaze.runs.run_folder import recording_checksum

FIELDS, PROBED = "fields", "probes"

PARTS: Mapping[str, tuple[str, ...]] = {
    **{f"{FIELDS}.{name}": method.settings for name, method in METHODS.items()},
    "saliency": ("seed", "n_saliency_windows", "n_shifts", "false_discovery_rate"),
    "contributions": ("n_shifts", "false_discovery_rate"),
    "tuning": (),
    **{f"{PROBED}.{name}": probe.settings for name, probe in PROBES.items()},
}
"""Parts of an explanation that can be computed one by one, with the settings that each depends on;
``fields`` is short for all of its methods, and ``probes`` for all probes."""

DEFAULT = tuple(part for part in PARTS if not part.startswith(f"{PROBED}."))
"""Parts that are computed where none are named. Probes ask an encoder about stimuli that were never
recorded, and are computed by name."""

NEEDS = {f"{FIELDS}.ascent": f"{FIELDS}.gradient"}
"""Parts that need another part: the gradient decides which neurons are phase-invariant,
whose ascents are described by a pair of images."""


def explain(
    encoder: FittedEncoder,
    recording: Recording,
    run_folder: Path | str,
    config: ExplainConfig | None = None,
    progress: Progress | None = None,
    *,
    only: Sequence[str] | None = None,
) -> SessionExplanation:
    """Compute receptive fields, saliency, tuning and contributions of a session's neurons.

    The run's folder keeps the results, and those of long computations after each neuron. A stopped
    explanation continues, and a finished one is read. Parts that were computed before with the same
    settings are kept.

    Args:
        encoder: The fitted encoder.
        recording: A session that it was fitted on.
        run_folder: The run.
        config: Settings; without it, the protocol of ``docs/reference/looking_inside.md``.
        progress: Receives every step as (description, done, total).
        only: Names of the parts to compute (see ``PARTS``); by default all but probes.

    Returns:
        All parts of the explanation that the run's folder then holds, see
        ``freegaze.explanation.result``.

    Raises:
        ConfigError: If there is no such part.
        DataError: If the session was not fitted, the disk refuses, or kept parts belong to other
            weights, data or another version.

    Example:
        >>> quick = ExplainConfig(n_windows=3, n_starts=1, ascent_steps=1, n_shifts=2)
        >>> len(explain(encoder, recording, "runs/glm", quick).neurons["class"])
        6
    """
    plan = plan_explanation(encoder, recording, run_folder, config, only)
    folder, kept, pieces = plan.folder, plan.kept, Pieces(plan.pieces)
    if kept is not None and not plan.missing:
        pieces.remove()  # left by a process that was killed at the very end
        return kept
    session = ExplainedSession(encoder, recording, pieces, progress)
    found = compute_parts(session, plan)
    explanation = replace(
        _merged(session, kept, found), parts={p: plan.parts[p] for p in PARTS if p in plan.parts}
    )
    if {f"{FIELDS}.{method}" for method in COMPARED} & set(plan.missing):
        (folder / COMPARISON.about).unlink(missing_ok=True)  # it belongs to other fields
    (folder / TRUTH.about).unlink(missing_ok=True)
    save_explanation(run_folder, explanation, plan.settings)
    pieces.remove(others=not set(DEFAULT) & set(missing_parts(explanation)))
    return explanation


@dataclass(frozen=True)
class Plan:
    """What is to be computed of a session's explanation.

    Args:
        config: Settings.
        settings: Settings, with the version of freegaze and a checksum of weights and data.
        folder: Folder of the session's explanation.
        pieces: Folder of pieces of long computations; its name depends on all that they depend on.
        missing: Names of the parts to compute, see ``PARTS``.
        parts: Settings of each part of the whole explanation.
        kept: Explanation with the parts that are there; ``None`` where none can be kept.
    """

    config: ExplainConfig
    settings: Mapping[str, Any]
    folder: Path
    pieces: Path
    missing: Sequence[str]
    parts: Mapping[str, Mapping[str, Any]]
    kept: SessionExplanation | None


def plan_explanation(
    encoder: FittedEncoder,
    recording: Recording,
    run_folder: Path | str,
    config: ExplainConfig | None = None,
    only: Sequence[str] | None = None,
) -> Plan:
    """Return what ``explain`` has to compute; see there for the arguments.

    Raises:
        ConfigError: If there is no such part.
        DataError: If kept parts belong to other weights, data or another version.
    """
    asked = named_parts(only)
    config = config or ExplainConfig()
    own = {"version": version("freegaze"), "fingerprint": _fingerprint(encoder, recording)}
    settings = {**config.model_dump(mode="json"), **own}
    folder = session_folder(run_folder, recording.session_id)
    before = settings_of(run_folder, recording.session_id)
    is_same = before is not None and all(before.get(key) == own[key] for key in own)
    kept = load_explanation(run_folder, recording.session_id) if is_same else None
    if before is not None and not is_same and not set(asked) >= set(DEFAULT):
        raise DataError(
            f"the explanation in {folder} belongs to other weights, data or another version of "
            f"freegaze, so that parts cannot be added; explain all of it anew (`freegaze explain "
            f"{run_folder}`), or remove that folder first"
        )
    wanted = {part: values for part, values in _all_parts(settings).items() if part in asked}
    known = {} if kept is None or before is None else kept.parts or _all_parts(before, DEFAULT)
    mark = hashlib.sha256(json.dumps([settings, asked], sort_keys=True).encode()).hexdigest()[:12]
    return Plan(
        config,
        settings,
        folder,
        folder / "pieces" / mark,
        [p for p in asked if known.get(p) != wanted[p]],
        {**known, **wanted},
        kept,
    )


def named_parts(names: Sequence[str] | None) -> list[str]:
    """Return the parts that some names stand for, in their order; ``DEFAULT`` for ``None``.

    Args:
        names: Names of parts, ``fields`` for all methods, or ``probes`` for all probes.

    Raises:
        ConfigError: If there is no such part.

    Example:
        >>> named_parts(["tuning", "fields.ascent"])
        ['fields.gradient', 'fields.ascent', 'tuning']
    """
    if names is None:
        return list(DEFAULT)
    known = [FIELDS, PROBED, *PARTS]
    require_names(names, known, "no part of an explanation is called", ConfigError)
    wanted = {*names, *(NEEDS[name] for name in names if name in NEEDS)}
    return [p for p in PARTS if p in wanted or ("." in p and p.partition(".")[0] in wanted)]


def missing_parts(explanation: SessionExplanation) -> list[str]:
    """Return the names of the parts that were not computed."""
    return [part for part in PARTS if explanation.parts and part not in explanation.parts]


def _all_parts(
    settings: Mapping[str, Any], parts: Sequence[str] = tuple(PARTS)
) -> dict[str, dict[str, Any]]:
    return {part: {key: settings[key] for key in PARTS[part]} for part in parts}


def compute_parts(session: ExplainedSession, plan: Plan) -> list[dict[str, Any]]:
    """Return what each question found, by attributes of ``SessionExplanation``.

    Args:
        session: The session.
        plan: What is to be computed.
    """
    config, parts, kept = plan.config, plan.missing, plan.kept
    found = []
    methods = [p.removeprefix(f"{FIELDS}.") for p in parts if p.startswith(f"{FIELDS}.")]
    if methods:
        known = None if kept is None else kept.neurons.get("is_invariant")
        is_invariant = None if known is None else known.to_numpy(bool)
        found.append(receptive_fields(session, config, methods, is_invariant))
    if "contributions" in parts:
        found.append(contribution_tables(session, config))
    if "saliency" in parts:
        found.append({"saliency": saliency_table(session, config)})
    if "tuning" in parts:
        found.append(tuning_tables(session))
    if probes := [p.removeprefix(f"{PROBED}.") for p in parts if p.startswith(f"{PROBED}.")]:
        found.append(probe_tables(session, config, probes))
    return found


def _merged(
    session: ExplainedSession, kept: SessionExplanation | None, found: Sequence[dict[str, Any]]
) -> SessionExplanation:
    """Add what was found to what was kept; order by neurons, methods and columns."""
    recording = session.recording
    values: dict[str, Any] = {name: empty_table(name) for name in COLUMNS}
    values |= {"fields": {}, "pairs": {}, "neurons": pd.DataFrame({"unit_id": recording.unit_ids})}
    new = [] if kept is None else [{name: getattr(kept, name) for name in values}]
    for part in [*new, *found]:
        for name, value in part.items():
            before = values[name]
            if name in ("fields", "pairs"):
                value = {m: {**before, **value}[m] for m in METHODS if m in before or m in value}
            elif name == "neurons":
                value = pd.DataFrame({**dict(before), **dict(value)})
            elif name == "receptive_fields" and len(before):
                value = pd.concat([before[~before["method"].isin(value["method"])], value])
            values[name] = value
    names = {"unit_id": list(recording.unit_ids), "method": list(METHODS)}
    values["receptive_fields"] = values["receptive_fields"].sort_values(
        list(names), key=lambda column: column.map(names[column.name].index), ignore_index=True
    )
    values["neurons"] = values["neurons"][[c for c in NEURON_COLUMNS if c in values["neurons"]]]
    return SessionExplanation(
        session_id=recording.session_id,
        unit_ids=recording.unit_ids,
        bin_width_s=recording.bin_width_s,
        lag=session.lag,
        deg_per_px=recording.deg_per_px,
        parts={},
        **values,
    )


def _fingerprint(encoder: FittedEncoder, recording: Recording) -> str:
    """Return a checksum of the weights and the data, on which everything depends."""
    digest = hashlib.sha256(recording_checksum(recording).encode())
    for name, tensor in encoder.encoder.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
