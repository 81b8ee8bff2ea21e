"""NWB files as laboratories write them: what is read, what is left out, and what is refused."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from freegaze.errors import DataError, DataWarning
from freegaze.recording.recording import Recording
from freegaze.sources.alignment.assembly import TIME
from freegaze.sources.source import open_recordings

pynwb = pytest.importorskip("pynwb")
pytestmark = pytest.mark.filterwarnings("ignore", "always::freegaze.errors.DataWarning")

Change = Callable[[Any], None]
SPIKES = np.r_[0.001, np.sort(np.random.default_rng(0).uniform(0, 10, 200)), 9.999]
WHEEL = np.abs(np.sin(np.arange(1000) / 50))


def write(file: Path, *changes: Change, spikes: bool = True, session_id: str | None = None) -> Path:
    """Write ten seconds of two units and a speed, after changes."""
    root = pynwb.NWBFile("a mouse", "id", datetime(2021, 7, 9, tzinfo=UTC), session_id=session_id)
    if spikes:
        root.add_unit(spike_times=SPIKES)
        root.add_unit(spike_times=SPIKES[::2])
    module = root.create_processing_module("behavior", "b")
    module.add(
        pynwb.TimeSeries(name="speed", data=WHEEL, unit="cm/s", starting_time=0.0, rate=100.0)
    )
    for change in changes:
        change(root)
    file.parent.mkdir(parents=True, exist_ok=True)
    with pynwb.NWBHDF5IO(str(file), "w") as io:
        io.write(root)
    return file


def opened(file: Path, **options: Any) -> Recording:
    (recording,) = open_recordings("nwb", file, **{"video": "none", **options})
    return recording


def heard(file: Path, **options: Any) -> tuple[Recording, list[str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = opened(file, **options)
    return found, [str(w.message) for w in caught if issubclass(w.category, DataWarning)]


def test_unobserved_intervals_are_left_out_and_not_counted_as_silence(tmp_path: Path):
    def units(root):
        for spans in ([[0.0, 4.0], [6.0, 10.0]], [[0.0, 3.0], [6.0, 10.0]]):
            root.add_unit(spike_times=SPIKES, obs_intervals=spans)

    file = write(tmp_path / "a.nwb", units, spikes=False)
    found, messages = heard(file)
    centers = found.annotations[TIME]
    expected = [t for t in 0.025 + 0.05 * np.arange(200) if t < 3 or t > 6]
    np.testing.assert_allclose(centers, expected, atol=1e-6)
    assert [s.n_bins for s in found.segments] == [60, 80]
    assert found.provenance["alignment"]["n_unobserved"] == 60
    is_seen = (SPIKES < 3) | (SPIKES >= 6)
    assert found.responses[:, 0].sum() == is_seen.sum()
    assert any("observed for 7 s, some for 8 s" in m for m in messages)
    assert any("spikes lie outside the time that was observed" in m for m in messages)


def test_units_that_were_never_observed_together_are_refused(tmp_path: Path):
    def units(root):
        for spans in ([[0.0, 4.0]], [[5.0, 9.0]]):
            root.add_unit(spike_times=SPIKES, obs_intervals=spans)

    with pytest.raises(DataError, match=r"no time was observed by all units.*keep_units"):
        opened(write(tmp_path / "a.nwb", units, spikes=False))


def test_invalid_times_are_left_out_unless_kept(tmp_path: Path):
    def invalid(root):
        root.add_invalid_time_interval(start_time=2.01, stop_time=2.98)

    file = write(tmp_path / "a.nwb", invalid)
    found = opened(file, start_s=0.0)
    assert [s.n_bins for s in found.segments] == [40, 139]
    assert len(opened(file, start_s=0.0, keep_invalid_times=True).segments) == 1
    with pytest.raises(DataError, match="keep_invalid_times. does not apply"):
        opened(write(tmp_path / "b.nwb"), keep_invalid_times=True)


def test_probes_of_other_spans_and_equal_names(tmp_path: Path):
    def units(root):
        root.add_unit_column("unit_name", "name")
        root.add_unit_column("probe", "probe")
        for probe, low, high in (("A", 0, 6), ("B", 3, 10)):
            for name in ("0", "1"):
                times = SPIKES[(low <= SPIKES) & (high > SPIKES)]
                root.add_unit(spike_times=times, unit_name=name, probe=probe)

    found = opened(write(tmp_path / "a.nwb", units, spikes=False))
    assert found.unit_ids == ("A_0", "A_1", "B_0", "B_1")
    inside = SPIKES[(SPIKES >= 3) & (SPIKES < 6)]
    start, stop = found.annotations[TIME][[0, -1]]
    assert inside[0] == pytest.approx(start - 0.025)
    assert stop + 0.025 <= inside[-1] + 1e-6


def test_units_of_a_processing_module(tmp_path: Path):
    def units(root):
        table = pynwb.misc.Units(name="sorted", description="spikes")
        table.add_unit(spike_times=SPIKES)
        root.create_processing_module("ecephys", "e").add(table)

    file = write(tmp_path / "a.nwb", units, spikes=False)
    for options in ({}, {"responses": "processing/ecephys/sorted"}):
        assert opened(file, **options).responses.sum() == pytest.approx(len(SPIKES), abs=3)


def test_flags_are_chosen_however_they_are_written(tmp_path: Path):
    def units(root):
        for name in ("flag", "number", "text"):
            root.add_unit_column(name, name)
        for good in (True, False, True):
            root.add_unit(spike_times=SPIKES, flag=good, number=float(good), text=str(good))

    file = write(tmp_path / "a.nwb", units, spikes=False)
    for column, label in product(("flag", "number", "text"), (True, "1", [1.0])):
        assert opened(file, keep_units={column: label}).unit_ids == ("0", "2")


def test_labels_as_bytes_are_text(tmp_path: Path):
    def units(root):
        root.add_unit_column("quality", "q")
        for quality in ("good", "mua"):
            root.add_unit(spike_times=SPIKES, quality=quality)

    file = write(tmp_path / "a.nwb", units, spikes=False)
    with h5py.File(file, "a") as stream:
        attributes = dict(stream["units/quality"].attrs)
        del stream["units/quality"]
        stream["units/quality"] = np.array([b"good", b"mua"])
        stream["units/quality"].attrs.update(attributes)
    assert opened(file, keep_units={"quality": "good"}).unit_ids == ("0",)


def test_spikes_without_a_time_are_named(tmp_path: Path):
    def unit(root):
        root.add_unit(spike_times=np.r_[SPIKES, np.nan])

    found, messages = heard(write(tmp_path / "a.nwb", unit))
    assert len(messages) == 1
    assert "unit 2: 1 of 203 spikes have no time" in messages[0]
    np.testing.assert_array_equal(found.responses[:, 2], found.responses[:, 0])


def test_a_clock_that_begins_again_is_refused_and_disorder_is_not(tmp_path: Path):
    def unit(times):
        return lambda root: root.add_unit(spike_times=times)

    again = write(tmp_path / "a.nwb", unit(np.r_[SPIKES, SPIKES + 0.01]))
    with pytest.raises(DataError, match=r"unit 2: time goes back from 9.999 .*sort: \[units\]"):
        opened(again)
    assert opened(again, sort=["units"]).responses[:, 2].sum() > 1.9 * len(SPIKES)
    for mixed in (SPIKES[::-1], np.random.default_rng(1).permutation(SPIKES)):
        found = opened(write(tmp_path / "b.nwb", unit(mixed)))
        np.testing.assert_array_equal(found.responses[:, 2], found.responses[:, 0])


def imaging(traces: np.ndarray, **columns: Any) -> Change:
    def change(root):
        device = root.create_device("scope")
        channel = pynwb.ophys.OpticalChannel("green", "GCaMP", 510.0)
        plane = root.create_imaging_plane(
            "plane", channel, "V1", device, 900.0, "GCaMP", "V1", imaging_rate=20.0
        )
        cells = pynwb.ophys.PlaneSegmentation("cells", plane, name="cells")
        for _ in range(traces.shape[1]):
            cells.add_roi(image_mask=np.ones((2, 2)))
        for name, values in columns.items():
            cells.add_column(name, name, data=values)
        region = cells.create_roi_table_region("all", region=list(range(traces.shape[1])))
        series = pynwb.ophys.RoiResponseSeries("dff", traces, "a.u.", region, rate=20.0)
        module = root.create_processing_module("ophys", "x")
        module.add(pynwb.ophys.ImageSegmentation(plane_segmentations=[cells]))
        module.add(pynwb.ophys.DfOverF(roi_response_series=[series]))

    return change


TRACES = np.random.default_rng(2).normal(size=(200, 4))


def test_rejected_regions_are_named_and_can_be_left_out(tmp_path: Path):
    columns = {"Accepted": [1, 0, 1, 1], "Rejected": [0, 1, 0, 0]}
    file = write(tmp_path / "a.nwb", imaging(TRACES, **columns), spikes=False)
    found, messages = heard(file)
    assert found.n_neurons == 4
    assert ["1 of 4 regions are no cells" in m for m in messages] == [True]
    found, messages = heard(file, keep_units={"Accepted": ["1"]})
    assert found.unit_ids == ("0", "2", "3")
    assert not messages
    with pytest.raises(DataError, match="no column 'Acepted'"):
        opened(file, keep_units={"Acepted": [1]})
    with pytest.raises(DataError, match="keep_units: .*speed has no table of regions"):
        opened(file, responses="speed", keep_units={"Accepted": [1]})


def test_regions_without_responses_are_named_and_left_out(tmp_path: Path):
    lost, half = TRACES.copy(), TRACES.copy()
    lost[:, 2] = np.nan
    half[100:, 2] = np.nan
    found, messages = heard(write(tmp_path / "a.nwb", imaging(lost), spikes=False))
    assert found.unit_ids == ("0", "1", "3")
    assert found.provenance["left_out_neurons"] == ["2"]
    assert ["neurons 2 have no response in any bin" in m for m in messages] == [True]
    file = write(tmp_path / "b.nwb", imaging(half), spikes=False)
    found, messages = heard(file)
    assert found.n_bins == pytest.approx(100, abs=2)
    assert ["2 (5" in m and "leave_out_neurons" in m for m in messages] == [True]
    found, messages = heard(file, leave_out_neurons=["2"])
    assert (found.n_neurons, messages) == (3, [])
    assert found.n_bins == pytest.approx(200, abs=2)
    with pytest.raises(DataError, match="no neuron '9'"):
        opened(file, leave_out_neurons=["9"])


def shown(order: np.ndarray, times: np.ndarray) -> Change:
    pictures = [
        pynwb.image.GrayscaleImage(name=f"p{k}", data=np.full((8, 10), 40 * k + 20, np.uint8))
        for k in range(5)
    ]

    def change(root):
        images = pynwb.base.Images(
            name="natural",
            images=pictures,
            order_of_images=pynwb.base.ImageReferences("order_of_images", pictures),
        )
        root.add_stimulus_template(images)
        root.add_stimulus(
            pynwb.image.IndexSeries(
                name="presented",
                data=order.astype(np.uint32),
                indexed_images=images,
                unit="N/A",
                timestamps=times,
            )
        )

    return change


def test_pictures_are_shown_until_the_next_and_are_shared(tmp_path: Path):
    order, times = np.array([4, 2, 0, 1, 3, 4, 2]), 1.0 + np.arange(7.0)
    found = opened(write(tmp_path / "a.nwb", shown(order, times)), video=None)
    assert len(found.frames) == 5
    centers = found.annotations[TIME]
    assert (centers[0], centers[-1]) == pytest.approx((1.025, 7.975))
    expected = 40 * order[np.floor(centers - 1.0).astype(int)] + 20
    np.testing.assert_array_equal(found.video()[:, 0, 0], expected)


def test_a_picture_that_is_not_there_is_refused(tmp_path: Path):
    file = write(tmp_path / "a.nwb", shown(np.array([0, 7]), np.array([1.0, 2.0])))
    with pytest.raises(DataError, match="shows pictures 0 to 7 but there are 5"):
        opened(file, video=None)


def test_a_template_is_no_video(tmp_path: Path):
    def template(root):
        root.add_stimulus_template(
            pynwb.image.ImageSeries(
                name="natural", data=np.zeros((5, 4, 4), np.uint8), unit="n.a.", rate=1.0
            )
        )

    file = write(tmp_path / "a.nwb", template)
    with pytest.raises(DataError, match="no image series"):
        opened(file, video=None)
    with pytest.raises(DataError, match="is a stimulus template"):
        opened(file, video="natural")


def gaze(unit: str, amount: float) -> Change:
    def change(root):
        angles = amount * np.stack([np.sin(np.arange(1000) / 30), np.cos(np.arange(1000) / 30)], 1)
        series = pynwb.behavior.SpatialSeries(
            name="gaze", data=angles, reference_frame="head", unit=unit, rate=100.0
        )
        root.processing["behavior"].add(pynwb.behavior.EyeTracking(spatial_series=series))

    return change


@pytest.mark.parametrize(
    ("unit", "amount"), [("radians", 0.2), ("rad", 0.2), ("degrees", np.rad2deg(0.2))]
)
def test_angles_are_converted_to_degrees(unit: str, amount: float, tmp_path: Path):
    file = write(tmp_path / "a.nwb", gaze(unit, amount))
    found = opened(file, behavior={"theta": "gaze[0]"})
    assert found.behavior_units == ("deg",)
    assert found.column("theta").max() == pytest.approx(11.459, abs=0.02)


def test_units_that_cannot_be_converted_are_named_and_can_be_stated(tmp_path: Path):
    file, chosen = write(tmp_path / "a.nwb", gaze("meters", 11.0)), {"theta": "gaze[0]"}
    found, messages = heard(file, behavior=chosen)
    assert found.behavior_units == ("meters",)
    assert ["'meters', which cannot be converted to 'deg'" in m for m in messages] == [True]
    found, messages = heard(file, behavior=chosen, units={"theta": "deg"})
    assert (found.behavior_units, messages) == (("deg",), [])
    with pytest.raises(DataError, match="units: no behavior column 'thta'"):
        opened(file, behavior=chosen, units={"thta": "deg"})


def test_series_of_one_name_are_told_apart_by_their_containers(tmp_path: Path):
    def two(root):
        make = pynwb.behavior.SpatialSeries
        for kind in (pynwb.behavior.Position, pynwb.behavior.CompassDirection):
            series = make(name="S", data=np.arange(1000.0), reference_frame="x", rate=100.0)
            root.processing["behavior"].add(kind(spatial_series=series))

    found = opened(write(tmp_path / "a.nwb", two))
    assert found.behavior_names == ("CompassDirection_S", "Position_S", "speed")


def test_files_in_folders_of_subjects_and_ids_of_any_text(tmp_path: Path):
    for subject in ("sub-1", "sub-2"):
        write(tmp_path / subject / f"{subject}_ses.nwb", session_id="../2021/07")
    found = open_recordings("nwb", tmp_path, video="none")
    assert [r.session_id for r in found] == ["sub-1_ses", "sub-2_ses"]
    (one,) = open_recordings("nwb", tmp_path / "sub-1", video="none")
    assert one.session_id == "2021_07"
    assert one.provenance["original_session_id"] == "../2021/07"


@pytest.mark.parametrize(
    "option",
    [
        *({"frames": "middle"}, {"frame_size": [2, 2]}, {"gray_range": [0, 1]}),
        *({"video_order": "width_height"}, {"response_kind": "fluorescence"}),
    ],
)
def test_an_option_that_nothing_reads_is_refused(option: dict[str, Any], tmp_path: Path):
    with pytest.raises(DataError, match=f"`{next(iter(option))}` does not apply"):
        opened(write(tmp_path / "a.nwb"), **option)


def compress(file: Path, code: int, content: bytes | None = None) -> None:
    with h5py.File(file, "a") as stream:
        group = stream["processing/behavior/speed"]
        attributes = dict(group["data"].attrs)
        del group["data"]
        if content is None:
            group.create_dataset("data", data=WHEEL, chunks=(1000,), compression=code)
        else:
            plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            plan.set_chunk((1000,))
            plan.set_filter(code, h5py.h5z.FLAG_OPTIONAL, (3,))
            space = h5py.h5s.create_simple((1000,))
            h5py.h5d.create(group.id, b"data", h5py.h5t.IEEE_F64LE, space, plan)
            group["data"].id.write_direct_chunk((0,), content)
        group["data"].attrs.update(attributes)


def test_a_compressed_series_is_read_or_names_filter_and_package(tmp_path: Path):
    pytest.importorskip("hdf5plugin")
    file = write(tmp_path / "a.nwb")
    compress(file, 32015)
    plain = opened(write(tmp_path / "b.nwb"))
    np.testing.assert_array_equal(opened(file).behavior, plain.behavior)
    for code, content, message in (
        (32015, b"x" * 100, "compressed by Zstandard.*32015.*cannot be decoded.*hdf5plugin"),
        (
            32099,
            b"x" * 100,
            "speed/data is compressed .*filter 32099.*--upgrade hdf5plugin",
        ),
    ):
        compress(file, code, content)
        with pytest.raises(DataError, match=message) as caught:
            opened(file)
        assert "is it complete" not in str(caught.value)


def test_a_series_that_pynwb_refuses_is_left_out(tmp_path: Path):
    file = write(tmp_path / "a.nwb", gaze("deg", 1.0))
    with h5py.File(file, "a") as stream:
        group = stream["processing/behavior/EyeTracking/gaze"]
        attributes = dict(group["starting_time"].attrs)
        del group["starting_time"], attributes
        group["timestamps"] = np.zeros((2, 1000))
        group["timestamps"].attrs.update({"interval": np.int32(1), "unit": "seconds"})
    found, messages = heard(file)
    assert found.behavior_names == ("speed",)
    assert len(messages) == 1
    assert "EyeTracking/gaze is left out" in messages[0]
    assert "(2, 1000)" in messages[0]
