"""Red, amber and green checks of a recording, each with its number and a sentence."""

from __future__ import annotations

from dataclasses import dataclass

from freegaze.quality.behavior import (
    check_constant_columns,
    check_gaps,
    check_loss_against_behavior,
    check_missing,
)
from freegaze.quality.eye_gyroscope import check_eye_gyro
from freegaze.quality.grades import Check, Status
from freegaze.quality.plausibility import (
    check_doubled_spikes,
    check_ended_trains,
    check_eye_angles,
    check_speed,
    check_stream_spans,
    check_time_resolution,
)
from freegaze.quality.response_lag import check_response_lag
from freegaze.quality.sensors import check_sensors
from freegaze.quality.sentinels import check_sentinels
from freegaze.quality.units import (
    check_duplicates,
    check_quiet_units,
    check_rate_drift,
)
from freegaze.quality.video import check_freezes
from freegaze.recording.recording import Recording
from freegaze.registry import require_name

CHECKS = (
    check_missing,
    check_gaps,
    check_loss_against_behavior,
    check_constant_columns,
    check_sentinels,
    check_eye_angles,
    check_speed,
    check_time_resolution,
    check_stream_spans,
    check_eye_gyro,
    check_response_lag,
    check_quiet_units,
    check_rate_drift,
    check_ended_trains,
    check_doubled_spikes,
    check_duplicates,
    check_freezes,
    check_sensors,
)
"""All checks, in the order of the page."""


@dataclass(frozen=True)
class QualityReport:
    """All checks of one recording.

    Args:
        session_id: Name of the session.
        checks: Results of the checks, in the order of ``CHECKS``.
    """

    session_id: str
    checks: tuple[Check, ...]

    @property
    def status(self) -> Status:
        """The worst status among the checks that could be made."""
        found = {check.status for check in self.checks}
        order: tuple[Status, ...] = ("red", "amber", "green", "not available")
        return next(status for status in order if status in found)

    @property
    def n_not_checked(self) -> int:
        """Number of checks that could not be made."""
        return sum(check.status == "not available" for check in self.checks)

    def check(self, name: str) -> Check:
        """Return one check.

        Raises:
            DataError: If there is none of that name; the message names the nearest.
        """
        by_name = {check.name: check for check in self.checks}
        require_name(name, by_name, "no quality check")
        return by_name[name]


def check_quality(recording: Recording) -> QualityReport:
    """Check a recording. Reads the whole video once; changes and draws nothing.

    Args:
        recording: Any recording.

    Returns:
        Every check, with the arrays that a figure needs.

    Example:
        >>> from freegaze.sources.tiny import make_tiny_recording
        >>> check_quality(make_tiny_recording(seed=0)).check("video_freezes").status
        'green'
    """
    return QualityReport(recording.session_id, tuple(check(recording) for check in CHECKS))
