"""The original's weight files as encoders of this package, and back."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from freegaze.dataset.batches import Preparation, VideoScaling
from freegaze.dataset.behavior import BehaviorTransform
from freegaze.dataset.config import DataConfig, SplitConfig
from freegaze.dataset.dims import EncoderDims
from freegaze.dataset.features import FEATURE_SETS, ORIG, base_signals
from freegaze.errors import CheckpointError, ConfigError, DataError, RegistryError
from freegaze.fitted.encoder import FittedEncoder, FittedSession
from freegaze.fitted.storage import describe_encoder
from freegaze.models.encoder import build_encoder
from freegaze.paper.presets import paper_config
from freegaze.paper.state_dicts import to_freegaze, to_original
from freegaze.recording.recording import Recording
from freegaze.registry import require_name
from freegaze.runs.checkpoint import save_tensors, write_atomically
from freegaze.runs.config import RunConfig, SourceConfig
from freegaze.runs.run_folder import RunFolder
from freegaze.sources.xu2023.layout import XU_BIN_WIDTH_S
from freegaze.sources.xu2023.source import paper_units
from freegaze.weights import check_weights, read_state_dict

FRAME_SIZE = (60, 80)
"""(height, width) of the original's video in pixels."""


@dataclass(frozen=True)
class _Layout:
    """Differences between the original's models.

    Args:
        bias: Name of the weight that holds one number per neuron.
        behavior: Behavior set, or columns, that its weights read when none is named.
    """

    bias: str
    behavior: str | tuple[str, ...] = "orig"


_LAYOUTS = {
    "cnn": _Layout("encoder.layers.13.bias"),
    "autoencoder": _Layout("fc.bias"),
    "resnet18": _Layout("encoder.layers.fc.bias"),
    "efficientnet_b0": _Layout("encoder.layers.classifier.bias"),
    "cnn_gru": _Layout("fc.bias", "all_prod"),
    "sensorium": _Layout("readout.{session}.bias", ("theta", "phi")),
    "sensorium_plus": _Layout(
        "readout.{session}.bias", ("pupil_area", "d_pupil_area", "speed", "theta", "phi")
    ),
}


def load_published(
    path: Path | str,
    *,
    model: str,
    behavior: str | None = None,
    history: int = 1,
    session_id: str = "published",
    member: str | None = None,
    is_shifted: bool = True,
) -> FittedEncoder:
    """Load a weight file of Xu et al. (2023) as an encoder that predicts, evaluates and explains.

    Nothing in the file is run: it may hold tensors only.

    Args:
        path: ``.pth`` file, or the archive (``table_1.zip`` and so on) that holds it.
        model: ``cnn``, ``autoencoder``, ``resnet18``, ``efficientnet_b0``, ``cnn_gru``,
            ``sensorium`` or ``sensorium_plus``.
        behavior: Behavior set of the table's row (``orig``, ``velo``, ``all``, ``S``,
            ``all_prod``, ...); by default ``all_prod`` for ``cnn_gru``, and for the others what
            they were trained with.
        history: Input bins of a window.
        session_id: The mouse, ``070921_J553RT`` for example. Predictions are made for recordings
            of this id; Sensorium's files name their weights by it.
        member: File in the archive.
        is_shifted: Whether the row has a shifter, which the file does not state.

    Returns:
        The encoder, in evaluation mode. Called as ``encoder(video, behavior)`` with video (batch,
        history, 1, 60, 80) and behavior (batch, history, feature), whose columns are its
        ``behavior_names``, in that order.

    Raises:
        CheckpointError: If the file is missing, broken, holds anything but tensors, or if a name or
            a shape is not the model's; the message names it.
        RegistryError: If the model is unknown.
        ConfigError: If the behavior set is unknown.

    Source: Xu et al. (2023), OSF 10.17605/OSF.IO/MSP3A.

    Example:
        >>> encoder = load_published("cnn.pth", model="cnn", session_id="070921_J553RT")
        >>> encoder.behavior_names
        ('speed', 'pitch', 'roll', 'phi', 'theta', 'pupil_radius')
    """
    require_name(model, _LAYOUTS, "the original has no model", RegistryError)
    layout = _LAYOUTS[model]
    names = _behavior_names(layout, behavior)
    config = paper_config(model, behavior, is_shifted)
    weights = read_state_dict(Path(path), member)
    where = f"{path}" + (f": {member}" if member else "")
    n_neurons = _count_neurons(weights, layout.bias.replace("{session}", session_id), where)
    dims = EncoderDims(n_neurons, names, FRAME_SIZE, history, recorded=ORIG)
    encoder = build_encoder(model, config, {session_id: dims}, seed=0)
    check_weights(weights, to_original(model, encoder.state_dict(), session_id), where)
    encoder.load_state_dict(to_freegaze(model, weights, session_id, is_shifted))
    session = FittedSession(
        dims,
        Preparation(_paper_behavior(names, model), VideoScaling("minmax_segment")),
        paper_units(session_id, n_neurons),
        XU_BIN_WIDTH_S,
        np.full(n_neurons, np.nan, dtype=np.float32),
    )
    data = DataConfig(
        history=history,
        min_rate_hz=0.0,
        nan_policy="zero",
        derivative="paper",
        standardize="segment_sd" if model.startswith("sensorium") else False,
        video="minmax_segment",
    )
    return FittedEncoder(
        encoder, {session_id: session}, model, data, SplitConfig(method="paper_tail")
    )


def import_published(
    encoder: FittedEncoder,
    run_dir: Path | str,
    source: SourceConfig,
    recordings: Sequence[Recording] = (),
) -> RunFolder:
    """Write a run folder around a published encoder, as if it had been fitted here.

    Args:
        encoder: Result of ``load_published``.
        run_dir: New folder.
        source: Source of the recordings; evaluating the run opens them from there.
        recordings: The encoder's sessions among them are checked, and give the mean responses
            that bits per spike are measured against.

    Returns:
        The run's folder.

    Raises:
        DataError: If recordings are given and none is of the encoder's session, or lacks a neuron.
        CheckpointError: If the folder holds a run already, or cannot be written.
    """
    (session_id,) = encoder.session_ids
    matching = [r for r in recordings if r.session_id == session_id]
    if recordings and not matching:
        raise DataError(
            f"these weights are of session {session_id!r}, the data hold "
            f"{', '.join(r.session_id for r in recordings)}; give the session's own data"
        )
    fitted = encoder.sessions[session_id]
    mean = fitted.mean_response
    for recording in matching:
        mean = encoder.mean_response(encoder.match_neurons(recording))
    options = encoder.encoder.config.model_dump(mode="json")
    config = RunConfig(
        source=source,
        data=encoder.data,
        split=encoder.split_config,
        model={"name": encoder.model_name, **options},
    )
    run = RunFolder(Path(run_dir))
    run.create(config, matching)
    state = describe_encoder(config, {session_id: replace(fitted, mean_response=mean)})
    save_tensors(run.encoder, encoder.encoder.state_dict(), state)
    return run


def export_published(encoder: FittedEncoder, session_id: str | None = None) -> dict[str, Tensor]:
    """Return an encoder's weights under the original's names and in its shapes.

    Args:
        encoder: A fitted encoder in its ``paper`` configuration, on 60 x 80 frames.
        session_id: Session of the head; may be left out where there is one session.

    Returns:
        The state dict that the original's own class loads.

    Raises:
        CheckpointError: If the encoder is not built as the original's, naming the weight.
        ConfigError: If the session is unknown, or left out where there are several.
        RegistryError: If the original has no such model.
    """
    require_name(encoder.model_name, _LAYOUTS, "the original has no model", RegistryError)
    session = encoder.encoder.session_name(session_id)
    size = encoder.sessions[session].dims.frame_size
    if size != FRAME_SIZE:
        raise CheckpointError(
            f"the original reads frames of {FRAME_SIZE} px, this encoder was fitted on {size}; fit "
            "one on 60 x 80 px"
        )
    original = to_original(encoder.model_name, encoder.encoder.state_dict(), session)
    reference = _reference(encoder, session)
    check_weights(original, reference, "this encoder")
    return {name: original[name].detach().cpu().clone() for name in reference}


def save_published(path: Path | str, weights: Mapping[str, Tensor]) -> None:
    """Write a state dict as the original did, by ``torch.save``; the file appears whole.

    Args:
        path: The ``.pth`` file; replaced if it exists.
        weights: Result of ``export_published``.

    Raises:
        CheckpointError: If it cannot be written.
    """
    buffer = io.BytesIO()
    torch.save(dict(weights), buffer)
    write_atomically(Path(path), buffer.getvalue())


def _behavior_names(layout: _Layout, behavior: str | None) -> tuple[str, ...]:
    if behavior is None and not isinstance(layout.behavior, str):
        return layout.behavior
    name = behavior or str(layout.behavior)
    require_name(name, FEATURE_SETS, "behavior: the original has no set", ConfigError)
    # The row S gave its shifter the whole vector and its behavior encoder three columns of it.
    return FEATURE_SETS["all" if name == "S" else name]


def _paper_behavior(names: tuple[str, ...], model: str) -> BehaviorTransform:
    fill_values = (0.0,) * len(base_signals(names))  # never used: lost tracking becomes zero
    is_per_segment = model.startswith("sensorium")
    return BehaviorTransform.unscaled(names, "zero", "paper", fill_values, is_per_segment)


def _count_neurons(weights: Mapping[str, Tensor], name: str, where: str) -> int:
    if name not in weights or weights[name].ndim != 1 or not len(weights[name]):
        raise CheckpointError(
            f"{where} lacks the weight {name!r} with one number per neuron; it holds "
            f"{', '.join(sorted(weights)[:3])} ...; is it of another model, or another session?"
        )
    return len(weights[name])


def _reference(encoder: FittedEncoder, session: str) -> dict[str, Tensor]:
    """Return the weights that the original's model of the same kind would have."""
    config = encoder.encoder.config
    features = getattr(config, "features", None)
    shifter = getattr(config, "shifter", None)
    paper = paper_config(
        encoder.model_name,
        features if isinstance(features, str) else None,
        is_shifted=shifter is not None and shifter.kind != "none",
    )
    dims = {session: encoder.sessions[session].dims}
    built = build_encoder(encoder.model_name, paper, dims, seed=0)
    return to_original(encoder.model_name, built.state_dict(), session)
