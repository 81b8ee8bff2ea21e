"""Names of weights: the original's and this package's, each way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from freegaze.errors import CheckpointError, RegistryError
from freegaze.nn.sessions import session_key
from freegaze.registry import nearest_names

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


_NAMES: dict[str, tuple[tuple[str, str], ...]] = {
    "cnn": (
        *_SHIFTER,
        *_core_names("encoder"),
        ("encoder.layers.13.weight", "{head}.vision.readout.linear.weight"),
        ("encoder.layers.13.bias", "{head}.bias"),
    ),
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
        The same tensors under this package's names.

    Raises:
        CheckpointError: If a name is not one of the original's.
        RegistryError: If the original has no such model.
    """
    pairs = _pairs(model, session)
    renamed = {_rename(name, pairs, f"the original's {model}"): t for name, t in state_dict.items()}
    unused = f"heads.{session_key(session)}.vision.gaze.shifter."
    return {n: t for n, t in renamed.items() if is_shifted or not n.startswith(unused)}


def to_original(model: str, state_dict: Mapping[str, Tensor], session: str) -> dict[str, Tensor]:
    """Rename an encoder's weights to the original's; the inverse of ``to_freegaze``.

    Args:
        model: Registered name of the encoder, in its ``paper`` configuration.
        state_dict: The encoder's weights by name.
        session: Name of the session whose head is wanted.

    Raises:
        CheckpointError: If the original has no counterpart of a weight.
        RegistryError: If the original has no such model.
    """
    pairs = [(ours, original) for original, ours in _pairs(model, session)]
    head = f"heads.{session_key(session)}."
    return {
        _rename(name, pairs, f"the {model} of this package"): tensor
        for name, tensor in state_dict.items()
        if not name.startswith("heads.") or name.startswith(head)
    }


def _pairs(model: str, session: str) -> list[tuple[str, str]]:
    if model not in _NAMES:
        raise RegistryError(
            f"the original has no model {model!r} ({nearest_names(model, list(_NAMES))})"
        )
    head = f"heads.{session_key(session)}"
    return [(original, ours.replace("{head}", head)) for original, ours in _NAMES[model]]


def _rename(name: str, pairs: Sequence[tuple[str, str]], where: str) -> str:
    for old, new in pairs:
        if name == old or (old.endswith(".") and name.startswith(old)):
            return new + name[len(old) :]
    raise CheckpointError(
        f"weight {name!r} is not one of {where} with published layout; is it another model, or not "
        "in the paper's configuration?"
    )
