"""The user's own encoder or loss in a run: recorded in a new run, compared in a later call.

A run whose encoder or loss is not of an installed package holds a copy of its source and, in the
manifest, its name and checksum. The copy is for the record and is never imported; the user
gives the file again with every command.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from freegaze.config import read_config
from freegaze.errors import CheckpointError, ConfigError
from freegaze.models.encoder import MODELS, AbstractEncoder
from freegaze.plugins import OwnCode, code_of, is_own, load_own
from freegaze.registry import Registry
from freegaze.runs.config import RunConfig

if TYPE_CHECKING:
    from freegaze.runs.run_folder import RunFolder

Model = type[AbstractEncoder] | str
"""An encoder class, a registered name, or ``FILE.py:Class``."""

Loss = Callable[[Tensor, Tensor], Tensor]
"""``(predicted, observed)``, each (..., neuron), to the mean loss, a tensor without axes."""

LOSSES: Registry[Loss] = Registry("loss", option="--set training.loss=FILE.py:function")
"""Losses of the user's own."""

_REGISTRIES: dict[str, Registry[Any]] = {"model": MODELS, "loss": LOSSES}


def use_model(model: Model) -> str:
    """Make an encoder known in this process.

    Args:
        model: A class; ``FILE.py:Class``, whose file is executed; or a registered name.

    Returns:
        The value for ``model.name``.

    Raises:
        ConfigError: If the file cannot be loaded, or does not define an encoder.
    """

    def is_encoder(thing: Any) -> bool:
        return isinstance(thing, type) and issubclass(thing, AbstractEncoder)

    return _use("model", model, is_encoder, "a class derived from AbstractEncoder")


def use_loss(loss: Loss | str) -> str:
    """Make a loss known in this process.

    Args:
        loss: A function of (predicted, observed); ``FILE.py:function``, whose file is executed; or
            the name of a loss of freegaze.

    Returns:
        The value for ``training.loss``.

    Raises:
        ConfigError: If the file cannot be loaded, or does not define a function.
    """
    return _use("loss", loss, callable, "a function of (predicted, observed)")


def configure_run(
    start: RunConfig | Path | str | None, settings: Mapping[str, Any], model: Model | None = None
) -> RunConfig:
    """Build the configuration of a run, and make an encoder and a loss of the user's own known.

    Args:
        start: Configuration or YAML file to start from; ``None`` for the defaults.
        settings: Values by dotted name, which override ``start``; ``training.loss`` may be a
            function or ``FILE.py:function``.
        model: The encoder; by default that of ``start``.

    Raises:
        ConfigError: If a setting is unknown or wrong, or a file cannot be loaded.
    """
    given = {} if model is None else {"model.name": use_model(model)}
    given |= settings
    if "training.loss" in given:
        given["training.loss"] = use_loss(given["training.loss"])
    return read_config(RunConfig, start, given)


def own_code_of(config: RunConfig) -> dict[str, OwnCode]:
    """Return the source of what a run uses and no installed package has, by ``model`` and ``loss``.

    Args:
        config: The run's configuration.

    Raises:
        RegistryError: If the configuration names a file that the user did not give.
        ConfigError: If the source cannot be found.
    """
    names = {"model": config.model["name"], "loss": config.training.loss}
    return {
        part: code_of(_REGISTRIES[part].get(name))
        for part, name in names.items()
        if is_own(name) or _REGISTRIES[part].is_own(name)
    }


def copy_of(run: Path, part: str) -> Path:
    """Return the place of the copied source of a run's ``model`` or ``loss``."""
    return run / f"{part}_source.py"


def require_model(run: RunFolder, name: str, given: Model | None, accepts_change: bool) -> None:
    """Make the encoder of a run known in this process, if it is the user's own.

    Args:
        run: The run folder.
        name: The encoder's name in the run.
        given: The run's encoder as the user gives it in this call.
        accepts_change: Whether to take it though its source is not that of the run.

    Raises:
        CheckpointError: If it is not given, or its source has changed.
        ConfigError: If it is given, but cannot be loaded or is not needed; or if a change is
            accepted of nothing.
    """
    if given is None and accepts_change:
        raise ConfigError("--accept-changed-model goes with --model FILE.py:CLASS; give both")
    _require(run, "model", name, None if given is None else use_model(given), accepts_change)


def require_loss(run: RunFolder, name: str, given: Loss | str | None, accepts_change: bool) -> None:
    """Make the loss of a run known in this process, if it is the user's own.

    Args:
        run: The run folder.
        name: The loss's name in the run.
        given: The run's loss as the user gives it in this call.
        accepts_change: Whether to take it though its source is not that of the run.

    Raises:
        CheckpointError: If it is not given, or its source has changed.
        ConfigError: If it is given, but cannot be loaded or is not needed.
    """
    _require(run, "loss", name, None if given is None else use_loss(given), accepts_change)


def _use(part: str, given: Any, is_right: Callable[[Any], bool], expected: str) -> str:
    thing = load_own(given) if isinstance(given, str) and is_own(given) else given
    if isinstance(thing, str):
        return thing
    if not is_right(thing):
        raise ConfigError(f"{given}: expected {expected}, got {thing!r}")
    registry = _REGISTRIES[part]
    name = registry.name_of(thing)
    if name is None:
        name = code_of(thing).name
        registry.lend(name, thing)
    return name


def _require(run: RunFolder, part: str, name: str, given: str | None, accepts: bool) -> None:
    registry = _REGISTRIES[part]
    recorded = None if registry.is_installed(name) else _recorded(run, part, name)
    if given is not None and recorded is None and given != name:
        raise ConfigError(f"the {part} of {run.path} is {name!r}, not {given!r}; leave it out")
    if recorded is None:
        return
    candidate = given or (name if registry.is_own(name) else None)
    code = None if candidate is None else code_of(registry.get(candidate))
    is_same = code is not None and code.same_as(recorded["name"], recorded["sha256"])
    copy = copy_of(run.path, part)
    if given is None and not is_same:
        raise CheckpointError(
            f"the {part} of {run.path} is {name!r} with sha256 {recorded['sha256']}, which no "
            f"installed package has and which is not imported by itself; read its copy {copy} and "
            f"give it with {registry.option} (in Python, {part}=...)"
        )
    if code is not None and not is_same and not accepts:
        raise CheckpointError(
            f"the {part} {code.name!r} has sha256 {code.sha256}, but {run.path} was fitted with "
            f"sha256 {recorded['sha256']}; give the source as it was ({copy} is a copy), or go on "
            "with --accept-changed-model (in Python, accept_changed_model=True)"
        )
    registry.lend(name, registry.get(candidate or name))


def _recorded(run: RunFolder, part: str, name: str) -> Mapping[str, str] | None:
    """Return name and checksum in the manifest, or ``None`` where the name needs no own code."""
    own_code = run.manifest().get("own_code")
    found = own_code.get(part) if isinstance(own_code, dict) else None
    if isinstance(found, dict) and all(isinstance(found.get(k), str) for k in ("name", "sha256")):
        return found
    if is_own(name):
        raise CheckpointError(
            f"{run.path / 'manifest.json'} holds no checksum of the source of the {part}; restore "
            "it from a copy, or fit again"
        )
    return None
