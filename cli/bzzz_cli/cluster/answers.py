"""`bzzz answer`: a person's verdict on an escalation, as the MetaDiscussion's `spec.resolution` (architecture §11)."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast, get_args

from bzzz_cli.cluster.connection import Cluster, Json
from bzzz_cli.errors import CommandError, UsageError
from hmmm.errors import excerpt
from hmmm.meta import Verdict

POLL_S: Final = 0.5
MAX_TEXT: Final = 4000
MAX_BY: Final = 120
ESCALATED: Final = "Escalated"
ACCEPTED: Final = "ResolutionAccepted"
"""The operator's condition that says what became of a resolution."""
_ISSUE: Final = re.compile(r"(?:(?P<repository>[\w.-]+/[\w.-]+)?#)?(?P<number>[1-9]\d{0,15})", re.ASCII)


@dataclass(frozen=True)
class Answer:
    """A decision, as somebody typed it."""

    issue: str
    verdict: Verdict
    text: str
    by: str

    @classmethod
    def of(cls, issue: str, verdict: str, text: str, by: str) -> Answer:
        """Check what was typed. Raises UsageError."""
        if verdict not in get_args(Verdict):
            raise UsageError(f"VERDICT: expected {', '.join(get_args(Verdict))}, came {excerpt(verdict)}")
        if verdict == "revise" and not text.strip():
            raise UsageError("--text: expected what is to be revised, because the verdict is revise")
        if len(text) > MAX_TEXT:
            raise UsageError(f"--text: expected at most {MAX_TEXT} characters, came {len(text)}")
        if not 1 <= len(by) <= MAX_BY:
            raise UsageError(f"--by: expected 1 to {MAX_BY} characters, came {len(by)}")
        return cls(issue, cast("Verdict", verdict), text, by)

    @property
    def resolution(self) -> Json:
        """Return it as `spec.resolution`."""
        return {"verdict": self.verdict, "text": self.text, "by": self.by}


def answer(cluster: Cluster, given: Answer, wait_s: float, say: Callable[[str], None]) -> None:
    """Write a verdict down and, with `wait_s` above 0, wait so many seconds until the claimant has it.

    Raises CommandError where nothing is asked, or where the operator does not accept it.
    """
    found = _find(cluster, given.issue)
    name, shown = str(found["metadata"]["name"]), _shown(found)
    status = _part(found, "status")
    if status.get("phase") != ESCALATED:
        phase = status.get("phase") or "not discussed yet"
        raise CommandError(
            f"{shown}: expected it to wait for a human, it is {phase}; see: kubectl get metadiscussions -n "
            f"{cluster.namespace}"
        )
    if _part(found, "spec").get("resolution") == given.resolution:
        raise CommandError(
            f"{shown}: this very answer is there already{_trouble(found)}; to answer again, use other words"
        )
    say(f"{shown}: {excerpt(str(_part(status, 'escalation').get('reason') or status.get('reason') or ''))}")
    written = cluster.resolve(found, given.resolution)
    if wait_s <= 0:
        say(f"{shown}: {given.verdict} is written down; the operator signs it and the claimant obeys")
        return
    _wait(cluster, name, int(written["metadata"]["generation"]), given, wait_s, say)


def _wait(
    cluster: Cluster, name: str, generation: int, given: Answer, wait_s: float, say: Callable[[str], None]
) -> None:
    end, signed = time.monotonic() + wait_s, False
    while True:
        found = cluster.discussion(name)
        shown, phase = _shown(found), str(_part(found, "status").get("phase"))
        decided = _condition(found, generation)
        if decided is not None and decided["status"] != "True":
            raise CommandError(
                f"{shown}: {given.verdict} is not accepted: {excerpt(str(decided['message']))}"
            )
        if decided is not None and not signed:
            signed = True
            say(f"{shown}: signed by the hive: {excerpt(str(decided['message']))}")
        if signed and phase != ESCALATED:
            say(f"{shown}: the claimant obeys; the discussion is {phase}")
            return
        if time.monotonic() >= end:
            break
        time.sleep(POLL_S)
    if not signed:
        raise CommandError(
            f"{shown}: expected the operator to sign it within {wait_s:g} s, came nothing yet; the answer stays"
        )
    say(f"{shown}: the claimant has not acted on it yet; it is told again until it does")


def _find(cluster: Cluster, wanted: str) -> Json:
    """Return the one MetaDiscussion that somebody means: by name, or by `owner/name#7`, `#7` or `7`."""
    every = cluster.discussions()
    match = _ISSUE.fullmatch(wanted)
    found = [one for one in every if str(one["metadata"]["name"]) == wanted]
    if not found and match is not None:
        found = [one for one in every if _is_about(one, match["repository"], int(match["number"]))]
    if len(found) == 1:
        return found[0]
    asked = [_shown(one) for one in (found or every) if _part(one, "status").get("phase") == ESCALATED]
    there = f"waiting for a human: {', '.join(asked[:20])}" if asked else "none waits for a human"
    count = "several are meant; name the repository" if found else "there is no such discussion"
    raise CommandError(f"{excerpt(wanted)}: {count} in namespace {cluster.namespace} ({there})")


def _is_about(one: Json, repository: str | None, number: int) -> bool:
    issue = _part(one, "spec", "issue")
    same = repository is None or str(issue.get("repository")).lower() == repository.lower()
    return same and issue.get("number") == number


def _shown(one: Json) -> str:
    issue = _part(one, "spec", "issue")
    number = issue.get("number")
    return f"{issue.get('repository')}#{number}" if number is not None else str(one["metadata"]["name"])


def _condition(one: Json, generation: int = 0) -> Json | None:
    """Return what the operator says of a resolution, if it says it of this generation or a later one."""
    conditions = cast("list[Json]", _part(one, "status").get("conditions") or [])
    return next(
        (c for c in conditions if c["type"] == ACCEPTED and c.get("observedGeneration", 0) >= generation),
        None,
    )


def _trouble(one: Json) -> str:
    decided = _condition(one)
    return f" ({excerpt(str(decided['message']))})" if decided is not None else ""


def _part(one: Json, *path: str) -> Json:
    """Return an object within an object; empty where there is none."""
    for key in path:
        one = cast("Json", one.get(key) or {})
    return one
