"""What every encoder promises, checked for each one in the registry."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import model_checks as checks
from freegaze.config import StrictConfig, build_config
from freegaze.dataset.dims import EncoderDims
from freegaze.errors import ConfigError
from freegaze.models.cnn import CNNConfig
from freegaze.models.cnn_gru import CNNGRUConfig
from freegaze.models.encoder import MODELS, AbstractEncoder
from freegaze.models.glm import GLMConfig
from freegaze.recording.recording import ResponseKind

SMALL_CORE = {"channels": [4, 6], "kernels": [5, 3], "strides": [2, 2]}
VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "cnn": {
        "linear": {"core": SMALL_CORE, "readout": "linear"},
        "batch_shifter": {"shifter": CNNConfig.paper().model_dump()["shifter"]},
        "gaussian": {"core": SMALL_CORE, "readout": "gaussian", "shifter": "readout"},
        "separable": {"core": {"kind": "separable", "channels": 4}, "planes": ["speed"]},
        "timm": {"core": {"kind": "timm", "network": "mobilenetv3_small_050", "stages": 2}},
    },
    "cnn_gru": {
        "linear": {"core": SMALL_CORE, "readout": "linear", "kernels": False},
        "sensorium_core": {"core": "separable", "readout": "gaussian", "planes": ["roll"]},
        "recurrent": {"core": SMALL_CORE, "n_hidden": 4},
        "products": {"features": "all_prod", "normalize_streams": True, "normalize_behavior": True},
    },
    "autoencoder": {"paper_like": {"core": SMALL_CORE, "target": "raw", "rectify": True}},
    "resnet18": {"whole": {"core": {"stages": None}, "readout": "linear", "linear_path": False}},
    "sensorium": {
        "image": {"shifter": "image"},
        "factorized": {"shifter": "image", "readout": "factorized", "linear_path": True},
    },
    "behavior_only": {"gru": {"temporal": "gru", "n_hidden": 4, "l1": 0.1}},
    "glm": {
        "additive": {"kind": "additive", "l1": 0.1, "l2": 0.1},
        "paper_kinds": GLMConfig.paper().model_dump(),
    },
}
"""Configurations beside the default one, by model."""

CASES = [(name, "default", {}) for name in MODELS] + [
    (name, variant, values) for name in VARIANTS for variant, values in VARIANTS[name].items()
]


def build(name: str, values: dict[str, Any]) -> tuple[type[AbstractEncoder], StrictConfig]:
    kind = MODELS.get(name)
    return kind, build_config(kind.Config, values)


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def case(request: pytest.FixtureRequest) -> tuple[type[AbstractEncoder], StrictConfig]:
    return build(request.param[0], request.param[2])


Case = tuple[type[AbstractEncoder], StrictConfig]


@pytest.mark.parametrize("kind", list(ResponseKind))
def test_responses_have_the_right_shape_and_sign(case: Case, kind: ResponseKind) -> None:
    checks.check_shapes_and_sign(checks.make_encoder(*case, response_kind=kind))


@pytest.mark.parametrize("history", [1, 3])
def test_a_sequence_is_predicted_as_its_windows(case: Case, history: int) -> None:
    checks.check_sequence_equals_windows(checks.make_encoder(*case, history=history))


def test_only_declared_inputs_matter(case: Case) -> None:
    checks.check_only_declared_inputs_matter(checks.make_encoder(*case))


def test_predictions_are_as_causal_as_declared(case: Case) -> None:
    checks.check_causality(checks.make_encoder(*case))


def test_the_seed_decides_initial_weights(case: Case) -> None:
    checks.check_seed_decides_weights(*case)


@pytest.mark.parametrize("history", [1, 3])
def test_gradients_reach_every_parameter(case: Case, history: int) -> None:
    checks.check_gradients_reach_all(checks.make_encoder(*case, history=history))


def test_weights_survive_a_safetensors_file(case: Case) -> None:
    checks.check_weights_survive_a_file(checks.make_encoder(*case), checks.make_encoder(*case))


@pytest.mark.parametrize("name", MODELS.names())
def test_a_fit_starts_from_the_mean_response(name: str) -> None:
    checks.check_starts_at_mean(checks.make_encoder(*build(name, {})))


@pytest.mark.parametrize("size", [(30, 40), (37, 51)])
@pytest.mark.parametrize("name", MODELS.names())
def test_frames_of_any_size_are_read(name: str, size: tuple[int, int]) -> None:
    core = MODELS.get(name).Config.model_fields.get("core")
    values = {"core": SMALL_CORE} if core is not None and core.default.kind == "conv" else {}
    checks.check_shapes_and_sign(checks.make_encoder(*build(name, values), frame_size=size))


@pytest.mark.parametrize("name", [n for n in MODELS if n != "mean_rate"])
def test_a_missing_behavior_column_is_named(name: str) -> None:
    kind, config = build(name, {})
    with pytest.raises(ConfigError, match="reads behavior '(pitch|theta)'"):
        kind(config, {"s": EncoderDims(3, ("speed",), (48, 64), 1, recorded=checks.RECORDED)})


@pytest.mark.parametrize("name", MODELS.names())
def test_every_option_has_a_default_and_is_documented(name: str) -> None:
    kind = MODELS.get(name)
    kind.Config()
    documentation = "".join(inspect.getdoc(c) or "" for c in kind.Config.__mro__)
    for option in kind.Config.model_fields:
        assert f"{option}:" in documentation, option


@pytest.mark.parametrize("name", MODELS.names())
def test_an_unknown_session_is_named(name: str) -> None:
    encoder = checks.make_encoder(*build(name, {}))
    video, behavior = checks.make_inputs(encoder, 3)
    for session in ("nobody", None):
        with pytest.raises(ConfigError, match=r"mouse\.1"):
            encoder(video, behavior, session)


def test_paper_configurations_differ_from_the_defaults() -> None:
    for config in (CNNConfig, CNNGRUConfig, GLMConfig):
        assert config.paper() != config()
