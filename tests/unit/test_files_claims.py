"""Claims on things that one process at a time works on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

import freegaze.files.claims as claims
import freegaze.files.owners as owners
from freegaze.errors import ClaimError, DataError
from freegaze.files.atomic import atomic_folder, remove_leftovers, write_file
from freegaze.files.claims import Claim, claimed
from freegaze.files.owners import Owner, age_s, partial_name

N_RACERS = 4
LIMIT_S = 4.0


def leave_claim(folder: Path, owner: Owner) -> None:
    """Make the claim of an owner that gives no signs of life."""
    folder.mkdir()
    (folder / f"{7:06d}-{owner}").mkdir()


def ended_owner() -> Owner:
    program = "from freegaze.files.owners import Owner; print(Owner.here())"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    owner = Owner.read(told.stdout.strip())
    assert owner is not None
    return owner


def race(folder: Path, barrier: Any, wins: Any) -> None:
    """Try to claim each of many things once, at the same time as others do."""
    for number in range(len(wins)):
        claim = Claim(folder / str(number), beat_s=LIMIT_S / 10, limit_s=LIMIT_S)
        barrier.wait()
        if claim.acquire():
            wins[number] += 1
        barrier.wait()
        claim.release()


@pytest.mark.parametrize("before", ["free", "ended", "silent"])
@pytest.mark.parametrize("n_races", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_races_have_one_winner_each(tmp_path: Path, before: str, n_races: int) -> None:
    """A claim that is free, of an ended owner, or of one that gives no sign of life any more."""
    if before != "free":
        owner = ended_owner() if before == "ended" else Owner.here()
        for number in range(n_races):
            leave_claim(tmp_path / str(number), owner)
    if before == "silent":
        time.sleep(LIMIT_S)
    context = get_context("fork" if sys.platform == "linux" else "spawn")
    barrier, wins = context.Barrier(N_RACERS), context.Array("i", n_races)
    racers = [context.Process(target=race, args=(tmp_path, barrier, wins)) for _ in range(N_RACERS)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert [racer.exitcode for racer in racers] == [0] * N_RACERS
    assert list(wins) == [1] * n_races
    assert not list(tmp_path.iterdir())  # and nothing is left of them


def count_up(file: Path, n: int) -> None:
    for _ in range(n):
        with claimed(file.with_name(".claim"), wait_s=60):
            value = int(file.read_text())
            time.sleep(0.0005)
            file.write_text(str(value + 1))


def test_no_claim_is_lost_by_those_who_wait(tmp_path: Path) -> None:
    (tmp_path / "n").write_text("0")
    context = get_context("fork" if sys.platform == "linux" else "spawn")
    counters = [context.Process(target=count_up, args=(tmp_path / "n", 25)) for _ in range(4)]
    for counter in counters:
        counter.start()
    for counter in counters:
        counter.join()
    assert (tmp_path / "n").read_text() == "100"


HOLDER = """
import sys, pathlib
from freegaze.errors import ClaimError
from freegaze.files.atomic import atomic_file, atomic_folder, write_file
from freegaze.files.claims import claimed

folder = pathlib.Path(sys.argv[1])
print("ready", flush=True)
with claimed(folder / ".claim", beat_s=0.1, limit_s=float(sys.argv[2])):
    write_file(folder / "a", "first")
    with atomic_file(folder / "b") as half:
        half.write_text("of the first")
        print("held", flush=True)
        input()
"""


@contextmanager
def holder(folder: Path, limit_s: float = 1.0) -> Iterator[subprocess.Popen[str]]:
    """Hold a claim in another process, half-way through a file."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder), str(limit_s)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(2)] == ["ready\n", "held\n"]
        yield process
        process.kill()


def test_an_owner_that_was_stopped_wakes_up_and_writes_nothing(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        time.sleep(1.5)  # its signs of life keep it
        assert not Claim(tmp_path / ".claim", limit_s=1.0).acquire()
        os.kill(process.pid, signal.SIGSTOP)
        with claimed(tmp_path / ".claim", wait_s=10, limit_s=1.0) as claim:
            write_file(tmp_path / "a", "second")
            os.kill(process.pid, signal.SIGCONT)
            _, errors = process.communicate("\n")
            claim.check()
        assert process.returncode == 1
        assert "ClaimError" in errors
        assert "took over" in errors
        assert "nothing more is written here" in errors
    assert (tmp_path / "a").read_text() == "second"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_killed_owner_is_followed_at_once(tmp_path: Path) -> None:
    with holder(tmp_path, limit_s=1000) as process:
        process.kill()
        process.wait()
        began = time.monotonic()
        with claimed(tmp_path / ".claim", limit_s=1000):
            remove_leftovers(tmp_path / "b")
        assert time.monotonic() - began < 1
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("shift_s", [-600, 600])
def test_clocks_of_hosts_may_be_minutes_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shift_s: float
) -> None:
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + shift_s)
    monkeypatch.setattr(time, "time_ns", lambda: round(1e9 * time.time()))
    elsewhere = Owner("0badcafe", 1, 2, "01234567", "n7")  # a process of another machine
    leave_claim(tmp_path / ".claim", elsewhere)
    assert not Claim(tmp_path / ".claim", limit_s=60).acquire()
    with pytest.raises(ClaimError, match=r"another process \(process 1 on n7\) works on"):
        claimed(tmp_path / ".claim", limit_s=60).__enter__()
    with claimed(tmp_path / ".claim", wait_s=10, limit_s=0.5):
        (entry,) = (tmp_path / ".claim").iterdir()
        assert entry.name.startswith("000008-")
        assert age_s(entry, tmp_path / "x") < 0.5


def test_names_may_appear_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client's list of names lags behind: first without the claim, then with its last owner."""
    elsewhere = Owner("0badcafe", 1, 2, "01234567", "n7")
    leave_claim(tmp_path / ".claim", elsewhere)
    listdir, gone = os.listdir, f"000006-{ended_owner()}"
    late = [[], [], [gone], [gone]]
    monkeypatch.setattr(claims.os, "listdir", lambda path: late.pop() if late else listdir(path))
    assert not Claim(tmp_path / ".claim").acquire()
    assert late == []
    assert listdir(tmp_path) == [".claim"]
    assert listdir(tmp_path / ".claim") == [f"000007-{elsewhere}"]


def test_a_reply_that_is_lost_is_no_lost_claim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server repeats a rename whose reply was lost, and then does not find the old name."""
    leave_claim(tmp_path / ".claim", ended_owner())
    rename = Path.rename

    def twice(path: Path, target: Path) -> Path:
        rename(path, target)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", twice)
    claim = Claim(tmp_path / ".claim")
    assert claim.acquire()
    claim.check()
    claim.release()


def test_a_claim_within_the_same_one_is_the_same(tmp_path: Path) -> None:
    with claimed(tmp_path / ".claim") as outer:
        with claimed(tmp_path / ".claim") as inner:
            assert inner is outer
        outer.check()
        assert not Claim(tmp_path / ".claim").acquire()
    assert not (tmp_path / ".claim").exists()


def test_a_lost_claim_stops_folders_too(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "kept").touch()

    def replace_after_a_loss() -> None:
        with atomic_folder(tmp_path / "out", lambda _: True) as folder:
            (folder / "new").touch()
            (entry,) = (tmp_path / ".claim").iterdir()
            entry.rename(tmp_path / ".claim" / f"{2:06d}-{Owner.here()}")

    with (
        claimed(tmp_path / ".claim"),
        pytest.raises(ClaimError, match=r"process \d+ on .* took over"),
    ):
        replace_after_a_loss()
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["kept"]
    with claimed(tmp_path / "another"):
        write_file(tmp_path / "out" / "new", "x")  # what is lost is no matter of later blocks


def test_a_process_with_the_number_of_an_ended_one_is_another(tmp_path: Path) -> None:
    here = Owner.here()
    assert Owner.read(str(here)) == here
    assert not here.has_ended
    assert Owner(here.machine, here.process, here.started + 1, "0", "n").has_ended
    assert not Owner("0badcafe", here.process, here.started + 1, "0", "n").has_ended
    assert not Owner(here.machine, 1, 0, "0", "n").has_ended
    assert Owner.read("data") is None
    assert Owner.read("0badcafe-x-1-0-n") is None
    name = partial_name(tmp_path / ("x" * 200), here).name
    assert len(name) <= 255


def test_nothing_calls_locks_of_the_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl = pytest.importorskip("fcntl", reason="only POSIX systems have these locks")

    def refuse(*_: object) -> None:
        raise AssertionError("a lock of the file system")

    for name in ("flock", "lockf"):
        monkeypatch.setattr(fcntl, name, refuse)
    with claimed(tmp_path / ".claim"):
        write_file(tmp_path / "a", "x")
        with atomic_folder(tmp_path / "b") as folder:
            (folder / "c").touch()
    source = Path(owners.__file__).parents[1]
    calls = [p.name for p in source.rglob("*.py") if "flock" in p.read_text()]
    assert calls == []
    assert "filelock" not in (source.parents[1] / "pyproject.toml").read_text()


def test_a_claim_needs_a_folder_that_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Claim(tmp_path / "gone" / ".claim").acquire()
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        Claim(tmp_path / "file").acquire()
    with pytest.raises(DataError, match="cannot be written"):
        write_file(tmp_path / "file" / "a", "x")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file"]
