"""Which response link fits which kind of responses."""

from __future__ import annotations

from typing import Literal

from freegaze.nn.response import Link
from freegaze.recording.recording import ResponseKind

PositiveLink = Literal["softplus", "elu1"]
"""Links that encoders offer for responses that are never negative."""


def response_link(kind: ResponseKind, positive: PositiveLink = "softplus") -> Link:
    """Return ``"identity"`` for fluorescence, which has any sign, else ``positive``."""
    return "identity" if kind is ResponseKind.FLUORESCENCE else positive
