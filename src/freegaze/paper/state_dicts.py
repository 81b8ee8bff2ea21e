"""Names of weights: the original's and this package's, each way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from freegaze.errors import CheckpointError, RegistryError
from freegaze.models.encoder import session_key
from freegaze.nn.shifter import ShifterConfig
from freegaze.registry import require_name

_SHIFTER = (
    ("shifter.bias", "{head}.vision.gaze.shifter.displacement.offset"),
    ("shifter.layers.", "{head}.vision.gaze.shifter.displacement.layers."),
)


def _core_names(original: str) -> tuple[tuple[str, str], ...]:
    # The original counts convolution, normalization, rectification and dropout as layers each.
    return tuple(
        (f"{original}.layers.{4 * block + layer}.", f"core.blocks.{block}.{part}.")
        for block in range(3)
        for layer, part in enumerate(("convolution", "norm"))
    )


def _pretrained_names(classifier: str) -> tuple[tuple[str, str], ...]:
    return (
        *_SHIFTER,
        (f"encoder.layers.{classifier}.weight", "{head}.vision.readout.linear.weight"),
        (f"encoder.layers.{classifier}.bias", "{head}.bias"),
        ("encoder.layers.", "core.network."),
    )


def _sensorium_names() -> tuple[tuple[str, str], ...]:
    names = [("core.features.layer0.conv.", "core.layers.0.convolution.")]
    for layer in range(4):
        original, ours = f"core.features.layer{layer}", f"core.layers.{layer}"
        for place, part in enumerate(("in_depth_conv", "spatial_conv", "out_depth_conv")):
            names.append((f"{original}.ds_conv.{part}.", f"{ours}.convolution.{place}."))
        names.append((f"{original}.norm.", f"{ours}.norm."))
    return (
        *names,
        ("readout.{session}._mu", "{head}.vision.readout.position"),
        ("readout.{session}.sigma", "{head}.vision.readout.spread"),
        ("readout.{session}._features", "{head}.vision.readout.features"),
        ("readout.{session}.bias", "{head}.bias"),
        ("shifter.{session}.mlp.", "{head}.vision.gaze.readout_shifter.layers."),
    )


def _decoder_names() -> tuple[tuple[str, str], ...]:
    names = [("decoder.conv_layers.0.", "decoder.expand.")]
    for block in range(3):
        first = 4 * (block + 1)
        names.append((f"decoder.conv_layers.{first}.", f"decoder.blocks.{block}.0."))
        names.append((f"decoder.conv_layers.{first + 1}.", f"decoder.blocks.{block}.1."))
    return tuple(names)


_NAMES: dict[str, tuple[tuple[str, str], ...]] = {
    "cnn": (
        *_SHIFTER,
        *_core_names("encoder"),
        ("encoder.layers.13.weight", "{head}.vision.readout.linear.weight"),
        ("encoder.layers.13.bias", "{head}.bias"),
    ),
    "autoencoder": (
        ("shifter.bias", "{head}.gaze.shifter.displacement.offset"),
        ("shifter.layers.", "{head}.gaze.shifter.displacement.layers."),
        *_core_names("encoder"),
        ("encoder.layers.13.", "latent."),
        *_decoder_names(),
        ("fc.weight", "{head}.readout.weight"),
        ("fc.bias", "{head}.bias"),
    ),
    "resnet18": _pretrained_names("fc"),
    "efficientnet_b0": _pretrained_names("classifier"),
    "sensorium": _sensorium_names(),
    "sensorium_plus": _sensorium_names(),
    "cnn_gru": (
        *_SHIFTER,
        *_core_names("visual_encoder"),
        ("visual_encoder.layers.13.", "{head}.vision.readout.linear."),
        ("behav_encoder.layers.0.", "{head}.behavior.norm."),
        ("behav_encoder.layers.1.", "{head}.behavior.linear."),
        ("bn.", "{head}.norm."),
        ("lstm_net.weight_ih_l0", "{head}.gru.input_weight"),
        ("lstm_net.weight_hh_l0", "{head}.gru.hidden_weight"),
        ("lstm_net.bias_ih_l0", "{head}.gru.input_bias"),
        ("lstm_net.bias_hh_l0", "{head}.gru.hidden_bias"),
        ("fc.", "{head}.output."),
    ),
}
"""For each model, pairs of beginnings of names: the original's, ours."""

_KEPT_AXES = {"_mu": (0, 2), "sigma": (0,), "_features": (0, 2)}
"""Axes of length 1 that weights of the original's Sensorium readout have and ours have not."""

_LAPLACE_NAME = "core._input_weights_regularizer.laplace.filter"
_LAPLACE = ((0.0, -1.0, 0.0), (-1.0, 4.0, -1.0), (0.0, -1.0, 0.0))
"""The original's Sensorium keeps the filter of its penalty, a constant, among its weights."""


def to_freegaze(
    model: str, state_dict: Mapping[str, Tensor], session: str, is_shifted: bool = True
) -> dict[str, Tensor]:
    """Rename the original's weights to those of an encoder in its ``paper`` configuration.

    Args:
        model: Registered name of the encoder.
        state_dict: The original's weights by name.
        session: Name of the session whose head they become.
        is_shifted: Whether the encoder has a shifter. The original saved its shifter's weights even
            where it did not use them; without one they are left out.

    Returns:
        The same numbers under this package's names.

    Raises:
        CheckpointError: If a name is not one of the original's.
        RegistryError: If the original has no such model.
    """
    pairs = _pairs(model, session)
    complaint = f"is not one of the original's {model}; is it of another model?"
    return {
        _rename(name, pairs, complaint): _drop_axes(name, tensor)
        for name, tensor in state_dict.items()
        if name != _LAPLACE_NAME and (is_shifted or not name.startswith("shifter."))
    }


def to_original(model: str, state_dict: Mapping[str, Tensor], session: str) -> dict[str, Tensor]:
    """Rename an encoder's weights to the original's; the inverse of ``to_freegaze``.

    Args:
        model: Registered name of the encoder, in its ``paper`` configuration.
        state_dict: The encoder's weights by name.
        session: Name of the session whose head is wanted.

    Returns:
        The same numbers under the original's names. An encoder without a shifter gets one that
        moves nothing where the original, which did not use it either, expects its weights.

    Raises:
        CheckpointError: If the original has no counterpart of a weight.
        RegistryError: If the original has no such model.
    """
    pairs = [(ours, original) for original, ours in _pairs(model, session)]
    head = f"heads.{session_key(session)}."
    complaint = (
        f"has no counterpart in the original's {model}; fit one in its `paper` configuration"
    )
    renamed = {
        _rename(name, pairs, complaint): tensor
        for name, tensor in state_dict.items()
        if not name.startswith("heads.") or name.startswith(head)
    }
    original = {name: _add_axes(name, tensor) for name, tensor in renamed.items()}
    if model in ("sensorium", "sensorium_plus"):
        return {_LAPLACE_NAME: torch.tensor(_LAPLACE)[None, None], **original}
    if "shifter.bias" not in original:
        original |= _unused_shifter(hidden=128 if model == "autoencoder" else 256)
    return original


def _unused_shifter(hidden: int) -> dict[str, Tensor]:
    shifter = ShifterConfig.paper(hidden=hidden).build((60, 80))
    names = [(ours.rsplit("displacement.", 1)[1], original) for original, ours in _SHIFTER]
    return {
        _rename(name, names, "is not one of the shifter's"): torch.zeros_like(tensor)
        for name, tensor in shifter.displacement.state_dict().items()
    }


def _drop_axes(name: str, tensor: Tensor) -> Tensor:
    axes = _KEPT_AXES.get(name.rsplit(".", 1)[-1], ())
    if any(axis >= tensor.ndim or tensor.shape[axis] != 1 for axis in axes):
        raise CheckpointError(
            f"weight {name!r} has shape {tuple(tensor.shape)}, expected 1 along axes {axes}"
        )
    return tensor.squeeze(axes) if axes else tensor


def _add_axes(name: str, tensor: Tensor) -> Tensor:
    for axis in _KEPT_AXES.get(name.rsplit(".", 1)[-1], ()):
        tensor = tensor.unsqueeze(axis)
    return tensor


def _pairs(model: str, session: str) -> list[tuple[str, str]]:
    require_name(model, _NAMES, "the original has no model", RegistryError)
    head = f"heads.{session_key(session)}"
    return [
        (original.replace("{session}", session), ours.replace("{head}", head))
        for original, ours in _NAMES[model]
    ]


def _rename(name: str, pairs: Sequence[tuple[str, str]], complaint: str) -> str:
    for old, new in pairs:
        if name == old or (old.endswith(".") and name.startswith(old)):
            return new + name[len(old) :]
    raise CheckpointError(f"weight {name!r} {complaint}")
