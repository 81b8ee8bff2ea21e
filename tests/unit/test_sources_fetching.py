"""Published data over a bad line, from a bad server, in bad archives."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import signal
import stat
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from freegaze.config import read_config
from freegaze.errors import ConfigError, DataError, RegistryError
from freegaze.files.checksums import FETCHED
from freegaze.files.claims import Claim
from freegaze.sources.fetching.connection import TransferConfig
from freegaze.sources.fetching.datasets import FetchConfig, fetch, find_dataset
from freegaze.sources.fetching.download import RemoteFile, download, fetch_json
from freegaze.sources.fetching.osf import list_osf
from freegaze.sources.fetching.unpacking import unpack_zip
from web_server import WebServer, web_server

QUICK = TransferConfig(timeout_s=0.5, attempts=3, wait_s=0.001)
BYTES = np.random.default_rng(0).bytes(300_000)
SHA256 = hashlib.sha256(BYTES).hexdigest()
MEMBERS = {"session/train_nsp_seg_0.npy": b"one", "session/test_nsp_seg_0.npy": b"two" * 1000}


@pytest.fixture
def server() -> Iterator[WebServer]:
    with web_server() as state:
        state.files["/data.bin"] = BYTES
        yield state


def make_zip(members: dict[str, bytes], **attributes: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            for key, value in attributes.items():
                setattr(info, key, value)
            archive.writestr(info, content)
    return buffer.getvalue()


def get(server: WebServer, folder: Path, **known: Any) -> str:
    file = RemoteFile(name="data.bin", url=server.url("/data.bin"), **known)
    return download(file, folder / "data.bin", QUICK)


def config(server: WebServer, names: list[str], **changes: Any) -> FetchConfig:
    files = [{"name": name, "url": server.url(f"/{name}")} for name in names]
    quick = {"timeout_s": 0.5, "attempts": 3, "wait_s": 0.001}
    return FetchConfig.model_validate({"files": files, **quick, **changes})


def tree(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(p.relative_to(folder)): p.read_bytes() for p in found}


def test_a_file_comes_whole_with_its_checksum(server: WebServer, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    file = RemoteFile(name="data.bin", url=server.url("/data.bin"), size=len(BYTES), sha256=SHA256)
    digest = download(file, tmp_path / "data.bin", QUICK, lambda *words: told.append(words))
    assert digest == SHA256
    assert tree(tmp_path) == {"data.bin": BYTES}
    assert told
    assert server.asked == [("/data.bin", None)]


def test_a_cut_connection_is_gone_on_with(server: WebServer, tmp_path: Path) -> None:
    server.faults["/data.bin"] = ["cut:1000", "cut:2000", "cut:0", "cut:0", "cut:5000"]
    assert get(server, tmp_path) == SHA256
    ranges = [span for _, span in server.asked]
    assert ranges == [None, *(f"bytes={n}-" for n in (1000, 3000, 3000, 3000, 8000))]
    assert tree(tmp_path) == {"data.bin": BYTES}


def test_a_later_call_goes_on_with_what_an_earlier_one_left(
    server: WebServer, tmp_path: Path
) -> None:
    server.faults["/data.bin"] = ["cut:1000", "status:503", "status:503", "status:503"]
    with pytest.raises(DataError, match=r"503.*1,000 bytes are kept"):
        get(server, tmp_path)
    assert not (tmp_path / "data.bin").exists()
    server.asked.clear()
    assert get(server, tmp_path) == SHA256
    assert server.asked == [("/data.bin", "bytes=1000-")]


@pytest.mark.parametrize("how", ["no ranges", "new version", "no version", "weak version"])
def test_what_cannot_be_gone_on_with_is_begun_anew(
    server: WebServer, tmp_path: Path, how: str
) -> None:
    """The first part is of other bytes: whoever joins the two gets neither version."""
    if how in ("no version", "weak version"):
        server.etag = None if how == "no version" else 'W/"v1"'
    server.files["/data.bin"] = bytes(len(BYTES))
    server.faults["/data.bin"] = ["cut:1000", *["status:500"] * 3]
    with pytest.raises(DataError, match="500"):
        get(server, tmp_path)
    server.files["/data.bin"] = BYTES
    server.ranges = how != "no ranges"
    server.etag = '"v2"' if how == "new version" else server.etag
    assert get(server, tmp_path) == SHA256
    assert tree(tmp_path) == {"data.bin": BYTES}


def test_a_server_that_cuts_at_the_same_place_is_given_up(
    server: WebServer, tmp_path: Path
) -> None:
    server.ranges = False
    server.faults["/data.bin"] = ["cut:1000"] * 50
    with pytest.raises(DataError, match=r"given up after 3 attempts.*1,000 of 300,000"):
        get(server, tmp_path)
    assert len(server.asked) <= 4


@pytest.mark.parametrize(("fault", "words"), [("long", "cut after"), ("short", "publisher lists")])
def test_a_wrong_length_is_not_believed(
    server: WebServer, tmp_path: Path, fault: str, words: str
) -> None:
    server.ranges = False
    server.faults["/data.bin"] = [fault] * 10
    size = None if fault == "long" else len(BYTES)
    with pytest.raises(DataError, match=words):
        get(server, tmp_path, size=size)
    assert not (tmp_path / "data.bin").exists()


def test_a_wrong_checksum_throws_the_file_away(server: WebServer, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"expected sha256 {'0' * 64}"):
        get(server, tmp_path, sha256="0" * 64)
    assert tree(tmp_path) == {}


def test_a_silent_server_is_given_up(server: WebServer, tmp_path: Path) -> None:
    server.faults["/data.bin"] = ["silent"] * 3
    start = time.monotonic()
    with pytest.raises(DataError, match="timed out"):
        get(server, tmp_path)
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refusal_is_not_tried_again(server: WebServer, tmp_path: Path, status: int) -> None:
    server.faults["/data.bin"] = [f"status:{status}"]
    with pytest.raises(DataError, match=f"answered {status}"):
        get(server, tmp_path)
    assert len(server.asked) == 1


def test_redirections_are_followed_on_the_web_only(server: WebServer, tmp_path: Path) -> None:
    server.faults["/data.bin"] = [f"redirect:{server.url('/other.bin')}"]
    server.files["/other.bin"] = b"elsewhere"
    get(server, tmp_path)
    assert (tmp_path / "data.bin").read_bytes() == b"elsewhere"
    (tmp_path / "secret").write_text("mine")
    for place in (f"file://{tmp_path}/secret", "ftp://127.0.0.1/data"):
        server.faults["/data.bin"] = [f"redirect:{place}"] * 5
        (tmp_path / "data.bin").unlink(missing_ok=True)
        with pytest.raises(DataError):
            get(server, tmp_path)
        assert not (tmp_path / "data.bin").exists()


def test_an_address_that_is_none_is_named(tmp_path: Path) -> None:
    for url in ("not an address", f"file://{tmp_path}/x", "http://127.0.0.1:9/x"):
        with pytest.raises(DataError, match=url.split("/")[0]):
            download(RemoteFile(name="x", url=url), tmp_path / "x", QUICK)


def test_a_file_without_end_is_not_taken(server: WebServer, tmp_path: Path) -> None:
    small = TransferConfig(timeout_s=0.5, attempts=2, wait_s=0.001, max_gb=1e-4)
    with pytest.raises(DataError, match="max_gb"):
        download(RemoteFile(name="x", url=server.url("/data.bin")), tmp_path / "x", small)
    assert not (tmp_path / "x").exists()


def test_a_whole_part_needs_no_more_bytes(server: WebServer, tmp_path: Path) -> None:
    (tmp_path / ".data.bin.part").write_bytes(BYTES)
    (tmp_path / ".data.bin.part.version").write_text('"v1"')
    assert get(server, tmp_path) == SHA256
    assert server.asked == [("/data.bin", f"bytes={len(BYTES)}-")]
    (tmp_path / "data.bin").unlink()
    (tmp_path / ".data.bin.part").write_bytes(BYTES + b"too much")
    (tmp_path / ".data.bin.part.version").write_text('"v1"')
    assert get(server, tmp_path) == SHA256


def test_a_full_disk_keeps_what_has_arrived(
    server: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    class FullFile(io.FileIO):
        def write(self, data: Any) -> int:
            raise full

    with monkeypatch.context() as patch:
        patch.setattr(
            "freegaze.sources.fetching.download._Part.open_new",
            lambda self, version: FullFile(self.path, "w"),
        )
        with pytest.raises(DataError, match="No space left"):
            get(server, tmp_path)
    assert get(server, tmp_path) == SHA256


def test_listings_are_read_to_the_last_page(server: WebServer) -> None:
    hashes = {"hashes": {"sha256": SHA256, "md5": "0" * 32}}
    server.serve_listing(
        {"a.zip": {"size": 5, "extra": hashes}, "b.zip": {"size": None, "extra": {}}, "c": {}}
    )
    found = list_osf(server.url("/v2"), "node", QUICK)
    assert [(f.name, f.size, f.sha256) for f in found] == [
        ("a.zip", 5, SHA256),
        ("b.zip", None, None),
        ("c", None, None),
    ]
    assert found[1].url == server.url("/b.zip")


def test_folders_of_a_listing_are_entered(server: WebServer) -> None:
    inner = {"data": [{"attributes": {"kind": "file", "name": "x"}, "links": {"download": "u"}}]}
    server.files["/inner"] = json.dumps({**inner, "links": {"next": None}}).encode()
    related = {"files": {"links": {"related": {"href": server.url("/inner")}}}}
    folder = {"attributes": {"kind": "folder", "name": "f"}, "relationships": related}
    page = {"data": [folder], "links": {}}
    server.files["/v2/nodes/node/files/osfstorage/"] = json.dumps(page).encode()
    assert [file.name for file in list_osf(server.url("/v2"), "node", QUICK)] == ["x"]


@pytest.mark.parametrize(
    "text",
    [b"", b"<html>", b"[]", b"{}", b'{"data": 3}', b'{"data": [{"attributes": {}}]}', b"[" * 10**5],
)
def test_what_is_no_listing_is_named(server: WebServer, text: bytes) -> None:
    server.files["/v2/nodes/node/files/osfstorage/"] = text
    with pytest.raises(DataError, match="osfstorage"):
        list_osf(server.url("/v2"), "node", QUICK)


def test_a_listing_without_end_and_one_cut_off_are_given_up(server: WebServer) -> None:
    path = "/v2/nodes/node/files/osfstorage/"
    server.files[path] = json.dumps({"data": [], "links": {"next": server.url(path)}}).encode()
    with pytest.raises(DataError, match="pages"):
        list_osf(server.url("/v2"), "node", QUICK)
    server.faults[path] = ["cut:5"] * 3
    with pytest.raises(DataError, match="cut after 5"):
        fetch_json(server.url(path), QUICK)


def test_fetching_twice_downloads_once(server: WebServer, tmp_path: Path) -> None:
    server.files["/data.zip"] = make_zip(MEMBERS)
    wanted = config(server, ["data.zip", "data.bin"])
    first = fetch(wanted, tmp_path / "out")
    assert [f.what for f in first] == ["downloaded", "downloaded"]
    assert first[0].folder == tmp_path / "out" / "data"
    assert tree(tmp_path / "out" / "data") == MEMBERS
    before, n_asked = tree(tmp_path), len(server.asked)
    assert [f.what for f in fetch(wanted, tmp_path / "out")] == ["verified", "verified"]
    assert (tree(tmp_path), len(server.asked)) == (before, n_asked)
    records = json.loads((tmp_path / "out" / FETCHED).read_text())
    assert records["data.bin"] == {
        "size": len(BYTES),
        "sha256": SHA256,
        "url": server.url("/data.bin"),
    }


def test_checksums_of_the_first_download_hold(server: WebServer, tmp_path: Path) -> None:
    wanted = config(server, ["data.bin"])
    fetch(wanted, tmp_path)
    path = tmp_path / "data.bin"
    path.write_bytes(BYTES[:-1] + b"?")
    with pytest.raises(DataError, match=rf"expected sha256 {SHA256}"):
        fetch(wanted, tmp_path)
    path.unlink()
    server.files["/data.bin"] = b"something else"
    with pytest.raises(DataError, match=rf"expected sha256 {SHA256}"):
        fetch(wanted, tmp_path)
    assert not path.exists()
    server.files["/data.bin"] = BYTES
    assert fetch(wanted, tmp_path)[0].what == "downloaded"


def test_an_archive_is_unpacked_where_its_folder_is_gone(server: WebServer, tmp_path: Path) -> None:
    server.files["/data.zip"] = make_zip(MEMBERS)
    wanted = config(server, ["data.zip"])
    (found,) = fetch(wanted, tmp_path)
    assert found.folder is not None
    for path in sorted(found.folder.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    found.folder.rmdir()
    (tmp_path / ".data.partial-0123").mkdir()  # left by a process that was killed
    assert fetch(wanted, tmp_path)[0].what == "unpacked"
    assert not (tmp_path / ".data.partial-0123").exists()
    kept = config(server, ["data.zip"], unpack=False)
    assert fetch(kept, tmp_path / "packed")[0].folder is None


def test_only_what_is_wanted_is_fetched(server: WebServer, tmp_path: Path) -> None:
    wanted = config(server, ["data.bin", "gone.bin"], only=["data.*"])
    assert [f.path.name for f in fetch(wanted, tmp_path)] == ["data.bin"]
    with pytest.raises(DataError, match=r"no file matches x; there are data.bin, gone.bin"):
        fetch(config(server, ["data.bin", "gone.bin"], only=["x"]), tmp_path)


@pytest.mark.parametrize("name", ["../x", "/x", ".hidden", "a/b", "a\\b", "", "x\n", FETCHED])
def test_a_publisher_cannot_choose_where_files_go(
    server: WebServer, tmp_path: Path, name: str
) -> None:
    server.serve_listing({name: {"size": 1, "extra": {}}})
    wanted = FetchConfig(api=server.url("/v2"), node="node", attempts=1)
    with pytest.raises(DataError, match="may not be called"):
        fetch(wanted, tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_two_processes_do_not_fetch_into_one_folder(server: WebServer, tmp_path: Path) -> None:
    claim = Claim(tmp_path / ".fetch.claim")
    assert claim.acquire()
    with pytest.raises(DataError, match="another process"):
        fetch(config(server, ["data.bin"]), tmp_path)
    claim.release()


def test_too_little_room_is_seen_before_the_download(server: WebServer, tmp_path: Path) -> None:
    file = {"name": "data.bin", "url": server.url("/data.bin"), "size": 10**18}
    with pytest.raises(DataError, match="free"):
        fetch(FetchConfig.model_validate({"files": [file]}), tmp_path)
    assert server.asked == []


def test_a_damaged_record_and_a_file_in_the_way_are_named(
    server: WebServer, tmp_path: Path
) -> None:
    (tmp_path / FETCHED).write_text("{")
    with pytest.raises(DataError, match=FETCHED):
        fetch(config(server, ["data.bin"]), tmp_path)
    (tmp_path / "out").write_text("in the way")
    with pytest.raises(DataError, match="out"):
        fetch(config(server, ["data.bin"]), tmp_path / "out")


def test_settings_are_checked() -> None:
    assert find_dataset("xu2023").node == "msp3a"
    with pytest.raises(RegistryError, match="xu2023"):
        find_dataset("xu2024")
    with pytest.raises(ValueError, match="64 hexadecimal"):
        FetchConfig.model_validate({"files": [{"name": "a", "url": "b", "sha256": "abc"}]})


def break_content(archive: bytes) -> bytes:
    """Give the first member another checksum than it has."""
    place = archive.index(b"PK\x01\x02") + 16
    return archive[:place] + bytes([archive[place] ^ 1]) + archive[place + 1 :]


LINK = (stat.S_IFLNK | 0o777) << 16
DEVICE = (stat.S_IFCHR | 0o666) << 16
HOSTILE = {
    "up": (make_zip({"../outside": b"x"}), "leads out"),
    "deep up": (make_zip({"a/../../outside": b"x"}), "leads out"),
    "absolute": (make_zip({"/outside": b"x"}), "leads out"),
    "drive": (make_zip({"C:/outside": b"x"}), "leads out"),
    "backslash": (make_zip({"a\\b": b"x"}), "no proper name"),
    "backslash up": (make_zip({"..\\outside": b"x"}), "no proper name"),
    "link": (make_zip({"link": b"/etc/passwd"}, external_attr=LINK), "link"),
    "device": (make_zip({"device": b""}, external_attr=DEVICE), "device"),
    "bomb": (make_zip({"zeros": bytes(3_000_000)}), "would unpack to"),
    "case": (make_zip({"a.npy": b"x", "A.npy": b"y"}), "twice"),
    "file as folder": (make_zip({"a": b"x", "a/b": b"y"}), "archive"),
    "no archive": (b"hello", "download it again"),
    "empty": (b"", "download it again"),
    "cut": (make_zip(MEMBERS)[:-30], "download it again"),
    "broken": (break_content(make_zip(MEMBERS)), "download it again"),
}


@pytest.mark.parametrize("name", list(HOSTILE))
def test_hostile_archives_unpack_to_nothing(tmp_path: Path, name: str) -> None:
    content, words = HOSTILE[name]
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "archive.zip").write_bytes(content)
    before = tree(tmp_path)
    with pytest.raises(DataError, match=words):
        unpack_zip(inside / "archive.zip", inside / "folder", max_bytes=1_000_000)
    assert tree(tmp_path) == before
    assert not (inside / "folder").exists()


def test_an_encrypted_archive_and_one_of_many_files_are_refused(tmp_path: Path) -> None:
    content = bytearray(make_zip({"a": b"x"}))
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(DataError, match="encrypted"):
        unpack_zip(tmp_path / "a.zip", tmp_path / "a", 1000)
    (tmp_path / "b.zip").write_bytes(make_zip({str(n): b"" for n in range(5)}))
    with pytest.raises(DataError, match="5 files"):
        unpack_zip(tmp_path / "b.zip", tmp_path / "b", 1000, max_files=4)


def test_a_header_that_lies_about_size_is_seen(tmp_path: Path) -> None:
    """Both headers say 10 bytes; the stream holds three million."""
    content = bytearray(make_zip({"zeros": bytes(3_000_000)}))
    for place in (22, content.index(b"PK\x01\x02") + 24):
        content[place : place + 4] = (10).to_bytes(4, "little")
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(DataError):
        unpack_zip(tmp_path / "a.zip", tmp_path / "a", 1_000_000)
    assert not (tmp_path / "a").exists()


def test_random_damage_ends_in_one_line_or_in_the_archive_itself(tmp_path: Path) -> None:
    whole, rng = make_zip(MEMBERS), np.random.default_rng(0)
    for k in range(150):
        content = bytearray(whole)
        for place in rng.integers(0, len(content), rng.integers(1, 6)):
            content[place] = rng.integers(0, 256)
        (tmp_path / "a.zip").write_bytes(content)
        target = tmp_path / "deep" / f"{k}"
        target.parent.mkdir(exist_ok=True)
        try:
            unpack_zip(tmp_path / "a.zip", target, 1_000_000)
        except DataError:
            assert not target.exists()
        assert {p.name for p in tmp_path.iterdir()} == {"a.zip", "deep"}


def test_a_killed_download_is_gone_on_with(server: WebServer, tmp_path: Path) -> None:
    settings = tmp_path / "fetch.yaml"
    url = server.url("/data.bin")
    settings.write_text(f"files:\n- name: data.bin\n  url: {url}\n")
    program = [sys.executable, "-c", "from freegaze.cli.app import run; run()"]
    command = [*program, "fetch", "xu2023", "--config", settings, "--out", tmp_path / "out"]
    server.faults["/data.bin"] = ["slow"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    part = tmp_path / "out" / ".data.bin.part"
    while not part.is_file() or part.stat().st_size == 0:
        assert process.poll() is None, "ended before it was killed"
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "out" / "data.bin").exists()
    size = part.stat().st_size
    done = subprocess.run([*command, "--quiet"], capture_output=True, text=True, check=True)
    assert "downloaded" in done.stdout
    assert (tmp_path / "out" / "data.bin").read_bytes() == BYTES
    assert server.asked[-1] == ("/data.bin", f"bytes={size}-")


def test_a_wrong_configuration_is_named(tmp_path: Path) -> None:
    (tmp_path / "fetch.yaml").write_text("nodes: x\n")
    with pytest.raises(ConfigError, match="line 1: unknown key 'nodes'"):
        read_config(FetchConfig, tmp_path / "fetch.yaml")
