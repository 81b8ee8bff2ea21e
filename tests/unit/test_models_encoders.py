"""Hand-worked values of single encoders; what all of them promise is in the contract tests."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from freegaze.config import build_config
from freegaze.dataset.dims import EncoderDims
from freegaze.errors import CheckpointError, ConfigError, RegistryError
from freegaze.models.behavior_only import BehaviorOnly, BehaviorOnlyConfig
from freegaze.models.cnn import CNN, CNNConfig
from freegaze.models.cnn_gru import CNNGRU, CNNGRUConfig
from freegaze.models.encoder import MODELS, build_encoder
from freegaze.models.glm import GLM, GLMConfig
from freegaze.models.mean_rate import MeanRate, MeanRateConfig
from freegaze.nn.cores import CoreConfig
from freegaze.paper.state_dicts import to_freegaze, to_original
from freegaze.recording.recording import ResponseKind

ANGLES = ("theta", "phi", "pitch", "roll")
SMALL_CORE = CoreConfig(channels=(4,), kernels=(3,), strides=(2,))


def dims(history: int, names: tuple[str, ...] = ANGLES, n_neurons: int = 2) -> EncoderDims:
    return EncoderDims(n_neurons, names, (8, 12), history)


def test_models_are_found_by_name() -> None:
    assert {"behavior_only", "cnn", "cnn_gru", "glm", "mean_rate"} <= set(MODELS)
    with pytest.raises(RegistryError, match="cnn_gru"):
        MODELS.get("cnn_gur")


def test_building_leaves_the_random_state_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    build_encoder("cnn", CNNConfig(core=SMALL_CORE), {"s": dims(1)}, seed=1)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("kind", list(ResponseKind))
def test_mean_rate_predicts_the_training_mean(kind: ResponseKind) -> None:
    encoder = MeanRate(MeanRateConfig(), {"s": EncoderDims(3, (), (8, 12), 2, kind)})
    mean = torch.tensor([0.1, 2.0, 40.0])
    encoder.initialize("s", mean)
    rates = encoder(torch.zeros(11, 2, 1, 8, 12), torch.zeros(11, 2, 0))
    torch.testing.assert_close(rates, mean.expand(11, 3))
    assert torch.equal(rates, rates[:1].expand(11, 3))  # or a constant would correlate


def make_glm(history: int = 2, **options: object) -> GLM:
    options = {"shifter": "none", "position": ANGLES, "link": "relu", **options}
    config = build_config(GLMConfig, options)
    glm = GLM(config, {"s": dims(history)})
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in glm.parameters():
            parameter.normal_()
    return glm


def glm_by_loops(glm: GLM, video: np.ndarray, behavior: np.ndarray, kind: str) -> np.ndarray:
    """One window; pixels averaged by 2 and cropped by 1."""
    head = glm.head("s")
    rates = []
    for neuron in range(2):
        vision = position = 0.0
        for bin_ in range(len(video)):
            for i, (row, column) in enumerate((r, c) for r in range(1, 3) for c in range(1, 5)):
                tile = video[bin_, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
                if head.vision is not None:
                    vision += tile.mean() * head.vision.scaled_weight()[bin_, neuron, i].item()
            if head.position is not None:
                position += behavior[bin_] @ head.position.weight[bin_, neuron].detach().numpy()
        bias = head.bias[neuron].item()
        if kind == "multiplicative":
            rates.append(abs(1 + position) * max(0.0, vision + bias))
        else:
            rates.append(max(0.0, vision + position + bias))
    return np.array(rates)


@pytest.mark.parametrize("kind", ["vision", "position", "additive", "multiplicative"])
def test_glm_equals_plain_loops(kind: str) -> None:
    glm = make_glm(kind=kind, crop=1)
    generator = np.random.default_rng(1)
    video = generator.normal(size=(2, 8, 12)).astype(np.float32)
    behavior = generator.normal(size=(2, 4)).astype(np.float32)
    rates = glm(torch.from_numpy(video)[None, :, None], torch.from_numpy(behavior)[None])
    expected = glm_by_loops(glm, video, behavior, kind)
    np.testing.assert_allclose(rates[0].detach().numpy(), expected, rtol=1e-4, atol=1e-5)


def test_glm_of_the_source_reads_position_in_the_middle_bin() -> None:
    glm = make_glm(history=5, kind="additive", position_bins="middle")
    video, behavior = torch.zeros(1, 5, 1, 8, 12), torch.zeros(1, 5, 4)
    before = glm(video, behavior)
    for bin_ in range(5):
        changed = behavior.clone()
        changed[:, bin_] = 3.0
        assert torch.equal(glm(video, changed), before) == (bin_ != 2)


def test_glm_penalties_are_means_over_neurons_of_sums_over_weights() -> None:
    glm = make_glm(smoothness=2.0, l1=3.0, l2=5.0)
    weight = glm.head("s").vision.scaled_weight().detach()
    penalties = glm.penalties()
    assert penalties["l1"].item() == pytest.approx(3 * weight.abs().sum().item() / 2, rel=1e-5)
    assert penalties["l2"].item() == pytest.approx(5 * weight.square().sum().item() / 2, rel=1e-5)
    fields = weight.view(2, 2, 4, 6)
    steps = sum(fields.diff(dim=d).square().sum().item() for d in (0, 2, 3))
    assert penalties["smoothness"].item() == pytest.approx(2 * steps / 2, rel=1e-5)
    assert make_glm(kind="position", l1=1.0).penalties() == {}


def test_glm_refuses_to_crop_everything() -> None:
    with pytest.raises(ConfigError, match="leave nothing"):
        make_glm(crop=2)


def test_behavior_only_needs_behavior() -> None:
    with pytest.raises(ConfigError, match="mean_rate"):
        BehaviorOnly(BehaviorOnlyConfig(features=()), {"s": dims(1)})


def test_linear_behavior_weighs_every_bin() -> None:
    encoder = BehaviorOnly(BehaviorOnlyConfig(features=ANGLES), {"s": dims(3)})
    head = encoder.head("s")
    torch.nn.init.normal_(head.output.weight)
    behavior = torch.randn(5, 3, 4)
    drive = torch.einsum("btf,ntf->bn", behavior, head.output.weight.view(2, 3, 4))
    expected = torch.nn.functional.softplus(drive + head.output.bias)
    torch.testing.assert_close(encoder(torch.zeros(5, 3, 1, 8, 12), behavior), expected)


def test_the_cnn_without_shifter_ignores_behavior() -> None:
    encoder = CNN(CNNConfig(core=SMALL_CORE, shifter="none"), {"s": dims(2, ())}).eval()
    assert CNN.required_features(CNNConfig(shifter="none"), ("speed",)) == ()
    assert encoder.shift(torch.zeros(1, 0)) is None
    assert encoder(torch.zeros(1, 2, 1, 8, 12), torch.zeros(1, 2, 0)).shape == (1, 2)


def test_the_cnn_gru_can_do_without_behavior() -> None:
    config = CNNGRUConfig(core=SMALL_CORE, shifter="none", features=())
    encoder = CNNGRU(config, {"s": dims(2, ())})
    assert CNNGRU.required_features(config, ("speed",)) == ()
    assert "behavior_l1" not in encoder.penalties()
    assert encoder(torch.zeros(1, 2, 1, 8, 12), torch.zeros(1, 2, 0)).shape == (1, 2)


def test_required_features_are_those_of_the_encoder_then_those_of_the_shifter() -> None:
    recorded = ("speed", *ANGLES)
    names = CNNGRU.required_features(CNNGRUConfig(features=("speed", "theta")), recorded)
    assert names == ("speed", "theta", "phi", "pitch", "roll")
    with pytest.raises(ConfigError, match="phi"):
        CNNGRU.required_features(CNNGRUConfig(), ("speed", "theta"))


def test_recorded_features_leave_out_what_only_the_shifter_reads() -> None:
    config = CNNGRUConfig.paper("recorded")
    shifter = config.shifter.model_copy(update={"columns": ("d_theta",)})
    config = config.model_copy(update={"shifter": shifter, "core": SMALL_CORE})
    names = CNNGRU.required_features(config, ("speed", "theta"))
    assert names == ("speed", "theta", "d_theta")
    sizes = EncoderDims(2, names, (8, 12), 1, recorded=("speed", "theta"))
    encoder = CNNGRU(config, {"s": sizes})
    assert encoder.head("s").behavior.linear.in_features == 2


def test_sessions_share_the_core_and_nothing_else() -> None:
    encoder = CNN(CNNConfig(core=SMALL_CORE), {"a": dims(1), "b": dims(1, n_neurons=3)})
    video, behavior = torch.randn(2, 1, 1, 8, 12), torch.randn(2, 1, 4)
    encoder(video, behavior, "a").sum().backward()
    reached = {name.split(".")[1] for name, p in encoder.named_parameters() if p.grad is not None}
    assert reached == {"blocks", "s:a"}


def test_mixed_precision_gives_nearly_the_same_rates() -> None:
    encoder = CNNGRU(CNNGRUConfig(core=SMALL_CORE, features=ANGLES), {"s": dims(3)}).eval()
    torch.manual_seed(0)
    video, behavior = torch.randn(4, 3, 1, 8, 12), torch.randn(4, 3, 4)
    exact = encoder(video, behavior)
    with torch.autocast("cpu", torch.bfloat16):
        rough = encoder(video, behavior)
    assert rough.dtype == torch.float32
    torch.testing.assert_close(rough, exact, rtol=0.05, atol=0.02)


def test_unknown_weights_and_models_are_named() -> None:
    with pytest.raises(CheckpointError, match=r"decoder\.bias"):
        to_freegaze("cnn", {"decoder.bias": torch.zeros(1)}, "s")
    with pytest.raises(CheckpointError, match="kernels"):
        to_original("cnn_gru", {"heads.s:s.kernels.weight": torch.zeros(1)}, "s")
    with pytest.raises(RegistryError, match="glm"):
        to_freegaze("glm", {}, "s")
