"""Presets of the paper's rows, printed numbers and scales."""

from __future__ import annotations

import pytest

from freegaze.dataset.dims import EncoderDims
from freegaze.dataset.features import FEATURE_SETS
from freegaze.errors import RegistryError
from freegaze.models.encoder import MODELS, build_encoder
from freegaze.paper.grid_config import SCALES, find_scale
from freegaze.paper.presets import TABLES, find_table, preset, reads_photographs
from freegaze.paper.printed import MICE, printed
from freegaze.runs.config import RunConfig, model_config
from type_checks import unchecked

ALL_ROWS = [(table.name, row.name) for table in TABLES.values() for row in table.rows]
PAPER_DATA = {"nan_policy": "zero", "derivative": "paper", "video": "minmax_segment"}


@pytest.mark.parametrize("version", ["default", "paper"])
@pytest.mark.parametrize(("table", "row"), ALL_ROWS)
def test_every_row_can_be_built_and_written_down(table: str, row: str, version: str) -> None:
    config = preset(table, row, version)  # pyright: ignore[reportArgumentType]
    assert RunConfig.model_validate(config.model_dump(mode="json")) == config
    options, name = model_config(config), config.model["name"]
    assert name == find_table(table).row(row).model
    names = MODELS.get(name).required_features(options, FEATURE_SETS["all"])
    dims = EncoderDims(3, names, (60, 80), config.data.history, recorded=FEATURE_SETS["all"])
    encoder = build_encoder(name, options, {"s": dims}, seed=0)
    assert sum(p.numel() for p in encoder.parameters()) > 1000


def test_tables_have_the_rows_of_the_paper() -> None:
    assert [row.name for row in TABLES["table3"].rows] == [f"history_{n}" for n in range(1, 9)]
    models = {row.model for row in TABLES["table1"].rows}
    assert models == {"cnn", "autoencoder", "resnet18", "efficientnet_b0", "sensorium"}
    assert [r.is_shifted for r in TABLES["table1"].rows] == [False, True] * 5
    sets = [row.behavior for row in TABLES["table2"].rows if row.behavior]
    assert sets == ["S", "orig", "velo", "all", "orig_prod", "velo_prod", "all_prod"]
    assert [row.name for row in TABLES["table2"].rows if not row.is_printed] == ["no_behavior"]
    for table in TABLES.values():
        names = {row.name for row in table.rows}
        assert {name for pair in table.pairs for name in pair} <= names


@pytest.mark.parametrize(
    ("table", "row", "learning_rate", "patience", "max_passes"),
    [
        ("table1", "cnn_shifter_on", 1e-4, 6, 100),
        ("table1", "autoencoder_shifter_off", 1e-4, 6, 50),
        ("table1", "resnet18_shifter_on", 1e-4, 5, 100),
        ("table1", "efficientnet_b0_shifter_on", 1e-4, 5, 100),
        ("table1", "sensorium_shifter_on", 9e-3, 5, 100),
        ("table2", "sensorium_plus", 9e-3, 5, 100),
        ("table2", "all_prod", 2e-4, 5, 50),
        ("table3", "history_8", 2e-4, 5, 50),
    ],
)
def test_q21_paper_rows_have_the_originals_recipes_and_default_rows_one(
    table: str, row: str, learning_rate: float, patience: int, max_passes: int
) -> None:
    paper = preset(table, row, "paper").training
    assert (paper.learning_rate, paper.patience, paper.max_passes) == (
        learning_rate,
        patience,
        max_passes,
    )
    assert (paper.batch_windows, paper.stretch_windows, paper.weight_decay) == (256, 1, 0)
    assert preset(table, row).training == RunConfig().training


def test_default_rows_differ_in_what_the_table_is_about_and_in_nothing_else() -> None:
    off, on = (preset("table1", f"cnn_shifter_{s}").model_dump() for s in ("off", "on"))
    assert off["model"].pop("shifter")["kind"] == "none"
    assert on["model"].pop("shifter")["kind"] == "image"
    assert off == on
    some, more = (preset("table3", f"history_{n}").model_dump() for n in (1, 8))
    assert (some["data"].pop("history"), more["data"].pop("history")) == (1, 8)
    assert some == more
    few, many = (preset("table2", name).model_dump() for name in ("no_behavior", "all_prod"))
    assert few["model"].pop("features") != many["model"].pop("features")
    assert few == many


def test_paper_rows_have_the_originals_data_handling() -> None:
    for table, row in ALL_ROWS:
        data = preset(table, row, "paper").data.model_dump()
        assert {key: data[key] for key in PAPER_DATA} == PAPER_DATA
        is_sensorium = find_table(table).row(row).model.startswith("sensorium")
        assert data["standardize"] == ("segment_sd" if is_sensorium else False)
    assert preset("table3", "history_5", "paper").data.history == 5
    assert preset("table1", "cnn_shifter_on", "paper").data.history == 1


def test_q14_the_shifter_of_velo_rows_reads_derivatives_in_the_paper_version_only() -> None:
    derivatives = ["d_theta", "d_phi", "d_pitch", "d_roll"]
    assert preset("table2", "velo", "paper").model["shifter"]["columns"] == derivatives
    assert preset("table2", "velo").model["shifter"]["columns"] == ["theta", "phi", "pitch", "roll"]


@unchecked()
def test_unknown_names_are_answered_with_near_ones() -> None:
    for make, words in (
        (lambda: preset("table4", "cnn"), "table1"),
        (lambda: preset("table1", "cnn_shifter_onn"), "cnn_shifter_on"),
        (lambda: preset("table1", "cnn_shifter_on", "papr"), "nearest: paper"),  # pyright: ignore[reportArgumentType]
        (lambda: find_scale("smal"), "small"),
    ):
        with pytest.raises(RegistryError, match=words):
            make()


def test_only_networks_made_for_photographs_start_from_them() -> None:
    reading = {row.model for row in TABLES["table1"].rows if reads_photographs(row)}
    assert reading == {"resnet18", "efficientnet_b0"}


def test_printed_numbers_stand_beside_the_right_row_and_mouse() -> None:
    first = printed("table1", "cnn_shifter_on", MICE[0])
    assert first is not None
    assert (first.correlation, first.correlation_sd, first.mse) == (0.596, 0.134, 0.062573)
    last = printed("table2", "S", MICE[2])
    assert last is not None
    assert last.correlation == 0.579
    assert printed("table1", "sensorium_shifter_off", MICE[0]) is None  # no notebook prints it
    assert printed("table1", "cnn_shifter_on", "mouse_1") is None
    # The best row of Table 2 is the first row of Table 3: the same model.
    known = [printed(t, r, m) for t, r in ALL_ROWS for m in MICE]
    values = [p for p in known if p is not None]
    assert len(values) % 3 == 0
    assert all(0.3 < p.correlation < 0.7 and 0.03 < p.mse < 0.13 for p in values)


def test_scales_make_three_sessions_of_their_sizes() -> None:
    for scale in SCALES.values():
        sessions = scale.simulations()
        assert len({s.session_id for s in sessions}) == len({s.seed for s in sessions}) == 3
    assert [s.n_neurons for s in SCALES["tiny"].simulations()] == [8, 8, 8]
    assert {s.minutes for s in SCALES["small"].simulations()} == {10.0}
    assert SCALES["tiny"].simulations((60, 80))[0].frame_size == (60, 80)
