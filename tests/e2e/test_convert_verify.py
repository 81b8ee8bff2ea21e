"""Laboratories' files through the command line: inspect, convert, verify, train."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2e_options import SMALL
from freegaze.sources.source import SOURCES


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    names = ("niell2022", "niell2p", "sensorium")
    return {n: SOURCES.get(n)().write_tiny(tmp_path_factory.mktemp(n), 0) for n in names}


def test_convert_says_where_and_what_not(freegaze, files, tmp_path):
    text = freegaze(
        *("convert", "niell2022", files["niell2022"], "--to", "arrays", "--out", tmp_path),
        *("--option", "block=hfwn", "--resize", 6, 8, "--segments", 2, "--test", 0.3, "--quiet"),
    ).stdout
    assert text.splitlines()[0] == f"070921_TINY: {tmp_path / '070921_TINY.npz'}"
    assert text.count("not held by arrays") == 1
    assert "store" in freegaze("targets").stdout


def test_verify_finds_the_damage(freegaze, files, tmp_path):
    freegaze("convert", "auto", files["sensorium"], "--to", "store", "--out", tmp_path, "-q")
    assert "files as written" in freegaze("verify", tmp_path).stdout
    frames = next(tmp_path.rglob("frames.npy"))
    content = bytearray(frames.read_bytes())
    content[-1] ^= 1
    frames.write_bytes(content)
    result = freegaze("verify", tmp_path, status=2)
    assert f"changed: {frames}" in result.stdout
    assert result.stderr.count("\n") == 1
    assert "1 of" in result.stderr


def test_two_photon_needs_to_be_asked_for(freegaze, files, tmp_path):
    message = freegaze("inspect", files["niell2p"], status=2).stderr
    assert "blank_video" in message
    page = tmp_path / "quality.html"
    options = ("--option", "blank_video=true", "--out", page)
    assert "yaw" in freegaze("inspect", files["niell2p"], *options).stdout


def test_an_encoder_of_behavior_fits_a_recording_without_a_camera(freegaze, files, tmp_path):
    freegaze(
        *("train", files["niell2p"], "--model", "behavior_only", "--out", tmp_path / "run", "-q"),
        *("--set", "source.options.blank_video=true", "--set", "split.gap_s=0"),
        *("--set", "model.features=recorded", "--set", "data.history=1", *SMALL),
    )
    text = freegaze("verify", tmp_path / "run").stdout  # a finished run has checksums
    assert f"ok: {tmp_path / 'run' / 'encoder.safetensors'}" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["convert", "auto", "nowhere", "--to", "store", "--out", "x"], "nowhere does not exist"),
        (["convert", "niel", "{tmp}", "--to", "store", "--out", "x"], "nearest: niell"),
        (["convert", "auto", "{tmp}", "--to", "stor", "--out", "x"], "nearest: store"),
        (["convert", "store", "{tmp}", "--to", "store", "--out", "x", "--option", "a"], "--option"),
        (["verify", "nowhere"], "is no folder"),
        (["verify", "{tmp}"], "holds no checksums"),
    ],
)
def test_mistakes_are_one_line(freegaze, tmp_path, arguments, message):
    filled = [text.replace("{tmp}", str(tmp_path)) for text in arguments]
    quiet = ["-q"] * (arguments[0] == "convert")
    result = freegaze(*filled, *quiet, status=2)
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
