"""Weights that a core starts a fit from: downloaded, or from a file."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from freegaze.errors import ConfigError
from freegaze.nn.timm_core import IMAGENET, NO_WEIGHTS, TimmCore, TimmCoreConfig, create_network
from freegaze.weights import load_weights, read_state_dict


def load_pretrained_core(core: TimmCore, config: TimmCoreConfig) -> None:
    """Give a core the weights that its configuration asks for.

    Args:
        core: The core, with random weights; changed in place.
        config: Its configuration.

    Raises:
        ConfigError: If ImageNet weights can be neither downloaded nor found in timm's cache.
        CheckpointError: If a file cannot be read, or is of another network.
    """
    if config.weights == NO_WEIGHTS:
        return
    first_layer = f"{core.network.pretrained_cfg['first_conv']}.weight"
    state = (
        _imagenet_weights(core)
        if config.weights == IMAGENET
        else read_state_dict(Path(config.weights))
    )
    own = core.network.state_dict()
    if config.first_layer == "new":
        state[first_layer] = own[first_layer]
    elif first_layer in state and state[first_layer].shape != own[first_layer].shape:
        n_planes = core.n_planes  # a file's filters: the sum over colors is a gray frame's
        summed = state[first_layer].sum(1, keepdim=True)
        state[first_layer] = summed.expand(-1, n_planes, -1, -1) / n_planes
    of_core = {name: state[name] for name in own if name in state}  # a file may hold a head, too
    load_weights(core.network, of_core, f"core.weights {config.weights!r} of {core.name!r}")


def _imagenet_weights(core: TimmCore) -> dict[str, Tensor]:
    try:
        return create_network(core.name, core.n_planes, pretrained=True).state_dict()
    except (OSError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"ImageNet weights of {core.name!r} could not be downloaded ({reason}); connect once, "
            "or set `core.weights` to a file of them, or to `none`"
        ) from None
