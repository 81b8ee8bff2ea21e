"""Selection of neurons with responses, and conversion of behavior to standard units."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Float

from freegaze.errors import DataError, DataWarning
from freegaze.quality.sentinels import Sentinel, find_sentinel
from freegaze.recording.columns import find_column
from freegaze.recording.units import conversion_factor, is_stated
from freegaze.registry import require_names
from freegaze.sources.alignment.bins import SAME_TIME_S
from freegaze.sources.alignment.streams import EventStream, SampleStream

LOST_SHARE = 0.05
"""Share of bins without a response, beyond that of the most complete neuron, above which a warning
names a neuron: a bin is left out if any neuron has no response in it."""
_OUTSIDE_SHARE, _OUTSIDE_S = 0.02, 10.0
"""Clocks that stop at different moments leave fewer and nearer spikes outside the recording."""
_JUMP_DEG, _STEP_DEG = 270.0, 30.0
"""A heading jumps by about 360 deg where it wraps, and turns by less between other samples."""


def pick_neurons(
    responses: Float[np.ndarray, "time neuron"],
    names: Sequence[str],
    is_usable: Bool[np.ndarray, " time"],
    leave_out: Sequence[str],
    where: str,
) -> list[int]:
    """Choose the neurons to keep: those that are not left out and respond in some usable bin.

    Warns of neurons without any response, and of those whose missing responses cost many bins.

    Args:
        responses: Responses, NaN where lost.
        names: Names of the neurons.
        is_usable: Bins that are wanted and observed.
        leave_out: Names of neurons to leave out.
        where: Name of the responses, for messages.

    Returns:
        Column numbers, in order.

    Raises:
        DataError: If there is no neuron of a name to leave out, or none is left.
    """
    require_names(leave_out, names, f"leave_out_neurons: {where} has no neuron")
    wanted = [i for i, name in enumerate(names) if name not in leave_out]
    if not wanted:
        raise DataError(f"leave_out_neurons: no neuron of {where} is left; name fewer")
    lost = (~np.isfinite(responses[is_usable])).mean(0) if is_usable.any() else np.zeros(len(names))
    kept = [i for i in wanted if lost[i] < 1]
    if len(kept) in (0, len(wanted)):
        kept = wanted
    else:
        gone = [names[i] for i in wanted if i not in set(kept)]
        _warn(f"{where}: neurons {', '.join(gone)} have no response in any bin and are left out")
    costly = [i for i in kept if lost[i] > lost[kept].min() + LOST_SHARE and lost[i] < 1]
    if costly:
        shares = ", ".join(f"{names[i]} ({lost[i]:.0%})" for i in costly)
        _warn(
            f"{where}: bins without responses of every neuron are left out, and these neurons miss "
            f"many: {shares}; to keep the bins leave out the neurons: `leave_out_neurons`"
        )
    return kept


def to_standard_unit(
    values: np.ndarray, name: str, unit: str, where: str
) -> tuple[np.ndarray, str]:
    """Convert a behavior column to the unit of the data dictionary.

    Args:
        values: The signal.
        name: Name of the signal; only columns of the data dictionary have a unit to convert to.
        unit: Unit of the signal in the file.
        where: Stream that it is part of, for the warning.

    Returns:
        Values and their unit. Where the unit cannot be converted, both stay as they are, with a
        warning.
    """
    wanted = find_column(name).unit
    if not wanted or not is_stated(unit) or unit in (wanted, "raw"):
        return values, unit
    factor = conversion_factor(unit, wanted)
    if factor is None:
        _warn(
            f"{where}: the unit of {name!r} is {unit!r}, which cannot be converted to {wanted!r}, "
            "in which encoders and checks take this column; its values are kept. State the true "
            f"unit (`units: {{{name}: {wanted}}}`) or give the column another name"
        )
        return values, unit
    return (values if factor == 1 else values * factor), wanted


def warn_of_late_spikes(stream: EventStream) -> None:
    """Warn of many or distant spikes outside the start and end that are stated for the recording.

    Few spikes close to its ends are usual: clocks of devices do not stop together.
    """
    if stream.extent is None:
        return
    start, stop = stream.extent
    pooled = np.concatenate([np.empty(0), *stream.times])
    distance = np.maximum(start - pooled, pooled - stop)
    n_outside = int((distance > SAME_TIME_S).sum())
    if n_outside > _OUTSIDE_SHARE * len(pooled) or (distance > _OUTSIDE_S).any():
        _warn(
            f"{stream.name}: {n_outside} of {len(pooled)} spikes lie outside the recording, which "
            f"lasts from {start:.6g} to {stop:.6g} s, and are not counted; are rate and "
            "`duration_s` right?"
        )


def warn_of_wrapping(values: np.ndarray, name: str, unit: str, where: str) -> None:
    """Warn of a signal that jumps as an angle does where it begins again at 0 or -180 deg.

    Between the samples at such a jump, a signal that is no angle passes through all values.

    Args:
        values: The signal, NaN where lost.
        name: Its name.
        unit: Its unit; a signal in another unit than one of angles is not checked.
        where: Stream that it is part of, for the warning.
    """
    factor = conversion_factor(unit, "deg") if is_stated(unit) else 1.0
    known = values[np.isfinite(values)]
    if factor is None or len(known) < 2:
        return
    steps, extent = np.abs(np.diff(known)) * factor, np.ptp(known) * factor
    n_jumps = int((steps > _JUMP_DEG).sum())
    if n_jumps and extent <= 360.0 and np.median(steps) < _STEP_DEG:
        _warn(
            f"{where}: {name!r} jumps {n_jumps} times by about 360 deg, as an angle does that "
            "begins again; if it is the heading call it `yaw`, which is interpolated the short way"
        )


def lost_values_of(stream: SampleStream) -> Iterator[tuple[str, Sentinel]]:
    """Find values that seem to stand for lost samples of a stream, and warn of them.

    Args:
        stream: The signals; steps keep their values.

    Yields:
        Name of the column, and the value.
    """
    for name, signal in zip(stream.columns, stream.values.T, strict=True):
        found = None if stream.is_stepping else find_sentinel(signal, name)
        if found is not None:
            _warn(
                f"{stream.name}: {name!r} is {found.value:.9g} in {found.share:.1%} of its "
                "samples, far from all others, as programs write lost samples; if it means that, "
                "state it in `lost_values` of the stream"
            )
            yield name, found


def _warn(message: str) -> None:
    warnings.warn(message, DataWarning, stacklevel=4)
