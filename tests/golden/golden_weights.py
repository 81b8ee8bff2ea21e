"""The weights of the golden models, rebuilt from the rule in README.md."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

HERE = Path(__file__).parent


def golden_state_dict(name: str) -> dict[str, Tensor]:
    listed = json.loads((HERE / "state_dicts.json").read_text())[name]
    variance = {"resnet18_shifter_on": 1.6, "efficientnet_b0_shifter_on": 0.7}.get(name, 0.3)
    return {
        key: torch.from_numpy(np.asarray(_values(key, shape, variance)).astype(dtype))
        for key, (shape, dtype) in listed.items()
    }


def _values(key: str, shape: list[int], variance: float) -> np.ndarray:
    n = int(np.prod(shape, dtype=int))
    u = np.random.RandomState(zlib.crc32(key.encode())).standard_normal(n).reshape(shape)
    leaf = key.rsplit(".", 1)[-1]
    match leaf:
        case "num_batches_tracked":
            return np.array(100)
        case "running_var":
            return variance + 0.1 * u**2
        case "running_mean":
            return 0.1 * u
        case "_mu":
            return 0.25 * u
    if len(shape) < 2:
        return 1 + 0.2 * u if leaf == "weight" else 0.1 * u
    return u * np.sqrt(2 * shape[0] / n)
