"""Predictions and scores as xarray objects."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from builders import make_recording
from fake_encoder import fake_fit
from freegaze.errors import DataError
from freegaze.evaluation.evaluate import evaluate
from freegaze.metrics.metric import METRICS

xarray = pytest.importorskip("xarray")


@pytest.fixture(scope="module")
def evaluation():
    a = make_recording(n_bins=900, lost_share=0.1, session_id="mouse/1")
    b = make_recording(n_bins=900, session_id="b", n_neurons=3)
    return evaluate(fake_fit([a, b]), [a, b], draws=10)


def written_and_read(data, path):
    data.to_netcdf(path)
    with xarray.open_dataset(path) as file:
        return file.load()


def test_predictions_are_found_by_bin_and_neuron(evaluation):
    prediction = evaluation.predictions[1]
    array = prediction.to_xarray()
    assert (array.dims, array.attrs["session_id"]) == (("bin", "neuron"), "b")
    for i, target in enumerate(prediction.targets[:5]):
        for j, name in enumerate(prediction.unit_ids):
            assert float(array.sel(bin=target, neuron=name)) == prediction.rates[i, j]


def test_scored_bins_come_back_from_netcdf(evaluation, tmp_path):
    session = evaluation.sessions[0]
    found = written_and_read(session.to_xarray(), tmp_path / "session.nc")
    np.testing.assert_array_equal(found["bin"], session.targets)
    assert tuple(found["neuron"].values.tolist()) == session.unit_ids
    for name, values in {
        "rates": session.rates,
        "observed": session.observed,
        "oracle": session.references["oracle"],
    }.items():
        assert found[name].dims == ("bin", "neuron")
        np.testing.assert_array_equal(found[name], values)
        assert found[name].attrs["units"] == "response per bin"
    np.testing.assert_array_equal(found["segment"], session.segment_ids)
    np.testing.assert_array_equal(found["is_tracked"], session.is_tracked)
    assert not session.is_tracked.all()
    assert found.attrs["bin_width_s"] == session.bin_width_s
    assert found.attrs["response_kind"] == "spike_counts"


def test_scores_come_back_from_netcdf(evaluation, tmp_path):
    found = written_and_read(evaluation.to_xarray(), tmp_path / "scores.nc")
    table = evaluation.table
    assert set(found.data_vars) | {"session_id", "unit_id"} == set(table.columns)
    for column in table.columns:
        np.testing.assert_array_equal(found[column].values, table[column].to_numpy())
    assert found["bits_per_spike_low"].attrs["units"] == METRICS.get("bits_per_spike").unit != ""
    assert found["rate_hz"].attrs["units"] == "Hz"
    assert found.attrs["draws"] == 10
    assert json.loads(found.attrs["summary"])["pooled"]["n_neurons"] == len(table)


def test_without_xarray_the_message_names_the_extra(evaluation, monkeypatch):
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(DataError, match="freegaze\\[xarray\\]"):
        evaluation.to_xarray()
