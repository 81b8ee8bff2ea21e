"""The paper's encoders compute what the original computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from golden_weights import golden_state_dict

from freegaze.config import StrictConfig
from freegaze.models.cnn import CNNConfig
from freegaze.models.cnn_gru import CNNGRUConfig
from freegaze.models.encoder import AbstractEncoder, EncoderDims, build_encoder
from freegaze.paper.state_dicts import to_freegaze, to_original
from freegaze.recording.features import FEATURE_SETS

HERE = Path(__file__).parent
SESSION = "070921_J553RT"
CASES: dict[str, tuple[str, StrictConfig, str]] = {
    "cnn_shifter_on": ("cnn", CNNConfig.paper(), "orig"),
    "cnn_shifter_off": ("cnn", CNNConfig.paper(is_shifted=False), "orig"),
    "cnn_gru_all_prod_history_1": ("cnn_gru", CNNGRUConfig.paper("all_prod"), "all_prod"),
    "cnn_gru_all_prod_history_4": ("cnn_gru", CNNGRUConfig.paper("all_prod"), "all_prod"),
    "cnn_gru_S_history_1": ("cnn_gru", CNNGRUConfig.paper("S"), "all"),
}


def golden_encoder(name: str, history: int) -> AbstractEncoder:
    model, config, columns = CASES[name]
    dims = EncoderDims(5, FEATURE_SETS[columns], (60, 80), history)
    encoder = build_encoder(model, config, {SESSION: dims}, seed=0).eval()
    is_shifted = not name.endswith("off")
    encoder.load_state_dict(to_freegaze(model, golden_state_dict(name), SESSION, is_shifted))
    return encoder


def golden_inputs(name: str) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    arrays = np.load(HERE / f"{name}.npz")
    video, behavior = torch.from_numpy(arrays["images"]), torch.from_numpy(arrays["behavior"])
    if video.dim() == 4:  # one frame a sample
        video, behavior = video[:, None], behavior[:, None]
    return video, behavior, arrays["output_0"]


@pytest.mark.parametrize("name", CASES)
def test_paper_encoder_gives_the_original_rates(name: str) -> None:
    video, behavior, expected = golden_inputs(name)
    with torch.no_grad():
        rates = golden_encoder(name, video.shape[1])(video, behavior).numpy()
    assert np.abs(rates - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("name", [n for n in CASES if not n.endswith("off")])
def test_weights_go_back_to_the_original_key_for_key(name: str) -> None:
    original = golden_state_dict(name)
    state = golden_encoder(name, history=1).state_dict()
    back = to_original(CASES[name][0], state, SESSION)
    assert back.keys() == original.keys()
    assert all(torch.equal(back[key], original[key]) for key in original)


@pytest.mark.parametrize(
    ("n_neurons", "cnn", "cnn_gru"),
    [(68, 610_290, 1_752_716), (32, 592_974, 1_548_632), (49, 601_151, 1_645_005)],
)
def test_parameters_count_as_in_the_original(n_neurons: int, cnn: int, cnn_gru: int) -> None:
    """Counts of the three mice, from the original's layer sizes."""
    for model, config, expected in (
        ("cnn", CNNConfig.paper(), cnn),
        ("cnn_gru", CNNGRUConfig.paper("all_prod"), cnn_gru),
    ):
        dims = EncoderDims(n_neurons, FEATURE_SETS["all_prod"], (60, 80), 1)
        encoder = build_encoder(model, config, {SESSION: dims}, seed=0)
        assert sum(p.numel() for p in encoder.parameters()) == expected
