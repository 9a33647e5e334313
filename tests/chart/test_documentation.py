"""docs/install.md says what the chart does."""

from __future__ import annotations

from tests.chart.values_table import PAGE, page_with_table, values


def test_the_table_of_values_is_the_charts() -> None:
    page = PAGE.read_text()
    assert page == page_with_table(page), "run: python -m tests.chart.values_table"


def test_every_value_has_a_sentence() -> None:
    found = values()
    assert len(found) > 80
    assert all(value.text.endswith(".") for value in found), [v.path for v in found if v.text[-1] != "."]
