"""A session whose video is larger than memory: converted, fitted and predicted by the hour.

What is counted is anonymous memory (RssAnon): what the process keeps for itself. Pages of files
that it has mapped are the system's to take back.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from freegaze.fitted.storage import load_encoder
from freegaze.recording.store import open_store

BYTES = 8 * 10**9
FRAME_SIZE, BIN_WIDTH_S = (240, 320), 0.05
N_BINS = -(-BYTES // (FRAME_SIZE[0] * FRAME_SIZE[1]))
N_STEPS, MOST_BYTES = 500, 2 * 10**9
FREE_BYTES = 25 * 10**9
"""The raw video, its pictures on the way, and the store: 8 GB each."""

PROGRAM = "from freegaze.cli.app import run; run()"


def write_raw(folder: Path) -> Path:
    """Write a film of a drifting texture, spikes that follow its brightness, and a gaze."""
    rng = np.random.default_rng(0)
    tile = rng.integers(0, 256, (1000, *FRAME_SIZE), dtype=np.uint8)
    frames = np.lib.format.open_memmap(folder / "film.npy", "w+", np.uint8, (N_BINS, *FRAME_SIZE))
    for start in range(0, N_BINS, len(tile)):
        part = frames[start : start + len(tile)]
        part[:] = np.roll(tile[: len(part)], start // len(tile), axis=2)  # no two tiles alike
    frames.flush()
    times = (np.arange(N_BINS) + 0.5) * BIN_WIDTH_S
    np.save(folder / "times.npy", times)
    signals = rng.normal(size=(N_BINS, 5))
    np.save(folder / "signals.npy", signals)
    np.save(folder / "counts.npy", rng.poisson(np.exp(0.5 * signals[:, :1] - 0.5), (N_BINS, 4)))
    config = {
        "bin_width_s": BIN_WIDTH_S,
        "start_s": 0.0,
        "video": {"kind": "npy", "file": "film.npy", "timestamps": "times.npy"},
        "responses": {
            "kind": "npy",
            "file": "counts.npy",
            "timestamps": "times.npy",
            "response_kind": "spike_counts",
        },
        "behavior": {
            "all": {
                "kind": "npy",
                "file": "signals.npy",
                "timestamps": "times.npy",
                "columns": ["speed", "theta", "phi", "pitch", "roll"],
            }
        },
    }
    (folder / "big.yaml").write_text(yaml.safe_dump(config))
    return folder / "big.yaml"


def anonymous_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


def peak_of(*words: object) -> int:
    """Run a command; return the most anonymous memory that it had at any look, every 10 ms."""
    start, peak = time.monotonic(), 0
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    while process.poll() is None:
        peak = max(peak, anonymous_bytes(process.pid))
        time.sleep(0.01)
    told, _ = process.communicate()
    assert process.returncode == 0, told
    print(f"{words[0]}: {peak / 1e9:.2f} GB anonymous, {time.monotonic() - start:.0f} s")
    return peak


@pytest.mark.slow
def test_eight_gigabytes_of_video_need_two_of_memory(tmp_path: Path, monkeypatch) -> None:
    free = shutil.disk_usage(tmp_path).free
    if free < FREE_BYTES:
        pytest.skip(f"{free / 1e9:.0f} GB of disk free, {FREE_BYTES / 1e9:.0f} needed")
    if not Path("/proc/self/status").exists():
        pytest.skip("the system does not tell a process's anonymous memory")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    try:
        raw, out, run = tmp_path / "raw", tmp_path / "store", tmp_path / "run"
        raw.mkdir()
        config = write_raw(raw)
        peaks = [peak_of("convert", "files", config, "--to", "store", "--out", out, "--quiet")]
        stored = open_store(out / "big")
        film = np.load(raw / "film.npy", mmap_mode="r")
        assert stored.n_bins == N_BINS
        assert stored.frames.nbytes >= BYTES
        for at in np.linspace(0, N_BINS - 1, 50).astype(int):
            np.testing.assert_array_equal(stored.frames[stored.frame_index[at]], film[at])
        batch = int(0.55 * N_BINS / N_STEPS)
        options = {
            "data.min_rate_hz": 0,
            "data.history": 2,
            "split.method": "blocks",
            "training.max_passes": 1,
            "training.batch_windows": batch,
            "training.device": "cpu",
            "model.core.channels": [4],
            "model.core.kernels": [7],
            "model.core.strides": [4],
        }
        settings = [w for k, v in options.items() for w in ("--set", f"{k}={json.dumps(v)}")]
        peaks.append(peak_of("train", out / "big", "--out", run, "--quiet", *settings))
        bins = load_encoder(run).targets(stored, "train")
        assert len(bins) // batch >= N_STEPS
        assert np.ptp(bins) > 0.9 * N_BINS
        predictions = tmp_path / "p.npz"
        peaks.append(peak_of("predict", run, "--role", "all", "--out", predictions))
        with np.load(predictions) as found:
            assert len(found["rates"]) * BIN_WIDTH_S >= 3600
            assert np.isfinite(found["rates"]).all()
        assert max(peaks) <= MOST_BYTES
    finally:
        shutil.rmtree(tmp_path)
