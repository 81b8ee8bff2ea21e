"""Precision and compilation: options that change the speed, not the result beyond rounding."""

from pathlib import Path

import numpy as np
import pytest
import torch

from builders import make_recording
from freegaze.config import build_config, read_config
from freegaze.errors import ConfigError
from freegaze.fitted.storage import load_encoder
from freegaze.runs.config import RunConfig, model_config
from freegaze.training.fit import train
from type_checks import unchecked

SMALL = (
    "model.name=cnn_gru",
    *("data.history=2", "data.min_rate_hz=0", "split.gap_s=0.1", "training.max_passes=2"),
    *("training.batch_windows=32", "training.stretch_windows=4", "training.device=cpu"),
    *("model.shifter.columns=[theta, phi]", "model.core.channels=[4]", "model.core.kernels=[3]"),
    "model.core.strides=[2]",
)


def fitted(tmp_path: Path, name: str, *overrides: str):
    recording = make_recording(frame_size=(16, 20))
    config = read_config(RunConfig, None, [*SMALL, *overrides])
    run = train([recording], config, tmp_path / name)
    return run, load_encoder(run.path).predict(recording, "test").rates


def test_half_precision_stays_close_and_keeps_whole_weights(tmp_path: Path):
    whole, expected = fitted(tmp_path, "float32")
    half, rates = fitted(tmp_path, "bfloat16", "training.precision=bfloat16")
    losses = [run.metrics()[-1]["validation_loss"] for run in (whole, half)]
    assert losses[0] != losses[1]  # the option does something
    # bfloat16 keeps 8 binary digits; a step's gradient is off by a part in some hundred.
    assert losses[1] == pytest.approx(losses[0], rel=0.02)
    assert np.corrcoef(rates.ravel(), expected.ravel())[0, 1] > 0.98


def test_hand_written_gradients_can_be_turned_off_and_the_losses_are_the_same(tmp_path: Path):
    core = ("model.core.channels=[4, 4]", "model.core.kernels=[3, 3]", "model.core.strides=[1, 1]")
    options = (*core, "model.core.dropout=0.5", "model.core.bias=true")
    fast, fast_rates = fitted(tmp_path, "fast", *options)
    plain, plain_rates = fitted(tmp_path, "plain", *options, "training.fast=false")
    names = ("train_loss", "validation_loss")
    ours, theirs = ([[m[n] for n in names] for m in run.metrics()] for run in (fast, plain))
    # Sums in another order: 2 passes of 32-bit steps, each off by some 1e-7.
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)
    np.testing.assert_allclose(fast_rates, plain_rates, rtol=1e-2, atol=1e-4)
    assert ours != theirs  # the option does something
    assert ours[0] != ours[1]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the compiler warns about its own parts
@unchecked()  # it cannot look through the checks of types
def test_a_compiled_fit_is_the_same(tmp_path: Path):
    _, expected = fitted(tmp_path, "eager")
    _, rates = fitted(tmp_path, "compiled", "training.compile=true")
    np.testing.assert_allclose(rates, expected, rtol=1e-3, atol=1e-4)


def test_independent_windows_and_stretches_have_the_same_loss_in_evaluation(tmp_path: Path):
    import torch

    from freegaze.dataset.batches import SessionTensors

    run, _ = fitted(tmp_path, "a")
    encoder = load_encoder(run.path)
    recording = make_recording(frame_size=(16, 20))
    tensors: SessionTensors = encoder.tensors(recording)
    first = torch.tensor([20, 60, 90])
    with torch.no_grad():
        stretch = tensors.gather(first, 5)
        together = encoder.encoder.predict_sequence(stretch.video, stretch.behavior)
        alone = tensors.gather((first[:, None] + torch.arange(5)).flatten(), 1)
        apart = encoder.encoder(alone.video, alone.behavior).unflatten(0, (3, 5))
    torch.testing.assert_close(together, apart, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(stretch.responses.flatten(0, 1), alone.responses[:, 0])


def test_a_network_of_timm_is_named_in_short():
    config = build_config(RunConfig, {"model": {"name": "timm:resnet10t", "core": {"stages": 2}}})
    assert config.model == {"name": "timm", "core": {"network": "resnet10t", "stages": 2}}
    resolved = model_config(config)
    assert resolved.core.network == "resnet10t"  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match="must be options of a network"):
        build_config(RunConfig, {"model": {"name": "timm:resnet10t", "core": "conv"}})


def test_a_device_that_is_absent_is_refused_and_nothing_is_written(tmp_path: Path):
    absent = "mps" if torch.cuda.is_available() else "cuda"
    with pytest.raises(ConfigError, match=f"no device '{absent}'"):
        fitted(tmp_path, "run", f"training.device={absent}")
    assert not list(tmp_path.iterdir())
