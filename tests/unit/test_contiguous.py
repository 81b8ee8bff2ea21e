from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freegaze.contiguous import run_bounds, run_ids
from freegaze.errors import ShapeError
from type_checks import unchecked


def test_a_label_that_comes_back_is_a_new_run():
    first, stop = run_bounds(np.array([3, 3, 1, 3]))
    np.testing.assert_array_equal(first, [0, 2, 3])
    np.testing.assert_array_equal(stop, [2, 3, 4])


@given(st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=1, max_size=30))
def test_runs_of_several_labels_equal_a_plain_loop(pairs):
    expected = [0]
    for before, after in pairwise(pairs):
        expected.append(expected[-1] + (before != after))
    numbers, flags = (np.array(labels) for labels in zip(*pairs, strict=True))
    np.testing.assert_array_equal(run_ids(numbers, flags), expected)


@unchecked()
def test_what_holds_no_bins_is_refused():
    with pytest.raises(ShapeError, match="at least one bin"):
        run_bounds(np.empty(0, dtype=int))
    with pytest.raises(ShapeError, match="at least one bin"):
        run_bounds(np.zeros(3), np.zeros(2))
