"""Which response link fits which kind of responses."""

from __future__ import annotations

from freegaze.nn.response import Link
from freegaze.recording.recording import ResponseKind


def response_link(kind: ResponseKind) -> Link:
    """Return ``"identity"`` for fluorescence, which has any sign, else ``"softplus"``."""
    return "identity" if kind is ResponseKind.FLUORESCENCE else "softplus"
