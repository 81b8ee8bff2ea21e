"""Summary of a recording, as plain nested values for printing."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np

from freegaze.quality.grades import longest_run
from freegaze.quality.units import MIN_RATE_HZ
from freegaze.recording.recording import Recording, ResponseKind, Role


def summarize(recording: Recording, min_rate_hz: float = MIN_RATE_HZ) -> dict[str, Any]:
    """Summarize shapes, units, rates, gaps and missing values.

    Args:
        recording: Any recording.
        min_rate_hz: Neurons below this are counted.

    Returns:
        Nested dict of plain numbers and text, ready for JSON.

    Example:
        >>> from freegaze.sources.tiny import make_tiny_recording
        >>> summarize(make_tiny_recording(seed=0))["responses"]["n_neurons"]
        5
    """
    r = recording
    return {
        "session_id": r.session_id,
        "duration_s": r.duration_s,
        "bin_width_s": r.bin_width_s,
        "n_bins": r.n_bins,
        "video": _video(r),
        "behavior": {name: _column(r, i) for i, name in enumerate(r.behavior_names)},
        "responses": _responses(r, min_rate_hz),
        "segments": _segments(r),
        "annotations": {
            name: {"shape": list(np.shape(a)), "dtype": str(np.asarray(a).dtype)}
            for name, a in r.annotations.items()
        },
        "reference_rates": list(r.reference_rates),
        "provenance": dict(r.provenance),
    }


def _video(r: Recording) -> dict[str, Any]:
    return {
        "n_frames": len(r.frames),
        "height_px": r.frame_size[0],
        "width_px": r.frame_size[1],
        "is_shared": len(np.unique(r.frame_index)) < r.n_bins,
        "deg_per_px": r.deg_per_px,
    }


def _column(r: Recording, i: int) -> dict[str, Any]:
    values = r.behavior[:, i].astype(np.float64)
    is_lost = np.isnan(values)
    low, middle, high = np.nanpercentile(values, [1, 50, 99]).tolist()
    return {
        "unit": r.behavior_units[i],
        "mean": float(np.nanmean(values)),
        "sd": float(np.nanstd(values)),
        "percentile_1": low,
        "median": middle,
        "percentile_99": high,
        "missing_share": float(is_lost.mean()),
        "longest_gap_s": longest_run(is_lost, r.segment_index())[1] * r.bin_width_s,
    }


def _responses(r: Recording, min_rate_hz: float) -> dict[str, Any]:
    summary: dict[str, Any] = {"kind": r.response_kind.value, "n_neurons": r.n_neurons}
    if r.response_kind is ResponseKind.FLUORESCENCE:
        sd = r.responses.std(0, dtype=np.float64)
        return {**summary, "median_sd": float(np.median(sd))}
    rates = r.rates_hz()
    return {
        **summary,
        "lowest_rate_hz": float(rates.min()),
        "median_rate_hz": float(np.median(rates)),
        "highest_rate_hz": float(rates.max()),
        "min_rate_hz": min_rate_hz,
        "n_below_min_rate": int((rates < min_rate_hz).sum()),
    }


def _segments(r: Recording) -> dict[str, Any]:
    lengths_s = np.array([s.n_bins for s in r.segments]) * r.bin_width_s
    by_role = {}
    for role in (*get_args(Role), None):
        picked = [s for s in r.segments if s.role == role]
        if picked:
            n_bins = sum(s.n_bins for s in picked)
            by_role[role or "undecided"] = {
                "n_segments": len(picked),
                "n_bins": n_bins,
                "duration_s": n_bins * r.bin_width_s,
            }
    return {
        "n_segments": len(r.segments),
        "n_trials": sum(s.trial for s in r.segments),
        "shortest_s": float(lengths_s.min()),
        "longest_s": float(lengths_s.max()),
        "roles": by_role,
    }
