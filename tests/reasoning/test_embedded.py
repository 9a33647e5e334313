"""The embedded model itself: it starts, keeps to a schema, is reached by the same client as any other, and ends."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import pytest
import trio
from pydantic import BaseModel, Field

from bzzz_agent.reasoning.embedded import EmbeddedModelError, weights
from bzzz_agent.reasoning.model import ModelSettings, ReasoningModel
from bzzz_agent.reasoning.paragraph import write_paragraph
from bzzz_agent.reasoning.planner import Question, make_plan
from bzzz_agent.reasoning.prose import problem_with, strays
from bzzz_agent.reasoning.reviewer import ModelJudge
from hmmm.plan import Plan
from tests.support.processes import Process, Processes

PATIENCE_S = 100.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with Processes(tmp_path_factory.mktemp("model")) as processes:
        argv = [sys.executable, "-m", "bzzz_agent.reasoning.embedded", "--port", "0"]
        process = processes.start("model", argv, ready_within=PATIENCE_S)
        yield process
        assert process.stop() == 0
        assert process.logged("stopped")


@pytest.fixture
def model(server: Process) -> ReasoningModel:
    name = f"embedded:{server.ready['model']}"
    return ReasoningModel(ModelSettings(name, base_url=server.ready["url"], timeout_s=PATIENCE_S))


class Choice(BaseModel):
    """A choice."""

    colour: Literal["red", "green"]
    why: Annotated[str, Field(max_length=30)]


async def test_it_keeps_to_a_schema_and_counts_its_tokens(model: ReasoningModel) -> None:
    answered = await model.ask(Choice, "", "The colour of grass, as JSON:")
    assert answered.value.colour in ("red", "green")
    assert len(answered.value.why) <= 30
    assert answered.usage.output_tokens > 0
    assert answered.usage.usd == 0


async def test_two_that_ask_at_once_both_get_their_answer(model: ReasoningModel) -> None:
    answers: list[Choice] = []

    async def ask() -> None:
        answers.append((await model.ask(Choice, "", "A colour, as JSON:")).value)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        nursery.start_soon(ask)
    assert len(answers) == 2


TITLE = "Say how the balance is made"
BODY = "docs/ledger.md says nothing of it. Ledger keeps a list of bookings. Its balance is the sum of all bookings."
PATHS = ("README.md", "docs/ledger.md", "src/ledger.py")


async def test_it_plans_reviews_and_writes_within_its_bounds(model: ReasoningModel) -> None:
    plan = (await make_plan(model, Question(TITLE, BODY, PATHS, {}), None)).value
    assert plan.footprint == ("docs/ledger.md",)
    assert Plan.model_validate(plan.to_object()) == plan
    judge = ModelJudge(model)
    judgement = await judge.judge(TITLE, BODY, plan, PATIENCE_S)
    assert judgement.verdict in ("no_objection", "suggestion")
    text = (await write_paragraph(model, TITLE, BODY, None, PATIENCE_S)).value
    assert problem_with(text) is None
    assert strays(text, BODY) is None


def test_it_speaks_openais_format_to_anybody(server: Process) -> None:
    with urllib.request.urlopen(f"{server.ready['url']}/models", timeout=PATIENCE_S) as answer:
        models = json.loads(answer.read())
    assert [m["id"] for m in models["data"]] == ["gemma-3-270m"]
    assert server.ready["url"].startswith("http://127.0.0.1:")


def test_a_port_that_is_taken_is_said(server: Process, tmp_path: Path) -> None:
    port = server.ready["url"].split(":")[2].split("/")[0]
    argv = [sys.executable, "-m", "bzzz_agent.reasoning.embedded", "--port", port]
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert ended.returncode == 1
    assert "cannot_start" in ended.stderr


def test_damaged_weights_are_put_together_again(tmp_path: Path) -> None:
    (tmp_path / "gemma-3-270m-q4_k_m.gguf").write_bytes(b"damaged")
    path = weights(tmp_path)
    assert path.stat().st_size > 200_000_000
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_folder_that_cannot_hold_the_weights_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises((EmbeddedModelError, FileExistsError, NotADirectoryError)):
        weights(tmp_path / "file")
