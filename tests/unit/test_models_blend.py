"""The weighted mean of a network and the convex encoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import freegaze
from builders import make_recording
from freegaze.config import build_config, read_config
from freegaze.fitted.encoder import FittedEncoder
from freegaze.models.averaged import AveragedEncoder
from freegaze.models.blend import Blend, BlendConfig
from freegaze.models.encoder import AbstractEncoder
from freegaze.recording.recording import Recording
from freegaze.runs.blends import blends_in_words
from freegaze.runs.config import RunConfig
from freegaze.runs.run_folder import RunFolder
from freegaze.training.fit import resume, train
from model_checks import make_encoder, make_inputs, scramble

CORE = {"downsample": 1, "channels": [4, 6], "kernels": [5, 3], "strides": [2, 2]}
SETTINGS = {
    "model.core": CORE,
    "model.shifter": {"kind": "image", "columns": ["theta", "phi"]},
    "model.features": ["speed"],
    "data.history": 2,
    "data.min_rate_hz": 0,
    "split.gap_s": 0.1,
    "training.max_passes": 2,
    "training.device": "cpu",
}


@pytest.fixture(scope="module")
def recording() -> Recording:
    return make_recording(n_bins=600, frame_size=(16, 20))


@pytest.fixture(scope="module")
def fitted(recording: Recording, tmp_path_factory: pytest.TempPathFactory) -> FittedEncoder:
    run = tmp_path_factory.mktemp("blend") / "run"
    return freegaze.fit(recording, run, model="blend", settings=SETTINGS)


def blend_of(encoder: FittedEncoder) -> Blend:
    assert isinstance(encoder.encoder, Blend)
    return encoder.encoder


def small_blend(seed: int = 0) -> Blend:
    encoder = scramble(
        make_encoder(Blend, build_config(BlendConfig, {"core": CORE}), seed=seed), seed
    ).eval()
    assert isinstance(encoder, Blend)
    return encoder


def test_the_mean_of_a_fit_is_that_of_its_parts(fitted: FittedEncoder) -> None:
    blend = blend_of(fitted)
    video, behavior = make_inputs(blend, 2)
    share = blend.network_share[0]
    expected = share * blend.network(video, behavior)
    expected = expected + (1 - share) * blend.convex(video, behavior)
    torch.testing.assert_close(blend(video, behavior), expected)
    assert blend.convex.head(None).weight.any()


def test_both_parts_see_one_retinal_frame(fitted: FittedEncoder) -> None:
    blend = blend_of(fitted)
    video, behavior = make_inputs(blend, 2)
    frames, states = video.flatten(0, 1), behavior.flatten(0, 1)
    seen = blend.see(frames, states)
    assert not torch.equal(seen, frames)
    torch.testing.assert_close(blend.convex.see(frames, states), seen)


def test_the_run_keeps_share_losses_and_seconds(fitted: FittedEncoder) -> None:
    assert fitted.run is not None
    run = RunFolder(fitted.run)
    lines = run.metrics()
    (found,) = lines[-1]["blend"].values()
    assert 0.25 <= found["share"] <= 0.75
    assert found["share"] == pytest.approx(float(blend_of(fitted).network_share))
    assert found["mean"] <= max(found["network"], found["convex"]) + 1e-6
    refits = run.refit.metrics(is_validated=False)
    passes = sum(line["seconds"] for line in lines + refits)
    assert run.seconds() > passes
    loaded = freegaze.load_encoder(fitted.run)
    for name, value in fitted.encoder.state_dict().items():
        assert torch.equal(value, loaded.encoder.state_dict()[name]), name


def test_a_network_that_is_worse_is_named(tmp_path: Path) -> None:
    line = {"pass": 1, "train_loss": 0.6, "validation_loss": 0.7, "seconds": 1.0}
    losses = {"share": 0.4, "network": 0.7, "convex": 0.65, "mean": 0.64}
    run = RunFolder(tmp_path)
    run.write_metrics([line])
    assert blends_in_words(run) == []
    run.write_metrics([line | {"blend": {"mouse": losses}}])
    (sentence,) = blends_in_words(run)
    assert "40% of the network's and 60% of local_energy's" in sentence
    assert "Warning: the network alone is worse than local_energy" in sentence
    run.write_metrics([line | {"blend": {"mouse": losses | {"convex": 0.75}}}])
    assert "Warning" not in blends_in_words(run)[0]


def test_a_stopped_fit_goes_on_bit_for_bit(
    fitted: FittedEncoder, recording: Recording, tmp_path: Path
) -> None:
    def stop(what: str, done: int, total: int) -> None:
        if what.startswith("refit"):
            raise KeyboardInterrupt

    config = read_config(RunConfig, None, {**SETTINGS, "model.name": "blend"})
    with pytest.raises(KeyboardInterrupt):
        train([recording], config, tmp_path / "run", stop)
    resume(tmp_path / "run", [recording])
    again = freegaze.load_encoder(tmp_path / "run").encoder.state_dict()
    for name, value in fitted.encoder.state_dict().items():
        assert torch.equal(value, again[name]), name


def test_weights_are_chosen_on_held_out_windows_and_moved_to_equal_ones() -> None:
    blend = small_blend()
    predictions = {id(blend.network): [1.0, 0.0], id(blend.convex): [0.0, 1.0]}

    class HeldOut:
        def predict(self, encoder: AbstractEncoder, session: str) -> Tensor:
            return torch.tensor([predictions[id(encoder)]])

        def loss(self, session: str, predicted: Tensor) -> float:
            return float((predicted - torch.tensor([0.8, 0.2])).square().sum())

    found = blend._choose_share("mouse 2", HeldOut())
    assert found["share"] == pytest.approx((0.8 + 0.5) / 2)
    np.testing.assert_allclose(blend.network_share, [0.5, 0.65])


def test_frames_that_stay_have_one_window(recording: Recording, tmp_path: Path) -> None:
    still = make_recording(n_bins=300, frame_size=(27, 36))
    settings = SETTINGS | {"model.shifter": "none", "training.refit": False, "data.history": 1}
    blend = blend_of(freegaze.fit(still, tmp_path / "run", model="blend", settings=settings))
    window, head = blend.gaze().window, blend.convex.head(None)
    assert window is not None
    assert float(window.magnification) == pytest.approx(27 / min(max(10 * head.window_sd, 24), 27))
    assert blend.network.head(None).gru is None


def test_an_average_of_blends_is_their_mean() -> None:
    blends = [small_blend(seed) for seed in (1, 2)]
    video, behavior = make_inputs(blends[0], 3)
    together = AveragedEncoder(blends).eval()(video, behavior, "mouse 2")
    expected = torch.stack([blend(video, behavior, "mouse 2") for blend in blends]).mean(0)
    torch.testing.assert_close(together, expected)
