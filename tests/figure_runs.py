"""Made-up explanations and evaluations for figures of the paper, and grids that hold them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from builders import make_recording
from fake_encoder import fake_fit
from freegaze.dataset.batches import Preparation, VideoScaling
from freegaze.dataset.behavior import fit_behavior_transform
from freegaze.dataset.config import DataConfig, SplitConfig
from freegaze.dataset.dims import EncoderDims
from freegaze.dataset.features import resolve_features
from freegaze.evaluation.evaluate import evaluate
from freegaze.evaluation.storage import save_evaluation
from freegaze.explanation.result import CLASSES, SessionExplanation, save_explanation
from freegaze.fitted.encoder import FittedEncoder, FittedSession
from freegaze.models.cnn_gru import CNNGRUConfig
from freegaze.models.encoder import build_encoder
from freegaze.paper.grid import Grid
from freegaze.paper.grid_config import GridConfig
from freegaze.paper.scores import paper_scores
from freegaze.progress import Progress
from freegaze.recording.recording import Recording

SIZE = (16, 20)

SIGNALS = ("speed", "pitch", "roll", "phi", "theta", "pupil_radius", "d_pitch", "d_theta")
OFFSETS_S = np.round(np.arange(-10, 11) * 0.05, 2)


def make_explained(
    session_id: str,
    unit_ids: Sequence[str],
    *,
    seed: int = 0,
    size: tuple[int, int] = (24, 32),
    methods: Sequence[str] = ("ascent", "gradient", "linear"),
) -> SessionExplanation:
    """Make an explanation: Gabor fields in noise, classes in turn, bumps after gaze shifts."""
    rng, n = np.random.default_rng(seed), len(unit_ids)
    y, x = np.mgrid[: size[0], : size[1]]
    centers = rng.uniform(0.3, 0.7, (n, 2)) * size
    angles = rng.uniform(0, np.pi, n)
    fields = np.zeros((n, 2, *size))
    for field, (row, column), angle in zip(fields, centers, angles, strict=True):
        along = (x - column) * np.cos(angle) + (y - row) * np.sin(angle)
        across = (y - row) * np.cos(angle) - (x - column) * np.sin(angle)
        field[1] = np.exp(-(along**2 + across**2) / (2 * 3.0**2)) * np.cos(0.8 * along)
        field[0] = -0.3 * field[1]
    noisy = {m: (fields + 0.05 * rng.normal(size=fields.shape)).astype(np.float32) for m in methods}
    return SessionExplanation(
        session_id=session_id,
        unit_ids=tuple(unit_ids),
        bin_width_s=0.05,
        lag=1,
        deg_per_px=3.0,
        parts={},
        fields=noisy,
        pairs={},
        neurons=pd.DataFrame({"unit_id": unit_ids, "class": [CLASSES[i % 6] for i in range(n)]}),
        receptive_fields=pd.DataFrame(),
        saliency=_saliency(unit_ids, rng),
        contributions=pd.DataFrame(),
        tuning=pd.DataFrame(),
        gaze_shifts=_gaze_shifts(unit_ids, rng),
    )


def explain_from_nothing(
    encoder: FittedEncoder,
    recording: Recording,
    run_folder: Path,
    *,
    progress: Progress | None = None,
) -> SessionExplanation:
    """Stand in for what explains a session: keep a made-up explanation."""
    found = make_explained(recording.session_id, encoder.session(recording).unit_ids)
    save_explanation(run_folder, found, {})
    return found


def make_behaving(session_id: str = "s", *, n_neurons: int = 3, seed: int = 0) -> Recording:
    """Make a recording with the original's six behavior columns."""
    base = make_recording(session_id=session_id, n_neurons=n_neurons, seed=seed, frame_size=SIZE)
    rng = np.random.default_rng(seed)
    more = rng.normal(size=(base.n_bins, 3)).astype(np.float32)
    return replace(
        base,
        behavior=np.concatenate([base.behavior, more], 1),
        behavior_names=(*base.behavior_names, "pitch", "roll", "pupil_radius"),
        behavior_units=(*base.behavior_units, "deg", "deg", "mm"),
    )


def paper_fit(
    recording: Recording, features: str = "all_prod", *, has_dropout: bool = True
) -> FittedEncoder:
    """Return a small CNN-GRU of the original's kind, fitted to nothing; raw units of behavior."""
    config = CNNGRUConfig.paper(features)
    core = {"channels": [4], "kernels": [5], "strides": [2], "dropout": 0.5 * has_dropout}
    config = CNNGRUConfig.model_validate(
        {**config.model_dump(), "core": {**config.core.model_dump(), **core}, "n_hidden": 6}
    )
    names = CNNGRUConfig.model_validate(config).features
    assert isinstance(names, str)
    names = resolve_features(names, recording.behavior_names)
    dims = EncoderDims(
        *(recording.n_neurons, names, SIZE, 1, recording.response_kind, recording.behavior_names)
    )
    train = np.arange(recording.n_bins // 3)
    behavior = fit_behavior_transform(
        *(recording, names, train), nan_policy="zero", derivative="paper", standardize=False
    )
    session = FittedSession(
        *(dims, Preparation(behavior, VideoScaling("minmax_segment")), recording.unit_ids),
        *(recording.bin_width_s, recording.responses[train].mean(0)),
    )
    encoder = build_encoder("cnn_gru", config, {recording.session_id: dims}, seed=0)
    data, split = DataConfig(history=1), SplitConfig(gap_s=0.0)
    return FittedEncoder(encoder, {recording.session_id: session}, "cnn_gru", data, split)


def make_figure_grid(
    path: Path,
    sessions: Sequence[str] = ("mouse_1", "mouse_2"),
    *,
    table: str = "figure3",
    rows: Sequence[str] = (),
    version: str = "default",
    seeds: int = 1,
    n_neurons: int = 6,
    n_bins: int = 6000,
) -> Grid:
    """Make a grid whose fits are fitted to nothing and evaluated."""
    config = GridConfig.model_validate(
        {"table": table, "scale": "tiny", "rows": rows, "version": version, "seeds": seeds}
    )
    recordings = {
        name: make_recording(session_id=name, n_bins=n_bins, n_neurons=n_neurons, seed=k)
        for k, name in enumerate(sessions)
    }
    grid = Grid(path, config, tuple(sessions))
    for k, fit in enumerate(grid.fits):
        recording = recordings[fit.session_id]
        encoder = fake_fit([recording], seed=k)
        found = evaluate(encoder, [recording], draws=20, extra_score=paper_scores)
        save_evaluation(fit.run.path, found)
    return grid


def _saliency(unit_ids: Sequence[str], rng: np.random.Generator) -> pd.DataFrame:
    sizes = rng.gamma(1.0, 0.02, (len(unit_ids), len(SIGNALS)))
    signs = rng.choice([-1.0, 1.0], sizes.shape)
    return pd.DataFrame(
        {
            "unit_id": np.repeat(unit_ids, len(SIGNALS)),
            "signal": np.tile(SIGNALS, len(unit_ids)),
            "absolute": sizes.ravel(),
            "signed": (0.8 * signs * sizes).ravel(),
            "via_gaze": 0.1 * sizes.ravel(),
            "integrated": 0.9 * sizes.ravel(),
        }
    )


def _gaze_shifts(unit_ids: Sequence[str], rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for unit in unit_ids:
        peak_s, size = rng.uniform(0.0, 0.35), rng.uniform(-0.4, 0.8)
        for direction in ("left", "right"):
            own = size if direction == "left" else 0.4 * size
            predicted = 0.5 * (1 + own * np.exp(-(((OFFSETS_S - peak_s) / 0.08) ** 2)))
            rows.append(
                pd.DataFrame(
                    {
                        "unit_id": unit,
                        "direction": direction,
                        "offset_s": OFFSETS_S,
                        "observed": predicted + 0.06 * rng.normal(size=len(OFFSETS_S)),
                        "predicted": predicted,
                        "n_events": 180,
                    }
                )
            )
    return pd.concat(rows, ignore_index=True)
