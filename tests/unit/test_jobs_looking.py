"""How far fits are, read from their files alone, and ``freegaze watch``."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from freegaze.cli.app import app
from freegaze.config import dump_yaml
from freegaze.errors import CheckpointError
from freegaze.jobs.fits import Fit
from freegaze.jobs.looking import RunFit, RunWork, count_states, look_at
from freegaze.jobs.records import JobRecord
from freegaze.jobs.states import AGAIN
from freegaze.progress import Progress
from freegaze.runs.config import RunConfig
from freegaze.runs.run_folder import RunFolder
from freegaze.studies.config import BenchConfig
from freegaze.studies.folder import start_bench

PASSES = [
    {"pass": 1, "train_loss": 0.5, "validation_loss": 0.25, "validation_correlation": 0.125},
    {"pass": 2, "train_loss": 0.375, "validation_loss": 0.75, "validation_correlation": None},
]


class GridWork:
    def is_done(self, fit: Fit) -> bool:
        return fit.state == "done"

    def __call__(self, fit: Fit, progress: Progress | None) -> None:
        raise AssertionError("looking runs nothing")


def write_passes(run: RunFolder, n: int) -> None:
    run.path.mkdir(parents=True, exist_ok=True)
    run.write_metrics([{**line, "seconds": 1.0} for line in PASSES[:n]])


def write_record(fit: Fit, **values: object) -> None:
    fit.record_file.parent.mkdir(parents=True, exist_ok=True)
    fit.record_file.write_text(json.dumps(values))


def test_fits_are_in_the_order_in_which_they_matter(tmp_path: Path) -> None:
    names = ("waits", "done", "failed", "killed", "works", "broken")
    fits = {name: Fit(name, "s", 0, tmp_path) for name in names}
    write_passes(fits["done"].run, 2)
    (fits["done"].run.path / "evaluation").mkdir()
    (fits["done"].run.path / "evaluation" / "summary.json").write_text("{}")
    write_record(fits["failed"], starts=1, end="failed")
    fits["failed"].write_error("the loss is nan")
    write_record(fits["killed"], starts=3, process="process 1 on n1")
    write_passes(fits["killed"].run, 1)
    write_record(fits["broken"], starts=1, end="stopped")
    write_passes(fits["broken"].run, 1)
    (fits["broken"].run.path / "metrics.jsonl").write_text('{"pass": 2}\n')
    write_record(fits["works"], starts=2, process="process 2 on n2", done=7, total=9)
    write_passes(fits["works"].run, 2)
    write_passes(fits["works"].run.refit, 1)
    with fits["works"].claimed() as is_ours:
        assert is_ours
        looks = look_at(GridWork(), list(fits.values()))
    states = [look.state.state for look in looks]
    assert states[0] == "running"
    assert set(states[1:4]) == {"failed", "killed", "stopped"} <= set(AGAIN)
    assert states[4:] == ["waiting", "done"]
    by_row = {look.state.fit.row: look for look in looks}
    works = by_row["works"]
    assert (works.passes, works.refit_passes, works.state.starts) == (2, 1, 2)
    assert (works.train_loss, works.validation_loss, works.best_loss) == (0.375, 0.75, 0.25)
    assert works.correlation is None
    assert (works.state.done, works.state.total) == (7, 9)
    assert by_row["killed"].correlation == 0.125
    assert by_row["failed"].state.detail == "the loss is nan"
    assert "metrics.jsonl is broken" in by_row["broken"].problem
    assert by_row["waits"].passes == 0
    assert count_states(looks).startswith("1 running, ")
    assert count_states(looks).endswith("1 waiting, 1 done of 6")


def test_a_run_is_stopped_or_held_or_done(tmp_path: Path) -> None:
    fit = RunFit.of(tmp_path / "first")
    assert fit.run.path == tmp_path.resolve() / "first"
    write_passes(fit.run, 1)
    (fit.run.path / "config.yaml").write_text(dump_yaml(RunConfig()))

    def state() -> tuple[str, str]:
        (look,) = look_at(RunWork(), [fit])
        return look.state.state, look.state.detail

    assert state() == ("stopped", "no process works on it")
    with fit.run.locked():
        assert state()[0] == "running"
        assert re.match(r"process \d+ on ", state()[1])
    fit.run.encoder.touch()
    assert state()[0] == "done"
    with pytest.raises(CheckpointError, match=r"train --resume .*first"):
        RunWork()(fit, None)
    assert fit.record is None
    assert JobRecord().starts == 0


def watch(*words: object) -> Result:
    return CliRunner().invoke(app, ["watch", *map(str, words)], env={"COLUMNS": "200"})


def test_a_table_is_printed_once_without_a_terminal(tmp_path: Path) -> None:
    settings = {"training.max_passes": 1}
    encoders = {name: {"model": {"name": name}} for name in ("glm", "mean_rate")}
    recordings = {"mouse": {"name": "simulation", "path": "data/mouse"}}
    values = {"encoders": encoders, "recordings": recordings, "settings": settings}
    bench = start_bench(tmp_path, BenchConfig.model_validate(values))
    write_record(bench.fits[0], starts=1, process="process 1 on n1")
    write_passes(bench.fits[0].run, 2)
    before = sorted(tmp_path.rglob("*"))
    result = watch(tmp_path)
    assert result.exit_code == 0, result.output
    assert "1 killed, 1 waiting of 2" in result.stdout
    row = next(line for line in result.stdout.splitlines() if "glm/mouse/seed-0" in line)
    cells = [cell.strip() for cell in re.split("[│┃]", row)[1:-1]]
    expected = ["glm/mouse/seed-0", "killed", "1", "2", "0.375", "0.75", "0.25", ""]
    assert cells == [*expected, "process 1 on n1"]
    assert sorted(tmp_path.rglob("*")) == before  # looking writes nothing


def test_a_live_table_ends_with_the_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fit = RunFit.of(tmp_path / "first")
    write_passes(fit.run, 1)
    (fit.run.path / "config.yaml").write_text(dump_yaml(RunConfig()))
    monkeypatch.setenv("FORCE_COLOR", "1")  # as on a terminal

    def end(seconds: float) -> None:
        assert seconds == 0.25
        write_passes(fit.run, 2)
        fit.run.encoder.touch()

    monkeypatch.setattr("freegaze.cli.watch.time.sleep", end)
    result = watch(fit.run.path, "--every", 0.25)
    assert result.exit_code == 0, result.output
    assert "1 stopped of 1" in result.stdout
    assert result.stdout.rindex("1 done of 1") > result.stdout.rindex("1 stopped of 1")
    assert "0.75" in result.stdout


def test_a_folder_without_fits_is_refused(tmp_path: Path) -> None:
    result = watch(tmp_path)
    assert isinstance(result.exception, CheckpointError)
    assert "holds no grid, bench, sweep or run" in str(result.exception)
