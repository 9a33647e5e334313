"""What a command may not do at the proxy."""

from __future__ import annotations

import socket

import httpx
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from bzzz_agent.model_proxy import open_model_proxy, upstream_of
from bzzz_agent.model_proxy.errors import ProxyError
from bzzz_agent.model_proxy.wire import Count, endpoint_of
from bzzz_agent.reasoning.errors import ModelUnavailableError
from bzzz_agent.reasoning.model import ModelSettings
from bzzz_agent.reasoning.usage import Budget, Tally
from tests.support.model_server import model_server

ASK = {"model": "gpt-4o", "messages": []}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("POST", "/openai/v1/chat/completions", b"{", 400, "expected JSON"),
        ("POST", "/openai/v1/chat/completions", b"[1]", 400, "JSON object"),
        ("POST", "/openai/v1/chat/completions", b"{}", 400, "model"),
        ("POST", "/openai/v1/files", b"{}", 404, "nothing else"),
        ("DELETE", "/openai/v1/models/gpt-4o", b"", 404, "nothing else"),
        ("GET", "/openai/v1/models/../files", b"", 404, "nothing else"),
        ("GET", "/", b"", 404, "/openai/v1"),
        ("POST", "/anthropic/v1/messages", b"{}", 404, "openai's format"),
    ],
)
async def test_what_is_no_question_to_the_model_is_refused(
    method: str, path: str, body: bytes, status: int, words: str
) -> None:
    with model_server() as server:
        upstream = upstream_of(ModelSettings(name="openai:gpt-4o", base_url=server.url, key="k"))
        async with (
            open_model_proxy() as proxy,
            proxy.session(upstream, Tally(Budget())) as session,
            httpx.AsyncClient(base_url=proxy.origin) as http,
        ):
            headers = {"authorization": f"Bearer {session.token}"}
            request = http.build_request(method, "/", content=body, headers=headers)
            request.url = request.url.copy_with(raw_path=path.encode())
            answer = await http.send(request)
    assert (answer.status_code, server.requests) == (status, [])
    assert words in answer.json()["error"]["message"]


async def test_no_token_a_wrong_one_and_one_of_a_run_that_is_over_are_refused() -> None:
    with model_server() as server:
        upstream = upstream_of(ModelSettings(name="openai:gpt-4o", base_url=server.url, key="k"))
        async with open_model_proxy() as proxy, httpx.AsyncClient(base_url=proxy.origin) as http:
            async with proxy.session(upstream, Tally(Budget())) as session:
                for headers in ({}, {"authorization": "Bearer wrong"}, {"x-api-key": "wröng".encode()}):
                    answer = await http.post("/openai/v1/chat/completions", json=ASK, headers=headers)
                    assert answer.status_code == 401
            over = {"authorization": f"Bearer {session.token}"}
            answer = await http.post("/openai/v1/chat/completions", json=ASK, headers=over)
            assert answer.status_code == 401
    assert server.requests == []


async def test_clients_that_say_nothing_or_vanish_leave_the_proxy_serving() -> None:
    with model_server() as server, trio.fail_after(30):
        upstream = upstream_of(ModelSettings(name="openai:gpt-4o", base_url=server.url, key="k"))
        async with open_model_proxy() as proxy, proxy.session(upstream, Tally(Budget())) as session:
            host, _, port = proxy.origin.removeprefix("http://").rpartition(":")
            with socket.create_connection((host, int(port))) as silent:
                for nonsense in (
                    b"\x16\x03\x01\x00",
                    b"GET",
                    b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nx",
                ):
                    with socket.create_connection((host, int(port))) as other:
                        other.sendall(nonsense)
                async with httpx.AsyncClient(base_url=proxy.origin) as http:
                    headers = {"authorization": f"Bearer {session.token}"}
                    answer = await http.post("/openai/v1/chat/completions", json=ASK, headers=headers)
                    assert answer.status_code == 200
                assert silent.fileno() >= 0


def test_a_provider_that_speaks_neither_format_is_refused_with_those_that_do() -> None:
    with pytest.raises(ModelUnavailableError, match="openai, anthropic"):
        upstream_of(ModelSettings(name="google-gla:gemini-2.5-pro", key="k"))


@given(st.lists(st.binary(max_size=60), max_size=30))
def test_any_bytes_are_counted_without_an_error(chunks: list[bytes]) -> None:
    count = Count()
    for chunk in chunks:
        count.take_stream(b"data: " + chunk + b"\n")
    assert count.output_so_far >= 0


@pytest.mark.parametrize(
    "path", ["/models/a/b", "/chat/completions/x", "//models", "/models/a/../b", "/MODELS", "", "/files"]
)
def test_only_the_listed_resources_are_found(path: str) -> None:
    with pytest.raises(ProxyError, match="nothing else"):
        endpoint_of("openai", "GET", path)
