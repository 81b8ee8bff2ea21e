"""Configuration of a bench: recordings, encoders, and settings that follow from a recording."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, PositiveInt

from freegaze.config import StrictConfig, build_config, read_config
from freegaze.dataset.config import DataConfig
from freegaze.dataset.features import resolve_features
from freegaze.errors import ConfigError, DataError
from freegaze.files.atomic import visible_folders
from freegaze.metrics.bootstrap import DRAWS
from freegaze.models.encoder import MODELS
from freegaze.plugins import is_own
from freegaze.recording.recording import Recording
from freegaze.registry import nearest_names
from freegaze.runs.config import RunConfig, SourceConfig, model_config, resolve_config
from freegaze.runs.own_code import use_loss, use_model
from freegaze.sources import SOURCES, detect_source, open_recordings


class BenchConfig(StrictConfig):
    """Configuration of a bench.

    Args:
        recordings: Source of each recording, by session id.
        encoders: Settings of each encoder by its name in the tables, in the form of a ``RunConfig``
            without ``source``.
        settings: Settings of all fits by dotted name; ``model.X`` applies to the encoders that have
            the option X.
        seeds: Fits of each encoder and recording; the seeds are 0, 1, ...
        condition: Annotation that names the stimulus of each trial; by default trials with equal
            frames repeat a stimulus.
        clusters: Annotation whose values are resampled in the place of blocks of time, such as the
            stimulus where stimuli come in random order.
        draws: Resampled recordings that intervals are made of.
    """

    recordings: dict[str, SourceConfig]
    encoders: dict[str, dict[str, Any]]
    settings: dict[str, Any] = Field(default_factory=dict)
    seeds: PositiveInt = 1
    condition: str | None = None
    clusters: str | None = None
    draws: PositiveInt = DRAWS


def find_recordings(
    path: Path, source: str = "auto", options: Mapping[str, Any] | None = None
) -> dict[str, SourceConfig]:
    """Find all recordings in a folder, also where its files are of several formats.

    Args:
        path: A file, or a folder of recordings.
        source: Format of the recordings, or ``auto`` to detect the format of each file or folder.
        options: Options of the source.

    Returns:
        Source of each recording, by session id.

    Raises:
        DataError: If there is no recording, one cannot be opened, or two have one id.
    """
    given, found = dict(options or {}), {}
    for name, place in _places(path.expanduser().resolve(), source):
        for key in _session_names(name, place, given):
            chosen = {**given, "sessions": [key]}
            (recording,) = open_recordings(name, place, **chosen)
            session = recording.session_id
            if session in found:
                raise DataError(
                    f"{place} and {found[session].path} both hold a session {session!r}; rename one"
                )
            found[session] = SourceConfig(name=name, path=place, options=chosen)
    return found


def _session_names(source: str, path: Path, options: Mapping[str, Any]) -> Sequence[str]:
    """Return the names under which a source opens its sessions, which need not be their ids."""
    opener = SOURCES.get(source)()
    chosen = build_config(opener.Options, options, where=f"options of source {source!r}")
    if not path.exists():
        raise DataError(f"{path} does not exist; give the path of a file or folder to open")
    return chosen.sessions or sorted(opener.find_sessions(path, chosen))


def _places(path: Path, source: str) -> list[tuple[str, Path]]:
    """Return the format and the place of what is to be opened."""
    if source != "auto":
        return [(source, path)]
    try:
        return [(detect_source(path), path)]
    except DataError:
        if not path.is_dir():
            raise
        inside = [*visible_folders(path), *sorted(p for p in path.iterdir() if p.is_file())]
        found = [(name, place) for place in inside if (name := _format_of(place))]
        if not found:
            raise
        return found


def _format_of(path: Path) -> str | None:
    try:
        return detect_source(path)
    except DataError:
        return None


def read_encoders(models: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the settings of encoders by their name in the tables.

    Args:
        models: For each a registered name, ``timm:NETWORK``, ``FILE.py:CLASS``, or a YAML file with
            the settings of a run (``model``, ``data``, ``training``, ``search``).

    Raises:
        ConfigError: If one is given twice or cannot be read, or a file sets what all share.
        RegistryError: If a name is unknown.
    """
    encoders: dict[str, dict[str, Any]] = {}
    for model in models:
        name = model.rpartition(":")[2] if is_own(model) else model.replace(":", "-")
        values: dict[str, Any] = {"model": {"name": use_model(model)}}
        if model.endswith((".yaml", ".yml")):
            name, values = Path(model).stem, _read_file(Path(model))
        if "/" in name or name.startswith("."):
            raise ConfigError(f"{model!r} is no name of an encoder; `freegaze models` lists them")
        if name in encoders:
            raise ConfigError(f"two encoders are named {name!r}; rename one of the files")
        MODELS.get(build_config(RunConfig, values, where=model).model["name"])  # it is known
        encoders[name] = values
    if not encoders:
        raise ConfigError("give at least one encoder, for example --models cnn_gru,glm")
    return encoders


def _read_file(path: Path) -> dict[str, Any]:
    config = read_config(RunConfig, path)
    for part in ("source", "split"):
        if part in config.model_fields_set:
            raise ConfigError(
                f"{path} sets `{part}`, which all encoders of a bench share; remove it there"
                + (", and give --set split.X=VALUE" if part == "split" else "")
            )
    return config.model_dump(mode="json", exclude_unset=True)


def fit_config(config: BenchConfig, encoder: str, recording: Recording, seed: int) -> RunConfig:
    """Return the configuration of one fit.

    Two settings follow from the recording. Where it lacks what the shifter reads, there is no
    shifter. Where its longest segment is shorter than a window, the window is cut; for segments of
    one bin (images in random order) it is that bin, with a lag of 0.

    Args:
        config: The bench's configuration.
        encoder: Name of the encoder in the tables.
        recording: The recording.
        seed: Seed of the fit.

    Raises:
        ConfigError: If a setting is unknown or wrong, or the recording lacks what the encoder
            reads.
    """
    asked = _encoder_config(config, encoder)
    values = asked.model_dump(mode="json")
    values["source"] = config.recordings[recording.session_id].model_dump(mode="json")
    values["training"]["seed"] = seed
    values["data"] |= _window_in(recording, asked.data)
    if not can_read_shifter(asked, recording):
        values["model"]["shifter"] = {"kind": "none"}
    return resolve_config(build_config(RunConfig, values, where=f"encoder {encoder!r}"))


def check_settings(config: BenchConfig) -> None:
    """Make sure that the settings of a bench fit its encoders, before hours of work.

    Raises:
        ConfigError: If a setting is unknown or wrong.
        RegistryError: If an encoder is unknown.
    """
    for encoder in config.encoders:
        resolve_config(_encoder_config(config, encoder))
    for key in config.settings:
        section, _, option = key.partition(".")
        if section == "model":
            options = [o for e in config.encoders for o in _options_of(config, e)]
            if option.partition(".")[0] not in options:
                raise ConfigError(
                    f"no encoder of this bench has the option {key!r} "
                    f"({nearest_names(option, sorted(set(options)))})"
                )


def _encoder_config(config: BenchConfig, encoder: str) -> RunConfig:
    start = build_config(RunConfig, config.encoders[encoder], where=f"encoder {encoder!r}")
    own, given = _options_of(config, encoder), {}
    for key, value in config.settings.items():
        section, _, option = key.partition(".")
        if section in ("source", "search") or key in ("model.name", "training.seed"):
            raise ConfigError(f"--set {key} cannot be the same for all fits of a bench; remove it")
        if section != "model" or option.partition(".")[0] in own:
            given[key] = value
    built = read_config(RunConfig, start, given)
    use_loss(built.training.loss)
    return built


def _options_of(config: BenchConfig, encoder: str) -> list[str]:
    named = build_config(RunConfig, {"model": config.encoders[encoder].get("model", {})})
    name = use_model(str(named.model["name"]))
    return list(MODELS.get(name).Config.model_fields)


def _window_in(recording: Recording, data: DataConfig) -> dict[str, int]:
    longest = max(segment.n_bins for segment in recording.segments)
    if longest == 1:
        return {"history": 1, "lag": 0}
    needed = data.history + max(0, data.lag)
    return {"history": data.history if longest >= needed else max(1, longest - max(0, data.lag))}


def can_read_shifter(config: RunConfig, recording: Recording) -> bool:
    """Return whether a recording has the behavior that the encoder's shifter reads."""
    shifter = getattr(model_config(config), "shifter", None)
    try:
        resolve_features(getattr(shifter, "columns", ()), recording.behavior_names)
    except ConfigError:
        return False
    return True
