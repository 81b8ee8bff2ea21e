"""Twenty steps of the trainer, in the paper's recipe, against a plain loop of a few lines."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from plain_models import PlainAutoencoder, PlainCNN, PlainCNNGRU, PlainSensorium

from freegaze.config import build_config
from freegaze.dataset.batches import Batch
from freegaze.models.encoder import build_encoder
from freegaze.nn import cores
from freegaze.nn.gaussian import GaussianReadout
from freegaze.paper.presets import paper_config
from freegaze.paper.state_dicts import to_original
from freegaze.runs.config import RunConfig, model_config
from freegaze.runs.run_folder import RunFolder
from freegaze.sources import open_recordings
from freegaze.training.fit import prepare_sessions
from freegaze.training.loop import Fit

N_STEPS = 20
FEW_STEPS = 6
"""Of the larger encoders, whose twenty steps take long."""

LARGE = ("autoencoder", "cnn_gru_history_3", "sensorium")
SENSORIUM = {"loss": "poisson_sum", "schedule": "plateau", "monitor": "correlation"}
CASES = {
    "cnn": ("cnn", 1, PlainCNN, {"learning_rate": 1e-4}),
    "autoencoder": ("autoencoder", 1, PlainAutoencoder, {"learning_rate": 1e-4}),
    "cnn_gru_history_1": ("cnn_gru", 1, PlainCNNGRU, {"learning_rate": 2e-4}),
    "cnn_gru_history_3": ("cnn_gru", 3, PlainCNNGRU, {"learning_rate": 2e-4}),
    "sensorium": ("sensorium", 1, PlainSensorium, {"learning_rate": 9e-3, **SENSORIUM}),
}


def make_fit(model: str, history: int, recipe: dict, folder: Path) -> Fit:
    (recording,) = open_recordings("xu2023", Path(__file__).parent / "xu2023_tiny", units="paper")
    config = build_config(
        RunConfig,
        {
            "model": {"name": model, **paper_config(model).model_dump()},
            "data": {
                "history": history,
                "min_rate_hz": 0.0,
                "nan_policy": "zero",
                "derivative": "paper",
                "video": "minmax_segment",
                "standardize": "segment_sd" if model == "sensorium" else False,
            },
            "split": {"method": "paper_tail"},
            "training": {
                "batch_windows": 4,
                "stretch_windows": 1,
                "weight_decay": 0.0,
                "gradient_clip": None,
                "average_decay": 0.0,
                "schedule": "constant",
                "device": "cpu",
                **recipe,
            },
        },
    )
    recording = recording.select_neurons(range(5))
    sessions = prepare_sessions([recording], config)
    dims = {name: session.dims for name, session in sessions.items()}
    encoder = build_encoder(model, model_config(config), dims, seed=0)
    return Fit(encoder, sessions, config.training, RunFolder(folder))


def in_float64(batch: Batch) -> Batch:
    parts = (batch.video, batch.behavior, batch.responses)
    return Batch(batch.session_id, *(part.double() for part in parts))


@pytest.mark.parametrize(
    ("case", "n_steps"),
    [
        *((case, FEW_STEPS if case in LARGE else N_STEPS) for case in CASES),
        *(pytest.param(case, N_STEPS, marks=pytest.mark.slow) for case in LARGE),
    ],
)
def test_steps_are_those_of_a_plain_loop(case, n_steps, tmp_path, monkeypatch):
    model, history, plain_class, recipe = CASES[case]
    fit = make_fit(model, history, recipe, tmp_path)
    (session,) = fit.tensors
    fit.encoder.double()  # or rounding, which Adam makes large where gradients vanish, is compared
    gather = fit.tensors[session].gather
    monkeypatch.setattr(fit.tensors[session], "gather", lambda *a: in_float64(gather(*a)))
    state = to_original(model, fit.encoder.state_dict(), session)
    original = {name.replace(session, "s"): tensor.clone() for name, tensor in state.items()}
    masks: list[torch.Tensor] = []
    drop = cores.rectify_and_drop

    def recorded(values, probability, *, is_inner):
        was_positive = values.detach() > 0
        kept = drop(values, probability, is_inner=is_inner)
        masks.append((kept.detach() > 0) | ~was_positive)  # what is below zero is lost anyway
        return kept

    monkeypatch.setattr(cores, "rectify_and_drop", recorded)
    mean_position = lambda self, n_images: self.position.expand(n_images, -1, -1)  # noqa: E731
    monkeypatch.setattr(GaussianReadout, "_points", mean_position)

    ours, batches = [], []
    fit.encoder.train()
    while len(ours) < n_steps:
        turns = fit._turns(fit.state.passes)
        batches += [batch for turn in turns for batch in turn.batches.values()]
        for step, turn in enumerate(turns[: n_steps - len(ours)]):
            logged = fit._step(turn, step, len(turns))
            loss = logged.pop("objective", logged["loss"])
            ours.append(float(loss + sum(v for k, v in logged.items() if k != "loss")))
        fit.state.passes += 1

    plain = plain_class(5, masks).double()
    plain.load_state_dict(original)
    plain.n_training_windows = len(fit.train_targets[session])
    optimizer = torch.optim.Adam(plain.parameters(), lr=recipe["learning_rate"])
    for expected, (_, firsts) in zip(ours, batches, strict=False):
        batch = fit.tensors[session].gather(firsts, 1)
        optimizer.zero_grad()
        loss = plain.loss(batch.video, batch.behavior, batch.responses[:, 0])
        loss.backward()
        optimizer.step()
        assert loss.item() == pytest.approx(expected, rel=1e-5)
    assert ours[0] != pytest.approx(ours[-1], rel=1e-3)  # it learned something
