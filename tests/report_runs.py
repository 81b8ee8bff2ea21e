"""Made-up runs to be reported: a run folder, its encoder and scores, without any training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from builders import make_recording
from fake_encoder import fake_fit
from freegaze.evaluation.displacement import DisplacementFit
from freegaze.evaluation.fitted import FittedEncoder
from freegaze.evaluation.result import Evaluation
from freegaze.evaluation.scores import evaluate
from freegaze.evaluation.storage import save_evaluation
from freegaze.paper.grid import Grid, GridConfig
from freegaze.paper.printed import MICE
from freegaze.recording.recording import Recording, ResponseKind
from freegaze.training.config import RunConfig
from freegaze.training.run_folder import RunFolder

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
    """Make a grid of the paper's own mice whose cells are fitted to nothing; one has failed."""
    rows = ("cnn_shifter_off", "cnn_shifter_on", "sensorium_shifter_off")
    config = GridConfig(table="table1", scale="tiny", rows=rows, seeds=seeds)
    recordings = {
        name: make_recording(session_id=name, n_bins=12000, n_neurons=3, seed=k)
        for k, name in enumerate(MICE)
    }
    grid = Grid(path, config, MICE)
    for k, cell in enumerate(grid.cells[:-1]):
        recording = recordings[cell.session_id]
        encoder = fake_fit([recording], seed=k)
        save_evaluation(cell.run.path, evaluate(encoder, [recording], draws=20, paper=True))
    failed = grid.cells[-1].error_file
    failed.parent.mkdir(parents=True, exist_ok=True)
    failed.write_text(f"{HOSTILE}: the disk is full\n")
    return grid


def shift_by_speed(behavior: torch.Tensor, session: str | None = None) -> torch.Tensor:
    """Stand in for a shifter: (s, 2 s, 3 s) for a standardized speed s."""
    return behavior[:, :1] * torch.tensor([1.0, 2.0, 3.0])


def true_displacement(recording: Recording) -> DisplacementFit:
    """Return some comparison with a true displacement."""
    aligned = np.nan_to_num(recording.behavior[:, [1, 2, 1]]) * [1.0, 0.5, 2.0]
    return DisplacementFit(aligned, 10.0, (1.0, 2.0), (0.91, 0.82, 0.73), (1.1, 1.2, 1.3))
