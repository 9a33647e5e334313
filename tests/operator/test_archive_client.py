"""The operator's line to the archive outlives a lease that was lost."""

from __future__ import annotations

import asyncio

from aiohttp import web

from bzzz_operator.authority import LogAddress
from bzzz_operator.reconcile.archive import Archive

LOG = LogAddress(node_id="bzzz-0", key="1" * 64, host="bzzz-0.bzzz", port=4002, replication_key="2" * 64)


async def serve_and_tell() -> tuple[list[bool], int]:
    puts = 0

    async def put(_: web.Request) -> web.Response:
        nonlocal puts
        puts += 1
        return web.json_response({"logs": 1})

    async def get(_: web.Request) -> web.Response:
        return web.json_response({"logs": [{"nodeId": LOG.node_id, "key": LOG.key}]})

    app = web.Application()
    app.router.add_put("/v1/logs", put)
    app.router.add_get("/v1/logs", get)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        archive = Archive(f"http://127.0.0.1:{runner.addresses[0][1]}", lambda: "token")
        told = [await archive.tell([LOG]), await archive.tell([LOG])]
        await archive.close()
        assert not archive.is_current([LOG])
        told += [await archive.tell([LOG]), await archive.tell([LOG])]
        await archive.close()
        return told, puts
    finally:
        await runner.cleanup()


def test_whoever_acts_again_tells_the_archive_again() -> None:
    told, puts = asyncio.run(serve_and_tell())
    assert told == [True, False, True, False]
    assert puts == 2
