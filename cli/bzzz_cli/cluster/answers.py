"""`bzzz answer` on Kubernetes: a person's verdict as the MetaDiscussion's `spec.resolution` (architecture §11)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast

from bzzz_cli.answering import ESCALATED, Answer, find, shown
from bzzz_cli.cluster.connection import Cluster, Json
from bzzz_cli.errors import CommandError
from hmmm.errors import excerpt

POLL_S: Final = 0.5
ACCEPTED: Final = "ResolutionAccepted"
"""The operator's condition that says what became of a resolution."""


@dataclass(frozen=True)
class Resource:
    """A MetaDiscussion."""

    body: Json

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.body["metadata"]["name"])

    @property
    def repository(self) -> str:
        """Its issue's repository."""
        return str(self.part("spec", "issue").get("repository"))

    @property
    def number(self) -> int | None:
        """Its issue's number, None for a question."""
        return cast("int | None", self.part("spec", "issue").get("number"))

    @property
    def phase(self) -> str:
        """Where it stands."""
        return str(self.part("status").get("phase") or "")

    def decided(self, generation: int = 0) -> Json | None:
        """Return what the operator says of a resolution, if it says it of this generation or a later one."""
        conditions = cast("list[Json]", self.part("status").get("conditions") or [])
        return next(
            (c for c in conditions if c["type"] == ACCEPTED and c.get("observedGeneration", 0) >= generation),
            None,
        )

    def part(self, *path: str) -> Json:
        """Return an object within it; empty where there is none."""
        one = self.body
        for key in path:
            one = cast("Json", one.get(key) or {})
        return one


def answer(cluster: Cluster, given: Answer, wait_s: float, say: Callable[[str], None]) -> None:
    """Write a verdict down and, with `wait_s` above 0, wait so many seconds until the claimant has it.

    Raises CommandError where nothing is asked, or where the operator does not accept it.
    """
    every = [Resource(body) for body in cluster.discussions()]
    found = find(every, given.issue, f"namespace {cluster.namespace}")
    if found.phase != ESCALATED:
        phase = found.phase or "not discussed yet"
        raise CommandError(
            f"{shown(found)}: expected it to wait for a human, it is {phase}; see: kubectl get metadiscussions -n "
            f"{cluster.namespace}"
        )
    resolution: Json = {"verdict": given.verdict, "text": given.text, "by": given.by}
    if found.part("spec").get("resolution") == resolution:
        said = found.decided()
        trouble = f" ({excerpt(str(said['message']))})" if said is not None else ""
        raise CommandError(
            f"{shown(found)}: this very answer is there already{trouble}; to answer again, use other words"
        )
    reason = found.part("status", "escalation").get("reason") or found.part("status").get("reason")
    say(f"{shown(found)}: {excerpt(str(reason or ''))}")
    written = cluster.resolve(found.body, resolution)
    if wait_s <= 0:
        say(f"{shown(found)}: {given.verdict} is written down; the operator signs it and the claimant obeys")
        return
    _wait(cluster, found.name, int(written["metadata"]["generation"]), given, wait_s, say)


def _wait(
    cluster: Cluster, name: str, generation: int, given: Answer, wait_s: float, say: Callable[[str], None]
) -> None:
    end, signed = time.monotonic() + wait_s, False
    while True:
        found = Resource(cluster.discussion(name))
        decided = found.decided(generation)
        if decided is not None and decided["status"] != "True":
            why = excerpt(str(decided["message"]))
            raise CommandError(f"{shown(found)}: {given.verdict} is not accepted: {why}")
        if decided is not None and not signed:
            signed = True
            say(f"{shown(found)}: signed by the hive: {excerpt(str(decided['message']))}")
        if signed and found.phase != ESCALATED:
            say(f"{shown(found)}: the claimant obeys; the discussion is {found.phase}")
            return
        if time.monotonic() >= end:
            break
        time.sleep(POLL_S)
    if not signed:
        raise CommandError(
            f"{shown(found)}: expected the operator to sign it within {wait_s:g} s, came nothing yet; the answer stays"
        )
    say(f"{shown(found)}: the claimant has not acted on it yet; it is told again until it does")
