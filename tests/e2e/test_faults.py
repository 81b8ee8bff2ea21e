"""Disks that fill up or cannot be written, files that are gone, and two processes in one place.

Full and read-only disks are real ones: small file systems in memory, mounted in a name space of
their own, so that nobody's rights matter (tests often run as root, whom no mode stops).
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e_options import SMALL, SMALL_EXPLANATION
from freegaze.errors import CheckpointError
from freegaze.evaluation.storage import load_evaluation
from freegaze.evaluation.timeline import load_timelines
from freegaze.explanation.result import load_explanations
from freegaze.explanation.truth import load_truth_comparison
from freegaze.fitted.storage import load_encoder
from freegaze.runs.run_folder import RunFolder
from interrupted_commands import start_command, tree

ON_DISK = """
import contextlib, gc, io, json, multiprocessing, pathlib, shutil, subprocess, sys, traceback
import freegaze.cli.app as app
for line in sys.stdin:
    verb, *words = json.loads(line)
    status, told = 0, io.StringIO()
    if verb == "mount":
        subprocess.run(["mount", "-o", "remount," + words[0], sys.argv[1]], check=True)
    elif verb == "copy":
        shutil.copytree(*words)
    elif verb == "clear":
        for path in pathlib.Path(sys.argv[1]).iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    else:
        sys.argv[1:], before = words, sys.argv[1:]
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(told):
                app.run()
        except SystemExit as end:
            status = end.code or 0
        except BaseException:
            status = 1
            told.write(traceback.format_exc())
        sys.argv[1:] = before
        gc.collect()  # as the end of a process does: errors keep the files that they met open
        for worker in multiprocessing.active_children():
            worker.join()
    print(json.dumps([status, told.getvalue()]), flush=True)
"""
UNSHARED = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c")


class Disk:
    """A small disk, and a process that sees it.

    Args:
        process: The process.
        path: Where it sees the disk.
    """

    def __init__(self, process: subprocess.Popen[str], path: Path) -> None:
        self.process, self.path = process, path

    def __call__(self, verb: str, *words: object) -> tuple[int, str]:
        """Let the process ``mount``, ``copy`` a folder, ``clear`` the disk or ``run`` a command."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([verb, *map(str, words)]) + "\n")
        self.process.stdin.flush()
        status, told = json.loads(self.process.stdout.readline())
        return status, told


@pytest.fixture(scope="module")
def mounted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disk]:
    place = tmp_path_factory.mktemp("disk")
    mount = 'mount -t tmpfs -o size=64m tmpfs "$1"'
    tried = subprocess.run([*UNSHARED, mount, "sh", place], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"no file system can be mounted here ({tried.stderr.strip()})")
    command = [*UNSHARED, f'{mount} && exec "$2" -c "$3" "$1"', "sh", place, sys.executable]
    with subprocess.Popen(
        [*map(str, command), ON_DISK],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Disk(process, place)
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture
def disk(mounted: Disk) -> Disk:
    """An empty disk of 64 MB."""
    mounted("mount", "rw,size=64m")
    mounted("clear")
    return mounted


def assert_one_line(told: str) -> None:
    assert "Traceback" not in told, told
    lines = [line for line in told.splitlines() if line.startswith("freegaze: ")]
    assert len(lines) == 1, told


SIZES = {
    "train": ("4k", "12k", "24k", "32k", "40k", "48k", "64m"),
    "convert": ("100k", "1m", "6m", "12m", "16m", "64m"),
    "explain": ("700k", "1m", "4m", "64m"),
    "reproduce": ("12k", "200k", "300k", "64m"),
}


@pytest.mark.parametrize(
    "name",
    ["train", "convert", *(pytest.param(n, marks=pytest.mark.slow) for n in list(SIZES)[2:])],
)
def test_a_disk_that_fills_up_again_and_again(
    disk: Disk, verbs, undisturbed, tmp_path: Path, name: str
) -> None:
    """However far it comes each time: one line, and in the end the same bytes."""
    verb, place = verbs[name], disk.path / "out"
    expected = undisturbed(name)[1]
    if name == "explain":
        verb.prepare(tmp_path / "prepared")
        disk("copy", tmp_path / "prepared", place)
    messages = []
    for size in SIZES[name]:
        disk("mount", f"size={size}")
        words = verb.words(place)
        if name == "train":  # only the other process sees what is there
            status, told = disk("run", *["train", "--resume", place, "--quiet"])
            if status and "holds no run" in told:
                status, told = disk("run", *words)
        else:
            status, told = disk("run", *words)
        if status:
            assert status == 2, told
            assert_one_line(told)
            messages.append(told)
        else:
            break
    assert status == 0, told
    assert len(messages) >= 2, f"{size} was enough"
    assert "No space left on device" in messages[-1]
    disk("copy", place, tmp_path / "copy")
    assert verb.results(tmp_path / "copy") == expected
    assert not list((tmp_path / "copy").rglob(".*"))


def test_a_disk_that_cannot_be_written(disk: Disk, runs, mouse: Path, tmp_path: Path) -> None:
    """Every command that writes says so in one line; those that only read work."""
    run, out = disk.path / "run", disk.path / "out"
    disk("copy", runs["behavior"], run)
    before = tree(runs["behavior"])
    disk("mount", "ro")
    store = ("--to", "store", "--out", out, "--quiet")
    writing: list[tuple[Any, ...]] = [
        ("train", mouse, "--model", "behavior_only", *SMALL, "--out", out),
        ("train", "--resume", run, "--quiet"),
        ("evaluate", run),
        ("explain", run, *SMALL_EXPLANATION),
        ("report", run),
        ("predict", run, "--out", disk.path / "p.npz"),
        ("predict", run, "--out", disk.path / "p.nwb"),
        ("compare", run, runs["cnn_gru"], "--out", disk.path / "c.csv"),
        ("score", run / "evaluation" / "predictions.npz", mouse, "--out", disk.path / "s.csv"),
        ("inspect", mouse, "--out", disk.path / "q.html"),
        ("convert", "simulation", mouse, *store),
        ("simulate", "--minutes", 0.2, "--neurons", 2, "--out", out, "--quiet"),
        ("reproduce", "table2", "--scale", "tiny", "--out", out, "--quiet"),
        ("export-weights", runs["cnn_gru"], "--out", disk.path / "w.pth"),
    ]
    for words in writing:
        status, told = disk("run", *words)
        assert status == 2, (words, told)
        assert_one_line(told)
    for words in (("verify", run), ("compare", run, runs["cnn_gru"])):
        status, told = disk("run", *words)
        assert status == 0, (words, told)
    disk("copy", disk.path, tmp_path / "copy")
    assert [p.name for p in (tmp_path / "copy").iterdir()] == ["run"]
    assert tree(tmp_path / "copy" / "run") == before


@pytest.fixture(scope="module")
def explained(freegaze, runs, tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("explained") / "run"
    shutil.copytree(runs["behavior"], run)
    freegaze("explain", run, *SMALL_EXPLANATION)
    return run


def finished(run: Path) -> None:
    folder = RunFolder(run)
    folder.config(), folder.manifest(), folder.kept_pass()


def load_truths(run: Path) -> None:
    for folder in (run / "explanation").iterdir():
        load_truth_comparison(run, folder.name)


def is_refused(read: Callable[[Path], Any], run: Path) -> bool:
    try:
        read(run)
    except CheckpointError:
        return True
    return False


def test_a_file_that_is_gone_is_named_or_not_needed(freegaze, explained: Path, tmp_path):
    """Each file of a run is removed in turn; the others stay as they are."""
    names = sorted(name for name in tree(explained) if not name.endswith(".html"))
    assert len(names) > 20
    for i, name in enumerate(names):
        run = tmp_path / str(i)
        shutil.copytree(explained, run)
        (run / name).unlink()
        left = tree(run)
        if not name.endswith(".sha256"):
            told = freegaze("verify", run, status=2)
            assert f"missing: {run / name}" in told.stdout
            assert told.stderr.count("freegaze: ") == 1
        readers = (load_encoder, load_evaluation, load_timelines, load_explanations, load_truths)
        refused = [read for read in (*readers, finished) if is_refused(read, run)]
        spare = (".csv", ".sha256", "checkpoint.safetensors", "refit/metrics.jsonl")
        is_spare = name.endswith(spare)
        if "/truth" in name:  # its tables have no copies; without its last file there is none
            is_spare = name.endswith(("truth.json", "truth.sha256"))
        assert bool(refused) != is_spare, (name, refused)
        assert tree(run) == left


def test_two_processes_in_one_run_are_refused(freegaze, runs, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(runs["behavior"], run)
    hold = (
        "import sys, pathlib; from freegaze.runs.run_folder import RunFolder\n"
        "with RunFolder(pathlib.Path(sys.argv[1])).locked(): print('held', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(run)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        before = tree(run)
        for words in (("train", "--resume", run, "--quiet"), ("explain", run, *SMALL_EXPLANATION)):
            told = freegaze(*words, status=2).stderr
            assert "another process is working in" in told
            assert_one_line(told)
        assert tree(run) == before
        holder.communicate("\n")


@pytest.mark.parametrize(
    "name", ["train", "convert", pytest.param("reproduce", marks=pytest.mark.slow)]
)
def test_two_processes_at_once_make_one_result(
    verbs, undisturbed, tmp_path: Path, name: str
) -> None:
    """One of them may be refused; what is there in the end is what one alone makes."""
    verb, place = verbs[name], tmp_path / "out"
    words = verb.words(place)
    both = [start_command(words) for _ in range(2)]
    for process in both:
        process.join()
    assert {process.exitcode for process in both} in ({0}, {0, 2})
    if name == "reproduce":  # the first to end may not have waited for the other's fits
        third = start_command(words)
        third.join()
        assert third.exitcode == 0
    assert verb.results(place) == undisturbed(name)[1]
