"""Whether an agent can help: an honest answer to a request, by rule."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Means:
    """What an agent has and does at the moment of a request."""

    capabilities: frozenset[str]
    """As `lang:python`, `tool:ruff`, in lower case; an agent that names none is taken for a generalist."""
    equipped: bool
    """It has a help command, or a model that can judge."""
    problem: str | None = None
    """Why it is not healthy."""
    leaving: bool = False
    working_on: str | None = None
    talks: int = 0
    """Requests that it has offered to help with and that are not over."""


MAX_TALKS = 4


def refusal(wants: tuple[str, ...], means: Means) -> str | None:
    """Return why an agent cannot help now; None when it can."""
    if not means.equipped:
        return "it has neither a help command nor a model that can judge"
    if means.problem is not None:
        return f"it is not well: {means.problem}"
    if means.leaving:
        return "it leaves the hive"
    if means.working_on is not None:
        return f"it works on {means.working_on}"
    if means.talks >= MAX_TALKS:
        return f"it has promised to help {means.talks} others"
    lacks = wants and means.capabilities and not means.capabilities & {want.lower() for want in wants}
    return f"it has none of {', '.join(wants)}" if lacks else None
