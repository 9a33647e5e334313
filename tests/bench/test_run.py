"""`python -m tools.bench.run`: what it writes and how it ends."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tools.bench import run
from tools.bench.rows import BrokenError, Context, Row, at_most

Bench = Callable[[str, Callable[[Context], Iterator[Row]]], None]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bench:
    """Put a bench in the place of the real ones."""
    results = tmp_path / "build" / "bench"
    monkeypatch.setattr(run, "ROOT", tmp_path)
    monkeypatch.setattr(run, "RESULTS", results)
    monkeypatch.setattr(run, "BENCHES", {})
    monkeypatch.delenv("BENCH_SCALE", raising=False)

    def add(name: str, measure: Callable[[Context], Iterator[Row]]) -> None:
        module = ModuleType(f"tools.bench.{name}")
        module.measure = measure  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, module.__name__, module)
        run.BENCHES[name] = name

    return add


def results_of(tmp_path: Path) -> dict[str, dict[str, object]]:
    return json.loads((tmp_path / "build/bench/results.json").read_text())["benches"]


def test_a_figure_short_of_its_promise_is_said_and_is_no_failure(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench("slow", lambda _: iter([Row("answer", 9, "s", promise=at_most(1), peers={"peer": 3})]))
    assert run.main([]) == 0
    assert "short of promise" in capsys.readouterr().out
    (row,) = results_of(tmp_path)["slow"]["rows"]  # type: ignore[misc]
    assert (row["figure"], row["verdict"], row["ratios"]) == (9, "short of promise", [3.0])


def test_what_broke_ends_with_one_and_the_others_are_measured_all_the_same(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def doubled(_: Context) -> Iterator[Row]:
        yield Row("first", 1, "s")
        raise BrokenError("claimed twice [7]")

    def unmeasurable(context: Context) -> Iterator[Row]:
        (context.folder / "trace").write_text("what was seen")
        raise ValueError("no such thing")

    bench("doubled", doubled)
    bench("odd", unmeasurable)
    bench("well", lambda _: iter([Row("answer", 1, "s")]))
    assert run.main([]) == 1
    found = results_of(tmp_path)
    assert found["doubled"]["broken"] == "claimed twice [7]"
    assert "no such thing" in str(found["odd"]["broken"])
    assert (tmp_path / "build/bench/failed-odd/trace").read_text() == "what was seen"
    assert [len(found[name]["rows"]) for name in ("doubled", "odd", "well")] == [1, 0, 1]  # type: ignore[arg-type]
    assert "BROKEN" in capsys.readouterr().out


def test_only_the_named_benches_run_and_their_folders_are_removed(bench: Bench, tmp_path: Path) -> None:
    folders: list[Path] = []

    def measure(context: Context) -> Iterator[Row]:
        folders.append(context.folder)
        yield Row("answer", context.times(3), "")

    bench("one", measure)
    bench("two", measure)
    assert run.main(["two"]) == 0
    assert list(results_of(tmp_path)) == ["two"]
    assert [folder.exists() for folder in folders] == [False]


def test_the_scale_multiplies_repetitions(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench(
        "one", lambda context: iter([Row("turns", context.times(3), ""), Row("least", context.times(0), "")])
    )
    monkeypatch.setenv("BENCH_SCALE", "2.5")
    assert run.main([]) == 0
    assert [row["figure"] for row in results_of(tmp_path)["one"]["rows"]] == [8, 1]  # type: ignore[index, attr-defined]
    monkeypatch.setenv("BENCH_SCALE", "many")
    with pytest.raises(SystemExit, match="BENCH_SCALE: expected a number"):
        run.main([])


def test_an_unknown_name_is_wrong_use(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    bench("one", lambda _: iter(()))
    assert run.main(["tow"]) == 2
    assert "expected some of one; got tow" in capsys.readouterr().err


def test_every_bench_of_the_list_can_be_imported() -> None:
    assert set(run.BENCHES) == {
        "claims",
        "debate",
        "escalation",
        "knowledge",
        "append",
        "recovery",
        "idle",
        "overhead",
        "loss",
        "mesh",
        "operator",
    }
    for module in run.BENCHES.values():
        assert callable(__import__(f"tools.bench.{module}", fromlist=["measure"]).measure)
