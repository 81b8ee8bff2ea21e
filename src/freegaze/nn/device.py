"""Device of a computation, by name."""

from __future__ import annotations

import torch

from freegaze.errors import ConfigError


def pick_device(name: torch.device | str = "auto") -> torch.device:
    """Return the device of a name, ready to be used.

    Args:
        name: ``auto`` (a CUDA GPU where there is one, otherwise the CPU), or a name of a device of
            torch, such as ``cpu``, ``cuda`` or ``cuda:1``.

    Raises:
        ConfigError: If this machine has no such device.

    Example:
        >>> pick_device("cpu")
        device(type='cpu')
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(
            f"this machine has no device {str(name)!r} ({reason}); choose auto, cpu or cuda"
        ) from None
