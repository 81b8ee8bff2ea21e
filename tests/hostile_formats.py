"""Every format that freegaze reads: how to write a small example, and how a user's call reads it.

A source that is registered is one by itself.
"""

from __future__ import annotations

import functools
import hashlib
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from builders import make_recording
from fake_encoder import fake_fit
from freegaze.config import read_config
from freegaze.dataset.dims import EncoderDims
from freegaze.evaluation.evaluate import evaluate
from freegaze.evaluation.prediction_files import save_predictions
from freegaze.evaluation.score_predictions import score_predictions
from freegaze.evaluation.storage import load_evaluation, save_evaluation
from freegaze.explanation.result import load_explanations, save_explanation
from freegaze.files.pieces import Pieces
from freegaze.fitted.storage import load_encoder
from freegaze.models.encoder import build_encoder
from freegaze.paper.ascent import MostExciting, PaperAscent, load_most_exciting
from freegaze.paper.grid_config import GRID_FILE, GridConfig, read_grid_config
from freegaze.paper.presets import paper_config
from freegaze.paper.published import load_published, save_published
from freegaze.paper.state_dicts import to_original
from freegaze.recording.recording import validate_recording
from freegaze.recording.store import open_store, save_store
from freegaze.runs.config import RunConfig, resolve_config
from freegaze.runs.run_folder import RunFolder
from freegaze.sources.fetching.unpacking import unpack_zip
from freegaze.sources.lab_files.tiny import deeplabcut_table
from freegaze.sources.nwb.writing import write_nwb
from freegaze.sources.simulation import load_truth
from freegaze.sources.source import SOURCES, open_recordings
from freegaze.sources.tiny import make_tiny_recording, make_tiny_streams
from freegaze.training.fit import resume, train
from report_runs import make_explanation


@dataclass(frozen=True)
class Format:
    """A kind of file or folder.

    Args:
        write: Write an example into an empty folder; return what to read.
        read: Read it, as a user's call does, and return something that tells its content.
        is_sealed: Whether checksums cover all that is read: damaged bytes never change the content.
        is_written: Whether reading writes into the folder, too.
    """

    write: Callable[[Path], Path]
    read: Callable[[Path], Any]
    is_sealed: bool = False
    is_written: bool = False


@functools.cache
def kept(write: Callable[[Path], Any]) -> Path:
    """Return a folder that was written once; it takes too long to do that again and again."""
    folder = Path(tempfile.mkdtemp(prefix="freegaze-tests-"))
    write(folder)
    return folder


def copy_of(write: Callable[[Path], Any], folder: Path, path: str = ".") -> Path:
    shutil.copytree(kept(write), folder, dirs_exist_ok=True)
    return folder / path


def read_source(name: str, path: Path) -> None:
    for recording in open_recordings(name, path, **SOURCES.get(name).tiny_options):
        validate_recording(recording)
        if name == "simulation":
            load_truth(recording.provenance["path"], recording)


def of_source(name: str) -> Format:
    return Format(
        lambda folder: SOURCES.get(name)().write_tiny(folder, 0), lambda p: read_source(name, p)
    )


def write_files_with_h5(folder: Path) -> Path:
    file = SOURCES.get("files")().write_tiny(folder, 0)
    config = yaml.safe_load(file.read_text())
    table = deeplabcut_table(make_tiny_streams(0))
    table.to_hdf(folder / "eye.h5", key="df_with_missing", format="table", mode="w")
    config["behavior"]["eye"]["file"] = "eye.h5"
    file.write_text(yaml.safe_dump(config))
    return file


def write_tracker_files(folder: Path) -> Path:
    """Files of CaImAn, facemap and movement of one session."""
    import h5py
    import xarray

    rng, n = np.random.default_rng(0), 120
    with h5py.File(folder / "cells.hdf5", "w") as store:
        store["estimates/S"], store["estimates/C"] = rng.gamma(1, 1, (2, 4, n))
        store["estimates/idx_components"] = [0, 1, 3]
        store["estimates/F_dff"], store["params/data/fr"] = "NoneType", 30.0
    center, area = rng.uniform(5, 30, (n, 2)), rng.uniform(50, 90, n)
    pupil = {"com": center, "area": area, "axlen": np.stack([area, area / 2], 1)}
    motion = [np.zeros((0, 1)), rng.normal(size=(n, 4))]
    proc: Any = {"pupil": [pupil], "blink": [area], "motSVD": motion, "Ly": [10], "rois": []}
    np.save(folder / "face_proc.npy", proc)
    names = {"space": ["x", "y"], "keypoints": ["a", "b", "c"], "individuals": ["mouse"]}
    coordinates = {"time": np.arange(n) / 30, **names}
    axes = tuple(coordinates)
    points = rng.uniform(0, 9, (n, 2, 3, 1))
    arrays = {"position": (axes, points), "confidence": ((axes[0], *axes[2:]), points[:, 0])}
    xarray.Dataset(arrays, coordinates, {"time_unit": "seconds"}).to_netcdf(folder / "body.nc")
    body = {"kind": "movement", "file": "body.nc", "shape": "points", "min_likelihood": 0.1}
    face = {"kind": "facemap", "file": "face_proc.npy", "rate_hz": 30, "components": 2}
    session = {
        "responses": {"kind": "caiman", "file": "cells.hdf5", "rate_hz": 30},
        "behavior": {"body": body, "face": face},
    }
    (folder / "session.yaml").write_text(yaml.safe_dump(session))
    return folder / "session.yaml"


def write_array_files(folder: Path) -> Path:
    """Files of suite2p, SLEAP and Anipose, arrays and an IMU of one session."""
    import h5py
    import pandas as pd

    rng, n = np.random.default_rng(0), 120
    for plane in ("plane0", "plane1"):
        place = folder / "suite2p" / plane
        place.mkdir(parents=True)
        for name in ("F", "Fneu", "spks"):
            np.save(place / f"{name}.npy", rng.gamma(1, 1, (4, n)).astype(np.float32))
        np.save(place / "iscell.npy", np.column_stack([[1, 0, 1, 1], rng.uniform(size=4)]))
        settings: Any = {"fs": 30.0, "badframes": np.arange(n) == 7}
        np.save(place / "ops.npy", settings)
    angle = np.linspace(0, 2 * np.pi, 6, endpoint=False)
    pupil = rng.uniform(30, 40, (n, 1, 2)) + 8 * np.stack([np.cos(angle), np.sin(angle)], -1)
    with h5py.File(folder / "eye.h5", "w") as store:
        store["tracks"] = pupil.transpose(2, 1, 0)[None]
        store["point_scores"] = np.full((1, 6, n), 0.9)
        store["node_names"] = np.array([f"p{i}".encode() for i in range(6)])
        store["track_names"] = np.array([b"mouse"])
    body = {f"nose_{axis}": rng.uniform(0, 9, n) for axis in ("x", "y", "z", "score")}
    pd.DataFrame({**body, "fnum": np.arange(n)}).to_csv(folder / "body.csv", index=False)
    head = np.column_stack([np.arange(n) / 30, np.tile([0, 0, 1], (n, 1)), np.zeros((n, 3))])
    head[:, 1:] += rng.normal(0, 1e-3, (n, 6))
    sensors = {"acceleration": ["ax", "ay", "az"], "rotation": ["gx", "gy", "gz"]}
    names = ["t", *sensors["acceleration"], *sensors["rotation"]]
    pd.DataFrame(head, columns=names).to_csv(folder / "head.csv", index=False)
    frames = rng.integers(0, 256, (n, 5, 6)).astype(np.uint8)
    np.savez(folder / "video.npz", frames=frames, times=np.arange(n) / 30)
    np.save(folder / "pulses.npy", np.cumsum(rng.uniform(0.1, 0.3, 15)))
    clock = {"kind": "pulses", "own": "pulses.npy", "session": "pulses.npy"}
    video = {"kind": "array", "file": "video.npz", "variable": "frames", "clock": clock}
    session = {
        "responses": {"kind": "suite2p", "folder": "suite2p", "rate_hz": 30},
        "video": {**video, "timestamps": "video.npz", "timestamps_column": "times"},
        "behavior": {
            "eye": {"kind": "sleap", "file": "eye.h5", "rate_hz": 30},
            "body": {"kind": "anipose", "file": "body.csv", "rate_hz": 30, "shape": "points"},
            "head": {"kind": "imu", "file": "head.csv", "time": "t", **sensors},
        },
    }
    (folder / "session.yaml").write_text(yaml.safe_dump(session))
    return folder / "session.yaml"


def write_matlab_files(folder: Path) -> Path:
    """Variables of MATLAB, a table of events and one of spikes of one session."""
    import pandas as pd
    import scipy.io

    rng, n = np.random.default_rng(0), 120
    cells = np.empty(3, object)
    for i in range(3):
        cells[i] = np.sort(rng.uniform(0, 4, 40))
    gaze = {"t": np.arange(n) / 30, "theta": rng.normal(size=n)}
    scipy.io.savemat(folder / "spikes.mat", {"units": cells})
    scipy.io.savemat(folder / "gaze.mat", {"gaze": gaze, "speed": rng.uniform(0, 9, (n, 1))})
    starts = np.arange(0.2, 3.8, 0.4)
    events = {"start": starts, "stop": starts + 0.2, "kind": ["lick", "run", "lick"] * 3}
    pd.DataFrame(events).to_csv(folder / "events.tsv", index=False, sep="\t")
    columns = {"theta": "gaze.theta", "speed": "speed"}
    licks = {"file": "events.tsv", "stop": "stop", "label": "kind", "columns": {"lick": None}}
    session = {
        "responses": {"kind": "spike_trains", "file": "spikes.mat", "variable": "units"},
        "behavior": {
            "gaze": {"kind": "table", "file": "gaze.mat", "time": "gaze.t", "columns": columns},
            "licks": {"kind": "events", **licks},
        },
    }
    (folder / "session.yaml").write_text(yaml.safe_dump(session))
    return folder / "session.yaml"


def write_nwb_zarr(folder: Path) -> Path:
    """Write the example of NWB with hdmf-zarr."""
    import pynwb
    from hdmf_zarr import NWBZarrIO  # pyright: ignore[reportMissingImports]

    file, out = SOURCES.get("nwb")().write_tiny(folder, 0), folder / "tiny.nwb.zarr"
    with pynwb.NWBHDF5IO(str(file), "r") as read, NWBZarrIO(str(out), mode="w") as written:
        written.export(src_io=read, write_args={"link_data": False})
    file.unlink()
    return out


def write_store(folder: Path) -> Path:
    return save_store(make_tiny_recording(0), folder / "store")


def read_store(path: Path) -> Any:
    r = open_store(path, verify=True)
    return r.frames.tobytes(), r.responses.tobytes(), r.unit_ids, r.segments


def write_published(folder: Path) -> None:
    dims = EncoderDims(3, ("theta", "phi"), (60, 80), 1)
    encoder = build_encoder("cnn", paper_config("cnn", is_shifted=False), {"m": dims}, seed=0)
    save_published(folder / "cnn.pth", to_original("cnn", encoder.state_dict(), "m"))


def write_published_safetensors(folder: Path) -> None:
    import torch
    from safetensors.torch import save_file

    weights = torch.load(kept(write_published) / "cnn.pth", weights_only=True)
    save_file({k: v.contiguous().clone() for k, v in weights.items()}, folder / "cnn.safetensors")


def write_published_zip(folder: Path) -> None:
    with zipfile.ZipFile(folder / "table.zip", "w") as archive:
        archive.write(kept(write_published) / "cnn.pth", "cnn.pth")


def read_published(path: Path) -> None:
    load_published(path, model="cnn", session_id="m", is_shifted=False)


def write_run(folder: Path) -> None:
    settings = (
        *("model.name=behavior_only", "data.history=2", "data.min_rate_hz=0", "split.gap_s=0.1"),
        *("training.max_passes=2", "training.batch_windows=64", "training.device=cpu"),
    )
    train([make_recording()], read_config(RunConfig, None, settings), folder / "run")


def read_run(path: Path) -> Any:
    run = RunFolder(path)
    run.manifest(), run.kept_pass()
    encoder = load_encoder(path)
    return encoder.predict(make_recording()).rates.tobytes()


def write_unfinished(folder: Path) -> Path:
    run = copy_of(write_run, folder, "run")
    for name in ("encoder.safetensors", "checksums.sha256"):
        (run / name).unlink()
    return run


def read_unfinished(path: Path) -> None:
    resume(path, [make_recording()])
    load_encoder(path)


def write_evaluation(folder: Path) -> None:
    recording = make_recording(n_bins=900)
    save_evaluation(folder, evaluate(fake_fit([recording]), recording, draws=20))


def read_evaluation(path: Path) -> Any:
    evaluation = load_evaluation(path)
    (session,) = evaluation.sessions
    return evaluation.table.to_csv(), str(evaluation.summary), session.rates.tobytes()


def write_explanation(folder: Path) -> None:
    save_explanation(folder, make_explanation(make_recording(n_neurons=3)), {"seed": 0})


def read_explanation(path: Path) -> Any:
    (found,) = load_explanations(path)
    tables = [found.neurons, found.receptive_fields, found.saliency, found.tuning]
    fields = [found.fields[name].tobytes() for name in sorted(found.fields)]
    return [table.to_csv() for table in tables], fields, found.unit_ids


def write_piece(folder: Path) -> Path:
    arrays = {"a": np.arange(6400.0).reshape(80, 80), "b": np.arange(3)}
    Pieces(folder / "mark").get("one", lambda: arrays)
    return folder / "mark"


def read_piece(path: Path) -> Any:
    """What is not as it was written is computed again."""
    arrays = {"a": np.arange(6400.0).reshape(80, 80), "b": np.arange(3)}
    return {k: v.tobytes() for k, v in Pieces(path).get("one", lambda: arrays).items()}


PROTOCOL = PaperAscent(1, 1, 1)


def write_picture(folder: Path) -> Path:
    from freegaze.files.pieces import save_piece

    found = MostExciting(np.ones((1, 60, 80), np.float32), np.ones((1, 2), np.float32), 0.0, 1.0)
    path = folder / "most_exciting" / PROTOCOL.folder / "repeat-1" / "7.npz"
    save_piece(path, {name: np.asarray(value) for name, value in vars(found).items()})
    return folder


def read_picture(path: Path) -> Any:
    found = load_most_exciting(path, "7", PROTOCOL, 1)
    return found.video.tobytes(), found.behavior.tobytes(), found.start, found.end


def write_predictions(folder: Path) -> Path:
    recording = make_recording(n_bins=900)
    save_predictions(folder / "p.npz", [fake_fit([recording]).predict(recording)])
    return folder / "p.npz"


def read_predictions(path: Path) -> None:
    score_predictions(path, make_recording(n_bins=900), draws=5)


def write_config(folder: Path) -> Path:
    from freegaze.config import dump_yaml

    settings = ("model.name=cnn_gru", "model.readout=gaussian", "source.path=mouse")
    config = resolve_config(read_config(RunConfig, None, settings))
    (folder / "run.yaml").write_text(dump_yaml(config))
    return folder / "run.yaml"


def write_grid(folder: Path) -> Path:
    from freegaze.config import dump_yaml

    config = GridConfig(table="table2", rows=("cnn", "S"), settings={"training.max_passes": 2})
    (folder / GRID_FILE).write_text(dump_yaml(config))
    return folder


def write_archive(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "data.zip", "w") as archive:
        for name in ("mouse/a.npy", "mouse/b.npy", "notes.txt"):
            archive.writestr(name, hashlib.sha256(name.encode()).hexdigest() * 20)
    return folder / "data.zip"


def read_archive(path: Path) -> None:
    unpack_zip(path, path.with_suffix(""), max_bytes=100 << 20)


FORMATS: dict[str, Format] = {f"source {name}": of_source(name) for name in SOURCES.names()} | {
    "files with h5": Format(write_files_with_h5, lambda p: read_source("files", p)),
    "files of trackers": Format(write_tracker_files, lambda p: read_source("files", p)),
    "files of arrays": Format(write_array_files, lambda p: read_source("files", p)),
    "files of MATLAB": Format(write_matlab_files, lambda p: read_source("files", p)),
    "nwb of ours": Format(
        lambda folder: write_nwb(make_tiny_recording(0), folder / "own.nwb"),
        lambda p: read_source("nwb", p),
    ),
    **(
        {"nwb in zarr": Format(write_nwb_zarr, lambda p: read_source("nwb", p))}
        if find_spec("hdmf_zarr")
        else {}
    ),
    "store, verified": Format(write_store, read_store, is_sealed=True),
    "weights pth": Format(lambda f: copy_of(write_published, f, "cnn.pth"), read_published),
    "weights safetensors": Format(
        lambda f: copy_of(write_published_safetensors, f, "cnn.safetensors"), read_published
    ),
    "weights zip": Format(lambda f: copy_of(write_published_zip, f, "table.zip"), read_published),
    "run": Format(lambda f: copy_of(write_run, f, "run"), read_run, is_sealed=True),
    "unfinished run": Format(write_unfinished, read_unfinished, is_written=True),
    "evaluation": Format(lambda f: copy_of(write_evaluation, f), read_evaluation, is_sealed=True),
    "explanation": Format(lambda f: copy_of(write_explanation, f), read_explanation, True),
    "piece": Format(write_piece, read_piece, is_sealed=True, is_written=True),
    "picture": Format(write_picture, read_picture, is_sealed=True),
    "predictions": Format(write_predictions, read_predictions),
    "configuration": Format(
        write_config, lambda path: resolve_config(read_config(RunConfig, path))
    ),
    "grid": Format(write_grid, read_grid_config),
    "archive": Format(write_archive, read_archive, is_written=True),
}
