"""Preparation of all sessions of a run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from freegaze.dataset import sessions
from freegaze.dataset.sessions import PreparedSession
from freegaze.models.encoder import MODELS
from freegaze.recording.recording import Recording
from freegaze.runs.config import RunConfig, model_config


def prepare_sessions(
    recordings: Sequence[Recording], config: RunConfig
) -> dict[str, PreparedSession]:
    """Prepare all sessions of a fit, by session id.

    Args:
        recordings: The sessions.
        config: The run's configuration.

    Raises:
        DataError: If a session cannot be fitted, or sessions do not go together.
        ConfigError: If the encoder needs behavior that was not recorded.
    """
    encoder = MODELS.get(config.model["name"])
    required = partial(encoder.required_features, model_config(config))
    return sessions.prepare_sessions(recordings, config.data, config.split, required)
