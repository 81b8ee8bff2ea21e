"""Compare recordings exactly; `from comparing import assert_same_recording` in any test."""

from __future__ import annotations

import numpy as np

from freegaze.recording.recording import Recording


def assert_same_recording(a: Recording, b: Recording, but: tuple[str, ...] = ()) -> None:
    """Assert that two recordings hold the same, except for the fields named in ``but``."""
    for name in ("frames", "frame_index", "behavior", "responses"):
        if name not in but:
            left, right = getattr(a, name), getattr(b, name)
            np.testing.assert_array_equal(left, right, err_msg=name, strict=name != "frame_index")
    for name in ("annotations", "reference_rates"):
        if name not in but:
            left, right = getattr(a, name), getattr(b, name)
            assert list(left) == list(right)
            for key in left:
                np.testing.assert_array_equal(left[key], right[key], err_msg=key, strict=True)
    plain = ("session_id", "bin_width_s", "behavior_names", "behavior_units", "response_kind")
    for name in (*plain, "unit_ids", "segments", "deg_per_px"):
        if name not in but:
            assert getattr(a, name) == getattr(b, name), name
