"""The explorer's server: what it answers, to whom, and what it never answers."""

from __future__ import annotations

import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from builders import make_recording
from freegaze.errors import CheckpointError, DataError
from freegaze.evaluation.timeline import ROLES, load_timelines
from freegaze.explanation.result import load_explanation
from freegaze.recording.store import save_store
from freegaze.sources.arrays.layout import write_arrays
from freegaze.view.access import Access
from freegaze.view.opening import Explorer
from freegaze.view.server import make_app
from view_runs import make_viewed_run

PORT = 8123
HOST = f"http://127.0.0.1:{PORT}"
KINDS = {"uint8": np.uint8, "float32": np.float32}
PATHS = (
    *("/", "/page/main.js", "/page/page.css", "/api/sessions", "/api/session"),
    *("/api/frames?start=0&n=1&step=1", "/api/quality", "/enter", "/nothing"),
)


@pytest.fixture(scope="module")
def viewed(tmp_path_factory):
    return make_viewed_run(tmp_path_factory.mktemp("viewed"))


@pytest.fixture(scope="module")
def explorer(viewed, tmp_path_factory):
    with Explorer(viewed[0], tmp_path_factory.mktemp("scratch")) as opened:
        yield opened


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    return tmp_path / "open.html"


@pytest.fixture
def client(explorer, token_file: Path) -> TestClient:
    return TestClient(Access(make_app(explorer), PORT, token_file), base_url=HOST)


def token_in(file: Path) -> str:
    return file.read_text().partition('name="token" value="')[2].partition('"')[0]


def enter(client: TestClient, file: Path, **headers: str):
    return client.post("/enter", data={"token": token_in(file)}, headers=headers)


@pytest.fixture
def inside(client: TestClient, token_file: Path) -> TestClient:
    assert enter(client, token_file, Origin="null").status_code == 200
    return client


def array(client: TestClient, path: str, kind: str, **values) -> np.ndarray:
    answer = client.get(f"/api/{path}", params=values)
    assert answer.status_code == 200, answer.text
    shape = [int(n) for n in answer.headers["x-shape"].split(",")]
    return np.frombuffer(answer.content, KINDS[kind]).reshape(shape)


def test_only_the_user_can_read_the_token(client, token_file: Path):
    assert stat.S_IMODE(token_file.stat().st_mode) == 0o600
    assert len(token_in(token_file)) > 40
    assert token_in(token_file) not in str(token_file)


@pytest.mark.parametrize("path", PATHS)
def test_without_the_cookie_one_gets_nothing(client, path: str):
    for cookie in ({}, {"Cookie": f"freegaze_{PORT}=guess"}):
        answer = client.get(path, headers=cookie)
        assert (answer.status_code, len(answer.content) < 100) == (403, True)
        assert "set-cookie" not in answer.headers


def test_the_token_is_exchanged_once(client, token_file: Path):
    page = token_file.read_text()
    assert client.post("/enter", data={"token": "wrong"}).status_code == 403
    assert client.post("/enter", content=b"token=" + b"x" * 5000).status_code == 403
    answer = enter(client, token_file, Origin="null")
    assert answer.status_code == 200
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert not token_file.exists()
    assert client.get("/").status_code == 200
    token_file.write_text(page)
    assert enter(client, token_file).status_code == 403


@pytest.mark.parametrize(
    "host", [f"localhost:{PORT}", "127.0.0.1", "127.0.0.1:80", f"evil.example:{PORT}", ""]
)
def test_another_host_gets_nothing(inside, token_file, host: str):
    for path in PATHS:
        assert inside.get(path, headers={"Host": host}).status_code == 403
    assert inside.post("/enter", headers={"Host": host}).status_code == 403


@pytest.mark.parametrize("origin", ["http://evil.example", "null", f"http://localhost:{PORT}"])
def test_another_origin_gets_nothing(inside, origin: str):
    for path in PATHS:
        assert inside.get(path, headers={"Origin": origin}).status_code == 403
    assert inside.get("/", headers={"Origin": HOST}).status_code == 200


def test_another_origin_cannot_use_the_token(client, token_file: Path):
    assert enter(client, token_file, Origin="http://evil.example").status_code == 403
    assert enter(client, token_file, Origin="null").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        *("/page/../server.py", "/page/%2e%2e/server.py", "/page/..%2fserver.py"),
        *("/page/..%2f..%2f..%2f..%2fetc%2fpasswd", "/../../etc/passwd", "//etc/passwd"),
        *("/page/", "/page/main.js/..", "/page/main.js%00", "/config.yaml", "/page/server.py"),
    ],
)
def test_no_other_file_is_ever_sent(inside, path: str):
    answer = inside.get(path)
    assert answer.status_code == 404
    assert b"import" not in answer.content


def test_every_answer_forbids_other_addresses(inside):
    for path in ("/", "/page/main.js", "/api/session", "/nothing"):
        headers = inside.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in headers
    assert inside.post("/api/session").status_code == 405


def test_websockets_are_refused(inside):
    with pytest.raises(WebSocketDisconnect), inside.websocket_connect("/"):
        pass


def test_the_page_names_no_outside_address():
    folder = Path(sys.modules[make_app.__module__].__file__).parent / "page"
    for file in folder.iterdir():
        text = file.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "http:" not in text
        assert "https:" not in text


def test_a_session_is_described(inside, viewed):
    run, recording = viewed
    assert inside.get("/api/sessions").json() == {"title": "run", "sessions": ["mouse"]}
    session = inside.get("/api/session").json()
    assert session["units"] == list(recording.unit_ids)
    assert session["bins"] == recording.n_bins
    assert [c["name"] for c in session["behavior"]] == ["speed", "theta", "phi"]
    assert session["behavior"][1]["unit"] == "deg"
    assert session["isShifted"]
    assert session["methods"] == ["gradient", "linear"]
    names = [score["name"] for score in session["scores"]]
    assert names[-1] == "mean_response"
    assert {"correlation", "bits_per_spike", "mse"} <= set(names)
    by_name = {score["name"]: score for score in session["scores"]}
    assert by_name["mse"]["isAscending"]
    np.testing.assert_allclose(by_name["mean_response"]["values"], recording.rates_hz(), rtol=1e-4)
    roles = [role for start, stop, role in session["roles"] for _ in range(start, stop)]
    assert len(roles) == recording.n_bins
    assert set(roles) <= set(ROLES)
    assert len(load_timelines(run)) == 1


def test_bins_come_as_recorded(inside, viewed, explorer):
    _, recording = viewed
    video = array(inside, "frames", "uint8", start=5, n=7, step=3)
    np.testing.assert_array_equal(video, recording.video(np.arange(5, 26, 3)))
    values = array(inside, "values", "float32", start=5, n=4, step=1)
    np.testing.assert_array_equal(values[:, :3], recording.behavior[5:9])
    displacement = np.load(explorer.sessions[0].timeline.displacement)
    np.testing.assert_array_equal(values[:, 3:], displacement[5:9])
    assert np.abs(displacement).max() > 0.5
    assert len(array(inside, "frames", "uint8", start=recording.n_bins - 2, n=9, step=1)) == 2


def test_traces_are_recorded_and_predicted_responses(inside, viewed):
    run, recording = viewed
    traces = array(inside, "traces", "float32", neuron=2, start=50, stop=90, points=400)
    assert traces.shape == (2, 3, 40)
    hz = recording.responses[50:90, 2] / recording.bin_width_s
    np.testing.assert_allclose(traces[0], np.broadcast_to(hz, (3, 40)), rtol=1e-6)
    rates = np.load(load_timelines(run)[0].rates)
    np.testing.assert_allclose(traces[1, 1], rates[50:90, 2] / recording.bin_width_s, rtol=1e-6)


def test_coarse_traces_keep_every_extreme(inside, viewed):
    _, recording = viewed
    signal = array(inside, "behavior", "float32", start=0, stop=1920, points=30)
    assert signal.shape == (3, 3, 30)
    parts = recording.behavior[:1920].reshape(30, 64, 3)
    np.testing.assert_allclose(signal[0].T, np.nanmin(parts, 1), rtol=1e-6)
    np.testing.assert_allclose(signal[2].T, np.nanmax(parts, 1), rtol=1e-6)
    np.testing.assert_allclose(signal[1].T, np.nanmean(parts, 1), rtol=1e-4, atol=1e-5)


def test_raster_has_a_row_per_neuron(inside, viewed):
    _, recording = viewed
    for predicted in (0, 1):
        options = {"start": 0, "stop": 2400, "points": 60, "predicted": predicted}
        raster = array(inside, "raster", "uint8", **options)
        assert raster.shape == (6, 60)
        assert raster.max() > 150
    whole = array(inside, "raster", "uint8", start=100, stop=120, points=50)
    responses = recording.responses[100:120].T
    assert ((whole == 0) == (responses <= responses.min())).mean() > 0.9


@pytest.mark.parametrize(
    "question",
    [
        *(
            "frames?start=2400&n=1&step=1",
            "frames?start=0&n=0&step=1",
            "frames?start=-1&n=1&step=1",
        ),
        *("frames", "values?start=0&n=99999&step=1", "values?start=0&n=1&step=0"),
        *("behavior?start=5&stop=5&points=9", "behavior?start=0&stop=2401&points=9"),
        *("behavior?start=0&stop=9&points=0", "raster?start=0&stop=9&points=1e9"),
        *("traces?neuron=6&start=0&stop=9&points=9", "traces?neuron=x&start=0&stop=9&points=9"),
        *("field?neuron=0&method=magic", "field?neuron=0&method=../../x", "session?session=1"),
        *("moments?neuron=99", "session?session=" + "9" * 30, "session?session=²"),
    ],
)
def test_impossible_questions_are_refused(inside, question: str):
    assert inside.get(f"/api/{question}").status_code in (400, 404)


def test_fields_are_the_strongest_picture_of_each_neuron(inside, viewed):
    run, _ = viewed
    explanation = load_explanation(run, "mouse")
    for neuron in (0, 3):
        answer = inside.get("/api/field", params={"neuron": neuron, "method": "linear"})
        field = explanation.fields["linear"][neuron]
        peak = field[(field**2).sum((1, 2)).argmax()]
        np.testing.assert_array_equal(np.frombuffer(answer.content, np.float32), peak.ravel())
        rows = explanation.receptive_fields
        row = rows[(rows["unit_id"] == explanation.unit_ids[neuron]) & (rows["method"] == "linear")]
        outline = [float(value) for value in answer.headers["x-outline"].split(",")]
        assert outline[0] == pytest.approx(row["center_x_px"].item(), rel=1e-3)
        assert outline[4] == pytest.approx(row["orientation_deg"].item(), rel=1e-3)


def test_moments_lie_in_test_bins(inside, explorer):
    roles = explorer.sessions[0].roles
    found = inside.get("/api/moments", params={"neuron": 1}).json()
    assert len(found["best"]) == len(found["worst"]) == 8
    for moment in (*found["best"], *found["worst"]):
        assert (roles[moment["start"] : moment["stop"]] == ROLES.index("test")).all()
    gains = [moment["gain"] for moment in found["best"]]
    assert gains == sorted(gains, reverse=True)
    assert found["worst"][0]["gain"] < gains[0]


def test_quality_arrives_with_flags(inside, viewed):
    for _ in range(300):
        found = inside.get("/api/quality").json()
        if found:
            break
        time.sleep(0.1)
    assert {check["title"] for check in found["checks"]} >= {"Video freezes", "Missing values"}
    names = found["flags"]
    flags = array(inside, "flags", "uint8", start=380, stop=440, points=60)
    assert flags.shape == (len(names), 60)
    np.testing.assert_array_equal(
        np.flatnonzero(flags[names.index("frozen video")]) + 380, np.arange(401, 420)
    )
    coarse = array(inside, "flags", "uint8", start=0, stop=2400, points=10)
    is_lost = np.isnan(viewed[1].behavior[:, 1:]).any(1).reshape(10, 240).any(1)
    np.testing.assert_array_equal(coarse[names.index("lost: eye")], is_lost)


def test_a_recording_without_a_run_is_copied_and_shown(tmp_path: Path):
    recording = make_recording(session_id="plain", n_bins=200)
    write_arrays(recording, tmp_path / "plain.npz")
    (tmp_path / "scratch").mkdir()
    with Explorer(tmp_path / "plain.npz", tmp_path / "scratch") as opened:
        client = TestClient(make_app(opened))
        session = client.get("/api/session").json()
        assert (session["model"], session["methods"]) == (None, [])
        assert {role for *_, role in session["roles"]} == {"train", "validation", "test"}
        traces = array(client, "traces", "float32", neuron=0, start=0, stop=200, points=200)
        assert traces.shape == (1, 3, 200)
        video = array(client, "frames", "uint8", start=0, n=20, step=1)
        np.testing.assert_array_equal(video, recording.video(np.arange(20)))
        assert client.get("/api/moments?neuron=0").json() == {"best": [], "worst": []}


def test_what_cannot_be_opened_says_why(tmp_path: Path, viewed):
    scratch = tmp_path / "scratch"
    with pytest.raises(DataError, match="does not exist"):
        Explorer(tmp_path / "nothing", scratch)
    run, recording = viewed
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "config.yaml").write_text((run / "config.yaml").read_text())
    with pytest.raises(CheckpointError, match="freegaze evaluate"):
        Explorer(bare, scratch)
    save_store(recording.select_neurons([0, 1]), tmp_path / "other")
    timeline = load_timelines(run)[0]
    from freegaze.view.session import ViewedSession

    with pytest.raises(DataError, match="lacks neuron 'unit_2'"):
        ViewedSession(tmp_path / "other", scratch, run, timeline)


PROGRAM = """
import sys
from pathlib import Path
import freegaze.cli.app
from freegaze.view.opening import Explorer
from freegaze.view.server import make_app
from starlette.testclient import TestClient
if __name__ == "__main__":
    with Explorer(Path(sys.argv[1]), Path(sys.argv[2])) as opened:
        client = TestClient(make_app(opened))
        span = "?start=0&stop=99&points=9&neuron=0"
        for path in ("session", "frames?start=0&n=9&step=1", "values?start=0&n=9&step=1",
                     f"behavior{span}", f"traces{span}", f"raster{span}", "quality",
                     "moments?neuron=0", "field?neuron=0&method=linear"):
            assert client.get("/api/" + path).status_code == 200, path
        print([m for m in ("torch", "matplotlib") if m in sys.modules])
"""


def test_the_server_imports_no_torch(viewed, tmp_path: Path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    (tmp_path / "scratch").mkdir()
    command = [sys.executable, program, viewed[0], tmp_path / "scratch"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "[]"
