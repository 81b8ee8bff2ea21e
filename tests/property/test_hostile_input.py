"""Broken files of every format: an error of ours in one line, or what is right; nothing else.

Half of the mutants have damaged bytes; the other half are valid containers of wrong shapes, types,
keys, sizes or values. The quick run has fixed seeds. The slow run draws new ones each time and
prints the first; ``FREEGAZE_MUTANT_SEED=FIRST`` repeats it.
"""

from __future__ import annotations

import os
import resource
import secrets
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from freegaze.errors import FreegazeError
from freegaze.sources.source import SOURCES
from hostile_formats import FORMATS
from mutants import mutate_folder

N_EACH, N_EACH_SLOW = 6, 75
"""Mutants of each half of each format."""
SECONDS, MEBIBYTES = 10.0, 600
"""Time of the processor for one file, and growth of the memory over all of a format."""
HANGS_S = 200
NEW_SEED = int(os.environ.get("FREEGAZE_MUTANT_SEED") or 10_000 + secrets.randbelow(2**31))
"""First seed of the slow run; all seeds of the quick run are smaller."""

pytestmark = pytest.mark.filterwarnings("ignore")  # numpy, pandas and hdmf comment on odd values


class HangsError(BaseException):
    """Not an ``Exception``, so that nothing on the way takes it for its own."""


@contextmanager
def limited() -> Iterator[None]:
    """Stop what takes too long of the processor, children included, or never ends."""

    def stop(*_: object) -> None:
        raise HangsError

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(HANGS_S)
    start = sum(os.times()[:4])
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    assert sum(os.times()[:4]) - start < SECONDS


def state(folder: Path) -> dict[Path, tuple[int, int]]:
    found = {path: path.lstat() for path in folder.rglob("*")}
    return {path: (s.st_size, s.st_mtime_ns) for path, s in found.items() if path.is_file()}


@pytest.mark.parametrize("n", [N_EACH, pytest.param(N_EACH_SLOW, marks=pytest.mark.slow)])
@pytest.mark.parametrize("is_valid", [False, True], ids=["damaged", "valid"])
@pytest.mark.parametrize("name", FORMATS)
def test_mutants_end_in_one_line_or_in_what_is_right(
    name: str, is_valid: bool, n: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = FORMATS[name]
    clean, mutant, here = (tmp_path / k for k in ("clean", "mutant", "here"))
    clean.mkdir()
    here.mkdir()
    relative = kind.write(clean).relative_to(clean)
    monkeypatch.chdir(here)  # where code from a file would leave its mark
    shutil.copytree(clean, mutant)
    right = kind.read(mutant / relative)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    messages = []
    first = 0 if n == N_EACH else NEW_SEED
    print(f"{name}: seeds {first} to {first + n - 1}")
    for seed in range(first, first + n):
        shutil.rmtree(mutant)
        shutil.copytree(clean, mutant)
        rng = np.random.default_rng([*name.encode(), is_valid, seed])
        where = f"seed {seed}: {mutate_folder(mutant, is_valid, rng)}"
        if not (mutant / relative).exists():
            continue
        before = state(mutant)
        try:
            with limited():
                found = kind.read(mutant / relative)
            if kind.is_sealed and not is_valid:
                assert found == right, f"{where} was believed"
        except FreegazeError as error:
            messages.append(str(error))
        except (Exception, HangsError) as error:
            raise AssertionError(f"{where} ends in {error!r}") from error
        assert kind.is_written or state(mutant) == before, f"{where}: it was changed"
        assert not list(here.iterdir()), f"{where}: code was run"
        assert sorted(p.name for p in tmp_path.iterdir()) == ["clean", "here", "mutant"], where
    assert not [text for text in messages if "\n" in text]
    if n > N_EACH and name != "piece":  # where nothing is refused, what is broken is made again
        assert len(messages) >= n // 10, "mutants that change nothing prove nothing"
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory
    assert grown / 1024 < MEBIBYTES


def test_every_format_has_its_mutants() -> None:
    assert {f"source {name}" for name in SOURCES.names()} <= set(FORMATS)
    assert 2 * N_EACH * len(FORMATS) >= 300
    assert 2 * N_EACH_SLOW >= 150
