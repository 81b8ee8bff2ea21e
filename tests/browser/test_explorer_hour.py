"""An hour in the explorer: how fast it opens and seeks, and how much memory the server takes."""

from __future__ import annotations

import time
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from browser_visit import WIDE
from fake_encoder import fake_fit
from freegaze.evaluation.evaluate import evaluate
from freegaze.evaluation.storage import save_evaluation
from freegaze.evaluation.timeline import save_timeline
from freegaze.explanation.result import save_explanation
from freegaze.recording.recording import Recording, ResponseKind, Segment
from freegaze.recording.store import save_store
from freegaze.runs.config import RunConfig
from freegaze.runs.run_folder import RunFolder
from freegaze.sources import open_recordings
from report_runs import make_explanation, shift_by_speed
from view_runs import Served

BIN_S = 0.048
N_BINS = 75_000  # an hour
N_NEURONS = 100
SIZE = (60, 80)
N_SEEKS = 50

OPEN = (
    "() => document.body.dataset.ready !== undefined && document.body.dataset.arrived !== undefined"
)
ARRIVED = "(before) => Number(document.body.dataset.arrived) > before"
DRAWN = "() => document.body.dataset.drawn === document.body.dataset.bin"


def hour_of_recording(folder: Path) -> Recording:
    """Write an hour of noise as a store, frames mapped, and open it."""
    rng = np.random.default_rng(0)
    frames = np.lib.format.open_memmap(folder / "frames.npy", "w+", np.uint8, (N_BINS, *SIZE))
    for start in range(0, N_BINS, 5000):
        frames[start : start + 5000] = rng.integers(0, 256, (5000, *SIZE), dtype=np.uint8)
    names = ("speed", "gz", "pitch", "roll", "phi", "theta", "pupil_radius")
    steps = rng.normal(size=(N_BINS, len(names))).astype(np.float32)
    behavior = (np.cumsum(steps, axis=0) / 20).astype(np.float32)
    edges = np.linspace(0, N_BINS, 31).astype(int)
    roles = ("train", "train", "train", "validation", "test")
    recording = Recording(
        session_id="hour",
        bin_width_s=BIN_S,
        frames=frames,
        frame_index=np.arange(N_BINS),
        behavior=behavior,
        behavior_names=names,
        behavior_units=("cm/s", "deg/s", "deg", "deg", "deg", "deg", "px"),
        responses=rng.poisson(0.3, (N_BINS, N_NEURONS)).astype(np.float32),
        response_kind=ResponseKind.SPIKE_COUNTS,
        unit_ids=tuple(f"unit_{i:03d}" for i in range(N_NEURONS)),
        segments=tuple(
            Segment(a, b, roles[i % 5]) for i, (a, b) in enumerate(pairwise(edges.tolist()))
        ),
    )
    save_store(recording, folder / "data" / "hour")
    return open_recordings("store", folder / "data")[0]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("hour")
    recording = hour_of_recording(folder)
    encoder = fake_fit([recording])
    encoder.encoder.shift = shift_by_speed
    path = folder / "run"
    RunFolder(path).create(RunConfig(), [recording])
    keep = partial(save_timeline, path, encoder)
    save_evaluation(path, evaluate(encoder, [recording], draws=20, keep=keep))
    fields = make_explanation(recording, methods=("gradient",), history=12, frame_size=SIZE)
    save_explanation(path, fields, {})
    return path


def peak_mb(process: int) -> float:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


def seek_ms(page, share: float) -> float:
    """Press on the bar of the whole session; wait for the frame and for all lanes."""
    box = page.locator("#overview").bounding_box()
    before = int(page.evaluate("() => document.body.dataset.arrived"))
    start = time.perf_counter()
    page.mouse.click(box["x"] + share * box["width"], box["y"] + 10)
    page.wait_for_function(ARRIVED, arg=before)
    page.wait_for_function(DRAWN)
    return 1000 * (time.perf_counter() - start)


@pytest.mark.slow
@pytest.mark.browser
def test_an_hour_opens_and_seeks_fast_in_little_memory(browser, run):
    context = browser.new_context(viewport={"width": WIDE[0], "height": WIDE[1]})
    page = context.new_page()  # in a browser that is open already
    start = time.perf_counter()
    with Served(run) as served:
        listening_s = time.perf_counter() - start
        page.goto(served.address)
        page.wait_for_function(OPEN)
        page.wait_for_function(DRAWN)
        open_s = time.perf_counter() - start
        for _ in range(6):
            page.keyboard.press("+")  # to 56 s around the present
        shares = np.random.default_rng(1).uniform(0.02, 0.98, N_SEEKS)
        page.wait_for_timeout(500)
        seeks = [seek_ms(page, share) for share in shares]
        page.keyboard.press("0")
        page.keyboard.press("p")
        for _ in range(20):
            page.keyboard.press("ArrowDown")
        page.locator("#speed").select_option("8")
        page.keyboard.press("Space")
        page.wait_for_function(
            "() => document.querySelectorAll('#checks li').length > 5", timeout=120_000
        )
        memory = peak_mb(served.process.pid)
        context.close()
    median, worst = np.median(seeks), np.max(seeks)
    print(f"\nlistening after {listening_s:.2f} s, page open after {open_s:.2f} s")
    print(f"seeks: median {median:.0f} ms, largest {worst:.0f} ms; server {memory:.0f} MB")
    assert memory < 300
    assert median < 200
    assert open_s < 3
