"""What the data of a long session cost in memory, and what a store ten times as long costs.

    python benchmarks/session_memory.py --out runs/session_memory.json      # about four minutes

Sessions are of noise, 60 x 80 pixels, 48 ms and 68 neurons, on the disk. Each row is measured in a
process of its own, from what it holds once it has done the same with a minute of data:

- an hour, opened whole by the sources ``arrays`` and ``xu2023``, prepared and put into tensors;
- stores of one hour and of ten, fitted for 200 steps by ``train`` (default encoder) and predicted
  for 12,800 bins. Their video is mapped: its pages (``file``) go when others need room.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from freegaze.allocator import keep_freed_memory
from freegaze.config import build_config
from freegaze.dataset.batches import SessionTensors
from freegaze.fitted.prediction import predict_windows
from freegaze.models.encoder import build_encoder
from freegaze.recording.recording import Recording, Segment
from freegaze.recording.store import open_store, save_store
from freegaze.runs.config import RunConfig, model_config, resolve_config
from freegaze.sources.arrays.layout import write_arrays
from freegaze.sources.source import open_recordings
from freegaze.sources.xu2023.layout import write_xu2023
from freegaze.training.fit import prepare_sessions, train
from process_memory import process_bytes, watched_peak
from sides import EnoughError, noise_recording

HOUR_BINS = 75_000
STEPS, BATCH_WINDOWS = 200, 64
PAPER = {"data": {"video": "minmax_segment"}, "model": {"name": "cnn_gru", "features": "all_prod"}}


ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    "arrays": ("noise.npz", {}),
    "arrays, the paper's features and scaling": ("noise.npz", PAPER),
    "xu2023": ("xu2023", {}),
    "store": ("store", {}),
    "store of ten times the length": ("ten/store", {}),
}
"""Where each row's session lies, and what its configuration changes."""

FITTED = ("store", "store of ten times the length")


def main() -> None:
    """Measure every row, print and write them."""
    parser = argparse.ArgumentParser(description="memory of long sessions")
    parser.add_argument("--out", type=Path, default=Path("runs/session_memory.json"))
    parser.add_argument("--minutes", type=float, default=60, help="length of the shorter sessions")
    parser.add_argument("--only", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--measure", nargs=2, metavar=("WHAT", "PATH"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        keep_freed_memory()  # as the command line does
        print(json.dumps(measure(options.measure[0], Path(options.measure[1]))))
        return
    n_bins = round(HOUR_BINS * options.minutes / 60)
    found: dict[str, Any] = {"minutes": options.minutes, "video_mb": n_bins * 60 * 80 / 1e6}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.out.parent) as folder:
        root = Path(folder)
        write(cut(noise_recording(HOUR_BINS // 60)), root / "minute")
        write(cut(noise_recording(n_bins)), root)
        save_store(ten_times(cut(noise_recording(n_bins)), root), root / "ten" / "store")
        shutil.copytree(root / "minute", root / "ten" / "minute")
        noise_recording.cache_clear()
        for what in options.only:
            place = ROWS[what][0]
            command = [sys.executable, __file__, "--measure", what, str(root / place)]
            ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            found[what] = json.loads(ran.stdout.splitlines()[-1])
            print(what, found[what], flush=True)
    options.out.write_text(json.dumps(found, indent=1) + "\n")


def write(session: Recording, root: Path) -> None:
    """Write a session in every layout."""
    root.mkdir(exist_ok=True)
    write_arrays(session, root / "noise.npz")
    write_xu2023(session, root / "xu")
    (root / "xu" / session.session_id).rename(root / "xu2023")
    save_store(session, root / "store")


def cut(recording: Recording) -> Recording:
    """Give the session six segments that train and test in turn, as the original's."""
    edges = np.cumsum([0, *(recording.n_bins * np.tile([0.26, 0.0733], 3))]).round().astype(int)
    edges[-1] = recording.n_bins
    roles = ("train", "test") * 3
    parts = zip(edges[:-1].tolist(), edges[1:].tolist(), roles, strict=True)
    return recording.with_segments([Segment(*part) for part in parts])


def ten_times(recording: Recording, folder: Path) -> Recording:
    """Return the session ten times over, with frames of its own for every bin, mapped."""
    n = recording.n_bins
    shape = (10 * n, *recording.frame_size)
    frames = np.memmap(folder / "frames", np.uint8, "w+", shape=shape)
    for start in range(0, 10 * n, n):
        frames[start : start + n] = recording.frames
    segments = [
        Segment(s.start + start, s.stop + start, s.role)
        for start in range(0, 10 * n, n)
        for s in recording.segments
    ]
    return replace(
        recording,
        frames=np.asarray(frames),
        frame_index=np.arange(10 * n),
        behavior=np.tile(recording.behavior, (10, 1)),
        responses=np.tile(recording.responses, (10, 1)),
        segments=tuple(segments),
    )


def load(path: Path, values: dict[str, Any]) -> SessionTensors:
    """Open, prepare and put into tensors."""
    source = {"noise.npz": "arrays", "xu2023": "xu2023"}[path.name]
    options = {"units": "all"} if source == "xu2023" else {}
    (recording,) = open_recordings(source, path, **options)
    return next(iter(prepare_sessions([recording], run_config(values)).values())).tensors("cpu")


def fit(path: Path, n_steps: int, batch_windows: int) -> SessionTensors:
    """Fit some steps, and predict a fixed part by an encoder as a fit starts with."""
    config = run_config({"training": {"device": "cpu", "batch_windows": batch_windows}})
    recording, steps = open_store(path), 0

    def watch(what: str, step: int, total: int) -> None:
        nonlocal steps
        steps += 1
        if steps == n_steps:
            raise EnoughError

    with tempfile.TemporaryDirectory() as folder, suppress(EnoughError):
        train([recording], config, Path(folder) / "run", watch)
    (session,) = prepare_sessions([recording], config).values()
    tensors, dims = session.tensors("cpu"), {session.recording.session_id: session.dims}
    encoder = build_encoder("cnn_gru", model_config(config), dims, seed=0).eval()
    predict_windows(encoder, tensors, session.targets("test")[: batch_windows * n_steps])
    return tensors


def added_by(work: Callable[[], SessionTensors]) -> dict[str, float]:
    """Return by how many MB memory grew: own pages and those of files, after and at most."""
    before = {field: process_bytes(field) for field in ("VmRSS", "RssAnon", "RssFile")}
    with watched_peak("RssAnon") as own:
        kept = work()
    after = {field: process_bytes(field) - before[field] for field in before}
    del kept
    return {
        "own_after_mb": after["RssAnon"] / 1e6,
        "file_after_mb": after["RssFile"] / 1e6,
        "own_peak_mb": (own["peak"] - before["RssAnon"]) / 1e6,
        "all_peak_mb": (process_bytes("VmHWM") - before["VmRSS"]) / 1e6,
    }


def run_config(values: dict[str, Any]) -> RunConfig:
    """Return the defaults, on one processor, with some values changed."""
    torch.manual_seed(0)
    values = {"training": {"device": "cpu"}, **values}
    data = {"min_rate_hz": 0.0, **values.get("data", {})}
    return resolve_config(build_config(RunConfig, {**values, "data": data}, where="benchmark"))


def measure(what: str, path: Path) -> dict[str, float]:
    """Measure one row in this process."""
    short = path.parent / "minute" / path.name
    if what in FITTED:
        fit(short, n_steps=2, batch_windows=8)  # little memory, but all that is imported
        return added_by(lambda: fit(path, STEPS, BATCH_WINDOWS))
    load(short, ROWS[what][1])
    return added_by(lambda: load(path, ROWS[what][1]))


if __name__ == "__main__":
    main()
