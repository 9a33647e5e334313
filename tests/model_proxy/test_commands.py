"""A command in a real workspace that asks the manifest's model by itself."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bzzz_agent.execution import LimitExceededError, Task
from bzzz_agent.execution.command import CommandModel, run_command
from bzzz_agent.execution.limits import Meter
from bzzz_agent.execution.runner_client import RunResult
from bzzz_agent.model_proxy import open_model_proxy, upstream_of
from bzzz_agent.reasoning.model import ModelSettings
from bzzz_agent.reasoning.usage import Budget
from tests.support.model_server import ModelServer, model_server
from tests.support.processes import Processes
from tests.support.workspace import Workspace, a_tar, start_runner

KEY = "sk-the-real-key"
TASK = Task("acme/attic", 1, 1, "Ask", "Ask the model.", "0" * 40, "http://localhost/acme/attic.git")

ASK = """
import json, os, urllib.request
def ask():
    body = json.dumps({"model": os.environ["BZZZ_MODEL"], "messages": []}).encode()
    headers = {"authorization": "Bearer " + os.environ["OPENAI_API_KEY"], "content-type": "application/json"}
    url = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
    return json.load(urllib.request.urlopen(urllib.request.Request(url, body, headers)))
"""
ONCE = (
    ASK + "print(json.dumps({'answer': ask()['choices'][0]['message']['content'], 'env': dict(os.environ)}))"
)
FOR_EVER = ASK + "\nwhile True:\n    ask()\n"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    with Processes(tmp_path_factory.mktemp("runner")) as processes:
        running = start_runner(processes)
        yield running
        running.process.stop()
        shutil.rmtree(running.folder, ignore_errors=True)


@asynccontextmanager
async def proxied(server: ModelServer) -> AsyncGenerator[CommandModel]:
    settings = ModelSettings(name="openai:gpt-4o", base_url=f"{server.url}/v1", key=KEY)
    async with open_model_proxy() as proxy:
        yield CommandModel(proxy, lambda: upstream_of(settings))


async def run(workspace: Workspace, script: str, model: CommandModel, meter: Meter) -> RunResult:
    client = workspace.client()
    checkout = workspace.folder / "checkout.tar"
    checkout.write_bytes(a_tar({"a.txt": "a"}))
    await client.wipe()  # as the workbench does after each use: ends what still runs
    await client.put_checkout(checkout)
    argv: list[Any] = ["python3", "-c", script]
    return await run_command(client, argv, TASK, {}, timeout_s=60, model=model, meter=meter)


async def test_a_command_asks_the_model_without_ever_seeing_its_key(workspace: Workspace) -> None:
    meter = Meter(Budget(tokens=10_000))
    with model_server(tokens=(30, 10)) as server:
        async with proxied(server) as model:
            result = await run(workspace, ONCE, model, meter)
    assert result.ok, result.tail
    said = json.loads(result.stdout)
    assert said["answer"].startswith("word")
    assert KEY not in json.dumps(said["env"])
    assert server.requests[0][1]["authorization"] == f"Bearer {KEY}"
    assert meter.used.tokens == 40


async def test_a_command_that_spends_its_tokens_is_ended_in_its_middle(workspace: Workspace) -> None:
    meter = Meter(Budget(tokens=500))
    with model_server(tokens=(80, 40)) as server:
        async with proxied(server) as model:
            with pytest.raises(LimitExceededError, match="600 tokens used, 500 allowed"):
                await run(workspace, FOR_EVER, model, meter)
            asked = len(server.requests)
            # its process is gone: the workspace runs the next command, and nobody asks any more
            done = await run(workspace, "print('next')", model, Meter(Budget()))
    assert done.stdout == b"next\n"
    assert len(server.requests) == asked == 5
