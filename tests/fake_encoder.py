"""Encoders for tests, fitted to nothing; the smallest follows the latest speed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from freegaze.config import StrictConfig, build_config
from freegaze.dataset.batches import Preparation, VideoScaling
from freegaze.dataset.behavior import fit_behavior_transform
from freegaze.dataset.config import DataConfig, SplitConfig
from freegaze.dataset.dims import EncoderDims
from freegaze.dataset.splits import split_recording
from freegaze.fitted.encoder import FittedEncoder, FittedSession
from freegaze.models.encoder import MODELS, AbstractEncoder, build_encoder
from freegaze.recording.recording import Recording


class SpeedConfig(StrictConfig):
    """Nothing to choose."""


class SpeedEncoder(AbstractEncoder):
    """``softplus(weight * speed + bias)`` with one weight and bias a neuron."""

    Config = SpeedConfig
    inputs = "behavior"

    def __init__(self, config, sessions):
        super().__init__(config, sessions)
        self.add_heads(lambda dims: nn.Linear(1, dims.n_neurons))

    @classmethod
    def required_features(cls, config, recorded):
        return ("speed",)

    def encode(self, video, behavior, session=None):
        return behavior

    def respond(self, features, session=None):
        return nn.functional.softplus(self.head(session)(features[:, -1]))


def fake_fit(
    recordings: Sequence[Recording], *, history: int = 3, seed: int = 0, gap_s: float = 0.0
) -> FittedEncoder:
    """Return a ``SpeedEncoder`` with random weights and all that a fit would have learned."""
    data, split = DataConfig(history=history), SplitConfig(gap_s=gap_s)
    sessions = {}
    for r in recordings:
        train = split_recording(r, gap_s=gap_s, history=history).bins("train")
        sessions[r.session_id] = FittedSession(
            EncoderDims(r.n_neurons, ("speed",), r.frame_size, history, r.response_kind),
            Preparation(fit_behavior_transform(r, ("speed",), train), VideoScaling("unit")),
            r.unit_ids,
            r.bin_width_s,
            r.responses[train].mean(0),
        )
    torch.manual_seed(seed)
    encoder = SpeedEncoder(SpeedConfig(), {k: s.dims for k, s in sessions.items()})
    return FittedEncoder(encoder, sessions, "speed", data, split)


def built_fit(
    recordings: Sequence[Recording],
    model: str,
    options: Mapping[str, Any] | None = None,
    *,
    history: int = 3,
    standardize: bool = True,
) -> FittedEncoder:
    """Return a registered encoder with random weights and all that a fit would have learned."""
    config = build_config(MODELS.get(model).Config, dict(options or {}), where="a test")
    data, split = DataConfig(history=history), SplitConfig(gap_s=0.0)
    sessions = {}
    for r in recordings:
        names = tuple(MODELS.get(model).required_features(config, r.behavior_names))
        train = split_recording(r, gap_s=0.0, history=history).bins("train")
        behavior = fit_behavior_transform(r, names, train, standardize=standardize)
        sizes = (r.n_neurons, names, r.frame_size, history, r.response_kind, r.behavior_names)
        sessions[r.session_id] = FittedSession(
            EncoderDims(*sizes),
            Preparation(behavior, VideoScaling("unit")),
            r.unit_ids,
            r.bin_width_s,
            r.responses[train].mean(0),
        )
    encoder = build_encoder(model, config, {k: s.dims for k, s in sessions.items()}, seed=0)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():  # a shifter starts at nothing at all
        for parameter in encoder.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return FittedEncoder(encoder, sessions, model, data, split)
