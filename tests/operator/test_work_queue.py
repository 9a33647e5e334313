"""The work queue on virtual time."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable

from bzzz_operator.errors import TryAgainError
from bzzz_operator.runtime.queue import WorkQueue
from tests.operator.virtual_time import run

Work = Callable[[str], Awaitable[float | None]]


async def worked(work: Work, add: Callable[[WorkQueue[str]], None], seconds: float, workers: int = 2) -> None:
    """Run a queue for some virtual seconds."""
    queue: WorkQueue[str] = WorkQueue(work)
    add(queue)
    task = asyncio.create_task(queue.run(workers))
    await asyncio.sleep(seconds)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    queue.close()


def test_a_key_that_is_added_often_is_worked_on_once() -> None:
    seen: list[str] = []

    async def work(key: str) -> None:
        seen.append(key)

    def add(queue: WorkQueue[str]) -> None:
        for _ in range(5):
            queue.add("a")
        queue.add("b")

    run(worked(work, add, 1.0))
    assert sorted(seen) == ["a", "b"]


def test_a_key_is_never_worked_on_twice_at_a_time_and_comes_again_once() -> None:
    spans: list[tuple[float, float]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def work(key: str) -> None:
            began = loop.time()
            if len(spans) == 0:
                queue.add(key)
                queue.add(key)
            await asyncio.sleep(1.0)
            spans.append((began, loop.time()))

        queue: WorkQueue[str] = WorkQueue(work)
        queue.add("a")
        task = asyncio.create_task(queue.run(4))
        await asyncio.sleep(10.0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run(main())
    assert spans == [(0.0, 1.0), (1.0, 2.0)]


def test_failures_come_back_with_doubling_delay_up_to_a_minute() -> None:
    times: list[float] = []

    async def work(_key: str) -> None:
        times.append(asyncio.get_running_loop().time())
        raise ValueError("a bug")

    run(worked(work, lambda queue: queue.add("a"), 300.0))
    gaps = [round(b - a, 3) for a, b in itertools.pairwise(times)]
    assert gaps[:6] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2]
    assert gaps[-1] == 60.0


def test_an_error_may_ask_for_a_longer_delay() -> None:
    times: list[float] = []

    async def work(_key: str) -> None:
        times.append(asyncio.get_running_loop().time())
        if len(times) == 1:
            raise TryAgainError("not yet", 7.0)

    run(worked(work, lambda queue: queue.add("a"), 60.0))
    assert times == [0.0, 7.0]


def test_one_keys_failure_holds_up_no_other() -> None:
    seen: list[str] = []

    async def work(key: str) -> None:
        if key == "bad":
            raise ValueError("a bug")
        seen.append(key)

    def add(queue: WorkQueue[str]) -> None:
        queue.add("bad")
        queue.add("good")

    run(worked(work, add, 0.05, workers=1))
    assert seen == ["good"]


def test_a_delay_that_work_returns_brings_the_key_back_and_an_event_sooner() -> None:
    times: list[float] = []

    async def main() -> None:
        async def work(_key: str) -> float:
            times.append(asyncio.get_running_loop().time())
            return 10.0

        queue: WorkQueue[str] = WorkQueue(work)
        queue.add("a")
        task = asyncio.create_task(queue.run(1))
        await asyncio.sleep(13.0)
        queue.add("a")
        await asyncio.sleep(8.0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        queue.close()

    run(main())
    assert times == [0.0, 10.0, 13.0]


def test_success_forgets_earlier_failures() -> None:
    times: list[float] = []

    async def main() -> None:
        async def work(_key: str) -> None:
            times.append(asyncio.get_running_loop().time())
            if len(times) in {1, 2, 4}:
                raise ValueError("a bug")

        queue: WorkQueue[str] = WorkQueue(work)
        queue.add("a")
        task = asyncio.create_task(queue.run(1))
        await asyncio.sleep(5.0)
        queue.add("a")
        await asyncio.sleep(5.0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        queue.close()

    run(main())
    assert [round(t, 3) for t in times] == [0.0, 0.1, 0.3, 5.0, 5.1]
