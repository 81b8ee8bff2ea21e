"""Recordings of a run, opened as its configuration says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from freegaze.config import build_config, read_setting
from freegaze.errors import ConfigError
from freegaze.recording.recording import Recording
from freegaze.runs.config import SourceConfig
from freegaze.runs.run_folder import RunFolder
from freegaze.sources import open_recordings


def open_run_recordings(run_dir: Path | str) -> list[Recording]:
    """Open the recordings that a run was fitted on, from the source in its configuration.

    Sessions of that source which the run was not fitted on are left out.

    Args:
        run_dir: The run folder.

    Raises:
        FreegazeError: If there is no run, or its data cannot be opened any more.
    """
    run = RunFolder(Path(run_dir))
    recordings = open_source(run.config().source)
    fitted = run.manifest().get("data") or ()
    return [r for r in recordings if r.session_id in fitted] or recordings


def open_against(run_dir: Path | str, changes: Sequence[str]) -> list[Recording]:
    """Open recordings beside those that a run was fitted on: its source, with changes.

    Args:
        run_dir: The run folder.
        changes: ``path=...``, ``source=...`` (whose options begin anew) and options, ``name=value``
            each; a word alone is the option ``block``.

    Raises:
        FreegazeError: If there is no run, or the data cannot be opened.

    Example:
        >>> open_against("runs/glm", ["source=arrays", "path=mouse.npz"])[0].session_id
        'mouse'
    """
    source = RunFolder(Path(run_dir)).config().source
    given = dict(read_setting(c if "=" in c else f"block={c}", "--against") for c in changes)
    name, path = given.pop("source", None), given.pop("path", None)
    return open_source(
        source.model_copy(
            update={
                "name": name or source.name,
                "path": source.path if path is None else Path(str(path)),
                "options": {**({} if name else source.options), **given},
            }
        )
    )


def open_source(source: SourceConfig) -> list[Recording]:
    """Open the recordings that a configuration names.

    Args:
        source: Name of the format, path and options.

    Raises:
        ConfigError: If no path is given.
        FreegazeError: If the data cannot be opened.
    """
    if source.path is None:
        raise ConfigError("give the path of a recording, or set source.path in the configuration")
    return open_recordings(source.name, source.path, **source.options)


def source_of(recordings: Sequence[Recording]) -> SourceConfig | None:
    """Return the source of recordings that were opened together, ``None`` if they were not."""
    opened = [recording.provenance.get("opened") for recording in recordings]
    if not opened or opened[0] is None or any(other != opened[0] for other in opened):
        return None
    return build_config(SourceConfig, opened[0], where="provenance of the recordings")
