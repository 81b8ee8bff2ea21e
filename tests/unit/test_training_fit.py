"""Fitting: seeds, resuming, run folders, searches, several sessions."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from builders import make_recording
from freegaze.config import read_config
from freegaze.errors import CheckpointError, ConfigError, DataError, NumericsError
from freegaze.files.claims import Claim
from freegaze.fitted.storage import load_encoder
from freegaze.models.encoder import build_encoder
from freegaze.recording.recording import ResponseKind
from freegaze.runs.checkpoint import load_tensors, write_atomically
from freegaze.runs.config import RunConfig, model_config
from freegaze.runs.run_folder import CLAIM, RunFolder
from freegaze.training import fit, loop
from freegaze.training.fit import prepare_sessions, resume, train
from freegaze.training.optimizer import make_optimizer, rate_factor

SMALL = (
    "model.name=behavior_only",
    "data.history=2",
    "data.min_rate_hz=0",
    "split.gap_s=0.1",
    "training.max_passes=3",
    "training.batch_windows=32",
    "training.stretch_windows=4",
    "training.device=cpu",
)
CONVOLUTIONAL = (
    "model.name=cnn_gru",
    "model.core.channels=[4]",
    "model.core.kernels=[3]",
    "model.core.strides=[2]",
    "model.core.dropout=0.3",
)


def small_config(*overrides: str) -> RunConfig:
    return read_config(RunConfig, None, [*SMALL, *overrides])


def weights_of(run: RunFolder) -> dict[str, torch.Tensor]:
    return load_tensors(run.encoder)[0]


def assert_same_weights(a: RunFolder, b: RunFolder) -> None:
    first, second = weights_of(a), weights_of(b)
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name


def test_the_seed_fixes_the_run(tmp_path: Path):
    recording = make_recording()
    torch.manual_seed(1)
    first = train([recording], small_config(), tmp_path / "a")
    torch.manual_seed(2)
    second = train([recording], small_config(), tmp_path / "b")
    other = train([recording], small_config("training.seed=1"), tmp_path / "c")
    assert_same_weights(first, second)
    assert any(
        not torch.equal(weights_of(first)[k], weights_of(other)[k]) for k in weights_of(other)
    )


def test_a_fit_leaves_the_random_state_as_found(tmp_path: Path):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    train([make_recording()], small_config(), tmp_path / "a")
    assert torch.equal(before, torch.get_rng_state())


class StopError(Exception):
    """Stands in for a process that is killed."""


@pytest.mark.parametrize("stop_at", [1, 4, 6, 11])
@pytest.mark.parametrize("model", [(), CONVOLUTIONAL, ("training.average_decay=0.9",)])
def test_a_stopped_fit_goes_on_bit_for_bit(tmp_path: Path, stop_at: int, model: tuple[str, ...]):
    recording = make_recording(frame_size=(10, 12))
    config = small_config("training.checkpoint_every_s=1e-9", *_with_gaze(model))
    undisturbed = train([recording], config, tmp_path / "undisturbed")

    def stop(what: str, done: int, total: int) -> None:
        if done == stop_at:
            raise StopError

    with pytest.raises(StopError):
        train([recording], config, tmp_path / "stopped", stop)
    stopped = resume(tmp_path / "stopped", [recording])
    assert_same_weights(undisturbed, stopped)
    for a, b in zip(undisturbed.metrics(), stopped.metrics(), strict=True):
        assert {**a, "seconds": 0} == {**b, "seconds": 0}


def test_steps_of_two_sessions_go_on_bit_for_bit(tmp_path: Path):
    """Of unlike length: in the last steps of a pass, one group has no batch left."""
    recordings = [
        make_recording(n_bins=360 + 90 * i, seed=i, frame_size=(10, 12), session_id=f"mouse{i}")
        for i in range(3)
    ]
    extra = ("training.checkpoint_every_s=1e-9", "training.sessions_per_step=2")
    extra += ("training.refit=false",)
    config = small_config(*extra, *_with_gaze(CONVOLUTIONAL))
    undisturbed = train(recordings, config, tmp_path / "undisturbed")

    def stop(what: str, done: int, total: int) -> None:
        if done == 6:
            raise StopError

    with pytest.raises(StopError):
        train(recordings, config, tmp_path / "stopped", stop)
    assert_same_weights(undisturbed, resume(tmp_path / "stopped", recordings))
    with pytest.raises(ConfigError, match="only 3 sessions"):
        train(recordings, small_config("training.sessions_per_step=4"), tmp_path / "many")


def test_every_step_has_a_number_of_its_own(tmp_path: Path, monkeypatch):
    """Dropout and learning rate follow from it, also across passes."""
    numbers = []

    def rate_factor(config, step: int, n_steps: int) -> float:
        numbers.append((step, n_steps))
        return 1.0

    monkeypatch.setattr(loop, "rate_factor", rate_factor)
    train([make_recording()], small_config("training.refit=false"), tmp_path / "a")
    total = numbers[0][1]
    assert total > 3  # passes
    assert numbers == [(step, total) for step in range(total)]


@pytest.mark.parametrize("kind", list(ResponseKind))
@pytest.mark.parametrize("model", [(), (*CONVOLUTIONAL, "model.normalize_behavior=true")])
def test_nothing_of_the_test_bins_reaches_the_fit(
    tmp_path: Path, kind: ResponseKind, model: tuple[str, ...]
):
    """Video, behavior and responses of the test bins are changed; the fitted weights are not."""
    recording = make_recording(frame_size=(10, 12), kind=kind, lost_share=0.1)
    config = small_config("data.min_rate_hz=1", *_with_gaze(model))
    test = recording.bins_of("test")
    frames, behavior = recording.frames.copy(), recording.behavior.copy()
    responses = recording.responses.copy()
    frames[test] //= 3
    behavior[test] = 40 - 9 * behavior[test]
    responses[test] = 5 * responses[test][::-1] + 7
    changed = replace(recording, frames=frames, behavior=behavior, responses=responses)
    runs = [train([r], config, tmp_path / name) for r, name in ((recording, "a"), (changed, "b"))]
    assert_same_weights(*runs)
    a, b = (load_tensors(run.encoder)[1] for run in runs)
    assert a["sessions"] == b["sessions"]  # scalings, neurons, mean responses


def _with_gaze(model: tuple[str, ...]) -> tuple[str, ...]:
    columns = ("model.shifter.columns=[theta, phi]",) if "model.name=cnn_gru" in model else ()
    return (*model, *columns)


def test_resuming_a_finished_run_changes_nothing(tmp_path: Path):
    recording = make_recording()
    run = train([recording], small_config(), tmp_path / "a")
    before = run.encoder.read_bytes()
    resume(run.path, [recording])
    assert run.encoder.read_bytes() == before


def test_resuming_on_other_data_is_refused(tmp_path: Path):
    run = train([make_recording()], small_config(), tmp_path / "a")
    with pytest.raises(CheckpointError, match="data of session 's'"):
        resume(run.path, [make_recording(seed=1)])


def test_a_taken_folder_is_refused(tmp_path: Path):
    train([make_recording()], small_config(), tmp_path / "a")
    with pytest.raises(CheckpointError, match="already holds a run"):
        train([make_recording()], small_config(), tmp_path / "a")


def test_two_processes_in_one_folder_are_refused(tmp_path: Path):
    run = train([make_recording()], small_config(), tmp_path / "a")
    claim = Claim(run.path / CLAIM)
    assert claim.acquire()
    with pytest.raises(CheckpointError, match=r"another process is working in .* \(process \d+ on"):
        resume(run.path, [make_recording()])
    claim.release()
    resume(run.path, [make_recording()])


def test_wrong_data_leave_nothing_behind(tmp_path: Path):
    with pytest.raises(DataError):
        train([make_recording(n_bins=30)], small_config("data.history=20"), tmp_path / "a")
    with pytest.raises(DataError, match="no neuron fires"):
        train([make_recording()], small_config("data.min_rate_hz=1000"), tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_patience_stops_and_the_best_weights_are_kept(tmp_path: Path):
    settings = ("training.max_passes=40", "training.learning_rate=0.3", "training.patience=2")
    settings += ("training.schedule=constant", "training.refit=false")
    run = train([make_recording()], small_config(*settings), tmp_path / "a")
    losses = [line["validation_loss"] for line in run.metrics()]
    assert len(losses) == int(np.argmin(losses)) + 1 + 2 < 40
    encoder = load_encoder(run.path)
    recording = make_recording()
    predicted = encoder.predict(recording, "validation")
    observed = recording.responses[predicted.targets]
    loss = (predicted.rates - observed * np.log(predicted.rates + 1e-8)).mean()
    assert loss == pytest.approx(min(losses), rel=1e-5)


def test_a_diverging_fit_says_so(tmp_path: Path):
    settings = ("training.learning_rate=1e30", "training.gradient_clip=null")
    with pytest.raises(NumericsError, match="learning_rate"):
        train([make_recording()], small_config(*settings), tmp_path / "a")


def test_a_full_disk_leaves_the_last_checkpoint_intact(tmp_path: Path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", no_space)
    with pytest.raises(CheckpointError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_weights_with_a_changed_byte_are_not_loaded(tmp_path: Path):
    run = train([make_recording()], small_config(), tmp_path / "a")
    content = bytearray(run.encoder.read_bytes())
    start = int.from_bytes(content[:8], "little") + 8
    for at in range(start, len(content), 7):  # values, of which the format itself has no checksum
        content[at] ^= 1
        run.encoder.write_bytes(content)
        with pytest.raises(CheckpointError, match="its checksum is that of other weights"):
            load_encoder(run.path)
        content[at] ^= 1
    run.encoder.write_bytes(content)
    load_encoder(run.path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "missing or empty"),
        ('{"pass": 1}', "is broken"),
        ("[}", "is broken"),
        ('{"pass": 2, "train_loss": 1, "validation_loss": 1, "seconds": 1}', "line 1 is pass 2"),
    ],
)
def test_broken_passes_are_one_clear_error(tmp_path: Path, text: str, message: str):
    run = train([make_recording()], small_config(), tmp_path / "a")
    (run.path / "metrics.jsonl").write_text(text)
    with pytest.raises(CheckpointError, match=f"metrics.jsonl.*{message}"):
        run.kept_pass()


def test_sessions_are_fitted_together(tmp_path: Path):
    recordings = [
        make_recording(session_id="one.a", n_neurons=3, frame_size=(10, 12)),
        make_recording(session_id="two", n_neurons=5, seed=1, frame_size=(10, 12)),
    ]
    run = train(recordings, small_config(*_with_gaze(CONVOLUTIONAL)), tmp_path / "a")
    encoder = load_encoder(run.path)
    assert encoder.predict(recordings[0], "test").rates.shape[1] == 3
    assert encoder.predict(recordings[1], "test").rates.shape[1] == 5
    with pytest.raises(DataError, match="fitted on one.a, two"):
        encoder.predict(make_recording(session_id="three"))


def test_sessions_that_do_not_go_together_are_refused(tmp_path: Path):
    with pytest.raises(DataError, match="no recording to fit"):
        train([], small_config(), tmp_path / "a")
    with pytest.raises(DataError, match="share a session id"):
        train([make_recording(), make_recording()], small_config(), tmp_path / "a")
    for other in ({"bin_width_s": 0.1}, {"kind": ResponseKind.FLUORESCENCE}):
        sessions = [make_recording(), make_recording(session_id="t", **other)]
        with pytest.raises(DataError, match="'s' and 't' differ in bin width or response kind"):
            train(sessions, small_config(), tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_an_impossible_place_is_one_clear_error(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="cannot make the run folder"):
        train([make_recording()], small_config(), tmp_path / "file" / "run")


def test_a_damaged_manifest_is_one_clear_error(tmp_path: Path):
    run = train([make_recording()], small_config(), tmp_path / "a")
    for text, message in (("[1]", "expected a JSON object, got list"), ("{", "missing or broken")):
        (run.path / "manifest.json").write_text(text)
        with pytest.raises(CheckpointError, match=message):
            run.manifest()
    for text in ("{}", '{"data": "s"}', '{"data": null}'):
        (run.path / "manifest.json").write_text(text)
        with pytest.raises(CheckpointError, match="manifest.json names no data"):
            run.check_data([make_recording()])


@pytest.mark.parametrize("decay", [0.5, 0.9])
def test_the_average_of_weights_follows_each_step(tmp_path: Path, decay: float):
    """``average <- decay * average + (1 - decay) * weights`` after each step, from the start.

    The decay is (1 + t) / (10 + t) until that exceeds the one that was set.
    """
    config = small_config("training.max_passes=1", f"training.average_decay={decay}")
    sessions = prepare_sessions([make_recording()], config)
    dims = {name: session.dims for name, session in sessions.items()}
    encoder = build_encoder("behavior_only", model_config(config), dims, seed=0)
    encoder.register_buffer("n_steps", torch.zeros((), dtype=torch.long))
    run = RunFolder(tmp_path)
    fit = loop.Fit(encoder, sessions, config.training, run)
    expected = {k: v.clone() for k, v in encoder.state_dict().items()}
    for step, turn in enumerate(fit._turns(0)):
        encoder.n_steps += 1
        fit._step(turn, step, 10)
        now_decay = min(decay, (1 + step) / (10 + step))
        for name, now in encoder.state_dict().items():
            if now.is_floating_point():
                expected[name] = now_decay * expected[name] + (1 - now_decay) * now
    assert step > 2
    average = fit.average.state_dict()
    assert average.pop("n_steps") == step + 1  # what counts is copied, not averaged
    for name, mean in average.items():
        torch.testing.assert_close(mean, expected[name])


def test_a_search_keeps_the_lowest_validation_loss(tmp_path: Path):
    config = small_config("search={training.learning_rate: [1e-6, 1e-1]}")
    run = train([make_recording()], config, tmp_path / "a")
    trials = [RunFolder(path) for path in sorted((tmp_path / "a" / "search").iterdir())]
    losses = [min(line["validation_loss"] for line in trial.metrics()) for trial in trials]
    assert losses[0] != losses[1]
    best = trials[int(np.argmin(losses))]
    assert run.encoder.read_bytes() == best.encoder.read_bytes()
    assert run.metrics() == best.metrics()
    with pytest.raises(ConfigError, match="search"):
        train([make_recording()], small_config("search={seed: [1]}"), tmp_path / "b")


def test_a_search_in_several_processes_is_refused(tmp_path: Path, monkeypatch):
    config = small_config().model_copy(update={"search": {"training.learning_rate": [0.1, 0.2]}})
    monkeypatch.setattr(fit, "make_accelerator", lambda _: SimpleNamespace(num_processes=2))
    with pytest.raises(ConfigError, match="a search runs in one process"):
        train([make_recording()], config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_fluorescence_is_fitted_with_a_gaussian_loss(tmp_path: Path):
    recording = make_recording(kind=ResponseKind.FLUORESCENCE)
    run = train([recording], small_config(), tmp_path / "a")
    assert run.metrics()[-1]["validation_loss"] > 0  # squared errors, never negative
    assert load_encoder(run.path).predict(recording).rates.min() < recording.responses.max()


def test_the_manifest_says_what_the_run_depends_on(tmp_path: Path):
    run = train([make_recording()], small_config(), tmp_path / "a")
    manifest = run.manifest()
    assert set(manifest["data"]) == {"s"}
    assert {"config_hash", "commit", "packages", "python", "n_threads"} <= manifest.keys()
    assert run.config().model["l1"] == 0.0  # options that were not given are spelled out


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", None])
def test_a_broken_encoder_file_is_one_clear_error(tmp_path: Path, content: bytes | None):
    run = train([make_recording()], small_config(), tmp_path / "a")
    whole = run.encoder.read_bytes()
    run.encoder.write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(CheckpointError, match=r"encoder\.safetensors"):
        load_encoder(run.path)


def test_an_unfinished_or_missing_run_is_one_clear_error(tmp_path: Path):
    with pytest.raises(CheckpointError, match="holds no run"):
        load_encoder(tmp_path / "nothing")
    run = train([make_recording()], small_config(), tmp_path / "a")
    run.encoder.unlink()
    with pytest.raises(CheckpointError, match="not finished"):
        load_encoder(run.path)


def test_baselines_are_training_means(tmp_path: Path):
    recording = make_recording()
    run = train([recording], small_config(), tmp_path / "a")
    encoder = load_encoder(run.path)
    train_bins = encoder.split(recording).bins("train")
    expected = recording.responses[train_bins].mean(0)
    np.testing.assert_allclose(encoder.sessions["s"].mean_response, expected, rtol=1e-6)
    assert not np.allclose(expected, recording.responses.mean(0), rtol=1e-3)


def test_metrics_file_is_one_json_object_a_pass(tmp_path: Path):
    run = train([make_recording()], small_config(), tmp_path / "a")
    lines = (run.path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["pass"] for line in lines] == [1, 2, 3]


def test_cosine_schedule_warms_up_and_comes_down():
    config = small_config().training
    factors = [rate_factor(config, step, 200) for step in range(200)]
    assert factors[0] == pytest.approx(0.1)
    assert max(factors) == 1.0
    assert factors[9:] == sorted(factors[9:], reverse=True)
    assert factors[-1] == pytest.approx(0.01, abs=1e-3)


def test_weight_decay_spares_vectors():
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    optimizer = make_optimizer(module, small_config().training, torch.device("cpu"))
    decayed, spared = optimizer.param_groups
    assert [p.ndim for p in decayed["params"]] == [2]
    assert decayed["weight_decay"] > 0
    assert spared["weight_decay"] == 0
    assert all(p.ndim == 1 for p in spared["params"])
