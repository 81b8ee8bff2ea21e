"""Sorted spikes in any format that SpikeInterface reads; needs the extra ``spikeinterface``."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from freegaze.errors import DataError
from freegaze.files.arrays import unreadable
from freegaze.registry import nearest_names, require_name, require_names
from freegaze.sources.alignment.streams import EventStream
from freegaze.sources.lab_files.config_responses import SpikeInterfaceConfig
from freegaze.sources.lab_files.neurons import extent_of

_PICKLES = ("recording.pickle", "recording.pkl", "cached.pkl", "cached.pickle")
"""Pickles in a folder that SpikeInterface would run when it opens the folder."""
_PLACES = ("file_path", "folder_path")


def read_sorted_units(config: SpikeInterfaceConfig, folder: Path) -> EventStream:
    """Read the spikes of the wanted units by SpikeInterface.

    Args:
        config: Folder or file, its format, and the wanted units.
        folder: Folder that its path is relative to.

    Returns:
        The spikes. A sorting analyzer also states the length of the recording.

    Raises:
        DataError: If SpikeInterface is missing or refuses the files, or no unit is left.
    """
    place = folder / config.folder
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SpikeInterface comments on probes and versions
        sorting, duration_s = _open(place, config)
        segment = _pick_segment(sorting.get_num_segments(), config.segment, place)
        wanted = _wanted(sorting, config.keep_units, place)
        trains = [_spike_times(sorting, unit, segment) for unit in wanted]
    times = [config.clock.to_session(train) for train in trains]
    if duration_s is not None and config.duration_s is None:
        config = config.model_copy(update={"duration_s": duration_s})
    return EventStream(str(place), times, tuple(str(unit) for unit in wanted), extent_of(config))


def _open(place: Path, config: SpikeInterfaceConfig) -> tuple[Any, float | None]:
    """Return the sorting, and the length of its recording if it is known."""
    core = _require()
    if not place.exists():
        raise DataError(f"{place} does not exist; correct `folder`")
    pickles = [name for name in _PICKLES if (place / name).is_file()]
    if pickles:
        raise DataError(
            f"{place} holds the pickle {pickles[0]}, which would run code of its writer; save the "
            "sorting by itself: `sorting.save(folder=..., format='numpy_folder')`"
        )
    try:
        if config.format != "spikeinterface":
            found = _extractor(config, place)
        elif (place / "sorting").is_dir():  # an analyzer; its extensions may be pickles
            found = core.load_sorting_analyzer(place, load_extensions=False)
        else:
            found = core.load(place)
    except DataError:
        raise
    except Exception as error:  # its readers raise whatever their formats provoke
        raise unreadable(place, error) from error
    if isinstance(found, core.SortingAnalyzer):
        n_samples = found.get_num_samples(config.segment or 0)
        return found.sorting, n_samples / found.sampling_frequency
    if not isinstance(found, core.BaseSorting):
        raise DataError(
            f"{place} holds a {type(found).__name__}, expected sorted units; give the folder of "
            "the sorting or the sorting analyzer"
        )
    return found, None


def _spike_times(sorting: Any, unit: Any, segment: int) -> np.ndarray:
    """Return the spikes of a unit in seconds, on the clock of its recording.

    Formats of acquisition systems are read by Neo, which converts their time stamps itself.
    SpikeInterface takes those of Neuralynx, which are microseconds, for numbers of samples.
    """
    reader = getattr(sorting, "neo_reader", None)
    if reader is None:
        train = sorting.get_unit_spike_train(unit, segment_index=segment, return_times=True)
        return np.asarray(train, np.float64)
    stamps = reader.get_spike_timestamps(
        block_index=sorting.block_index,
        seg_index=segment,
        spike_channel_index=list(sorting.unit_ids).index(unit),
    )
    return np.asarray(reader.rescale_spike_timestamp(stamps, "float64"), np.float64)


def _extractor(config: SpikeInterfaceConfig, place: Path) -> Any:
    """Call the reader of a format by its name, such as ``phy`` or ``neuralynx``."""
    from spikeinterface.extractors.extractor_classes import sorting_extractor_full_dict  # pyright: ignore[reportMissingImports]

    readers = dict(sorting_extractor_full_dict)
    known = ["spikeinterface", *readers]
    remedy = f"; it has {', '.join(sorted(known))}"
    what = "format: SpikeInterface has no reader of sorted units called"
    require_name(config.format, known, what, remedy=remedy)
    reader = readers[config.format]
    names = list(inspect.signature(reader).parameters)
    what = f"options: the reader {config.format!r} has no argument"
    require_names(config.options, names, what)
    argument = next((name for name in names if name in _PLACES), names[0])
    return reader(**{argument: str(place), **config.options})


def _require() -> Any:
    try:
        from spikeinterface import core  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise DataError(
            "`kind: spikeinterface` needs SpikeInterface; install it with `pip install "
            "freegaze[spikeinterface]`"
        ) from None
    return core


def _pick_segment(n_segments: int, wanted: int | None, place: Path) -> int:
    if wanted is None and n_segments != 1:
        raise DataError(
            f"{place} holds {n_segments} segments, each with a clock of its own; choose one with "
            f"`segment` (0 to {n_segments - 1})"
        )
    if (wanted or 0) >= n_segments:
        raise DataError(f"{place} holds {n_segments} segments; `segment` {wanted} is none of them")
    return wanted or 0


def _wanted(sorting: Any, keep: Mapping[str, tuple[Any, ...]], place: Path) -> list[Any]:
    """Return the ids of the units with wanted properties."""
    kept = np.ones(len(sorting.unit_ids), bool)
    for name, allowed in keep.items():
        values = sorting.get_property(name)
        if values is None:
            known = sorted(map(str, sorting.get_property_keys()))
            raise DataError(
                f"keep_units: {place} has no property {name!r} of units "
                f"({nearest_names(name, known)})"
            )
        texts = [str(value) for value in values]
        kept &= np.isin(texts, [str(value) for value in allowed])
        if not kept.any():
            raise DataError(
                f"keep_units: no unit is left; {name} of {place} holds "
                f"{', '.join(sorted(set(texts))[:20])}"
            )
    if not kept.any():
        raise DataError(f"{place} holds no unit")
    return [unit for unit, is_kept in zip(sorting.unit_ids, kept, strict=True) if is_kept]
