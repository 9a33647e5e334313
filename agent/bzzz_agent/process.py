"""The agent's process: listening, speaking, working; ended cleanly by SIGTERM (architecture §3)."""

from __future__ import annotations

import json
import signal
import sys
from dataclasses import dataclass

import structlog
import trio

from bzzz_agent.assembly import Parts, assemble
from bzzz_agent.discovery import Discovery
from bzzz_agent.lifesigns import forget_ready, keep_alive, show_ready
from bzzz_agent.own_card import follow
from bzzz_agent.settings import AgentSettings
from hmmm.messages import HIVE_TOPIC, Capabilities, IssueSeen, TaskClaimed, TaskHelpRequest

log = structlog.get_logger("bzzz.agent")

MAX_FOLLOWED = 64
"""Discussions followed at once; a hive has at most 32 agents, each with one issue (architecture §4)."""
LEAVE_S = 45.0
"""How long an agent that was asked to leave takes at most to give its issue back: a pod has 60 s in all."""


async def run(settings: AgentSettings) -> None:
    """Run the agent until SIGTERM or SIGINT.

    Work in progress stays claimed and is resumed by the next life; only an agent that was asked to leave the hive
    gives it back first. A second signal ends it at once.
    """
    _log_as_json()
    forget_ready(settings.ready_file)
    async with trio.open_nursery() as nursery:
        signals = await nursery.start(_receive_signals)
        nursery.start_soon(keep_alive, settings.alive_file)
        agents: list[Agent] = []
        nursery.start_soon(_until_signal, signals, agents, nursery)
        async with assemble(settings) as parts:
            agents.append(Agent(settings, parts))
            await agents[0].run()


async def _receive_signals(
    *, task_status: trio.TaskStatus[trio.MemoryReceiveChannel[int]] = trio.TASK_STATUS_IGNORED
) -> None:
    send, receive = trio.open_memory_channel[int](2)
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started(receive)
        async for number in signals:
            await send.send(number)


async def _until_signal(
    signals: trio.MemoryReceiveChannel[int], agents: list[Agent], everything: trio.Nursery
) -> None:
    log.info("ending", signal=signal.Signals(await signals.receive()).name)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_leave, agents, nursery.cancel_scope)
        await signals.receive()
        nursery.cancel_scope.cancel()
    everything.cancel_scope.cancel()


async def _leave(agents: list[Agent], scope: trio.CancelScope) -> None:
    for agent in agents:
        await agent.leave()
    scope.cancel()


def _log_as_json() -> None:
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


@dataclass
class Agent:
    """A wired agent."""

    settings: AgentSettings
    parts: Parts
    discoveries: tuple[Discovery, ...] = ()

    async def run(self) -> None:
        """Listen, speak, review and work, for ever."""
        parts, settings = self.parts, self.settings
        async with trio.open_nursery() as nursery:
            await nursery.start(self._listen)
            nursery.start_soon(parts.directory.run)
            nursery.start_soon(parts.desk.drain.run)
            nursery.start_soon(parts.herald.run)
            nursery.start_soon(parts.library.run)
            nursery.start_soon(follow, settings.card_file, parts.roster, parts.mesh, parts.voice.journal)
            nursery.start_soon(show_ready, settings.ready_file, parts.ready)
            ready = {
                "ready": True,
                "nodeId": settings.node_id,
                "peerId": parts.mesh.peer_id,
                "addresses": list(parts.mesh.addresses),
                "metricsPort": parts.metrics_port,
            }
            print(json.dumps(ready), flush=True)
            await parts.repositories.connect()
            await parts.desk.resume()
            if settings.spec.suspend:
                log.info("suspended: no new issue is claimed")
                await trio.sleep_forever()
            for discovery in self._discoveries():
                nursery.start_soon(discovery.run)

    async def leave(self) -> None:
        """Give back what is on the desk, if the agent was asked to leave the hive; `LEAVE_S` at most."""
        desk = self.parts.desk
        desk.drain.look()
        if not desk.drain.asked or desk.empty:
            return
        log.info("gives its issue back before it leaves", issue=str(desk.current))
        with trio.move_on_after(LEAVE_S) as patience:
            await desk.clear()
        if patience.cancelled_caught:
            log.error("issue could not be given back in time; its lease runs out", issue=str(desk.current))

    def _discoveries(self) -> tuple[Discovery, ...]:
        parts, interval = self.parts, self.settings.poll_interval_s
        self.discoveries = tuple(
            Discovery(
                repo,
                parts.desk,
                parts.hive,
                parts.voice,
                parts.herald.candidate(),
                interval,
                settle_s=min(3.0, interval),
                health=parts.health,
            )
            for repo in parts.repositories.open.values()
        )
        return self.discoveries

    async def _listen(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        followers, parts = trio.CapacityLimiter(MAX_FOLLOWED), self.parts
        async with parts.mesh.subscribe(HIVE_TOPIC) as subscription, trio.open_nursery() as nursery:
            task_status.started()
            async for received in subscription:
                heard = parts.inbox.read(HIVE_TOPIC, received.data, received.author)
                if heard is None or heard.card.node_id == self.settings.node_id:
                    continue
                message = heard.signed.message
                if isinstance(message, Capabilities):
                    parts.herald.asked |= not parts.hive.knows(message.node_id)
                    await parts.directory.reach(heard.card.peer_id, message.addresses)
                parts.hive.hear(message)
                if isinstance(message, TaskClaimed) and self._may_follow(followers):
                    nursery.start_soon(self._follow, message, followers)
                if isinstance(message, TaskHelpRequest) and heard.card.role == "agent":
                    nursery.start_soon(parts.helper.hear, message)
                if isinstance(message, IssueSeen):
                    for discovery in self.discoveries:
                        discovery.wake.set()

    def _may_follow(self, followers: trio.CapacityLimiter) -> bool:
        """An agent that leaves ends the reviews that it promised and promises no more."""
        return followers.available_tokens > 0 and not self.parts.desk.drain.asked

    async def _follow(self, claim: TaskClaimed, followers: trio.CapacityLimiter) -> None:
        async with followers:
            await self.parts.reviewer.follow(claim)
