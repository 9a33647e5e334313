"""What keeps the agent from working, said to the hive: an unhealthy agent claims nothing and is not counted on."""

from __future__ import annotations

from dataclasses import dataclass, field

import structlog

log = structlog.get_logger("bzzz.agent.health")


@dataclass
class Health:
    """Problems by where they are; each is logged when it comes, changes or goes."""

    _problems: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def problem(self) -> str | None:
        """The oldest problem that is still there."""
        return next(iter(self._problems.values()), None)

    def report(self, where: str, problem: str | None) -> None:
        """Say how it stands somewhere; None means well."""
        before = self._problems.get(where)
        if problem is None:
            if self._problems.pop(where, None) is not None:
                log.info("well again", where=where)
        else:
            self._problems[where] = problem
            if problem != before:
                log.error("cannot work", where=where, problem=problem)
