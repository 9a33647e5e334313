"""Values with their past."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bzzz_github_server.history import KEPT_S, History

CHANGES = st.lists(
    st.tuples(st.floats(0, 5), st.sampled_from("abc"), st.one_of(st.none(), st.integers())), max_size=30
)


@given(changes=CHANGES, lag=st.floats(0, KEPT_S))
def test_a_read_shows_what_was_the_value_then(
    changes: list[tuple[float, str, int | None]], lag: float
) -> None:
    now = 0.0
    history: History[str, int] = History(clock=lambda: now)
    log: list[tuple[float, str, int | None]] = []
    for pause, key, value in changes:
        now += pause
        history.put(key, value)
        log.append((now, key, value))
    expected: dict[str, int | None] = {}
    for then, key, value in log:
        if then <= now - lag:
            expected[key] = value
    present = {key: value for key, value in expected.items() if value is not None}
    assert history.all(lag) == present
    assert all(history.get(key, lag) == expected.get(key) for key in "abc")


def test_the_past_is_forgotten_after_its_time_but_never_the_present() -> None:
    now = 0.0
    history: History[str, int] = History(clock=lambda: now)
    for value in range(1000):
        history.put("a", value)
        now += 1.0
    assert history.get("a") == 999
    assert len(history._versions["a"]) <= KEPT_S + 2


def test_replacing_tells_what_changed() -> None:
    history: History[str, int] = History()
    assert history.replace({"a": 1, "b": 2}) == {"a", "b"}
    assert history.replace({"b": 3, "c": 4}) == {"a", "b", "c"}
    assert history.replace({"b": 3, "c": 4}) == set()
    assert history.all() == {"b": 3, "c": 4}
