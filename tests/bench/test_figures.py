"""What the benches say of a figure."""

from __future__ import annotations

import math

import pytest

from tools.bench.rows import Row, at_least, at_most, histogram, percentile, plain


@pytest.mark.parametrize(
    ("figure", "promise", "verdict"),
    [
        (2.99, at_most(3), "kept"),
        (3.0, at_most(3), "kept"),
        (3.01, at_most(3), "short of promise"),
        (1999.0, at_least(2000), "short of promise"),
        (2000.0, at_least(2000), "kept"),
        (math.nan, at_least(100), "short of promise"),
        (5.0, None, ""),
    ],
)
def test_a_promise_is_kept_up_to_its_bound(figure: float, promise: object, verdict: str) -> None:
    assert Row("x", figure, "s", promise=promise).verdict == verdict  # type: ignore[arg-type]


def test_a_ratio_is_to_each_peer_and_without_one_to_the_promise() -> None:
    assert Row("x", 6, "ms", promise=at_most(12), peers={"a": 3, "b": 12}).ratios == [2.0, 0.5]
    assert Row("x", 6, "ms", promise=at_most(12)).ratios == [0.5]
    assert Row("x", 0, "issues", promise=at_most(0)).ratios == []
    assert Row("x", 6, "ms").ratios == []


def test_a_percentile_is_a_value_that_was_measured() -> None:
    values = [float(n) for n in range(100, 0, -1)]
    assert [percentile(values, p) for p in (0, 50, 99, 99.5, 100)] == [1, 50, 99, 100, 100]
    assert percentile([7.0], 50) == 7.0
    assert math.isnan(percentile([], 50))


def test_a_histogram_counts_every_value_once() -> None:
    assert histogram([0.05, 0.1, 0.3, 9], (0.1, 0.5, 1)) == "≤0.1: 2, ≤0.5: 1, more: 1"
    assert histogram([], (1,)) == ""


def test_figures_show_the_digits_that_mean_something() -> None:
    shown = [plain(figure) for figure in (0, 100, 0.1234, 12.34, 99.96, 12345.6, math.nan)]
    assert shown == ["0", "100", "0.12", "12.3", "100.0", "12,346", "none"]
