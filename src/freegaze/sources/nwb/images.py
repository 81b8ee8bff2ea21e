"""Video of an NWB file: image series, movies beside it, and pictures that an index series shows."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

import numpy as np

from freegaze.errors import DataError, DataWarning
from freegaze.files.hdf5 import read_whole
from freegaze.sources.alignment.frames import AbstractFrameReader
from freegaze.sources.alignment.readers import ArrayFrames, JoinedFrames, MovieFrames, scan_movie
from freegaze.sources.alignment.streams import regular_times
from freegaze.sources.conversion import is_file, to_index
from freegaze.sources.nwb.config import NwbOptions
from freegaze.sources.nwb.listing import NwbItem, core_kind, only_item, pick_item, series_times

TEMPLATES = "stimulus_template/"
_VIDEO_KINDS = ("ImageSeries", "OpticalSeries", "IndexSeries")


def pick_video(items: Sequence[NwbItem], wanted: str | None) -> NwbItem:
    """Return the series of the video.

    Args:
        items: All series.
        wanted: The user's choice; ``None`` for the only candidate. Pictures of a stimulus template
            have no times of their own and are no candidate.

    Raises:
        DataError: If there is none or several.
    """
    candidates = [i for i in items if core_kind(i.thing) in _VIDEO_KINDS]
    if wanted is None:
        seen = [i for i in candidates if not i.path.startswith(TEMPLATES)]
        return only_item(seen, "image series (`none` goes without video)", "video")
    images = [i for i in items if hasattr(i.thing, "external_file") or i in candidates]
    item = pick_item(images, wanted, "video")
    if item.path.startswith(TEMPLATES):
        shown = [
            i.path for i in candidates if getattr(i.thing, "indexed_timeseries", None) is item.thing
        ]
        raise DataError(
            f"video: {item.path} is a stimulus template: its pictures have no times of their own; "
            + (f"choose {shown[0]}, which shows them" if shown else "no index series shows them")
        )
    return item


def read_frames(
    item: NwbItem, folder: Path, options: NwbOptions
) -> tuple[AbstractFrameReader, np.ndarray, np.ndarray | None]:
    """Return the frames of a series, its times, and the frame that is shown at each of them.

    Args:
        item: The series.
        folder: Folder that paths of movies are relative to.
        options: Options of the source.

    Returns:
        The frames, times in seconds, and numbers of frames (``None``: in order).

    Raises:
        DataError: If a movie is missing or its frames do not fit.
    """
    series = item.thing
    if core_kind(series) == "IndexSeries":
        return (*_read_shown(item, folder, options),)
    reader, times = _read_series(item, folder, options)
    return reader, times, None


def _read_shown(
    item: NwbItem, folder: Path, options: NwbOptions
) -> tuple[AbstractFrameReader, np.ndarray, np.ndarray]:
    series = item.thing
    shows = to_index(read_whole(series.data), item.path)
    template = getattr(series, "indexed_timeseries", None)
    pictures = getattr(series, "indexed_images", None)
    if template is not None:
        source = NwbItem(f"{TEMPLATES}{template.name}", core_kind(template), template)
        if template.external_file is not None and len(template.external_file):
            return _read_series(source, folder, options)[0], series_times(series), shows
        array: Any = template.data
        name = source.path
    elif pictures is not None:
        order = getattr(pictures, "order_of_images", None)
        images = list(order.data) if order is not None else list(pictures.images.values())
        parts = [read_whole(image.data) for image in images]
        shapes = {part.shape for part in parts}
        if len(shapes) != 1:
            raise DataError(
                f"{item.path}: its pictures have shapes {sorted(map(str, shapes))}; only pictures "
                "of one size are read"
            )
        array, name = np.stack(parts), pictures.name
    else:
        raise DataError(f"{item.path} names no pictures; choose another series with `video`")
    is_turned = options.video_order == "width_height"
    return ArrayFrames(array, name, options.gray_range, is_turned), series_times(series), shows


def _read_series(
    item: NwbItem, folder: Path, options: NwbOptions
) -> tuple[AbstractFrameReader, np.ndarray]:
    series = item.thing
    files = [_find_movie(str(f), folder, item.path) for f in series.external_file or ()]
    if not files:
        is_turned = options.video_order == "width_height"
        reader = ArrayFrames(series.data, item.path, options.gray_range, is_turned)
        return reader, series_times(series)
    refused = [n for n in ("video_order", "gray_range") if n in options.model_fields_set]
    if refused:
        raise DataError(
            f"`{refused[0]}` does not apply to {item.path}, which is a movie; leave it out"
        )
    lengths: list[int] = []
    if series.timestamps is not None:
        times = series_times(series)
    elif series.rate:
        lengths = [scan_movie(file).n_frames for file in files]
        times = regular_times(sum(lengths), series.rate, series.starting_time or 0.0)
    else:
        raise DataError(f"{item.path} has neither timestamps nor a rate")
    if len(files) == 1:
        return MovieFrames(files[0], len(times)), times
    starts = [int(n) for n in (series.starting_frame if series.starting_frame is not None else ())]
    stated = np.diff([*starts, len(times)]).tolist()
    if not _fits(starts, stated, len(files)):
        lengths = lengths or [scan_movie(file).n_frames for file in files]
        if any(starts) or sum(lengths) != len(times):
            raise DataError(
                f"{item.path}: its movies have {' + '.join(map(str, lengths))} frames, but "
                f"starting_frame is {starts} and there are {len(times)} times; correct "
                f"starting_frame to {np.cumsum([0, *lengths[:-1]]).tolist()}, one time per frame"
            )
        stated = lengths  # several writers put 0 for each file; the movies follow one another
    parts = [MovieFrames(f, int(n)) for f, n in zip(files, stated, strict=True)]
    return JoinedFrames(parts), times


def _find_movie(text: str, folder: Path, where: str) -> Path:
    """Return the file of a movie: at its path, else beside the NWB file, with a warning.

    Paths of Windows, and paths in which blanks are written ``%20``, are understood.
    """
    if "://" in text:
        raise DataError(
            f"{where}: its movie is at {text}, and movies are not read from addresses; download it "
            "into the folder of the NWB file"
        )
    plain = text.replace("\\", "/")
    for path in (text, plain, unquote(plain)):
        if is_file(folder / path):
            return folder / path
    for name in (PurePosixPath(plain).name, unquote(PurePosixPath(plain).name)):
        if name and is_file(folder / name):
            warnings.warn(
                f"{where}: its movie {text} does not exist; {name} beside the NWB file is read",
                DataWarning,
                stacklevel=4,
            )
            return folder / name
    raise DataError(
        f"{where}: its movie {folder / text} does not exist; put it there, or beside the NWB file"
    )


def _fits(starts: Sequence[int], lengths: Sequence[int], n_files: int) -> bool:
    return len(starts) == n_files and starts[0] == 0 and min(lengths) > 0
