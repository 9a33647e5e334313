"""An informer against a server that says what an API server says when a version is too old, or a connection breaks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import kopf
from aiohttp import web

from bzzz_operator.api import Api
from bzzz_operator.kinds import SERVICE
from bzzz_operator.runtime.informer import Informer, Watched
from bzzz_operator.runtime.store import Store

Json = dict[str, Any]


def service(name: str, version: int) -> Json:
    return {"metadata": {"name": name, "uid": f"uid-{name}", "resourceVersion": str(version)}, "spec": {}}


class Server:
    """Answers lists and watches as the test says, in order; then watches stay open."""

    def __init__(self, lists: list[Json], watches: list[list[Json] | int]) -> None:
        self.lists, self.watches = lists, watches
        self.asked: list[str] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if "watch" not in request.query:
            self.asked.append("list")
            return web.json_response(self.lists.pop(0) if len(self.lists) > 1 else self.lists[0])
        self.asked.append(f"watch from {request.query['resourceVersion']}")
        script = self.watches.pop(0) if self.watches else None
        if isinstance(script, int):
            return web.json_response({"reason": "Expired", "message": "too old"}, status=script)
        answer = web.StreamResponse()
        await answer.prepare(request)
        for event in script or []:
            await answer.write(json.dumps(event).encode() + b"\n")
        if script is None:
            await asyncio.Event().wait()
        return answer


def listing(version: int, *items: Json) -> Json:
    return {"metadata": {"resourceVersion": str(version)}, "items": list(items)}


def followed(server: Server, until: Callable[[Store], bool]) -> tuple[Store, int]:
    """Let an informer follow a server until the store is as wanted; return it and how often it listed anew."""
    relists = 0

    async def main() -> tuple[Store, int]:
        nonlocal relists
        app = web.Application()
        app.router.add_get("/{path:.*}", server.handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        api = Api(kopf.ConnectionInfo(server=f"http://127.0.0.1:{port}"), "agents")
        store = Store({})
        changed = asyncio.Event()
        store.listen(lambda *_: changed.set())

        def relisted() -> None:
            nonlocal relists
            relists += 1

        task = asyncio.create_task(Informer(api, store, Watched(SERVICE), lambda: None, relisted).run())
        async with asyncio.timeout(20):
            await wait_until(changed, lambda: until(store))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await api.close()
        await runner.cleanup()
        return store, relists

    return asyncio.run(main())


async def wait_until(changed: asyncio.Event, look: Callable[[], bool]) -> Awaitable[None] | None:
    while not look():
        await changed.wait()
        changed.clear()
    return None


def names(store: Store) -> set[str]:
    return {body["metadata"]["name"] for body in store.all(SERVICE)}


def test_a_version_that_is_too_old_leads_to_a_new_list_and_what_it_lacks_is_gone() -> None:
    expired = {"type": "ERROR", "object": {"code": 410, "reason": "Expired", "message": "too old"}}
    server = Server([listing(5, service("a", 4)), listing(9, service("b", 8))], [[expired]])
    store, relists = followed(server, lambda s: names(s) == {"b"})
    assert server.asked[:3] == ["list", "watch from 5", "list"]
    assert relists == 1
    assert names(store) == {"b"}


def test_a_refusal_with_410_leads_to_a_new_list() -> None:
    server = Server([listing(5), listing(9, service("b", 8))], [410])
    followed(server, lambda s: names(s) == {"b"})
    assert server.asked[:3] == ["list", "watch from 5", "list"]


def test_a_watch_that_ends_goes_on_from_where_it_was() -> None:
    added = {"type": "ADDED", "object": service("b", 7)}
    bookmark = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "12"}}}
    more = {"type": "ADDED", "object": service("c", 13)}
    gone = {"type": "DELETED", "object": service("a", 14)}
    server = Server([listing(5, service("a", 4))], [[added, bookmark], [more, gone]])
    followed(server, lambda s: names(s) == {"b", "c"})
    assert server.asked[:3] == ["list", "watch from 5", "watch from 12"]


def test_an_older_version_of_an_object_is_no_news() -> None:
    late = {"type": "MODIFIED", "object": service("a", 3)}
    more = {"type": "ADDED", "object": service("b", 6)}
    store, _ = followed(
        Server([listing(5, service("a", 4))], [[late, more]]), lambda s: names(s) == {"a", "b"}
    )
    found = store.get(SERVICE, "a")
    assert found is not None
    assert found["metadata"]["resourceVersion"] == "4"
