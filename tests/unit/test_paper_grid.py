"""Grids on disk, how their fits are run, and the tables that come out."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from freegaze.errors import CheckpointError, ConfigError, RegistryError
from freegaze.evaluation.evaluation import Evaluation
from freegaze.evaluation.storage import load_evaluation
from freegaze.files.claims import Claim
from freegaze.jobs.fits import run_fit
from freegaze.jobs.workers import FitProgress, run_fits
from freegaze.paper.grid import Grid, GridWork, open_grid, start_grid
from freegaze.paper.grid_config import GRID_FILE, GridConfig, fit_config, read_grid_config
from freegaze.paper.grid_page import save_result
from freegaze.paper.printed import MICE, printed
from freegaze.paper.result import collect, difference_frame, markdown
from freegaze.paper.scores import smooth_paper
from freegaze.runs.config import SourceConfig
from freegaze.runs.run_folder import CLAIM
from freegaze.simulation import SimulationConfig, simulate
from freegaze.sources.simulation import write_simulation
from report_runs import make_grid

QUICK = {
    "training.max_passes": 1,
    "training.device": "cpu",
    "data.min_rate_hz": 0,
    "split.gap_s": 0.5,
    "model.core.channels": [4],
    "model.core.kernels": [5],
    "model.core.strides": [2],
}


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two simulated sessions of little more than a minute."""
    folder = tmp_path_factory.mktemp("sessions")
    for seed in (1, 2):
        config = SimulationConfig(
            minutes=1.2, n_neurons=3, seed=seed, frame_size=(12, 16), session_id=f"mouse_{seed}"
        )
        write_simulation(*simulate(config), folder)
    return folder


def quick_config(sessions: Path, **changes: object) -> GridConfig:
    values = {
        "table": "table1",
        "scale": "tiny",
        "rows": ("cnn_shifter_off", "cnn_shifter_on"),
        "source": SourceConfig(name="simulation", path=sessions),
        "settings": QUICK,
    }
    return GridConfig.model_validate({**values, **changes})


@pytest.fixture(scope="module")
def finished(sessions: Path, tmp_path_factory: pytest.TempPathFactory) -> Grid:
    grid = start_grid(tmp_path_factory.mktemp("grid"), quick_config(sessions))
    for fit in grid.fits:
        assert run_fit(GridWork(grid), fit) == "done"
    return grid


def table_of(grid: Grid) -> pd.DataFrame:
    return collect(grid, draws=20).scores


def test_a_grid_is_rows_by_sessions_by_seeds(sessions: Path, tmp_path: Path) -> None:
    grid = start_grid(tmp_path, quick_config(sessions, seeds=2))
    assert len(grid.fits) == 2 * 2 * 2
    assert [c.seed for c in grid.fits] == [0] * 4 + [1] * 4
    fit = grid.fit("cnn_shifter_on/mouse_2/seed-1")
    config = grid.run_config(fit)
    assert config.training.seed == 1
    assert config.training.max_passes == 1
    assert config.source.options["sessions"] == ["mouse_2"]
    assert open_grid(tmp_path) == grid
    with pytest.raises(RegistryError, match="ROW/SESSION/seed-K"):
        grid.fit("cnn_shifter_on/mouse_3/seed-0")


def test_the_scale_bounds_passes_but_never_raises_them(sessions: Path) -> None:
    source = SourceConfig(name="simulation", path=sessions)
    passes = {
        scale: fit_config(
            GridConfig(table="table2", scale=scale, version="paper"), source, "all_prod", "s", 0
        ).training.max_passes
        for scale in ("tiny", "full")
    }
    assert passes == {"tiny": 3, "full": 50}


def test_the_originals_units_are_its_own_lists_in_the_paper_version_only() -> None:
    source = SourceConfig(name="xu2023", path=Path("data"))
    for version, units, rate in (("paper", "paper", 0.0), ("default", None, 3.0)):
        config = GridConfig.model_validate(
            {"table": "table1", "version": version, "source": source}
        )
        fit = fit_config(config, source, "cnn_shifter_on", MICE[0], 0)
        assert fit.source.options.get("units") == units
        assert fit.data.min_rate_hz == rate


def test_without_photographs_networks_start_from_random_weights() -> None:
    source = SourceConfig(name="simulation", path=Path("data"))
    for pretrained, weights in ((True, "imagenet"), (False, "none")):
        config = GridConfig(table="table1", pretrained=pretrained)
        fit = fit_config(config, source, "resnet18_shifter_on", "s", 0)
        assert fit.model["core"]["weights"] == weights


def test_a_folder_keeps_to_one_question(sessions: Path, tmp_path: Path) -> None:
    config = quick_config(sessions)
    start_grid(tmp_path, config)
    before = (tmp_path / GRID_FILE).read_bytes()
    with pytest.raises(ConfigError, match="seeds 1, requested is 3"):
        start_grid(tmp_path, quick_config(sessions, seeds=3))
    assert (tmp_path / GRID_FILE).read_bytes() == before
    assert read_grid_config(tmp_path) == config


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"settings": {"training.max_pases": 1}}, "max_pases"),
        ({"settings": {"passes": 1}}, "training.precision"),
        ({"settings": {"model.nothing.here": 1}}, "model.nothing.here"),
        ({"rows": ("cnn",)}, "cnn_shifter_on"),
        ({"scale": "huge"}, "huge"),
        ({"table": "table9"}, "table9"),
    ],
)
def test_a_wrong_setting_ends_before_anything_is_written(
    sessions: Path, tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    with pytest.raises((ConfigError, RegistryError), match=words):
        start_grid(tmp_path / "grid", quick_config(sessions, **changes))
    assert not (tmp_path / "grid").exists()


def test_a_folder_without_a_grid_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no grid"):
        open_grid(tmp_path)
    (tmp_path / GRID_FILE).write_text("table: table1\nscale: tiny\n")
    with pytest.raises(CheckpointError, match="lacks the simulated session"):
        open_grid(tmp_path)
    (tmp_path / GRID_FILE).write_text("table: [\n")
    with pytest.raises(ConfigError, match=GRID_FILE):
        open_grid(tmp_path)


def test_a_done_fit_is_never_run_again(finished: Grid) -> None:
    fit = finished.fits[0]
    files = {p: p.stat().st_mtime_ns for p in fit.run.path.rglob("*") if p.is_file()}
    assert run_fit(GridWork(finished), fit) == "done"
    assert {p: p.stat().st_mtime_ns for p in fit.run.path.rglob("*") if p.is_file()} == files


def test_workers_give_what_one_process_gives(
    finished: Grid, sessions: Path, tmp_path: Path
) -> None:
    grid = start_grid(tmp_path, quick_config(sessions))
    news: list[FitProgress] = []
    outcomes = run_fits(GridWork(grid), grid.fits, n_workers=2, watch=news.append)
    assert set(outcomes.values()) == {"done"}
    assert {n.fit.name for n in news if n.what == "done"} == {c.name for c in grid.fits}
    pd.testing.assert_frame_equal(table_of(grid), table_of(finished), rtol=1e-4)
    assert (
        run_fits(GridWork(grid), grid.fits, n_workers=2) == outcomes
    )  # nothing is left, no worker starts


def test_a_worker_that_dies_fails_its_fit_and_not_the_others(
    sessions: Path, tmp_path: Path, finished: Grid
) -> None:
    grid = start_grid(tmp_path, quick_config(sessions))
    killed: list[str] = []

    def kill_the_first(news: FitProgress) -> None:
        if news.what == "running" and not killed:
            killed.append(news.fit.name)
            (child,) = multiprocessing.active_children()
            assert child.pid is not None
            os.kill(child.pid, signal.SIGKILL)

    outcomes = run_fits(GridWork(grid), grid.fits, n_workers=1, watch=kill_the_first)
    assert [name for name, outcome in outcomes.items() if outcome == "failed"] == killed
    assert len(outcomes) == 4
    assert "status -9" in grid.fit(killed[0]).error
    result = collect(grid, draws=20)
    assert list(result.failures) == killed
    assert killed[0] in markdown(result)
    assert run_fit(GridWork(grid), grid.fit(killed[0])) == "done"  # tried again, from where it was
    assert grid.fit(killed[0]).error == ""
    pd.testing.assert_frame_equal(table_of(grid), table_of(finished), rtol=1e-4)


ORPHAN = """
import pickle, sys
from multiprocessing import Pipe
import freegaze.jobs.workers as workers
from freegaze.paper.grid import GridWork

grid = pickle.load(open(sys.argv[1], "rb"))
ours, theirs = Pipe()
workers._end_with_parent = lambda: None  # which may come late
GridWork._fit_and_evaluate = lambda _, fit, progress: (ours.close(), progress("fitting", 0, 1))
ours.send(grid.fits[0])
workers._serve(GridWork(grid), 1, theirs)
"""


def test_an_orphan_does_not_fail_its_cell(sessions: Path, tmp_path: Path) -> None:
    """With nobody left to tell, a worker ends; it is no failure that a later process would find."""
    grid = start_grid(tmp_path / "grid", quick_config(sessions))
    (tmp_path / "grid.pickle").write_bytes(pickle.dumps(grid))
    command = [sys.executable, "-c", ORPHAN, str(tmp_path / "grid.pickle")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    left = [p.name for p in (tmp_path / "grid" / "fits").rglob("*") if p.is_file()]
    assert left == [grid.fits[0].record_file.name]  # that it was begun, and no failure
    assert grid.fits[0].state == "waiting"


def test_workers_end_with_the_process_that_started_them(sessions: Path, tmp_path: Path) -> None:
    start_grid(tmp_path, quick_config(sessions))
    script = (
        "import sys, pathlib, multiprocessing\n"
        "from freegaze.jobs.workers import run_fits\n"
        "from freegaze.paper.grid import GridWork, open_grid\n"
        "if __name__ == '__main__':\n"
        "    def watch(news):\n"
        "        print(multiprocessing.active_children()[0].pid, flush=True); input()\n"
        "    grid = open_grid(pathlib.Path(sys.argv[1]))\n"
        "    run_fits(GridWork(grid), grid.fits, 1, watch)\n"
    )
    (tmp_path / "run.py").write_text(script)
    parent = subprocess.Popen(
        [sys.executable, str(tmp_path / "run.py"), str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert parent.stdin is not None
    parent.stdin.close()
    assert _is_gone(worker)


def _is_gone(pid: int, seconds: float = 10) -> bool:
    """Whether a process that is nobody's child here ends in time (a zombie has ended)."""
    for _ in range(int(seconds / 0.05)):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_a_fit_of_another_process_is_left_to_it(sessions: Path, tmp_path: Path) -> None:
    grid = start_grid(tmp_path, quick_config(sessions))
    grid.fits[0].run.path.mkdir(parents=True)
    claim = Claim(grid.fits[0].run.path / CLAIM)
    assert claim.acquire()
    assert run_fit(GridWork(grid), grid.fits[0]) == "taken"
    outcomes = run_fits(GridWork(grid), grid.fits[:1])
    claim.check()
    claim.release()
    assert outcomes == {grid.fits[0].name: "taken"}
    assert grid.fits[0].state == "waiting"


def test_a_fit_that_fails_says_why_and_the_others_go_on(
    finished: Grid, sessions: Path, tmp_path: Path
) -> None:
    grid = start_grid(tmp_path, quick_config(sessions))
    broken = grid.fits[1]
    broken.run.path.mkdir(parents=True)
    (broken.run.path / "config.yaml").write_text("model: [unclosed\n")
    outcomes = [run_fit(GridWork(grid), fit) for fit in grid.fits]
    assert outcomes == ["done", "failed", "done", "done"]
    assert "config.yaml" in broken.error
    (broken.run.path / "config.yaml").unlink()
    broken.run.path.rmdir()
    assert run_fit(GridWork(grid), broken) == "done"
    pd.testing.assert_frame_equal(table_of(grid), table_of(finished), rtol=1e-4)


def test_a_bug_in_a_fit_is_kept_whole(
    sessions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = start_grid(tmp_path, quick_config(sessions))

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("one by nothing")

    monkeypatch.setattr("freegaze.studies.fitting.evaluate", broken)
    assert run_fit(GridWork(grid), grid.fits[0]) == "failed"
    assert grid.fits[0].error == "ZeroDivisionError: one by nothing"
    assert "Traceback" in grid.fits[0].error_file.read_text()


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Grid:
    return make_grid(tmp_path_factory.mktemp("made_up"), seeds=3)


def evaluations_of(grid: Grid, row: str, session: str) -> list[Evaluation]:
    return [
        load_evaluation(c.run.path) for c in grid.fits if (c.row, c.session_id) == (row, session)
    ]


def test_values_are_means_over_neurons_and_seeds_with_both_intervals(made_up: Grid) -> None:
    scores = table_of(made_up)
    line = scores.query(
        "row == 'cnn_shifter_on' and session_id == @MICE[1] and metric == 'correlation'"
    ).iloc[0]
    own = [
        e.summary["sessions"][MICE[1]]["scores"]["correlation"]
        for e in evaluations_of(made_up, "cnn_shifter_on", MICE[1])
    ]
    means = np.array([o["mean"] for o in own])
    assert line["value"] == pytest.approx(means.mean())
    assert line["block_low"] == pytest.approx(np.mean([o["mean_low"] for o in own]))
    reach = stats.t.ppf(0.975, 2) * means.std(ddof=1) / np.sqrt(3)
    assert line["seed_high"] - line["value"] == pytest.approx(reach)
    assert line["value"] - line["seed_low"] == pytest.approx(reach)
    assert (line["n_seeds"], line["n_neurons"]) == (3, 3)


def test_the_originals_scores_are_of_smoothed_traces_and_compared_with_print(
    made_up: Grid,
) -> None:
    scores = table_of(made_up)
    for metric in ("paper_correlation", "paper_mse"):
        line = scores.query(
            "row == 'cnn_shifter_off' and session_id == @MICE[0] and metric == @metric"
        ).iloc[0]
        values = []
        for evaluation in evaluations_of(made_up, "cnn_shifter_off", MICE[0]):
            session = evaluation.session(MICE[0])
            rates, observed = smooth_paper(session.rates), smooth_paper(session.observed)
            for n in range(3):
                if metric == "paper_mse":
                    values.append(np.mean((rates[:, n] - observed[:, n]) ** 2))
                else:
                    values.append(np.corrcoef(rates[:, n], observed[:, n])[0, 1])
        assert line["value"] == pytest.approx(np.mean(values), rel=1e-4)
        original = printed("table1", "cnn_shifter_off", MICE[0])
        assert original is not None
        known = original.mse if metric == "paper_mse" else original.correlation
        assert line["printed"] == known
        value, low, high = (float(line[n]) for n in ("value", "block_low", "block_high"))
        assert line["difference"] == pytest.approx(value - known)
        assert low < value < high


def test_nothing_printed_stands_beside_what_the_original_did_not_print(made_up: Grid) -> None:
    scores = table_of(made_up)
    assert scores.query("row == 'sensorium_shifter_off'")["printed"].isna().all()
    assert scores.query("metric == 'bits_per_spike'")["printed"].isna().all()


def test_pairs_are_compared_where_both_are_complete(tmp_path: Path) -> None:
    grid = make_grid(tmp_path, seeds=2)
    whole = collect(grid, draws=20)
    assert set(whole.differences["session_id"]) >= set(MICE)
    assert set(zip(whole.differences["first"], whole.differences["second"], strict=True)) == {
        ("cnn_shifter_off", "cnn_shifter_on")
    }
    lost = grid.fit(f"cnn_shifter_on/{MICE[0]}/seed-1")
    (lost.run.path / "evaluation" / "summary.json").unlink()
    part = collect(grid, draws=20)
    assert (part.n_missing, len(part.failures)) == (1, 1)
    assert MICE[0] not in set(part.differences["session_id"])
    n_seeds = part.scores.query("row == 'cnn_shifter_on' and session_id == @MICE[0]")["n_seeds"]
    assert set(n_seeds) == {1}
    assert "1 were not run" in part.caption


def test_differences_are_second_minus_first(tmp_path: Path) -> None:
    grid = make_grid(tmp_path, seeds=1)
    result = collect(grid, draws=20)
    line = result.differences.query("session_id == @MICE[1] and metric == 'correlation'").iloc[0]
    values = [
        evaluations_of(grid, row, MICE[1])[0].summary["sessions"][MICE[1]]["scores"]["correlation"][
            "mean"
        ]
        for row in ("cnn_shifter_on", "cnn_shifter_off")
    ]
    assert line["difference"] == pytest.approx(values[0] - values[1], abs=1e-6)
    frame = difference_frame(result)
    assert frame["rows"].iloc[0] == "CNN, shifter − CNN, no shifter"
    assert np.isnan(result.scores["seed_low"]).all()  # one seed tells nothing about seeds


def test_tables_on_disk_say_the_same_in_csv_and_markdown(made_up: Grid) -> None:
    result = collect(made_up, draws=20)
    paths = {path.name: path for path in save_result(result)}
    assert set(paths) == {"table.csv", "differences.csv", "table.md", "table.html"}
    read = pd.read_csv(paths["table.csv"])
    pd.testing.assert_frame_equal(read, result.scores, check_dtype=False)
    text = paths["table.md"].read_text()
    assert text.startswith("# Table 1: vision only")
    line = result.scores.query("metric == 'paper_correlation'").iloc[0]
    assert f"printed {line['printed']:.3f}, {line['difference']:+.3f}" in text


def test_an_empty_grid_gives_an_empty_table(sessions: Path, tmp_path: Path) -> None:
    grid = start_grid(tmp_path, quick_config(sessions))
    result = collect(grid)
    assert (len(result.scores), result.n_missing, result.metrics) == (0, 4, [])
    assert "4 were not run" in markdown(result)
