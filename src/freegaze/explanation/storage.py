"""Explanations on disk, in a run's folder: one folder per session.

explanation/SESSION/about.json                 what was explained, and how
                    fields.npz                 receptive fields and pairs
                    neurons.csv, .parquet      and so on for each table of ``SessionExplanation``
                    checksums.sha256           of all these
                    pieces/                    results so far of an unfinished explanation
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from freegaze.explanation.result import SessionExplanation
from freegaze.files.artifact import Artifact, Content

FOLDER = "explanation"

TABLES = (
    "neurons",
    "receptive_fields",
    "saliency",
    "contributions",
    "tuning",
    "gaze_shifts",
)

EXPLANATION = Artifact(
    what="explanation",
    command="freegaze explain {run}",
    about="about.json",
    tables=TABLES,
    arrays="fields.npz",
)


def session_folder(run_folder: Path | str, session_id: str) -> Path:
    """Return the folder of a session's explanation; special characters of its name are escaped."""
    name = quote(session_id, safe=" ")
    if not name.strip("."):  # nothing, "." and ".." are other folders
        name = name.replace(".", "%2E") or "%"
    return Path(run_folder) / FOLDER / name


def save_explanation(
    run_folder: Path | str, explanation: SessionExplanation, settings: Mapping[str, Any]
) -> Path:
    """Write a session's explanation: whole, or not at all.

    Args:
        run_folder: The run.
        explanation: What to write.
        settings: How it was made, for ``about.json``.

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
    EXPLANATION.write(folder, Content(about, tables, arrays))
    return folder


def is_explained(run_folder: Path | str) -> bool:
    """Whether there is a whole explanation of any session of a run."""
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
