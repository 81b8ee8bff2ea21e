"""Simulated sessions on disk: the recording beside the truth about it.

::

    FOLDER/SESSION/recording/    a store
    FOLDER/SESSION/truth.npz     what is true of every neuron and bin, before any neuron is left out
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

import numpy as np

from freegaze.errors import ConfigError, DataError
from freegaze.files.atomic import atomic_file, atomic_folder
from freegaze.files.npz import NpzReader
from freegaze.progress import Progress
from freegaze.recording.recording import Recording
from freegaze.recording.store import save_store
from freegaze.registry import require_name
from freegaze.sources.conversion import errors_name
from freegaze.sources.source import open_recordings
from freegaze.sources.xu2023.layout import VideoKind, write_xu2023

if TYPE_CHECKING:
    from freegaze.simulation import (  # imports torch, which takes seconds: only when used
        SimulationConfig,
        Truth,
    )

RECORDING = "recording"
TRUTH = "truth.npz"
CARD = "realism_card.md"
Layout = Literal["store", "xu2023"]
Stimulus = Literal["world", "white_noise"]


def simulate(
    out: Path | str,
    *,
    minutes: float | None = None,
    n_neurons: int | None = None,
    seed: int | None = None,
    track: str | None = None,
    mouse: str | None = None,
    violations: Sequence[str] | None = None,
    redraws: int | None = None,
    config: SimulationConfig | None = None,
    layout: str = "store",
    stimulus: str = "world",
    card: bool = False,
    progress: Progress | None = None,
) -> Recording:
    """Simulate a session of the virtual mouse and write it with the truth behind it.

    Args:
        out: Folder that the session's own folder is written into.
        minutes: Length in minutes.
        n_neurons: Number of neurons.
        seed: Fixes the whole simulation.
        track: Difficulty of the task: ``affine``, ``standard``, ``hard`` or ``null``.
        mouse: Virtual mouse: ``VM-1``, or ``VM-2``, of which no encoder is the truth.
        violations: Violations of what encoders assume, for ``VM-2`` (names of
            ``freegaze.simulation.VIOLATIONS``); all of them by default.
        redraws: Number of further draws of spikes from the same rates.
        config: All settings of a simulation; the arguments above override its own.
        layout: ``store``, or ``xu2023`` for files like those of Xu et al. (2023).
        stimulus: ``world``: a freely moving mouse; ``white_noise``: the same neurons, head-fixed
            before a screen of white noise, without a truth.
        card: Whether to write ``realism_card.md`` beside the recording: statistics of body, gaze,
            frames and neurons, compared with real mice.
        progress: Called with (description, done, total) after each step.

    Returns:
        The recording, opened from its folder.

    Raises:
        ConfigError: If layout or stimulus are unknown, a setting is impossible, or a choice cannot
            be combined with white noise.
        DataError: If the session exists already, or cannot be written.

    Example:
        >>> freegaze.simulate("data/other", minutes=0.5, n_neurons=3, seed=4).n_neurons
        3
    """
    from freegaze import simulation

    given = {"minutes": minutes, "n_neurons": n_neurons, "seed": seed, "track": track}
    given |= {"redraws": redraws, "mouse": mouse}
    given["violations"] = None if violations is None else tuple(violations)
    chosen: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if config is None:
        config = simulation.SimulationConfig(**chosen)
    elif chosen:
        config = replace(config, **chosen)
    require_name(stimulus, get_args(Stimulus), "unknown stimulus", ConfigError)
    check_target(config.session_id, out, layout)
    only_session = {"sessions": [config.session_id], "min_rate_hz": 0}
    if stimulus == "white_noise":
        unfit = {"layout": layout != "store", "card": card, "redraws": config.redraws > 0}
        for option, is_chosen in unfit.items():
            if is_chosen:
                raise ConfigError(
                    f"`--{option}` needs a freely moving mouse; leave it out with white noise"
                )
        save_store(simulation.show_white_noise(config), Path(out) / config.session_id)
        return open_recordings("store", out, **only_session)[0]
    recording, truth = simulation.simulate(config, progress)
    session = write_simulation(recording, truth, out, cast(Layout, layout))
    if card:
        text = simulation.realism_card_markdown(simulation.realism_card([recording], [truth]))
        with atomic_file(session / CARD) as file:
            file.write_text(f"# Realism card of {config.session_id}\n\n{text}", "utf-8")
    source = "simulation" if layout == "store" else layout
    return open_recordings(source, out, **only_session)[0]


def is_simulation(folder: Path) -> bool:
    """Return whether a folder is a simulated session: a store beside a truth."""
    return (folder / RECORDING).is_dir() and (folder / TRUTH).is_file()


def write_simulation(
    recording: Recording,
    truth: Truth,
    folder: Path | str,
    layout: Layout = "store",
    overwrite: bool = False,
) -> Path:
    """Write a simulated session and the truth about it.

    Args:
        recording: The simulated recording with all its neurons.
        truth: Truth about the same session.
        folder: Folder that the session's own folder is written into.
        layout: ``store``, or ``xu2023`` for the original's files, with both kinds of video.
        overwrite: Whether an existing session may be replaced.

    Returns:
        The session's folder.

    Raises:
        ConfigError: If there is no such layout.
        DataError: If the session exists already, or the disk refuses.
    """
    check_target(recording.session_id, folder, layout, overwrite)
    session = Path(folder) / recording.session_id
    if layout == "xu2023":
        kinds: list[VideoKind] = ["vid_mean", "vid_middle"]
        own, other = kinds if truth.alternative_binning == "middle" else kinds[::-1]
        videos: dict[VideoKind, np.ndarray] = {own: recording.video()}
        videos[other] = truth.alternative_frames
        write_xu2023(recording, folder, videos, overwrite)
        _write_truth(truth, session)
        return session
    remedy = "allow overwriting, or choose another place"
    with atomic_folder(session, lambda p: overwrite and is_simulation(p), remedy) as partial:
        save_store(recording, partial / RECORDING)
        _write_truth(truth, partial)
    return session


def check_target(
    session_id: str, folder: Path | str, layout: str = "store", overwrite: bool = False
) -> None:
    """Check that a session can be written, before it is simulated.

    Args:
        session_id: Name of the session.
        folder: Folder that the session's own folder is written into.
        layout: Format of the files, as for ``write_simulation``.
        overwrite: Whether an existing session may be replaced.

    Raises:
        ConfigError: If there is no such layout.
        DataError: If the session exists already.
    """
    require_name(layout, get_args(Layout), "unknown layout", ConfigError)
    session = Path(folder) / session_id
    if session.exists() and not overwrite:
        raise DataError(f"{session} exists already; remove it or choose another folder")


def load_truth(path: Path | str, recording: Recording | None = None) -> Truth:
    """Read the truth about a simulated session.

    Args:
        path: The session's folder, or the folder that holds this one session.
        recording: If given, the truth of its neurons only, in its order.

    Returns:
        The truth.

    Raises:
        DataError: If there is no truth, or it is damaged or belongs to another recording.
    """
    from freegaze.simulation import Truth

    file = _truth_file(Path(path).expanduser())
    with errors_name(file), NpzReader(file) as reader:
        try:
            truth = Truth.from_arrays({name: reader.read(name) for name in reader.headers})
        except TypeError as error:
            raise DataError(f"{str(error).splitlines()[0]}; simulate again") from None
        return truth if recording is None else _truth_of(truth, recording)


def _write_truth(truth: Truth, folder: Path) -> None:
    with atomic_file(folder / TRUTH) as file, file.open("wb") as stream:
        np.savez(stream, **truth.to_arrays())  # type: ignore[arg-type]


def _truth_file(path: Path) -> Path:
    candidates = [path / TRUTH, path.parent / TRUTH, *sorted(path.glob(f"*/{TRUTH}"))]
    found = [file for file in candidates if file.is_file()]
    if not found:
        raise DataError(f"{path} holds no {TRUTH}; give a folder written by `freegaze simulate`")
    if found[0] == candidates[0] or len(found) == 1:
        return found[0]
    raise DataError(f"{path} holds several sessions; give the folder of one of them")


def _truth_of(truth: Truth, recording: Recording) -> Truth:
    from freegaze.simulation.population import unit_names

    names = unit_names(len(truth.kind))
    unknown = sorted(set(recording.unit_ids) - set(names))
    if unknown or len(truth.oracle) != recording.n_bins:
        raise DataError(
            f"is not the truth of session {recording.session_id!r} "
            f"({len(truth.oracle)} bins, {len(names)} neurons); give the folder of that session"
        )
    return truth.select_neurons(np.array([names.index(name) for name in recording.unit_ids]))
