"""Fitted encoders on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter

from freegaze.config import build_config
from freegaze.dataset.batches import Preparation
from freegaze.dataset.config import DataConfig, SplitConfig
from freegaze.dataset.dims import EncoderDims
from freegaze.errors import CheckpointError, FreegazeError
from freegaze.fitted.encoder import FittedEncoder, FittedSession
from freegaze.models.averaged import build_averaged
from freegaze.models.encoder import MODELS
from freegaze.nn.device import pick_device
from freegaze.runs.checkpoint import load_tensors
from freegaze.runs.config import RunConfig
from freegaze.runs.own_code import Model, require_model
from freegaze.runs.run_folder import RunFolder
from freegaze.weights import load_weights

_DIMS, _PREPARATION = TypeAdapter(EncoderDims), TypeAdapter(Preparation)


def describe_encoder(config: RunConfig, sessions: Mapping[str, FittedSession]) -> dict[str, Any]:
    """Return all that is needed, beside the weights, to predict: plain values for JSON.

    Args:
        config: The run's configuration.
        sessions: Results of the fit beside the weights, by session.
    """
    described = {name: asdict(session) for name, session in sessions.items()}
    for values in described.values():
        values["mean_response"] = values["mean_response"].tolist()
    described_seeds = {"seeds": config.training.seeds} if config.training.seeds > 1 else {}
    return {
        "model": config.model,
        **described_seeds,
        "data": config.data.model_dump(mode="json"),
        "split": config.split.model_dump(mode="json"),
        "sessions": described,
    }


def load_encoder(
    run_dir: Path | str,
    device: torch.device | str = "auto",
    model: Model | None = None,
    accept_changed_model: bool = False,
) -> FittedEncoder:
    """Load the encoder that a finished run fitted.

    Args:
        run_dir: The run folder.
        device: Device to compute on; ``auto`` is a CUDA GPU if there is one.
        model: The encoder's class, or ``FILE.py:Class``, if it is your own. It must be given, as
            nothing that a run names is imported by itself.
        accept_changed_model: Whether to go on if its source is not that of the fit.

    Returns:
        The encoder, in evaluation mode.

    Raises:
        CheckpointError: If the run is missing, unfinished or broken; or if its encoder is your own,
            and ``model`` is not given or its source has changed.
        ConfigError: If ``model`` is given, but cannot be loaded or is not the run's encoder;
            or if this machine has no such device.
    """
    run = RunFolder(Path(run_dir))
    run.config()  # says clearly when there is no run here
    if not run.is_finished:
        raise CheckpointError(
            f"the run {run.path} is not finished; continue it with `freegaze train --resume "
            f"{run.path}`"
        )
    weights, state = load_tensors(run.encoder)
    try:
        require_model(run, state["model"]["name"], model, accept_changed_model)
        encoder = _rebuild(weights, state, str(run.encoder), pick_device(device))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = " ".join(repr(error).split())
        raise CheckpointError(f"{run.encoder} does not describe an encoder ({reason})") from None
    encoder.run = run.path
    return encoder


def _rebuild(
    weights: dict[str, torch.Tensor], state: dict[str, Any], where: str, device: torch.device
) -> FittedEncoder:
    sessions = {name: _session(values) for name, values in state["sessions"].items()}
    options = dict(state["model"])
    name = options.pop("name")
    try:
        config = build_config(MODELS.get(name).Config, options, where=where)
        data = build_config(DataConfig, state["data"], where=where)
        split = build_config(SplitConfig, state["split"], where=where)
        dims = {key: session.dims for key, session in sessions.items()}
        encoder = build_averaged(name, config, dims, int(state.get("seeds", 1)))
    except FreegazeError as error:
        raise CheckpointError(f"{where}: {error}") from None
    load_weights(encoder, weights, where)
    return FittedEncoder(encoder, sessions, name, data, split, device)


def _session(values: Mapping[str, Any]) -> FittedSession:
    return FittedSession(
        _DIMS.validate_python(values["dims"]),
        _PREPARATION.validate_python(values["preparation"]),
        tuple(values["unit_ids"]),
        float(values["bin_width_s"]),
        np.array(values["mean_response"], dtype=np.float32),
    )
