"""The original's gradient ascent: what it keeps, how it goes on, and its low-pass filter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from figure_runs import SIZE, make_behaving, paper_fit
from freegaze.errors import CheckpointError, ConfigError
from freegaze.fitted.encoder import FittedEncoder
from freegaze.paper import ascent
from freegaze.paper.ascent import (
    PaperAscent,
    has_most_exciting,
    keep_most_exciting,
    load_most_exciting,
    lowpass,
    most_exciting,
)

SHORT = PaperAscent(batches=2, images=3, steps=4)


@pytest.fixture(scope="module")
def encoder() -> FittedEncoder:
    return paper_fit(make_behaving())


@pytest.mark.parametrize(("down", "across"), [(0, 3), (6, 0), (4, 9), (0, 0), (30, 40)])
def test_the_lowpass_scales_each_wave_by_its_closed_form(down: int, across: int) -> None:
    y, x = np.mgrid[:60, :80]
    wave = np.cos(2 * np.pi * (down * y / 60 + across * x / 80))
    frequency = np.hypot(down / 60, across / 80)
    gain = 1 / (1 + (frequency / 0.05) ** 4)  # scikit-image squares the filter of order 2
    np.testing.assert_allclose(lowpass(wave), gain * wave, atol=1e-12)


def test_the_lowpass_keeps_odd_sizes_and_the_mean() -> None:
    picture = np.random.default_rng(0).normal(size=(7, 9))
    assert lowpass(picture).shape == (7, 9)
    assert lowpass(picture).mean() == pytest.approx(picture.mean())


def test_an_image_is_fixed_by_its_seed_and_disturbs_nothing(encoder: FittedEncoder) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = most_exciting(encoder, "s", 1, SHORT, seed=3)
    assert torch.equal(torch.rand(3), expected)
    again = most_exciting(encoder, "s", 1, SHORT, seed=3)
    np.testing.assert_array_equal(first.video, again.video)
    other = most_exciting(encoder, "s", 1, SHORT, seed=4)
    assert not np.array_equal(first.video, other.video)
    assert first.video.shape == (1, *SIZE)
    assert not any(module.training for module in encoder.encoder.modules())


def test_the_climb_is_uphill(encoder: FittedEncoder) -> None:
    found = most_exciting(encoder, "s", 0, PaperAscent(batches=1, images=16, steps=30))
    assert found.end > found.start


def test_units_are_kept_one_by_one_and_never_made_twice(
    encoder: FittedEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    units, made = encoder.sessions["s"].unit_ids, []
    inner = most_exciting

    def stopped(*arguments: object) -> object:
        if len(made) == 4:
            raise KeyboardInterrupt
        made.append(arguments[2])
        return inner(*arguments)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(ascent, "most_exciting", stopped)
    with pytest.raises(KeyboardInterrupt):
        keep_most_exciting(tmp_path / "run", encoder, "s", units, SHORT, repeats=2)
    assert not has_most_exciting(tmp_path / "run", units, SHORT, repeats=2)
    assert len(list(tmp_path.rglob("*.npz"))) == 4
    monkeypatch.setattr(ascent, "most_exciting", lambda *a: made.append(a[2]) or inner(*a))
    keep_most_exciting(tmp_path / "run", encoder, "s", units, SHORT, repeats=2)
    assert made == [0, 1, 2, 0, 1, 2]
    assert has_most_exciting(tmp_path / "run", units, SHORT, repeats=2)
    keep_most_exciting(tmp_path / "whole", encoder, "s", units, SHORT, repeats=2)
    for repeat in (1, 2):
        for unit in units:
            parts, whole = (
                load_most_exciting(tmp_path / name, unit, SHORT, repeat)
                for name in ("run", "whole")
            )
            np.testing.assert_array_equal(parts.video, whole.video)
            assert parts.end == whole.end


def test_another_protocol_is_another_folder(encoder: FittedEncoder, tmp_path: Path) -> None:
    keep_most_exciting(tmp_path, encoder, "s", ["unit_0"], SHORT)
    longer = PaperAscent(batches=2, images=3, steps=5)
    drawn = PaperAscent(batches=2, images=3, steps=4, is_behavior_optimized=False)
    assert has_most_exciting(tmp_path, ["unit_0"], SHORT)
    assert not has_most_exciting(tmp_path, ["unit_0"], longer)
    assert not has_most_exciting(tmp_path, ["unit_0"], drawn)


def test_what_is_wrong_is_named(encoder: FittedEncoder, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no fitted neuron 'unit_9'"):
        keep_most_exciting(tmp_path, encoder, "s", ["unit_9"], SHORT)
    keep_most_exciting(tmp_path, encoder, "s", ["unit_0"], SHORT)
    (path,) = tmp_path.rglob("*.npz")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(CheckpointError, match="missing or broken; run this again"):
        load_most_exciting(tmp_path, "unit_0", SHORT, 1)
    assert not has_most_exciting(tmp_path, ["unit_0"], SHORT)
    keep_most_exciting(tmp_path, encoder, "s", ["unit_0"], SHORT)  # not believed, but made again
    load_most_exciting(tmp_path, "unit_0", SHORT, 1)
