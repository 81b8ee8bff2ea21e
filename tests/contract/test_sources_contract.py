"""What every source promises, checked for each one in the registry."""

from pathlib import Path

import numpy as np
import pytest

from comparing import assert_same_recording
from freegaze.config import StrictConfig
from freegaze.errors import ConfigError, DataError
from freegaze.recording.recording import Recording
from freegaze.recording.store import open_store, save_store
from freegaze.sources.arrays.layout import write_arrays
from freegaze.sources.source import SOURCES, detect_source, open_recordings

NAMES = SOURCES.names()


@pytest.fixture(params=NAMES, scope="module")
def source(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def tiny(source: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return SOURCES.get(source)().write_tiny(tmp_path_factory.mktemp(source), seed=3)


def open_tiny(source: str, path: Path, **options) -> list[Recording]:
    return open_recordings(source, path, **{**SOURCES.get(source).tiny_options, **options})


def test_a_tiny_file_opens_as_valid_recordings(source: str, tiny: Path):
    for recording in open_tiny(source, tiny):
        assert recording.frames.dtype == np.uint8
        assert recording.behavior.dtype == recording.responses.dtype == np.float32
        assert recording.provenance["source"]
        assert np.isnan(recording.behavior).any(), "a tiny file shows how lost tracking looks"


def test_it_is_recognized(source: str, tiny: Path):
    assert detect_source(tiny) == source
    first = open_recordings("auto", tiny, **SOURCES.get(source).tiny_options)[0]
    assert_same_recording(first, open_tiny(source, tiny)[0])


def test_the_seed_decides(source: str, tmp_path: Path):
    found = []
    for i, seed in enumerate((1, 1, 2)):
        folder = tmp_path / str(i)
        folder.mkdir()
        path = SOURCES.get(source)().write_tiny(folder, seed=seed)
        found.append(open_tiny(source, path)[0])
    assert_same_recording(found[0], found[1])
    assert not np.array_equal(found[0].responses, found[2].responses)


def test_it_survives_the_store_and_the_arrays(source: str, tiny: Path, tmp_path: Path):
    first = open_tiny(source, tiny)[0]
    assert_same_recording(first, open_store(save_store(first, tmp_path / "store"), verify=True))
    file = write_arrays(first, tmp_path / f"{first.session_id}.npz")
    assert_same_recording(first, open_recordings("arrays", file)[0])


def test_options_are_strict_and_have_defaults(source: str, tiny: Path):
    options = SOURCES.get(source).Options
    assert issubclass(options, StrictConfig)
    options()
    with pytest.raises(ConfigError, match="unknown key 'sesions'.*nearest: sessions"):
        open_tiny(source, tiny, sesions=["a"])


def test_a_missing_session_is_named(source: str, tiny: Path):
    with pytest.raises(DataError, match="'nobody'"):
        open_tiny(source, tiny, sessions=["nobody"])


def test_a_threshold_above_every_rate_says_so(source: str, tiny: Path):
    with pytest.raises(DataError, match=r"no neuron fires at 1e\+06 Hz or more.*lower"):
        open_tiny(source, tiny, min_rate_hz=1e6)


def test_an_empty_folder_is_refused(source: str, tmp_path: Path):
    with pytest.raises(DataError, match="holds no session"):
        open_recordings(source, tmp_path)


def test_a_text_file_is_refused_by_name(source: str, tmp_path: Path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(DataError, match=r"notes\.txt"):
        open_recordings(source, tmp_path / "notes.txt")
    assert not SOURCES.get(source)().looks_like(tmp_path / "notes.txt")


def test_every_source_describes_itself():
    for name in NAMES:
        source = SOURCES.get(name)
        assert source.name == name
        assert 20 < len(source.description) < 90
        assert "\n" not in source.citation
