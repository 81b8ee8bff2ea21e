"""What every encoder promises; used on the registry and on the template."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from freegaze.config import StrictConfig
from freegaze.dataset.dims import EncoderDims
from freegaze.dataset.features import FEATURE_SETS
from freegaze.models.encoder import AbstractEncoder
from freegaze.recording.recording import ResponseKind

RECORDED = FEATURE_SETS["orig"]
SESSIONS = {"mouse.1": 5, "mouse 2": 3}
"""Names and numbers of neurons; a dot and a space must do no harm."""


def make_encoder(
    kind: type[AbstractEncoder],
    config: StrictConfig,
    *,
    frame_size: tuple[int, int] = (48, 64),
    history: int = 3,
    seed: int = 0,
    response_kind: ResponseKind = ResponseKind.SPIKE_COUNTS,
    sessions: Mapping[str, int] = SESSIONS,
) -> AbstractEncoder:
    names = kind.required_features(config, RECORDED)
    dims = EncoderDims(1, names, frame_size, history, response_kind, RECORDED)
    torch.manual_seed(seed)
    return kind(config, {name: replace(dims, n_neurons=n) for name, n in sessions.items()})


def scramble(encoder: AbstractEncoder, seed: int = 1) -> AbstractEncoder:
    """Move every weight off its start, as training would, so that nothing is silent by symmetry."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    return encoder


def make_inputs(encoder: AbstractEncoder, n_bins: int, batch: int = 2) -> tuple[Tensor, Tensor]:
    dims = next(iter(encoder.sessions.values()))
    generator = torch.Generator().manual_seed(2)
    video = torch.randn(batch, n_bins, 1, *dims.frame_size, generator=generator)
    behavior = torch.randn(batch, n_bins, len(dims.behavior_names), generator=generator)
    return video, behavior


def check_shapes_and_sign(encoder: AbstractEncoder) -> None:
    video, behavior = make_inputs(encoder, encoder.history)
    for session, n_neurons in SESSIONS.items():
        rates = encoder(video, behavior, session)
        assert rates.shape == (2, n_neurons)
        assert rates.dtype == torch.float32
        assert torch.isfinite(rates).all()
        if encoder.sessions[session].response_kind is not ResponseKind.FLUORESCENCE:
            assert (rates >= 0).all()


def check_sequence_equals_windows(encoder: AbstractEncoder) -> None:
    encoder.eval()
    video, behavior = make_inputs(encoder, encoder.history + 4)
    with torch.no_grad():
        together = encoder.predict_sequence(video, behavior, "mouse.1")
        for first in range(5):
            window = slice(first, first + encoder.history)
            alone = encoder(video[:, window], behavior[:, window], "mouse.1")
            torch.testing.assert_close(together[:, first], alone, rtol=1e-5, atol=1e-5)


def check_only_declared_inputs_matter(encoder: AbstractEncoder) -> None:
    scramble(encoder).eval()
    video, behavior = make_inputs(encoder, encoder.history)
    before = encoder(video, behavior, "mouse.1")
    changed = {
        "video": encoder(video.flip(-1), behavior, "mouse.1"),
        "behavior": encoder(video, -behavior, "mouse.1"),
    }
    for name, after in changed.items():
        is_declared = encoder.inputs in (name, "both")
        assert torch.equal(before, after) is not is_declared, name


def check_causality(encoder: AbstractEncoder) -> None:
    """A window's prediction must not know of bins after its last one."""
    scramble(encoder).eval()
    video, behavior = make_inputs(encoder, encoder.history + 2)
    before = encoder.predict_sequence(video, behavior, "mouse.1")
    video[:, -1], behavior[:, -1] = 5.0, -5.0
    after = encoder.predict_sequence(video, behavior, "mouse.1")
    if encoder.is_causal:
        assert torch.equal(before[:, :-1], after[:, :-1])


def check_seed_decides_weights(kind: type[AbstractEncoder], config: StrictConfig) -> None:
    first, same = (make_encoder(kind, config, seed=3).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], same[name]) for name in first)


def check_gradients_reach_all(encoder: AbstractEncoder) -> None:
    scramble(encoder).train()
    video, behavior = make_inputs(encoder, encoder.history, batch=8)
    for session in SESSIONS:
        features = encoder.encode(video, behavior, session)
        loss = encoder.respond(features, session).square().sum()
        penalties = encoder.penalties(session)
        penalties |= encoder.batch_penalties(video, behavior, features, session)
        if loss.requires_grad:
            (loss + sum(penalties.values())).backward()
    trainable = {n: p for n, p in encoder.named_parameters() if p.requires_grad}
    for name, parameter in trainable.items():
        if encoder.history == 1 and name.endswith("gru.hidden_weight"):
            continue  # the hidden state before the only bin is zero
        if name.startswith("core.blocks.") and name.endswith(".convolution.bias"):
            # The normalization behind it takes it off again: training leaves it out.
            assert parameter.grad is None, name
            continue
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def check_weights_survive_a_file(encoder: AbstractEncoder, other: AbstractEncoder) -> None:
    scramble(encoder).eval()
    other.eval()
    video, behavior = make_inputs(encoder, encoder.history)
    weights = {name: t.contiguous() for name, t in encoder.state_dict().items()}
    other.load_state_dict(load(save(weights)))
    for session in SESSIONS:
        expected = encoder(video, behavior, session)
        torch.testing.assert_close(other(video, behavior, session), expected)


def check_starts_at_mean(encoder: AbstractEncoder) -> None:
    mean = torch.tensor([0.2, 1.0, 3.0, 0.0, 0.05])
    encoder.initialize("mouse.1", mean)
    encoder.eval()
    video, behavior = make_inputs(encoder, encoder.history)
    with torch.no_grad():
        rates = encoder(0 * video, 0 * behavior, "mouse.1").mean(0)
    assert ((rates - mean).abs() < 0.5 * mean + 0.2).all()


def check_all(kind: type[AbstractEncoder], config: StrictConfig, **sizes: Any) -> None:
    """Check everything on fresh encoders."""

    def fresh() -> AbstractEncoder:
        return make_encoder(kind, config, **sizes)

    check_shapes_and_sign(fresh())
    check_sequence_equals_windows(fresh())
    check_only_declared_inputs_matter(fresh())
    check_causality(fresh())
    check_seed_decides_weights(kind, config)
    check_gradients_reach_all(fresh())
    check_weights_survive_a_file(fresh(), fresh())
