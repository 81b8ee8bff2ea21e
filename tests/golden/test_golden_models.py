"""The original's weight files, read as published, compute what the original computes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from golden_weights import golden_state_dict

from freegaze.dataset.dims import EncoderDims
from freegaze.dataset.features import FEATURE_SETS
from freegaze.fitted.encoder import FittedEncoder
from freegaze.models.encoder import build_encoder
from freegaze.paper.presets import paper_config
from freegaze.paper.published import export_published, load_published, save_published

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Case:
    model: str
    behavior: str | None = None
    history: int = 1
    is_shifted: bool = True


CASES = {
    "cnn_shifter_on": Case("cnn"),
    "cnn_shifter_off": Case("cnn", is_shifted=False),
    "autoencoder_shifter_on": Case("autoencoder"),
    "resnet18_shifter_on": Case("resnet18"),
    "efficientnet_b0_shifter_on": Case("efficientnet_b0"),
    "cnn_gru_all_prod_history_1": Case("cnn_gru", "all_prod"),
    "cnn_gru_all_prod_history_4": Case("cnn_gru", "all_prod", history=4),
    "cnn_gru_S_history_1": Case("cnn_gru", "S"),
    "sensorium_shifter_on": Case("sensorium"),
    "sensorium_plus_shifter_on": Case("sensorium_plus"),
}


@pytest.fixture(params=CASES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def load(name: str, folder: Path) -> FittedEncoder:
    case = CASES[name]
    torch.save(golden_state_dict(name), folder / f"{name}.pth")
    return load_published(
        folder / f"{name}.pth",
        model=case.model,
        behavior=case.behavior,
        history=case.history,
        session_id="s",
        is_shifted=case.is_shifted,
    )


def golden_inputs(name: str) -> tuple[torch.Tensor, torch.Tensor, dict[str, np.ndarray]]:
    """Video, behavior in the order of the published encoder's names, all arrays."""
    arrays = dict(np.load(HERE / f"{name}.npz"))
    parts = [arrays[key] for key in ("behavior", "pupil_center") if key in arrays]
    behavior = np.concatenate(parts, axis=-1)
    video = arrays["images"]
    if video.ndim == 4:  # one frame a sample
        video, behavior = video[:, None], behavior[:, None]
    return torch.from_numpy(video), torch.from_numpy(behavior), arrays


def assert_close(ours: torch.Tensor, expected: np.ndarray) -> None:
    assert ours.shape == expected.shape
    assert np.abs(ours.detach().numpy() - expected).max() <= 1e-4 * np.abs(expected).max()


def test_published_weights_give_the_original_rates(name: str, tmp_path: Path) -> None:
    encoder = load(name, tmp_path)
    video, behavior, arrays = golden_inputs(name)
    assert behavior.shape[-1] == len(encoder.behavior_names)
    assert not encoder.encoder.training
    assert_close(encoder(video, behavior), arrays["output_0"])


def test_the_autoencoder_gives_the_original_reconstruction(tmp_path: Path) -> None:
    encoder = load("autoencoder_shifter_on", tmp_path).encoder
    video, behavior, arrays = golden_inputs("autoencoder_shifter_on")
    reconstructed = encoder.reconstruct(encoder.encode(video, behavior))  # type: ignore[operator]
    assert_close(reconstructed[:, 0], arrays["output_1"])


def test_columns_are_found_by_name_in_the_original_orders(tmp_path: Path) -> None:
    for name, columns in (("cnn_shifter_on", "orig"), ("cnn_gru_S_history_1", "all")):
        assert load(name, tmp_path).behavior_names == FEATURE_SETS[columns]


def test_weights_go_back_to_the_original_key_for_key(name: str, tmp_path: Path) -> None:
    original = golden_state_dict(name)
    save_published(tmp_path / "back.pth", export_published(load(name, tmp_path)))
    back = torch.load(tmp_path / "back.pth", weights_only=True)
    assert back.keys() == original.keys()
    for key, tensor in original.items():
        assert back[key].shape == tensor.shape, key
        assert back[key].dtype == tensor.dtype, key
        is_constant = key.endswith("laplace.filter")  # always the same in the original
        is_unused = name == "cnn_shifter_off" and key.startswith("shifter.")
        assert is_constant or is_unused or torch.equal(back[key], tensor), key


SHIFTER_256 = 68_878  # counted by the original even where the shifter is off
COUNTS = {
    "cnn": (610_290, 592_974, 601_151),
    "autoencoder": (6_027_989, 6_018_737, 6_023_106),
    "resnet18": (11_274_002, 11_255_534, 11_264_255),
    "efficientnet_b0": (4_162_958, 4_116_842, 4_138_619),
    "S": (1_748_306, 1_546_490, 1_641_792),
    "orig": (1_748_516, 1_546_592, 1_641_945),
    "velo": (1_748_516, 1_546_592, 1_641_945),
    "all": (1_748_866, 1_546_762, 1_642_200),
    "orig_prod": (1_749_566, 1_547_102, 1_642_710),
    "velo_prod": (1_749_566, 1_547_102, 1_642_710),
    "all_prod": (1_752_716, 1_548_632, 1_645_005),
}


@pytest.mark.parametrize("row", COUNTS)
@pytest.mark.parametrize("mouse", [0, 1, 2])
def test_parameters_count_as_in_the_original(row: str, mouse: int) -> None:
    """Counts of the three mice, printed by the original or following from its layer sizes."""
    n_neurons = (68, 32, 49)[mouse]
    model, behavior = ("cnn_gru", row) if row in FEATURE_SETS else (row, None)
    dims = EncoderDims(n_neurons, FEATURE_SETS["all_prod"], (60, 80), 1)
    for is_shifted in (True, False):
        config = paper_config(model, behavior, is_shifted)
        encoder = build_encoder(model, config, {"s": dims}, seed=0)
        n_parameters = sum(p.numel() for p in encoder.parameters())
        unused = {"autoencoder": 18_062}.get(row, SHIFTER_256) if not is_shifted else 0
        assert n_parameters + unused == COUNTS[row][mouse]
