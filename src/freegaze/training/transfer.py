"""Transfer of a core: a fit that starts from the core of another fit."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from freegaze.errors import CheckpointError, ConfigError
from freegaze.fitted.storage import load_encoder
from freegaze.models.averaged import AveragedEncoder
from freegaze.models.encoder import AbstractEncoder
from freegaze.weights import load_weights


def load_core(encoder: AbstractEncoder, run_dir: Path) -> None:
    """Load the core of a finished run into an encoder.

    Args:
        encoder: Encoder, whose core (shared by its sessions) is changed in place.
        run_dir: The run folder; of an averaged encoder the first member's core is taken.

    Raises:
        ConfigError: If one of both encoders has no core.
        CheckpointError: If there is no finished run, or the cores differ in their sizes.
    """
    source = load_encoder(run_dir, "cpu").encoder
    if isinstance(source, AveragedEncoder):
        source = next(iter(source.encoders()))
    there = _core_of(source.trained, f"the encoder of {run_dir}")
    here = _core_of(encoder.trained, "this encoder")
    try:
        load_weights(here, there.state_dict(), f"the core of {run_dir}")
    except CheckpointError as error:
        raise CheckpointError(
            f"{error}; give this fit the model.core and model.planes of {run_dir}/config.yaml"
        ) from None


def _core_of(encoder: nn.Module, whose: str) -> nn.Module:
    core = getattr(encoder, "core", None)
    if not isinstance(core, nn.Module):
        raise ConfigError(
            f"training.core_from: {whose} has no core that sessions share; take one that has, such "
            "as cnn or cnn_gru"
        )
    return core
