"""The two sides of the comparison: each does the same work and returns its rate a second."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import torch

from freegaze.config import build_config
from freegaze.dataset.dims import EncoderDims
from freegaze.explanation.saliency.derivatives import behavior_saliency
from freegaze.fitted.prediction import predict_windows
from freegaze.models.encoder import AbstractEncoder, build_encoder
from freegaze.paper.presets import preset
from freegaze.recording.recording import Recording, ResponseKind, Segment
from freegaze.runs.config import RunConfig, model_config, resolve_config
from freegaze.training.fit import prepare_sessions, train
from reference import plain

BATCH, N_NEURONS, N_BINS = 256, 68, 12_500
STRETCH = 32
"""Consecutive windows of a stretch; eight of them make a batch of history 8."""

N_SALIENCY = {False: 256, True: 32}
COLUMNS = ("speed", "pitch", "roll", "phi", "theta", "pupil_radius")


@cache
def noise_recording(n_bins: int = N_BINS) -> Recording:
    """Make a session of noise with the sizes of the paper's first mouse."""
    rng = np.random.default_rng(0)
    return Recording(
        session_id="noise",
        bin_width_s=0.048,
        frames=rng.integers(0, 256, (n_bins, 60, 80), dtype=np.uint8),
        frame_index=np.arange(n_bins),
        behavior=rng.normal(size=(n_bins, len(COLUMNS))).astype(np.float32),
        behavior_names=COLUMNS,
        behavior_units=("cm/s", "deg", "deg", "deg", "deg", "px"),
        responses=rng.poisson(0.3, (n_bins, N_NEURONS)).astype(np.float32),
        response_kind=ResponseKind.SPIKE_COUNTS,
        unit_ids=tuple(map(str, range(N_NEURONS))),
        segments=(Segment(0, n_bins),),
    )


def n_steps(history: int, is_quick: bool) -> int:
    """Return how many training steps a turn takes, the first of which does not count."""
    return {1: 9, 8: 4}[history] - is_quick


class Reference:
    """The plain rendering."""

    def __init__(self, is_quick: bool) -> None:
        self.is_quick = is_quick

    def train(self, history: int) -> float:
        """Return windows a second of training, by the loader that is fastest."""
        encoder = plain.Encoder(N_NEURONS)
        adam = torch.optim.Adam(encoder.parameters(), 2e-4)
        batches = iter(plain.loader(self._windows(history), BATCH, workers=2))
        times = []
        for _ in range(n_steps(history, self.is_quick)):
            start = time.perf_counter()
            plain.train_step(encoder, adam, next(batches))
            times.append(time.perf_counter() - start)
        return BATCH / float(np.median(times[1:]))

    def predict(self, history: int) -> float:
        """Return windows a second of prediction."""
        windows = torch.utils.data.Subset(self._windows(history), range({1: 2048, 8: 512}[history]))
        encoder = plain.Encoder(N_NEURONS)
        first = torch.utils.data.Subset(windows, range(BATCH))
        plain.predict(encoder, plain.loader(first, BATCH, 0, shuffle=False))
        start = time.perf_counter()
        plain.predict(encoder, plain.loader(windows, BATCH, 0, shuffle=False))
        return len(windows) / (time.perf_counter() - start)

    def batches(self, kind: type[plain.Windows]) -> float:
        """Return samples a second of a loader of one process, which moves nothing between two."""
        batches = iter(plain.loader(self._windows(8, kind), BATCH, workers=0))
        next(batches)
        start = time.perf_counter()
        for _ in range(4):
            next(batches)
        return 4 * BATCH / (time.perf_counter() - start)

    def saliency(self) -> float:
        """Return windows a second whose behavior saliency of all neurons is known."""
        n = N_SALIENCY[self.is_quick]
        generator = torch.Generator().manual_seed(0)
        video = torch.rand(n, 1, 1, 60, 80, generator=generator)
        behavior = torch.randn(n, 1, 66, generator=generator)
        encoder = plain.Encoder(N_NEURONS).eval()
        encoder(video, behavior).sum().backward()
        start = time.perf_counter()
        plain.saliency(encoder, video, behavior)
        return n / (time.perf_counter() - start)

    @staticmethod
    @cache
    def _windows(history: int, kind: type[plain.Windows] = plain.Windows) -> plain.Windows:
        recording = noise_recording()
        signals = np.random.default_rng(1).normal(size=(N_BINS, plain.N_SIGNALS))
        return kind(recording.frames, signals, recording.responses, history)


class Ours:
    """freegaze, through the same functions that its command line calls."""

    def __init__(self, is_quick: bool) -> None:
        self.is_quick = is_quick

    def train(self, history: int, precision: str) -> float:
        """Return windows a second of a fit, from the intervals between its steps."""
        times: list[float] = []

        def watch(what: str, done: int, total: int) -> None:
            times.append(time.perf_counter())
            if len(times) > 2 * n_steps(history, self.is_quick):
                raise EnoughError

        with tempfile.TemporaryDirectory() as folder:
            try:
                config = run_config(history, precision)
                train([noise_recording()], config, Path(folder) / "run", watch)
            except EnoughError:
                return BATCH / float(np.median(np.diff(times)))
        raise AssertionError("the fit ended before enough steps were timed")

    def predict(self, history: int) -> float:
        """Return windows a second of prediction."""
        (session,) = prepare_sessions([noise_recording()], run_config(history)).values()
        tensors, targets = session.tensors("cpu"), session.targets("train")[:4096]
        encoder = self._encoder(history).eval()
        predict_windows(encoder, tensors, targets[:256])
        start = time.perf_counter()
        predict_windows(encoder, tensors, targets)
        return len(targets) / (time.perf_counter() - start)

    def batches(self) -> float:
        """Return samples a second of features and batches."""
        (session,) = prepare_sessions([noise_recording()], run_config(8)).values()
        tensors, targets = session.tensors("cpu"), session.targets("train")
        firsts = torch.from_numpy(targets[: 8 * 40 * 40 : 40].copy()).split(BATCH // STRETCH)
        tensors.gather(firsts[0], STRETCH)
        start = time.perf_counter()
        for batch in firsts[1:]:
            tensors.gather(batch, STRETCH)
        return BATCH * (len(firsts) - 1) / (time.perf_counter() - start)

    def saliency(self) -> float:
        """Return windows a second whose saliency is known, both paths apart."""
        n, encoder = N_SALIENCY[self.is_quick], self._encoder(1).eval()
        generator = torch.Generator().manual_seed(0)
        video = torch.rand(n, 1, 1, 60, 80, generator=generator)
        names = next(iter(encoder.sessions.values())).behavior_names
        behavior = torch.randn(n, 1, len(names), generator=generator)
        behavior_saliency(encoder, video[:20], behavior[:20], names)
        start = time.perf_counter()
        behavior_saliency(encoder, video, behavior, names)
        return n / (time.perf_counter() - start)

    @staticmethod
    def _encoder(history: int) -> AbstractEncoder:
        config = run_config(history)
        dims: EncoderDims = next(iter(prepare_sessions([noise_recording()], config).values())).dims
        return build_encoder("cnn_gru", model_config(config), {"noise": dims}, seed=0)


class EnoughError(Exception):
    """Ends a fit from within: enough steps were timed."""


def run_config(history: int, precision: str = "float32", device: str = "cpu") -> RunConfig:
    """Return the original's encoder; with history, on stretches of windows that share frames."""
    values = preset("table3", f"history_{history}", "paper").model_dump(mode="json")
    values["training"] |= {"device": device, "precision": precision}
    if history > 1:
        values["training"]["stretch_windows"] = STRETCH
        values["model"]["encode_per_frame"] = False
    values["data"] |= {"min_rate_hz": 0.0, "nan_policy": "interpolate"}
    values["split"] = {"method": "auto"}
    return resolve_config(build_config(RunConfig, values, where="benchmark"))


REFERENCE: dict[str, Callable[[Reference], float]] = {
    "train_history1": lambda side: side.train(1),
    "train_history8": lambda side: side.train(8),
    "predict_history1": lambda side: side.predict(1),
    "predict_history8": lambda side: side.predict(8),
    "batching_history8": lambda side: side.batches(plain.LoopedWindows),
    "batching_history8_numpy": lambda side: side.batches(plain.Windows),
    "saliency_all_neurons": lambda side: side.saliency(),
}
"""What the reference does; windows, or samples, a second."""

OURS: dict[str, tuple[str, Callable[[Ours], float]]] = {
    "train_history1_float32": ("train_history1", lambda side: side.train(1, "float32")),
    "train_history1_bfloat16": ("train_history1", lambda side: side.train(1, "bfloat16")),
    "train_history8_float32": ("train_history8", lambda side: side.train(8, "float32")),
    "train_history8_bfloat16": ("train_history8", lambda side: side.train(8, "bfloat16")),
    "predict_history1": ("predict_history1", lambda side: side.predict(1)),
    "predict_history8": ("predict_history8", lambda side: side.predict(8)),
    "batching_history8": ("batching_history8", lambda side: side.batches()),
    "batching_history8_numpy": ("batching_history8_numpy", lambda side: side.batches()),
    "saliency_all_neurons": ("saliency_all_neurons", lambda side: side.saliency()),
}
"""What freegaze does, and what the reference does for the same end."""
