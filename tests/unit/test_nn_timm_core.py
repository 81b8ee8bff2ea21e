"""Networks of timm as cores: cut, whole, and with weights from a file."""

from __future__ import annotations

import pytest
import torch

from freegaze.errors import CheckpointError, ConfigError
from freegaze.nn.timm_core import TimmCoreConfig, create_network

SMALL = "mobilenetv3_small_050"


def test_stages_keep_places_apart_and_the_rest_is_not_built():
    cut = TimmCoreConfig(network="resnet18", stages=3).build()
    assert cut.map_size((60, 80)) == (128, 8, 10)
    assert cut(torch.zeros(2, 1, 60, 80)).shape == (2, 128, 8, 10)
    assert cut.step_px == 8
    assert not any(name.startswith("network.layer3") for name in cut.state_dict())
    whole = TimmCoreConfig(network="resnet18", stages=None).build()
    assert whole.map_size((60, 80)) == (512, 1, 1)
    assert whole.training  # asking for the size leaves the mode alone


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"network": "resnet81"}, "no network 'resnet81' .*nearest: resnet18"),
        ({"stages": 9}, "has 5 stages, core.stages is 9"),
    ],
)
def test_unknown_networks_and_stages_are_named(options, message):
    with pytest.raises(ConfigError, match=message):
        TimmCoreConfig(**options).build()


def test_frames_that_a_network_cannot_read_are_named():
    core = TimmCoreConfig(network="vit_tiny_patch16_224").build()
    with pytest.raises(ConfigError, match="cannot read frames of 60 x 80 px"):
        core.map_size((60, 80))


def pretrained(tmp_path, **options):
    color = create_network(SMALL, 3)
    torch.save(color.state_dict(), tmp_path / "color.pth")
    config = TimmCoreConfig(network=SMALL, weights=str(tmp_path / "color.pth"), **options)
    core = config.build().eval()
    core.load_pretrained()
    return color.eval(), core


def test_a_gray_frame_looks_as_it_did_in_color(tmp_path):
    color, core = pretrained(tmp_path, stages=None)
    gray = torch.randn(2, 1, 60, 80)
    with torch.no_grad():
        torch.testing.assert_close(core(gray)[..., 0, 0], color(gray.expand(-1, 3, -1, -1)))


def test_a_new_first_layer_is_not_the_loaded_one(tmp_path):
    color, core = pretrained(tmp_path, first_layer="new")
    summed = color.conv_stem.weight.sum(1, keepdim=True)
    assert not torch.allclose(core.network.conv_stem.weight, summed)
    torch.testing.assert_close(core.network.bn1.running_var, color.bn1.running_var)
    torch.testing.assert_close(
        core.network.blocks[0][0].conv_dw.weight, color.blocks[0][0].conv_dw.weight
    )


def test_weights_of_another_network_are_refused(tmp_path):
    pretrained(tmp_path)
    config = TimmCoreConfig(network="resnet18", weights=str(tmp_path / "color.pth"))
    with pytest.raises(CheckpointError, match="lacks the weight .conv1.weight."):
        config.build().load_pretrained()


def test_imagenet_weights_offline_are_one_clear_error(monkeypatch, tmp_path):
    def cannot_connect(*args, **kwargs):
        raise OSError("no connection\nand more lines")

    core = TimmCoreConfig(network=SMALL).build()
    monkeypatch.setattr("freegaze.nn.timm_core.create_network", cannot_connect)
    with pytest.raises(ConfigError, match=r"\(no connection\); connect once, or set"):
        core.load_pretrained()
    monkeypatch.undo()
    random = TimmCoreConfig(network=SMALL, weights="none")
    random.build().load_pretrained()
