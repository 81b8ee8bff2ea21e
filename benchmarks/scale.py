"""Time and memory of one pass of a joint fit, against the number of sessions.

    python benchmarks/scale.py SESSION... --copies 3 10 30 --out runs/scale.json --figure FIGURE

Given are simulated sessions (``freegaze simulate --minutes 10``). Sessions of a fit are copies of
them, whole files under names of their own. ``torchrun`` starts two processes of one thread, each
with its own sessions (``training.sessions_per_step=2``), for one pass of the default encoder with a
history of one bin, without the second fit. The memory of a process is the greatest that it owned
(``RssAnon``, looked at five times a second); pages of mapped files are not counted. With three or
more numbers of sessions, the last is also predicted from a line through the others, by least
squares of relative errors.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from freegaze.recording.store import save_store
from freegaze.runs.run_folder import RunFolder
from freegaze.sources.source import open_recordings
from process_memory import process_bytes

PROCESSES = 2


def copy_sessions(sources: Sequence[Path], n: int, folder: Path) -> None:
    """Write stores of ``n`` sessions, those that are there already excepted."""
    opened = [open_recordings("simulation", path)[0] for path in sources]
    for number in range(n):
        name = f"mouse{number:03d}"
        if not (folder / name).is_dir():
            save_store(replace(opened[number % len(opened)], session_id=name), folder / name)


def workers_of(parent: int) -> list[int]:
    """Return the processes that a process has started and that have modules of torch loaded."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            found.append(int(path.parent.name))
    return found


def measure(sessions: Path, n: int, settings: Sequence[str]) -> dict[str, Any]:
    """Fit for one pass, and return seconds and bytes."""
    with tempfile.TemporaryDirectory() as folder:
        run, chosen = Path(folder) / "run", Path(folder) / "mice"
        chosen.mkdir()
        for path in sorted(sessions.iterdir())[:n]:
            (chosen / path.name).symlink_to(path.resolve())
        words = ["train", str(chosen), "--source", "store", "--out", str(run), "--quiet"]
        words += [word for setting in settings for word in ("--set", setting)]
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command += [f"--nproc-per-node={PROCESSES}", "-m", "freegaze", *words]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        began, peaks = time.perf_counter(), {}
        process = subprocess.Popen(command, env=environment)
        while process.poll() is None:
            for worker in workers_of(process.pid):
                try:
                    owned = process_bytes("RssAnon", worker)
                except (OSError, StopIteration, ValueError):
                    continue
                peaks[worker] = max(peaks.get(worker, 0), owned)
            time.sleep(0.2)
        if process.returncode:
            raise SystemExit(f"the fit of {n} sessions failed")
        (line,) = RunFolder(run).metrics()
        size = {p.name: p.stat().st_size for p in run.iterdir() if p.is_file()}
        return {
            "sessions": n,
            "pass_s": line["seconds"],
            "all_s": time.perf_counter() - began,
            "own_peak_bytes": sorted(peaks.values())[-PROCESSES:],
            "checkpoint_bytes": size["checkpoint.safetensors"],
            "encoder_bytes": size["encoder.safetensors"],
            "validation_loss": line["validation_loss"],
        }


def line_of(points: Sequence[dict[str, Any]], name: str) -> tuple[float, float]:
    """Return constant and slope of a line through points, by least squares of relative errors."""
    n = np.array([point["sessions"] for point in points], float)
    y = np.array([np.max(point[name]) for point in points], float)
    design = np.stack([1 / y, n / y], 1)
    constant, slope = np.linalg.lstsq(design, np.ones(len(y)), rcond=None)[0]
    return float(constant), float(slope)


def summarize(points: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return exponents, lines, and the last point as predicted from the others."""
    n = np.log([point["sessions"] for point in points])
    found: dict[str, Any] = {}
    for name in ("pass_s", "all_s", "own_peak_bytes", "checkpoint_bytes"):
        y = np.log([np.max(point[name]) for point in points])
        constant, slope = line_of(points, name)
        found[name] = {"constant": constant, "per_session": slope}
        found[name]["exponent"] = float(np.polyfit(n, y, 1)[0])
        found[name]["last_exponent"] = float((y[-1] - y[-2]) / (n[-1] - n[-2]))
        if len(points) > 2:
            before = line_of(points[:-1], name)
            predicted = before[0] + before[1] * points[-1]["sessions"]
            found[name]["last_predicted"] = predicted
            found[name]["last_measured"] = float(np.exp(y[-1]))
    return found


def draw(points: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw time and memory against the number of sessions."""
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(7, 3), layout="constrained")
    n = [point["sessions"] for point in points]
    seconds = [point["pass_s"] for point in points]
    left.plot(n, seconds, "o-", color="#4269d0")
    left.plot(n, [seconds[0] / n[0] * k for k in n], ":", color="#888888", label="in proportion")
    left.set(xscale="log", yscale="log", xlabel="sessions", ylabel="seconds of a pass")
    left.set_yticks(seconds, [f"{value:.0f}" for value in seconds])
    left.legend(frameon=False)
    memory = [max(p["own_peak_bytes"]) / 1e6 for p in points]
    right.plot(n, memory, "o-", color="#4269d0")
    right.set(xscale="log", xlabel="sessions", ylabel="memory of a process (MB)")
    right.set_ylim(0, 1.2 * max(memory))
    for axis in (left, right):
        axis.spines[["top", "right"]].set_visible(False)
        axis.set_xticks(n, [str(k) for k in n])
        axis.minorticks_off()
    for suffix in (".svg", ".png"):
        figure.savefig(path.with_suffix(suffix), dpi=150)


def main() -> None:
    """Measure what is not measured yet, and print exponents and predictions."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sources", nargs="*", type=Path, help="simulated sessions")
    parser.add_argument("--copies", nargs="+", type=int, default=[3, 10, 30])
    parser.add_argument("--sessions", type=Path, help="folder that keeps the copies")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--set", dest="settings", action="append", default=[])
    options = parser.parse_args()
    known = json.loads(options.out.read_text())["points"] if options.out.is_file() else []
    points = {point["sessions"]: point for point in known}
    settings = [
        *("data.history=1", "training.max_passes=1", "training.refit=false"),
        *("training.device=cpu", f"training.sessions_per_step={PROCESSES}", *options.settings),
    ]
    place = options.sessions or Path(tempfile.mkdtemp())
    for n in [] if not options.sources else options.copies:
        if n not in points:
            copy_sessions(options.sources, n, place)
            points[n] = measure(place, n, settings)
            print(json.dumps(points[n]), flush=True)
            ordered = [points[k] for k in sorted(points)]
            found = {"settings": settings, "points": ordered}
            if len(ordered) > 1:
                found["summary"] = summarize(ordered)
            options.out.parent.mkdir(parents=True, exist_ok=True)
            options.out.write_text(json.dumps(found, indent=1) + "\n")
    if options.sessions is None:
        shutil.rmtree(place)
    if options.figure is not None:
        draw([points[k] for k in sorted(points)], options.figure)
    print(json.dumps(summarize([points[k] for k in sorted(points)]), indent=1))


if __name__ == "__main__":
    main()
