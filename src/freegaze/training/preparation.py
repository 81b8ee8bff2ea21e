"""Sessions prepared as the configuration of a run says."""

from __future__ import annotations

from collections.abc import Sequence

from freegaze.dataset import sessions
from freegaze.dataset.sessions import PreparedSession, RequiredFeatures
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
    return sessions.prepare_sessions(recordings, config.data, config.split, _required(config))


def prepare_session(recording: Recording, config: RunConfig) -> PreparedSession:
    """Prepare one session of a fit; see ``prepare_sessions``."""
    return sessions.prepare_session(recording, config.data, config.split, _required(config))


def _required(config: RunConfig) -> RequiredFeatures:
    options, encoder = model_config(config), MODELS.get(config.model["name"])
    return lambda recorded: encoder.required_features(options, recorded)
