"""Saying what this agent can do: at start, on change, to newcomers, every 30 s (architecture §5)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import trio

from bzzz_agent.claimant.desk import Desk
from bzzz_agent.drain import phase_of
from bzzz_agent.health import Health
from bzzz_agent.settings import AgentSettings
from bzzz_agent.voice import Voice
from bzzz_mesh import Mesh
from hmmm.membership import Roster
from hmmm.messages import HIVE_TOPIC, Capabilities, ModelInfo
from hmmm.ranking import Candidate

EVERY_S = 30.0
MAX_REASON = 160
CHECK_S = 0.5
"""How soon a change is told."""


@dataclass
class Herald:
    """Broadcasts the agent's capabilities."""

    settings: AgentSettings
    roster: Roster
    mesh: Mesh
    voice: Voice
    desk: Desk
    health: Health
    drained: Callable[[], bool] = lambda: False
    """Whether the agent was asked to leave and has nothing left to do."""
    asked: bool = True
    """Set when a newcomer was heard: it does not know us yet."""
    _last: tuple[object, ...] = field(default=())
    _there: frozenset[str] = frozenset()

    def candidate(self) -> Candidate:
        """Return this agent as ranking takes it."""
        return Candidate.of(self.capabilities())

    def capabilities(self) -> Capabilities:
        """Return what is true now."""
        settings, current = self.settings, self.desk.current
        state = None if current is None else self.voice.journal.discussions.get(current)
        spec = settings.spec
        model = settings.model
        return Capabilities(
            **self.voice.header(),
            models=() if model is None else (ModelInfo(name=model.name, reasoning=True),),
            tools=spec.capabilities.tools,
            languages=spec.capabilities.languages,
            load=1.0 if self.desk.busy else 0.0,
            phase=self._phase(None if state is None else state.phase.value.lower()),
            log_key=self.roster.own.log_key,
            addresses=self.mesh.addresses,
            card=self.roster.own_card.decode(),
            healthy=self.voice.journal.client.healthy and self.health.problem is None,
            repositories=spec.github.repositories,
        )

    def _phase(self, working: str | None) -> str:
        problem = self.health.problem
        if problem is not None and working is None and not self.desk.drain.asked:
            return f"unhealthy: {problem}"[:MAX_REASON]
        return phase_of(
            working,
            leaving=self.desk.drain.asked,
            done=self.drained(),
            suspended=self.settings.spec.suspend,
        )

    async def run(self) -> None:
        """Broadcast for ever."""
        last_s = float("-inf")
        while True:
            now_s = trio.current_time()
            there = self.mesh.on_topic(HIVE_TOPIC)
            # whoever comes back after a kill is known here, and knows nobody
            self.asked |= not there <= self._there
            self._there = there
            said = self.capabilities()
            key = (said.load, said.phase, said.healthy, said.addresses)
            if self.asked or key != self._last or now_s - last_s >= EVERY_S:
                await self.voice.hint(HIVE_TOPIC, said)
                self.asked, self._last, last_s = False, key, now_s
            await trio.sleep(CHECK_S)
