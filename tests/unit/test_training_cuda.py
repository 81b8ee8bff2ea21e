"""On a GPU: recorded steps are the steps themselves, and fits are those of the processor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_training_fit import CONVOLUTIONAL, small_config

from builders import make_recording
from freegaze.dataset.batches import Batch
from freegaze.fitted.storage import load_encoder
from freegaze.models.encoder import MODELS, build_encoder
from freegaze.nn.fast.captured import N_EAGER, CapturedSteps
from freegaze.nn.fast.dropout import rectify_and_drop
from freegaze.recording.recording import Recording
from freegaze.runs.config import model_config
from freegaze.runs.run_folder import RunFolder
from freegaze.training.fit import prepare_sessions, train
from freegaze.training.loop import Fit

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")

LONG = ("training.device=cuda", "training.max_passes=4", "training.batch_windows=16")


def tracked(**options: Any) -> Recording:
    """Make a recording with all behavior that any encoder reads."""
    recording = make_recording(**options)
    more = np.random.default_rng(0).normal(size=(recording.n_bins, 3)).astype(np.float32)
    return replace(
        recording,
        behavior=np.concatenate([recording.behavior, more], axis=1),
        behavior_names=(*recording.behavior_names, "pitch", "roll", "pupil_radius"),
        behavior_units=(*recording.behavior_units, "deg", "deg", "px"),
    )


def in_float64(batch: Batch) -> Batch:
    parts = (batch.video, batch.behavior, batch.responses)
    return Batch(batch.session_id, *(part.double() for part in parts))


def losses(folder: Path, settings: Sequence[str]) -> list[float]:
    """Fit in float64, in which sums in another order matter least; return each pass's losses."""
    config = small_config(*settings)
    recordings = [
        tracked(frame_size=(60, 80), n_bins=300, seed=i, session_id=f"s{i}") for i in (0, 1)
    ]
    sessions = prepare_sessions(recordings, config)
    dims = {name: session.dims for name, session in sessions.items()}
    encoder = build_encoder(config.model["name"], model_config(config), dims, seed=0)
    folder.mkdir()
    fit = Fit(encoder, sessions, config.training, RunFolder(folder))
    fit.encoder.double()
    for tensors in fit.tensors.values():
        tensors.gather = lambda *a, gather=tensors.gather: in_float64(gather(*a))  # type: ignore
    fit.run()
    return [line[f"{kind}_loss"] for line in fit.state.history for kind in ("train", "validation")]


@pytest.mark.parametrize("model", sorted({*MODELS.names()} - {"mean_rate"}))
def test_recorded_steps_are_the_steps_themselves(tmp_path: Path, model: str, monkeypatch):
    replayed = []
    whole = CapturedSteps.__call__
    monkeypatch.setattr(
        CapturedSteps, "__call__", lambda self, *a: (replayed.append(a[0]), whole(self, *a))[1]
    )
    settings = [f"model.name={model}", *LONG]
    if model in ("resnet18", "efficientnet_b0", "timm"):
        settings.append("model.core.weights=none")
    recorded, plain = (
        losses(tmp_path / on, [*settings, f"training.capture={on}"]) for on in ("true", "false")
    )
    assert len(replayed) > 4 * N_EAGER
    # A pass later some encoders have left each other for good, recorded or not: weights that differ
    # by 1e-15 at the start give losses that differ by 1e-13 in the first pass, up to 4e-5 in the
    # second and 1e-2 in the fourth (autoencoder, on a processor).
    assert recorded[:2] == pytest.approx(plain[:2], rel=1e-6)
    assert recorded[2:4] == pytest.approx(plain[2:4], rel=1e-3)
    assert recorded[0] != pytest.approx(recorded[-2], rel=1e-3)  # it learned something


def test_a_fit_on_the_gpu_is_that_on_the_processor(tmp_path: Path):
    recording = tracked()
    settings = (*CONVOLUTIONAL, "model.core.dropout=0")
    on_gpu, on_cpu = (
        train([recording], small_config(*settings, f"training.device={d}"), tmp_path / d)
        for d in ("cuda", "cpu")
    )
    found = [[line["validation_loss"] for line in run.metrics()] for run in (on_gpu, on_cpu)]
    assert found[0] == pytest.approx(found[1], rel=1e-3)
    predicted = [load_encoder(on_gpu.path, d).predict(recording).rates for d in ("cpu", "cuda")]
    assert predicted[0] == pytest.approx(predicted[1], rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rectified_and_dropped_by_half(dtype: torch.dtype):
    torch.manual_seed(0)
    values = torch.randn(64, 8, 30, 40, device="cuda", dtype=dtype, requires_grad=True)
    inputs = values.detach().contiguous(memory_format=torch.channels_last).clone().requires_grad_()
    kept = rectify_and_drop(inputs * 1, 0.5)
    positive = values.detach() > 0
    n_positive = int(positive.sum())
    n_kept = int((kept > 0).sum())
    assert abs(n_kept - n_positive / 2) < 5 * (n_positive / 4) ** 0.5  # five sd of the coins
    assert torch.equal(kept[kept > 0], values.detach()[kept > 0])
    kept.sum().backward()
    assert torch.equal(inputs.grad != 0, kept > 0)


def test_an_encoder_that_waits_for_the_device_is_told_what_to_set(tmp_path: Path, monkeypatch):
    kind = MODELS.get("behavior_only")
    encode = kind.encode

    def waiting(self, video, behavior, session=None):
        assert float(behavior.sum()) < 1e9
        return encode(self, video, behavior, session)

    monkeypatch.setattr(kind, "encode", waiting)
    with pytest.raises(Exception, match="training.capture=false"):
        train([make_recording()], small_config(*LONG), tmp_path / "run")
