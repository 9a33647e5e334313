"""The operator's process: kopf and the reconcilers on one event loop, until SIGTERM or until the lease is lost."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Coroutine
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import kopf
import orjson
import prometheus_client
import structlog
import uvloop

from bzzz_operator.api import Api
from bzzz_operator.connection import connect
from bzzz_operator.errors import OperatorError
from bzzz_operator.escalation.endpoint import AnswerEndpoint
from bzzz_operator.escalation.recording import ResourceAnswers
from bzzz_operator.escalation.secret import CredentialsCache
from bzzz_operator.handlers import kopf_settings, registry_for
from bzzz_operator.reconcile.operator import Operator
from bzzz_operator.runtime.lease import Lease, LeaseLostError
from bzzz_operator.runtime.metrics import Metrics
from bzzz_operator.settings import OperatorSettings

log = structlog.get_logger()

STUCK_S: Final = 240.0
"""A watch without any sign of life for so long is stuck: each ends, or is retried, far sooner."""


def run(settings: OperatorSettings) -> int:
    """Run until told to stop; return the exit code."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(settings))


def identity() -> str:
    """Return who we are to other operators: the pod's name, which a restarted container keeps."""
    return os.environ.get("POD_NAME") or f"{socket.gethostname()}-{os.getpid()}"


def runner_program() -> str:
    """Return the workspace runner's source. Raises OperatorError when it is not installed."""
    spec = find_spec("bzzz_runner")
    if spec is None or spec.origin is None:
        raise OperatorError("expected the module bzzz_runner; install the distribution bzzz as a whole")
    return Path(spec.origin).read_text()


async def _serve(settings: OperatorSettings) -> int:
    """Run kopf; when it ends, by SIGTERM or by itself, everything else ends, and the other way round."""
    api = connect(settings.namespace, connections=settings.connections)
    metrics = Metrics()
    operator = Operator(api, settings, metrics, runner_program(), identity())
    lease = Lease(api, f"{settings.hive}-operator", identity(), settings.lease_s)
    stop = asyncio.Event()
    server, thread = prometheus_client.start_http_server(
        settings.metrics_port, settings.listen_host, metrics.registry
    )

    def check_alive() -> None:
        stuck = operator.heard_lately(STUCK_S)
        if stuck:
            raise OperatorError(f"expected signs of life from the watches, came none from {', '.join(stuck)}")

    answers = _answer_endpoint(api, settings, metrics)
    if answers is not None and settings.escalation is not None:
        await answers.start(settings.listen_host, settings.escalation.answer_port)
    ready = {"metricsPort": server.server_port, **({"answerPort": answers.port} if answers else {})}
    work = asyncio.create_task(_lead(operator, lease, ready), name="operator")
    work.add_done_callback(lambda _: stop.set())
    host, port = settings.listen_host, settings.liveness_port
    try:
        await kopf.operator(
            registry=registry_for(api, operator, check_alive),
            settings=kopf_settings(),
            standalone=True,
            namespaces=[settings.namespace],
            liveness_endpoint=f"http://{host}:{port}/healthz" if port else None,
            stop_flag=stop,
        )
    finally:
        failure = await _end(work)
        await lease.release()
        if answers is not None:
            await answers.stop()
        server.shutdown()
        server.server_close()
        thread.join()
        await api.close()
        log.info("stopped")
    return 0 if failure is None else 1


def _answer_endpoint(api: Api, settings: OperatorSettings, metrics: Metrics) -> AnswerEndpoint | None:
    """Return the endpoint; it serves whether or not this operator leads, for it only writes what people said."""
    if settings.escalation is None:
        return None

    def counted(result: str) -> None:
        metrics.answers.labels(result).inc()

    credentials = CredentialsCache(api, settings.escalation.secret_name)
    return AnswerEndpoint(credentials.get, ResourceAnswers(api, settings.hive).take, counted)


async def _end(work: asyncio.Task[None]) -> BaseException | None:
    """End the work and return what it failed with. kopf, at its own end, cancels the tasks that it does not know."""
    work.cancel()
    try:
        await work
    except asyncio.CancelledError:
        return None
    except Exception as error:
        log.error("the operator stops", error=f"{type(error).__name__}: {error}")
        return error
    return None


async def _lead(operator: Operator, lease: Lease, ready: dict[str, int]) -> None:
    """Follow at once; act as soon as, and only while, the lease is ours. Raises what went wrong for good."""
    synced = asyncio.Event()

    async def lead() -> None:
        await synced.wait()
        while True:
            await lease.acquire()
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(lease.keep(), name="lease")
                    tasks.create_task(operator.act(lambda: _say_ready(ready)), name="act")
            except* LeaseLostError as group:
                # TaskGroup has cancelled the reconcilers: nothing acts any more, and the caches go on
                log.warning("not acting any more", error=str(group.exceptions[0]))

    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(operator.follow(synced.set), name="follow")
            tasks.create_task(lead(), name="lead")
    except BaseExceptionGroup as group:
        raise _leaves(group)[0] from None


def _say_ready(ports: dict[str, int]) -> None:
    print(orjson.dumps({"ready": True, **ports}).decode(), flush=True)


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]  # type: ignore[arg-type]
    return found


def run_coroutine(work: Coroutine[Any, Any, int]) -> int:
    """Run a command on the same kind of event loop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)
