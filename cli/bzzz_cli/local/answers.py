"""`bzzz answer --state DIR`: a person's verdict on an escalation of a local hive, signed here by the hive key.

The folder that `bzzz local` prints holds the hive key, so who may read it is the authority. The signed verdict is
brought to the scribe, which relays it as it is (architecture §11).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, cast
from uuid import uuid4

import httpx

from bzzz_cli.answering import ESCALATED, Answer, find, shown
from bzzz_cli.errors import CommandError
from bzzz_cli.local.config import Folders
from hmmm.envelope import SigningKey, sha256_hex
from hmmm.errors import excerpt
from hmmm.identity import IssueIdentity
from hmmm.verdict import SignedVerdict, sign_verdict

Json = dict[str, Any]

POLL_S: Final = 0.5
AGAIN_S: Final = 5.0
"""The scribe keeps what it was brought in memory: it is brought again until the claimant has it."""
TIMEOUT_S: Final = 10.0


@dataclass(frozen=True)
class View:
    """A discussion as the scribe shows it."""

    body: Json

    @property
    def name(self) -> str:
        """A local discussion has no name but its issue's."""
        return shown(self)

    @property
    def repository(self) -> str:
        """Its issue's repository."""
        return str(self.body["repository"])

    @property
    def number(self) -> int | None:
        """Its issue's number."""
        return int(self.body["number"])

    @property
    def phase(self) -> str:
        """Where it stands."""
        return str(self.body["phase"])

    @property
    def identity(self) -> IssueIdentity:
        """Whose claim it is."""
        return IssueIdentity(
            repository=self.repository, number=int(self.body["number"]), epoch=int(self.body["epoch"])
        )


class LocalHive:
    """A local hive that runs, by its folder."""

    def __init__(self, state: Path) -> None:
        """Read where its scribe is. Raises CommandError for a folder that is none, or not running."""
        folders = Folders(state, state)
        try:
            told = json.loads(folders.config("scribe").read_text())["http"]
            seed = (folders.keys / "hive.seed").read_text().strip()
            self._key = SigningKey.hive(bytes.fromhex(seed))
        except (OSError, ValueError, KeyError) as error:
            raise CommandError(
                f"{state}: expected the folder of a local hive, which `bzzz local` prints as its state: {error}"
            ) from error
        self._url = f"http://{told['host']}:{told['port']}"

    def discussions(self) -> list[View]:
        """Return the newest discussion of each issue. Raises CommandError."""
        state = cast("Json", self._ask("GET", "/api/state").json())
        newest: dict[tuple[str, int], View] = {}
        for view in map(View, cast("list[Json]", state["discussions"])):
            key = (view.repository, int(view.body["number"]))
            if key not in newest or newest[key].body["epoch"] < view.body["epoch"]:
                newest[key] = view
        return list(newest.values())

    def sign(self, verdict: SignedVerdict) -> bytes:
        """Sign a verdict by the hive key."""
        return sign_verdict(verdict, self._key)

    def bring(self, signed: bytes) -> None:
        """Bring a verdict to the scribe. Raises CommandError with what it says."""
        self._ask("POST", "/api/verdicts", signed)

    def _ask(self, method: str, path: str, body: bytes | None = None) -> httpx.Response:
        try:
            answer = httpx.request(method, f"{self._url}{path}", content=body, timeout=TIMEOUT_S)
        except httpx.HTTPError as error:
            raise CommandError(
                f"{self._url}: expected the hive's scribe to answer: {excerpt(str(error))}; is `bzzz local` running?"
            ) from error
        if answer.status_code >= 300:
            raise CommandError(f"{self._url}: {answer.status_code} {excerpt(answer.text)}")
        return answer


def answer(hive: LocalHive, given: Answer, wait_s: float, say: Callable[[str], None]) -> None:
    """Sign a verdict, bring it and, with `wait_s` above 0, wait so many seconds until the claimant obeys.

    Raises CommandError.
    """
    found = find(hive.discussions(), given.issue, "this hive")
    if found.phase != ESCALATED:
        raise CommandError(f"{shown(found)}: expected it to wait for a human, it is {found.phase}")
    say(f"{shown(found)}: {excerpt(str(found.body.get('reason') or ''))}")
    verdict = SignedVerdict(
        verdict_id=str(uuid4()),
        issue=found.identity,
        verdict=given.verdict,
        text=given.text,
        decided_by=given.by,
        decided_at=datetime.now(UTC),
    )
    signed = hive.sign(verdict)
    hive.bring(signed)
    say(f"{shown(found)}: {given.verdict}, signed by the hive")
    if wait_s > 0:
        _wait(hive, found, signed, wait_s, say)


def _wait(hive: LocalHive, found: View, signed: bytes, wait_s: float, say: Callable[[str], None]) -> None:
    digest, end, again = sha256_hex(signed), time.monotonic() + wait_s, time.monotonic() + AGAIN_S
    while time.monotonic() < end:
        now = next((v for v in hive.discussions() if v.identity == found.identity), None)
        if now is None or digest in now.body["verdicts"] or now.phase != ESCALATED:
            say(
                f"{shown(found)}: the claimant obeys; the discussion is {'over' if now is None else now.phase}"
            )
            return
        if time.monotonic() >= again:
            hive.bring(signed)
            again = time.monotonic() + AGAIN_S
        time.sleep(POLL_S)
    raise CommandError(
        f"{shown(found)}: the claimant did not act on it within {wait_s:g} s; answer again once it runs"
    )
