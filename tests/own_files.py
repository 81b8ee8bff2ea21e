"""Files of a user's own with an encoder and losses in them."""

from __future__ import annotations

import sys
from pathlib import Path

import freegaze.models
from freegaze.models.encoder import MODELS
from freegaze.runs.own_code import LOSSES

TEMPLATE = Path(freegaze.models.__path__[0]) / "_template.py"

LOSS = '''
"""Losses of my own."""

import torch


def my_poisson(predicted, observed):
    """The same as freegaze's own."""
    return (predicted - observed * torch.log(predicted + 1e-8)).mean()


def per_neuron(predicted, observed):
    """Not a mean over neurons."""
    return (predicted - observed).square().mean(0)


NUMBER = 3
'''


def write_own(folder: Path, more: str = "") -> tuple[Path, Path]:
    """Write a renamed copy of the template of encoders, and losses; return both files."""
    folder.mkdir(parents=True, exist_ok=True)
    model, loss = folder / "mine.py", folder / "losses.py"
    model.write_text(
        TEMPLATE.read_text().replace("Template", "Mine").replace("template", "mine") + more
    )
    loss.write_text(LOSS + more)
    return model, loss


def forget_own() -> None:
    """Forget all that a user's files brought into this process, as a new process would have."""
    for registry in (MODELS, LOSSES):
        for name in [name for name in registry._things if registry.is_own(name)]:
            del registry._things[name]
    for name in [name for name in sys.modules if name.startswith("freegaze_own_")]:
        del sys.modules[name]
