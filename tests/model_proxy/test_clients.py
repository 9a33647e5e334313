"""OpenAI's and Anthropic's own client libraries at the proxy: served, counted, cut off."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, TypeVar

import anthropic
import httpx
import httpx2
import openai
import pytest
import trio

from bzzz_agent.model_proxy import ModelProxy, Session, open_model_proxy, upstream_of
from bzzz_agent.reasoning.model import ModelSettings
from bzzz_agent.reasoning.usage import Budget, Tally
from tests.support.model_server import WORD, ModelServer, model_server

T = TypeVar("T")
KEY = "sk-the-real-key"
ASK: Any = [{"role": "user", "content": "Say something."}]


@asynccontextmanager
async def session_for(
    server: ModelServer, name: str, budget: Budget | None = None
) -> AsyncGenerator[tuple[ModelProxy, Session]]:
    path = "" if name.startswith("anthropic:") else "/v1"
    upstream = upstream_of(ModelSettings(name=name, base_url=server.url + path, key=KEY))
    with trio.fail_after(60):
        async with (
            open_model_proxy() as proxy,
            proxy.session(upstream, Tally(budget or Budget())) as session,
        ):
            yield proxy, session


async def in_thread(call: Callable[[], T]) -> T:
    return await trio.to_thread.run_sync(call)


def openai_client(proxy: ModelProxy, session: Session) -> openai.OpenAI:
    env = proxy.environment(session)
    return openai.OpenAI(base_url=env["OPENAI_BASE_URL"], api_key=env["OPENAI_API_KEY"], max_retries=0)


def anthropic_client(proxy: ModelProxy, session: Session) -> anthropic.Anthropic:
    env = proxy.environment(session)
    return anthropic.Anthropic(
        base_url=env["ANTHROPIC_BASE_URL"], api_key=env["ANTHROPIC_API_KEY"], max_retries=0
    )


def ask_openai(client: openai.OpenAI, **more: Any) -> str:
    with client:
        answer = client.chat.completions.create(model="gpt-4o", messages=ASK, **more)
        return answer.choices[0].message.content or ""


def stream_openai(client: openai.OpenAI, heard: list[str]) -> None:
    with client, client.chat.completions.create(model="gpt-4o", messages=ASK, stream=True) as stream:
        for event in stream:
            heard += [choice.delta.content or "" for choice in event.choices]


def ask_anthropic(client: anthropic.Anthropic) -> str:
    with client:
        answer = client.messages.create(model="claude-sonnet-4-6", messages=ASK, max_tokens=500)
        return "".join(block.text for block in answer.content if block.type == "text")


def stream_anthropic(client: anthropic.Anthropic, heard: list[str]) -> None:
    with (
        client,
        client.messages.stream(model="claude-sonnet-4-6", messages=ASK, max_tokens=10_000) as stream,
    ):
        heard += stream.text_stream


def _stream(name: str, proxy: ModelProxy, session: Session, heard: list[str]) -> None:
    if name.startswith("openai"):
        stream_openai(openai_client(proxy, session), heard)
    else:
        stream_anthropic(anthropic_client(proxy, session), heard)


async def test_openais_client_is_served_and_its_tokens_and_money_are_counted() -> None:
    with model_server(tokens=(1000, 200)) as server:
        async with session_for(server, "openai:gpt-4o") as (proxy, session):
            text = await in_thread(functools.partial(ask_openai, openai_client(proxy, session)))
    assert text == WORD * 3
    path, headers, _ = server.requests[0]
    assert (path, headers["authorization"]) == ("/v1/chat/completions", f"Bearer {KEY}")
    used = session.meter.used
    assert (used.input_tokens, used.output_tokens, used.requests) == (1000, 200, 1)
    # gpt-4o's list price: $2.50 a million tokens in, $10 out.
    assert used.usd == Decimal("0.0045")


async def test_anthropics_client_is_served_and_its_tokens_and_money_are_counted() -> None:
    with model_server(tokens=(1000, 200)) as server:
        async with session_for(server, "anthropic:claude-sonnet-4-6") as (proxy, session):
            text = await in_thread(functools.partial(ask_anthropic, anthropic_client(proxy, session)))
    assert text == WORD * 3
    path, headers, _ = server.requests[0]
    assert (path, headers["x-api-key"]) == ("/v1/messages", KEY)
    assert session.token not in str(server.requests)
    # claude-sonnet-4-6's list price: $3 a million tokens in, $15 out.
    assert session.meter.used.usd == Decimal("0.006")


@pytest.mark.parametrize("name", ["openai:gpt-4o", "anthropic:claude-sonnet-4-6"])
async def test_a_stream_arrives_whole_and_is_counted_by_its_own_word(name: str) -> None:
    heard: list[str] = []
    with model_server(words=50, tokens=(70, 60)) as server:
        async with session_for(server, name) as (proxy, session):
            await in_thread(functools.partial(_stream, name, proxy, session, heard))
    assert "".join(heard) == WORD * 50
    assert (session.meter.used.input_tokens, session.meter.used.output_tokens) == (70, 60)


@pytest.mark.parametrize("name", ["openai:gpt-4o", "anthropic:claude-sonnet-4-6"])
async def test_an_answer_that_uses_too_much_is_broken_off_in_its_middle(name: str) -> None:
    heard: list[str] = []
    endless = 10_000_000
    with model_server(words=endless, tokens=(10, endless)) as server:
        async with session_for(server, name, Budget(tokens=500)) as (proxy, session):
            stream = functools.partial(_stream, name, proxy, session, heard)
            # each client has its own word for a stream that ends in its middle
            with pytest.raises((openai.APIError, anthropic.APIError, httpx.HTTPError, httpx2.HTTPError)):
                await in_thread(stream)
            assert session.spent.is_set()
            assert "500 allowed" in session.problem
            assert await in_thread(lambda: server.broken_off.wait(20)), "the model's server still writes"
    assert 100 < len("".join(heard)) <= 500 * 4
    # the piece in which the limit was passed counts: the model has written it
    assert 500 < session.meter.used.tokens < 2000


async def test_what_is_left_bounds_the_next_answer_and_nothing_left_refuses_it() -> None:
    with model_server(tokens=(300, 150)) as server:
        async with session_for(server, "openai:gpt-4o", Budget(tokens=500)) as (proxy, session):
            await in_thread(
                functools.partial(ask_openai, openai_client(proxy, session), max_completion_tokens=4000)
            )
            assert 400 < server.requests[0][2]["max_completion_tokens"] <= 500
            await in_thread(functools.partial(ask_openai, openai_client(proxy, session)))
            assert server.requests[1][2]["max_tokens"] <= 50
            assert session.spent.is_set()
            with pytest.raises(openai.PermissionDeniedError, match="limit is reached"):
                await in_thread(functools.partial(ask_openai, openai_client(proxy, session)))
    assert len(server.requests) == 2


async def test_money_is_a_limit_too_and_a_model_without_a_price_is_refused_under_it() -> None:
    with model_server(tokens=(1000, 200)) as server:
        async with session_for(server, "openai:gpt-4o", Budget(usd=Decimal("0.0050"))) as (proxy, session):
            await in_thread(functools.partial(ask_openai, openai_client(proxy, session)))
            assert server.requests[0][2]["max_tokens"] <= 500
            await in_thread(functools.partial(ask_openai, openai_client(proxy, session)))
            assert session.spent.is_set()
        async with session_for(server, "openai:of-our-own", Budget(usd=Decimal(1))) as (proxy, session):
            client = openai_client(proxy, session)
            with pytest.raises(openai.PermissionDeniedError, match="price is not known"):
                await in_thread(
                    functools.partial(client.chat.completions.create, model="of-our-own", messages=ASK)
                )
            client.close()
    assert len(server.requests) == 2


async def test_a_refused_key_is_said_without_what_the_server_said_of_it() -> None:
    with model_server(status=401, error=f"Incorrect API key provided: {KEY}") as server:
        async with session_for(server, "openai:gpt-4o") as (proxy, session):
            with pytest.raises(openai.APIStatusError) as caught:
                await in_thread(functools.partial(ask_openai, openai_client(proxy, session)))
    assert caught.value.status_code == 502
    assert "spec.model" in str(caught.value)
    assert KEY not in str(caught.value)
    assert session.meter.used.requests == 0


async def test_other_errors_of_the_model_reach_the_client_and_cost_nothing() -> None:
    with model_server(status=429, error="slow down") as server:
        async with session_for(server, "anthropic:claude-sonnet-4-6") as (proxy, session):
            with pytest.raises(anthropic.RateLimitError, match="slow down"):
                await in_thread(functools.partial(ask_anthropic, anthropic_client(proxy, session)))
    assert session.meter.used.tokens == 0
