"""NWB files on web servers: what is needed is transferred once, and bad servers do no harm."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np
import pytest

from freegaze.errors import DataError
from freegaze.recording.recording import Recording
from freegaze.recording.store import save_store
from freegaze.runs.config import SourceConfig
from freegaze.sources.fetching.connection import TransferConfig
from freegaze.sources.nwb.tiny import write_tiny_nwb
from freegaze.sources.remote import addresses
from freegaze.sources.remote.addresses import as_address, shown_address
from freegaze.sources.remote.blocks import BLOCK_BYTES, CACHE, local_place, open_blocks
from freegaze.sources.source import detect_source, open_recordings
from web_server import WebServer, web_server

pytest.importorskip("pynwb")

QUICK = TransferConfig(timeout_s=0.5, attempts=3, wait_s=0.001)
FRAMES_HZ = 60.0
FRAME = (60, 80)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def server() -> Iterator[WebServer]:
    with web_server() as state:
        yield state


@pytest.fixture
def blob(server: WebServer) -> bytes:
    content = np.random.default_rng(0).bytes(5 * BLOCK_BYTES + 1234)
    server.files["/a.bin"] = content
    return content


def write_long_nwb(file: Path, n_frames: int, window_s: tuple[float, float]) -> Path:
    """Write a session whose video is a hole outside of the window, but for a few frames."""
    import pynwb
    from hdmf.backends.hdf5.h5_utils import H5DataIO

    rng = np.random.default_rng(1)
    duration_s = n_frames / FRAMES_HZ
    root = pynwb.NWBFile(
        session_description="A mouse explores an arena",
        identifier="long",
        session_start_time=datetime(2021, 7, 9, 14, 0, tzinfo=UTC),
    )
    for _ in range(3):
        root.add_unit(spike_times=np.sort(rng.uniform(0, duration_s, int(5 * duration_s))))
    video = H5DataIO(shape=(n_frames, *FRAME), dtype=np.dtype("uint8"))
    root.add_acquisition(
        pynwb.image.ImageSeries(
            name="world_camera", data=video, unit="n.a.", rate=FRAMES_HZ, starting_time=0.0
        )
    )
    speed = pynwb.TimeSeries(
        name="speed",
        data=rng.gamma(2.0, 2.0, int(duration_s * 10)),
        unit="cm/s",
        rate=10.0,
        starting_time=0.0,
    )
    root.create_processing_module("behavior", "Processed behavior").add(speed)
    with pynwb.NWBHDF5IO(str(file), "w") as io:
        io.write(root)
    with h5py.File(file, "r+") as store:
        data = store["acquisition/world_camera/data"]
        for few in np.linspace(0, n_frames - 1, 100).astype(int):
            data[few] = rng.integers(0, 255, FRAME, np.uint8)
        first, stop = (int(edge * FRAMES_HZ) for edge in window_s)
        for start in range(first, stop, 1000):
            n = min(1000, stop - start)
            data[start : start + n] = rng.integers(0, 255, (n, *FRAME), np.uint8)
    return file


def same(a: Recording, b: Recording) -> None:
    np.testing.assert_array_equal(a.responses, b.responses)
    np.testing.assert_array_equal(a.behavior, b.behavior)
    np.testing.assert_array_equal(a.video(), b.video())
    assert (a.unit_ids, a.segments) == (b.unit_ids, b.segments)


def test_an_address_that_was_a_path_is_one_still():
    for address in ("https://example.org/a/b.nwb", "dandi://000363/sub-1/b.nwb"):
        assert as_address(address) == as_address(Path(address)) == address
    assert as_address("data/https/a.nwb") is None


SECRETS = ("annabel", "pass-word", "X-Amz-Signature", "5ec2e7")


@pytest.fixture
def signed(server: WebServer, tmp_path: Path) -> str:
    """An address with a signature in its query and a password before the host."""
    query = "?X-Amz-Signature=5ec2e7"
    server.files[f"/tiny.nwb{query}"] = write_tiny_nwb(tmp_path / "tiny.nwb", 0)
    return server.url(f"/tiny.nwb{query}")


def test_secrets_of_an_address_stay_in_its_private_folder(
    server: WebServer, signed: str, cache: Path, tmp_path: Path
):
    (found,) = open_recordings("nwb", signed)
    kept = [json.dumps(found.provenance, default=str)]
    kept.append(SourceConfig(name="nwb", path=Path(signed)).model_dump_json())
    save_store(found, tmp_path / "store")
    kept += [
        p.read_bytes().decode("latin1") for p in (tmp_path / "store").rglob("*") if p.is_file()
    ]
    server.faults[signed.removeprefix(server.base)] = ["status:403"] * 9
    with pytest.raises(DataError, match="its signature may have expired") as caught:
        open_recordings("nwb", signed)
    kept.append(str(caught.value))
    assert not [text for text in kept for secret in SECRETS if secret in text]
    assert server.url("/tiny.nwb") in kept[0]
    (folder,) = [place for place in cache.iterdir() if place.is_dir()]
    assert folder.stat().st_mode & 0o077 == 0


def test_user_names_and_passwords_are_not_shown():
    shown = shown_address("https://annabel:pass-word@example.org/a.nwb")
    assert shown.startswith("https://example.org/a.nwb#")
    assert not [secret for secret in SECRETS if secret in shown]
    plain = "https://example.org/a/b.nwb"
    assert shown_address(plain) == plain


def test_an_address_without_its_secrets_is_opened_again_on_the_machine_that_knows_them(
    signed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (found,) = open_recordings("nwb", signed)
    opened = found.provenance["opened"]
    (again,) = open_recordings(opened["name"], opened["path"])
    same(again, found)
    monkeypatch.setenv(CACHE, str(tmp_path / "another_machine"))
    with pytest.raises(DataError, match="give the whole address as the path"):
        open_recordings(opened["name"], opened["path"])


def test_bytes_are_those_of_the_file_however_they_are_read(server: WebServer, blob: bytes):
    place = local_place(server.url("/a.bin"), QUICK)
    rng = np.random.default_rng(2)
    with open_blocks(place, QUICK) as file:
        for start, n in zip(
            rng.integers(0, len(blob), 50).tolist(),
            rng.integers(0, 300_000, 50).tolist(),
            strict=True,
        ):
            file.seek(start)
            assert file.read(n) == blob[start : start + n]
        assert file.seek(0, 2) == len(blob)
        assert file.read(10) == b""
    assert server.n_sent == len(blob)


def test_what_is_here_is_not_transferred_again(server: WebServer, blob: bytes):
    place = local_place(server.url("/a.bin"), QUICK)
    with open_blocks(place, QUICK) as file:
        file.read()
    sent = server.n_sent
    again = local_place(server.url("/a.bin"), QUICK)
    with open_blocks(again, QUICK) as file:
        assert file.read() == blob
        assert file.n_transferred == 0
    assert server.n_sent == sent + BLOCK_BYTES  # the first block shows the version


def test_a_new_version_on_the_server_replaces_the_blocks(server: WebServer, blob: bytes):
    with open_blocks(local_place(server.url("/a.bin"), QUICK), QUICK) as file:
        file.seek(-10, 2)
        file.read()
        server.files["/a.bin"], server.etag = blob[::-1], '"v2"'
        file.seek(2 * BLOCK_BYTES)
        with pytest.raises(DataError, match="changed on the server since it was opened"):
            file.read(10)
    with open_blocks(local_place(server.url("/a.bin"), QUICK), QUICK) as file:
        assert file.read() == blob[::-1]


def test_a_damaged_block_is_transferred_again(server: WebServer, blob: bytes):
    place = local_place(server.url("/a.bin"), QUICK)
    with open_blocks(place, QUICK) as file:
        file.read()
    with place.open("r+b") as damaged:
        damaged.seek(3 * BLOCK_BYTES + 7)
        damaged.write(b"damage")
    with open_blocks(place, QUICK) as file:
        assert file.read() == blob
        assert file.n_transferred == BLOCK_BYTES


@pytest.mark.parametrize(
    "faults",
    [["cut:1000"] * 8, ["status:503"], ["long"], ["shift"], ["silent"], ["cut:0", "slow"]],
    ids=lambda faults: faults[0],
)
def test_bad_answers_are_asked_again(server: WebServer, blob: bytes, faults: list[str]):
    place = local_place(server.url("/a.bin"), QUICK)
    server.faults["/a.bin"] = list(faults)
    with open_blocks(place, QUICK) as file:
        file.seek(BLOCK_BYTES)
        assert file.read(5000) == blob[BLOCK_BYTES : BLOCK_BYTES + 5000]
    assert not server.faults["/a.bin"]


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        (["shift"] * 9, "given up after 3 attempts without progress: expected bytes from"),
        (["status:503"] * 9, "answered 503"),
        (["status:404"], "answered 404"),
        (["short"] * 9, "given up"),
    ],
    ids=lambda v: v[0] if isinstance(v, list) else "",
)
def test_servers_that_stay_bad_are_named(server: WebServer, blob: bytes, faults, message: str):
    place = local_place(server.url("/a.bin"), QUICK)
    server.faults["/a.bin"] = faults
    with open_blocks(place, QUICK) as file:
        file.seek(BLOCK_BYTES)
        with pytest.raises(DataError, match=message) as caught:
            file.read(5000)
    assert str(caught.value).startswith(server.url("/a.bin"))


def test_a_server_without_ranges_is_refused_with_the_remedy(server: WebServer, blob: bytes):
    server.ranges = False
    with pytest.raises(DataError, match="sends no parts of files; download the file"):
        local_place(server.url("/a.bin"), QUICK)


def test_five_minutes_of_a_session_transfer_a_fraction_of_it(
    server: WebServer, tmp_path: Path, cache: Path
):
    n_frames = 12_000  # 58 MB; 20 s of 200
    file = write_long_nwb(tmp_path / "long.nwb", n_frames, (50.0, 70.0))
    server.files["/long.nwb"] = file
    chosen = {"start_s": 50.0, "stop_s": 70.0, "bin_width_s": 0.05}
    (expected,) = open_recordings("nwb", file, **chosen)
    (found,) = open_recordings("auto", server.url("/long.nwb"), **chosen)
    same(found, expected)
    n_needed = int(20 * FRAMES_HZ) * FRAME[0] * FRAME[1]
    n_sampled = 8 * BLOCK_BYTES  # frames at which gray values are looked at
    n_other = 8 * BLOCK_BYTES + 3 * 200 * 5 * 8
    assert server.n_sent < n_needed + n_sampled + n_other + 2**21 < 0.3 * file.stat().st_size
    assert found.provenance["path"] == server.url("/long.nwb")
    sent = server.n_sent
    (again,) = open_recordings("nwb", Path(server.url("/long.nwb")), **chosen)
    same(again, expected)
    assert server.n_sent == sent + BLOCK_BYTES
    stored = [f for f in cache.rglob("*.nwb") if f.is_file()]
    assert [f.stat().st_size for f in stored] == [file.stat().st_size]


@pytest.mark.slow
def test_a_fit_on_five_minutes_of_two_gigabytes_transfers_less_than_15_percent(
    server: WebServer, tmp_path: Path
):
    from freegaze import fit

    n_frames = 2 * 10**9 // (FRAME[0] * FRAME[1]) + 1
    file = write_long_nwb(tmp_path / "long.nwb", n_frames, (3000.0, 3300.0))
    assert file.stat().st_size > 2 * 10**9
    server.files["/long.nwb"] = file
    server.faults["/long.nwb"] = ["", "cut:70000", "", "status:503", "slow", "shift"]
    chosen = {"start_s": 3000.0, "stop_s": 3300.0, "bin_width_s": 0.05, "frame_size": [15, 20]}
    recordings = open_recordings("nwb", server.url("/long.nwb"), **chosen)
    settings = {"training.max_passes": 1, "model.shifter": "none"}
    encoder = fit(recordings, tmp_path / "run", model="glm", settings=settings)
    assert encoder.sessions
    share = server.n_sent / file.stat().st_size
    print(f"transferred {server.n_sent / 1e6:.1f} MB, {100 * share:.2f} % of the file")
    assert share < 0.15


def serve_dandi(server: WebServer, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setattr(addresses, "DANDI_API", server.url("/api"))
    listing = f"/api/dandisets/000363/versions/draft/assets/?path={path.replace('/', '%2F')}"
    answer = {"results": [{"path": "sub-1/tiny.nwb", "asset_id": "abc", "size": 1}]}
    server.files[f"{listing}&page_size=100"] = json.dumps(answer).encode()
    server.faults["/api/assets/abc/download/"] = [f"redirect:{server.url('/tiny.nwb')}"] * 999


def test_a_file_of_dandi_is_found_and_followed(
    server: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file = write_tiny_nwb(tmp_path / "tiny.nwb", 0)
    server.files["/tiny.nwb"] = file
    serve_dandi(server, monkeypatch, "sub-1/tiny.nwb")
    address = "dandi://000363/sub-1/tiny.nwb"
    assert detect_source(address) == "nwb"
    (found,) = open_recordings("nwb", address)
    (expected,) = open_recordings("nwb", file)
    same(found, expected)
    assert found.provenance["opened"]["path"] == address


def test_addresses_that_lead_nowhere_say_why(
    server: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    serve_dandi(server, monkeypatch, "sub-1")
    with pytest.raises(DataError, match=r"no address of DANDI; expected dandi://DANDISET/PATH"):
        open_recordings("nwb", "dandi://mouse")
    with pytest.raises(DataError, match=r"has no file sub-1; it has sub-1/tiny\.nwb"):
        open_recordings("nwb", "dandi://000363/sub-1")
    with pytest.raises(DataError, match="answered 404"):
        open_recordings("nwb", server.url("/nothing.nwb"))
    server.files["/page.nwb"] = b"<html>" * 100
    with pytest.raises(DataError, match=r"page\.nwb") as caught:
        open_recordings("nwb", server.url("/page.nwb"))
    assert str(caught.value).startswith(server.url("/page.nwb"))
    with pytest.raises(DataError, match=r"reads files of this machine only.*nwb"):
        open_recordings("arrays", server.url("/page.nwb"))


def test_a_server_that_fails_while_a_file_is_read_is_named(
    server: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file = write_long_nwb(tmp_path / "long.nwb", 3000, (0.0, 50.0))
    server.files["/long.nwb"] = file
    address = server.url("/long.nwb")
    chosen = {"start_s": 0.0, "stop_s": 1.0}
    open_recordings("nwb", address, **chosen)
    server.faults["/long.nwb"] = ["", *["status:410"] * 99]
    with pytest.raises(DataError, match="answered 410") as caught:
        open_recordings("nwb", address, start_s=20.0, stop_s=40.0)
    assert str(caught.value).startswith(address)
