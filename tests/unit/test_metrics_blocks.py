import numpy as np
import pytest

from freegaze.errors import DataError, ShapeError
from freegaze.metrics.blocks import TimeBlocks, cut_blocks, relabel_runs, trial_blocks
from freegaze.metrics.checks import as_pair, as_per_neuron, as_rates, is_constant


def segments(*lengths):
    return np.repeat(np.arange(len(lengths)), lengths)


@pytest.mark.parametrize(
    ("lengths_s", "expected_s"),
    [
        ([77] * 10, [77] * 10),  # as many segments as wanted: each is a block
        ([36] * 10, [36] * 10),
        ([600], [50] * 12),
        ([60] * 3, [20] * 9),  # 20 s is the shortest
        ([100, 10], [20, 20, 20, 20, 20, 10]),  # a segment shorter than a block is one
        ([59], [29, 30]),  # no short remainder
    ],
)
def test_segments_are_cut_evenly(lengths_s, expected_s):
    blocks = cut_blocks(segments(*lengths_s), bin_width_s=1.0)
    np.testing.assert_array_equal(blocks.lengths(), expected_s)


def test_no_block_is_shorter_than_20_s_of_whole_bins():
    # 20 s are 416.67 bins of 48 ms: 417; 1250 bins hold two such blocks, not three.
    np.testing.assert_array_equal(cut_blocks(segments(1250), 0.048).lengths(), [625, 625])
    np.testing.assert_array_equal(cut_blocks(segments(1251), 0.048).lengths(), [417] * 3)
    np.testing.assert_array_equal(cut_blocks(segments(400), 0.1).lengths(), [200, 200])


def test_sums_are_over_each_block():
    blocks = TimeBlocks(np.array([0, 2, 3]), 6)
    values = np.arange(12.0).reshape(6, 2)
    expected = [[0 + 2, 1 + 3], [4, 5], [6 + 8 + 10, 7 + 9 + 11]]
    np.testing.assert_array_equal(blocks.sums(values), expected)
    np.testing.assert_array_equal(blocks.ids(), [0, 0, 1, 2, 2, 2])
    with pytest.raises(ShapeError, match="cover 6 bins but the array has 5"):
        blocks.sums(values[:5])


def test_bins_left_out_shrink_or_drop_their_block():
    blocks = TimeBlocks(np.array([0, 2, 3]), 6)
    kept = blocks.select(np.array([False, True, False, True, True, False]))
    np.testing.assert_array_equal(kept.lengths(), [1, 2])
    with pytest.raises(DataError, match="no bin is left"):
        blocks.select(np.zeros(6, dtype=bool))


@pytest.mark.parametrize("starts", [[1, 2], [0, 3, 3], [0, 6]])
def test_impossible_starts_are_refused(starts):
    with pytest.raises(ShapeError, match="must increase from 0 to below 6"):
        TimeBlocks(np.array(starts), 6)


def test_each_trial_is_a_block():
    np.testing.assert_array_equal(trial_blocks(segments(3, 1, 2)).starts, [0, 3, 4])


def test_a_hole_and_a_new_segment_both_start_a_run():
    keep = np.array([True, True, False, True, True, True, False])
    got = relabel_runs(np.array([4, 4, 4, 4, 4, 9, 9]), keep)
    np.testing.assert_array_equal(got, [0, 0, 1, 1, 2])


def test_constants_are_found_whatever_their_value():
    values = np.array([[0.1, 0.0, 1.0], [0.1, 1e-9, 1.0]])
    np.testing.assert_array_equal(is_constant(values), [True, False, True])


def test_arrays_are_checked_at_the_door():
    good = np.ones((3, 2))
    for bad in (np.ones(3), np.ones((2, 3)), np.ones((0, 2))):
        with pytest.raises(ShapeError, match="same bins of both"):
            as_pair(bad, good)
    wrong = good.copy()
    wrong[1, 0] = np.nan
    with pytest.raises(Exception, match="prediction of neuron 0 in bin 1 is nan"):
        as_pair(wrong, good)
    with pytest.raises(DataError, match="observation of neuron 0 in bin 1 is nan"):
        as_pair(good, wrong)
    with pytest.raises(Exception, match=r"rates of at least 0, got -1 \(neuron 1\)"):
        as_rates(good * [1, -1], good)
    with pytest.raises(DataError, match="fluorescence"):
        as_rates(good, -good)
    with pytest.raises(DataError, match="neuron 1 is not"):
        as_per_neuron(np.array([1.0, np.inf]), 2, "baseline_rate")
    predicted, observed = as_pair(good.astype(np.float32), good.astype(int))
    assert predicted.dtype == observed.dtype == np.float64
