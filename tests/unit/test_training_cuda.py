"""On a GPU: recorded steps are the steps themselves, and fits are those of the processor."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from test_training_fit import CONVOLUTIONAL, small_config, weights_of

from builders import make_recording
from freegaze.evaluation.fitted import load_encoder
from freegaze.models.encoder import MODELS
from freegaze.nn.dropout import rectify_and_drop
from freegaze.training.captured import N_EAGER, CapturedSteps
from freegaze.training.fit import train

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")

LONG = ("training.device=cuda", "training.max_passes=4", "training.batch_windows=16")


@pytest.mark.parametrize("model", sorted(MODELS.names()))
def test_recorded_steps_are_the_steps_themselves(tmp_path: Path, model: str, monkeypatch):
    replayed = []
    whole = CapturedSteps.__call__
    monkeypatch.setattr(
        CapturedSteps, "__call__", lambda self, *a: (replayed.append(a[0]), whole(self, *a))[1]
    )
    recordings = [
        make_recording(frame_size=(60, 80), n_bins=300, seed=i, session_id=f"s{i}") for i in (0, 1)
    ]
    settings = [f"model.name={model}", *LONG]
    if model in ("resnet18", "efficientnet_b0", "timm"):
        settings.append("model.core.weights=none")
    fits = [
        train(recordings, small_config(*settings, f"training.capture={on}"), tmp_path / on)
        for on in ("true", "false")
    ]
    assert len(replayed) > 4 * N_EAGER or model in ("mean_rate",)
    a, b = map(weights_of, fits)
    for name in a:  # sums in another order, which Adam carries on
        torch.testing.assert_close(a[name], b[name], rtol=0, atol=2e-3, msg=name)
    for one, two in zip(*(fit.metrics() for fit in fits), strict=True):
        assert one["train_loss"] == pytest.approx(two["train_loss"], rel=1e-3)


def test_a_fit_on_the_gpu_is_that_on_the_processor(tmp_path: Path):
    recording = make_recording()
    settings = (*CONVOLUTIONAL, "model.core.dropout=0")
    on_gpu, on_cpu = (
        train([recording], small_config(*settings, f"training.device={d}"), tmp_path / d)
        for d in ("cuda", "cpu")
    )
    losses = [[line["validation_loss"] for line in run.metrics()] for run in (on_gpu, on_cpu)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
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
