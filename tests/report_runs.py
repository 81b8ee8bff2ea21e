"""Made-up runs to be reported: a run folder, its encoder and scores, without any training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from builders import make_recording
from fake_encoder import fake_fit
from freegaze.evaluation.displacement import DisplacementFit
from freegaze.evaluation.evaluate import evaluate
from freegaze.evaluation.evaluation import Evaluation
from freegaze.evaluation.storage import save_evaluation
from freegaze.explanation.result import CLASSES, SessionExplanation
from freegaze.fitted.encoder import FittedEncoder
from freegaze.paper.grid import Grid
from freegaze.paper.grid_config import GridConfig
from freegaze.paper.printed import MICE
from freegaze.paper.scores import paper_scores
from freegaze.recording.recording import Recording, ResponseKind
from freegaze.runs.config import RunConfig, SourceConfig
from freegaze.runs.run_folder import RunFolder
from freegaze.studies.bench_result import BenchResult
from freegaze.studies.config import BenchConfig
from freegaze.studies.folder import Bench

HOSTILE = "<script>alert('x')</script>"
HOSTILE_ATTRIBUTE = '"><img src=x onerror=alert(1)> $\\frac{$ ]]> &amp;'

PASSES = [
    {"pass": 1, "train_loss": 1.0, "validation_loss": 0.9, "seconds": 30.0},
    {"pass": 2, "train_loss": 0.7, "validation_loss": 0.8, "seconds": 30.0},
    {"pass": 3, "train_loss": 0.6, "validation_loss": 0.85, "seconds": 45.0},
]


@dataclass
class MadeRun:
    """What ``write_report`` is given."""

    folder: Path
    recordings: list[Recording]
    encoder: FittedEncoder
    evaluation: Evaluation

    def arguments(self) -> tuple[Path, list[Recording], FittedEncoder, Evaluation]:
        """Return the first four arguments of ``write_report``."""
        return self.folder, self.recordings, self.encoder, self.evaluation


def make_session(
    session_id: str = "mouse",
    n_neurons: int = 4,
    n_bins: int = 2400,
    seed: int = 0,
    has_truth: bool = False,
    kind: ResponseKind = ResponseKind.SPIKE_COUNTS,
    unit_ids: Sequence[str] | None = None,
) -> Recording:
    """Make a recording with lost tracking, and with attainable rates where asked for."""
    recording = make_recording(
        session_id=session_id,
        n_neurons=n_neurons,
        n_bins=n_bins,
        seed=seed,
        lost_share=0.05,
        kind=kind,
        roles=("train", "validation", "test", "train", "test"),
    )
    oracle = recording.reference_rates["oracle"]
    references = {"oracle": oracle, "attainable": 0.5 * (oracle + oracle.mean(0))}
    return replace(
        recording,
        unit_ids=tuple(unit_ids or recording.unit_ids),
        reference_rates=references if has_truth else {},
        provenance={"source": "made up", "options": {"seed": seed}},
    )


def make_run(
    folder: Path, recordings: Sequence[Recording], *, has_shifter: bool = False, seed: int = 0
) -> MadeRun:
    """Make a finished run of an encoder with random weights, and score it."""
    run = RunFolder(folder)
    run.create(RunConfig(), recordings)
    run.write_metrics(PASSES)
    encoder = fake_fit(recordings, seed=seed)
    if has_shifter:
        encoder.encoder.shift = shift_by_speed
    return MadeRun(folder, list(recordings), encoder, evaluate(encoder, recordings, draws=30))


def make_grid(path: Path, seeds: int = 2) -> Grid:
    """Make a grid of the paper's own mice whose fits are fitted to nothing; one has failed."""
    rows = ("cnn_shifter_off", "cnn_shifter_on", "sensorium_shifter_off")
    config = GridConfig(table="table1", scale="tiny", rows=rows, seeds=seeds)
    recordings = {
        name: make_recording(session_id=name, n_bins=12000, n_neurons=3, seed=k)
        for k, name in enumerate(MICE)
    }
    grid = Grid(path, config, MICE)
    for k, fit in enumerate(grid.fits[:-1]):
        recording = recordings[fit.session_id]
        encoder = fake_fit([recording], seed=k)
        found = evaluate(encoder, [recording], draws=20, extra_score=paper_scores)
        save_evaluation(fit.run.path, found)
    failed = grid.fits[-1].error_file
    failed.parent.mkdir(parents=True, exist_ok=True)
    failed.write_text(f"{HOSTILE}: the disk is full\n")
    return grid


def make_bench(path: Path, encoders: Sequence[str], sessions: Sequence[str]) -> BenchResult:
    """Make the result of a bench whose fits were not made."""
    config = BenchConfig(
        recordings={name: SourceConfig() for name in sessions},
        encoders={name: {} for name in encoders},
    )
    rng = np.random.default_rng(0)
    pairs = [(session, encoder) for session in (*sessions, "all") for encoder in encoders]
    table = pd.DataFrame(pairs, columns=["session_id", "encoder"])
    for name in ("correlation", "bits_per_spike", "difference"):
        table[name] = rng.uniform(-0.2, 0.9, len(pairs))
        table[f"{name}_low"], table[f"{name}_high"] = table[name] - 0.1, table[name] + 0.1
    table = table.assign(share_of_ceiling=0.812, seconds=83.0, n_weights=110_900, n_seeds=3)
    table["adapted"] = "history 12, lag 1, shifter affine"
    return BenchResult(Bench(path, config), table, pd.DataFrame(), {HOSTILE: HOSTILE}, 0)


def shift_by_speed(behavior: torch.Tensor, session: str | None = None) -> torch.Tensor:
    """Stand in for a shifter: (s, 2 s, 3 s) for a standardized speed s."""
    return behavior[:, :1] * torch.tensor([1.0, 2.0, 3.0])


def true_displacement(recording: Recording) -> DisplacementFit:
    """Return some comparison with a true displacement."""
    aligned = np.nan_to_num(recording.behavior[:, [1, 2, 1]]) * [1.0, 0.5, 2.0]
    return DisplacementFit(aligned, 10.0, (1.0, 2.0), (0.91, 0.82, 0.73), (1.1, 1.2, 1.3))


GROUPS = ("vision", "behavior", "eye", "head", "speed", "pupil")


def make_explanation(
    recording: Recording,
    *,
    methods: Sequence[str] = ("gradient", "linear"),
    history: int = 3,
    frame_size: tuple[int, int] = (12, 16),
    deg_per_px: float | None = 1.5,
    seed: int = 0,
) -> SessionExplanation:
    """Make an explanation of a recording's neurons: Gabor fields in noise, made-up tables.

    Neuron i is of class ``CLASSES[i % 6]``, and every second one is phase-invariant.
    """
    rng = np.random.default_rng(seed)
    units = recording.unit_ids
    n = len(units)
    centers = rng.uniform(0.3, 0.7, (n, 2)) * frame_size[::-1]
    turns_deg = rng.uniform(0, 180, n)
    pictures = np.stack(
        [_gabor(frame_size, c, t, 0.0) for c, t in zip(centers, turns_deg, strict=True)]
    )
    quadrature = np.stack(
        [_gabor(frame_size, c, t, np.pi / 2) for c, t in zip(centers, turns_deg, strict=True)]
    )
    course = np.sin(np.linspace(-2.0, 2.6, history))
    clean = course[None, :, None, None] * pictures[:, None]
    fields = {
        name: (0.02 * (clean + 0.04 * rng.normal(size=clean.shape))).astype(np.float32)
        for name in methods
    }
    peak = int(np.abs(course).argmax())
    delay_s = (history - 1 - peak + 1) * recording.bin_width_s
    rows = [
        _gabor_row(units[i], name, delay_s, centers[i], turns_deg[i], frame_size, deg_per_px)
        for i in range(n)
        for name in methods
    ]
    return SessionExplanation(
        session_id=recording.session_id,
        unit_ids=units,
        bin_width_s=recording.bin_width_s,
        lag=1,
        deg_per_px=deg_per_px,
        parts={},
        fields=fields,
        pairs={"gradient": np.stack([pictures, quadrature], 1).astype(np.float32)},
        neurons=_neuron_rows(units, rng),
        receptive_fields=pd.DataFrame(rows),
        saliency=_saliency_rows(recording, rng),
        contributions=_contribution_rows(units, rng),
        tuning=_tuning_rows(recording, rng),
        gaze_shifts=_gaze_rows(units, rng),
    )


def _gabor(size: tuple[int, int], center: np.ndarray, turn_deg: float, phase: float) -> np.ndarray:
    y, x = np.mgrid[: size[0], : size[1]]
    along = (x - center[0]) * np.cos(turn := np.deg2rad(turn_deg)) + (y - center[1]) * np.sin(turn)
    across = (y - center[1]) * np.cos(turn) - (x - center[0]) * np.sin(turn)
    sigma = 0.12 * size[0]
    envelope = np.exp(-(along**2 + (across / 1.5) ** 2) / (2 * sigma**2))
    return envelope * np.cos(along / sigma * 1.4 + phase)


def _gabor_row(unit, method, delay_s, center, turn_deg, size, deg_per_px):
    sigma = 0.12 * size[0]
    row = {
        "unit_id": unit,
        "method": method,
        "delay_s": delay_s,
        "separability": 0.93,
        "center_x_px": center[0],
        "center_y_px": center[1],
        "sigma_along_px": sigma,
        "sigma_across_px": 1.5 * sigma,
        "orientation_deg": turn_deg,
        "frequency_cpp": 0.22 / sigma,
        "phase_deg": 12.0,
        "explained": 0.85 if method == "gradient" else 0.42,
    }
    if deg_per_px is None:
        return row
    middle = (np.array(size[::-1]) - 1) / 2
    return row | {
        "center_x_deg": (center[0] - middle[0]) * deg_per_px,
        "center_y_deg": (center[1] - middle[1]) * deg_per_px,
        "sigma_along_deg": sigma * deg_per_px,
        "sigma_across_deg": 1.5 * sigma * deg_per_px,
        "frequency_cpd": 0.22 / sigma / deg_per_px,
    }


def _neuron_rows(units: Sequence[str], rng: np.random.Generator) -> pd.DataFrame:
    n = len(units)
    return pd.DataFrame(
        {
            "unit_id": units,
            "invariance": np.where(np.arange(n) % 2, 0.8, 0.1),
            "is_invariant": np.arange(n) % 2 == 1,
            "deviance": rng.uniform(0.05, 0.4, n),
            "correlation": rng.uniform(0.1, 0.6, n),
            "multiplicative_bits": rng.normal(0.001, 0.002, n),
            "class": [CLASSES[i % 6] for i in range(n)],
        }
    )


def _saliency_rows(recording: Recording, rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for unit in recording.unit_ids:
        for name in recording.behavior_names:
            size = rng.gamma(1.0, 0.03)
            signed = size * rng.uniform(-1, 1)
            rows.append(
                {
                    "unit_id": unit,
                    "signal": name,
                    "absolute": size,
                    "signed": signed,
                    "via_gaze": rng.gamma(1.0, 0.02) if name in ("theta", "phi") else 0.0,
                    "absolute_low": 0.8 * size,
                    "absolute_high": 1.2 * size,
                    "signed_low": signed - 0.4 * size,
                    "signed_high": signed + 0.4 * size,
                    "integrated": size * rng.uniform(0.5, 1.5),
                    "p": (p := rng.uniform()),
                    "least_p": 0.001,
                    "answer": "yes" if p < 0.5 else "no",
                    "reason": "",
                }
            )
    return pd.DataFrame(rows)


def _contribution_rows(units: Sequence[str], rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for i, unit in enumerate(units):
        label = CLASSES[i % 6]
        for group in GROUPS:
            is_sure = group in ("vision", label) or (label == "mixed" and group in ("eye", "speed"))
            is_sure |= group == "behavior" and label != "none"
            added = rng.uniform(0.02, 0.1) if is_sure else rng.normal(0, 0.004)
            rows.append(
                {
                    "unit_id": unit,
                    "group": group,
                    "deviance": 2 * added if group == "vision" else added,
                    "correlation": added,
                    "only_deviance": abs(added) + 0.01,
                    "only_correlation": abs(added) + 0.02,
                    "statistic": 1.0,
                    "p": 0.002 if is_sure else rng.uniform(0.1, 1),
                    "least_p": 0.002,
                    "p_tail": 0.001,
                    "is_significant": is_sure,
                    "answer": "yes" if is_sure else "no",
                    "reason": "",
                }
            )
    return pd.DataFrame(rows)


def _tuning_rows(recording: Recording, rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for unit in recording.unit_ids:
        for name, of in zip(recording.behavior_names, recording.behavior_units, strict=True):
            rate, slope = rng.uniform(0.2, 0.8), rng.normal(0, 0.15)
            for level in np.linspace(-2, 2, 10):
                predicted = rate + 0.9 * slope * level
                rows.append(
                    {
                        "unit_id": unit,
                        "signal": name,
                        "unit": of,
                        "level": 8 * level,
                        "observed": rate + slope * level + rng.normal(0, 0.04),
                        "observed_se": 0.05,
                        "predicted": predicted,
                        "n_bins": 100,
                    }
                )
    return pd.DataFrame(rows)


def _gaze_rows(units: Sequence[str], rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    offsets_s = np.arange(-10, 11) * 0.05
    for unit in units:
        for direction in ("left", "right"):
            gain = rng.uniform(-0.5, 1.0)
            bump = gain * np.exp(-(((offsets_s - 0.1) / 0.1) ** 2))
            for offset_s, change in zip(offsets_s, bump, strict=True):
                rows.append(
                    {
                        "unit_id": unit,
                        "direction": direction,
                        "offset_s": offset_s,
                        "observed": 0.6 + change + rng.normal(0, 0.03),
                        "predicted": 0.6 + 0.8 * change,
                        "n_events": 143,
                    }
                )
    return pd.DataFrame(rows)
