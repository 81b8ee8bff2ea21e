"""Numbers and lists as readers want them."""

import math

import pytest

from freegaze.reports.wording import (
    count,
    duration,
    fixed,
    interval,
    listing,
    number,
    shorten,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.31249, "0.312"),
        (-0.0176, "−0.0176"),
        (12.345, "12.3"),
        (1234.6, "1235"),
        (0.0, "0"),
        (1e-9, "0.000000"),
        (math.nan, "–"),
        (math.inf, "–"),
    ],
)
def test_number_has_three_digits(value, text):
    assert number(value) == text


def test_fixed_lines_up_and_knows_no_negative_zero():
    assert [fixed(v, 2) for v in (0.5, -12.345, -0.001, math.nan)] == [
        "0.50",
        "−12.35",
        "0.00",
        "–",
    ]


def test_interval_has_a_dash_where_an_end_is_missing():
    assert interval(-0.1, 0.25, 2) == "−0.10 to 0.25"
    assert interval(math.nan, 0.25) == "–"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "less than 1 s"),
        (42.0, "42 s"),
        (600.0, "10.0 min"),
        (7199.0, "120.0 min"),
        (8000.0, "2 h 13 min"),
    ],
)
def test_duration_takes_the_unit_that_suits(seconds, text):
    assert duration(seconds) == text


def test_counts_and_lists_are_grammatical():
    assert count(1, "neuron") == "1 neuron"
    assert count(1200, "neuron") == "1,200 neurons"
    assert listing([]) == ""
    assert listing(["a"]) == "a"
    assert listing(["a", "b", "c"]) == "a, b and c"
    assert listing(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"


def test_shorten_keeps_both_ends_and_the_length():
    assert shorten("abc", 3) == "abc"
    assert shorten("abcdefghij", 5) == "ab…ij"
    assert shorten("abcdefghij", 6) == "abc…ij"
