"""Claim refs on the wire: read a tip, write a commit, move a ref by compare-and-set.

Creating a ref and fast-forwarding one are the two atomic steps that GitHub offers (facts: github): POST git/refs
answers 422 where the ref exists, PATCH with `force: false` takes a child of the present tip only. Nothing here
forces and nothing deletes: deleting is not conditional.

A write whose answer is lost may or may not have been applied, and reads may lag behind writes. So an unclear
move is settled by reading until the tip shows it, or shows somebody past it; "lost" is only said when certain.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import structlog
import trio

from bzzz_agent.github.answers import Commit, Ref, Repository, read, read_list
from bzzz_agent.github.client import Answer, GitHubClient
from bzzz_agent.github.errors import (
    MalformedAnswerError,
    NotFoundError,
    RefusedError,
    RetryableError,
    UnavailableError,
)
from hmmm.claims import ClaimRecord, read_claim
from hmmm.errors import BzzzError, MalformedError

PRIMARY: Final = "claims"
FALLBACK: Final = "heads/claims"
"""For hosts that refuse refs outside refs/heads; then the claims show up as branches."""

_REMEMBERED_COMMITS: Final = 1024
_LONGEST_WALK: Final = 64
"""Ancestors looked at to tell a new reading from an old one; each is read once and remembered."""
_SETTLING_PAUSES_S: Final = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0)
"""Between readings of an unclear move: 7 s in all, well above the replica lag that GitHub shows."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Tip:
    """A claim ref's tip. `record` is None where the commit is not a claim of ours (then `problem` says why)."""

    sha: str
    tree: str
    parents: tuple[str, ...]
    record: ClaimRecord | None
    problem: str = ""


class OvertakenError(BzzzError):
    """The ref was moved by somebody else first; `tip` is what it shows, None if reads lag too far to tell."""

    def __init__(self, issue: int, tip: Tip | None) -> None:
        super().__init__(f"claim ref of issue {issue}: somebody else moved it first")
        self.tip = tip


class ClaimRefStore:
    """The claim refs of one repository."""

    def __init__(self, client: GitHubClient, repository: str) -> None:
        self._client = client
        self._base = f"/repos/{repository}"
        self._space: str | None = None
        self._tips: OrderedDict[str, Tip] = OrderedDict()
        self._root_tree: str | None = None
        self._lists: dict[str, tuple[str | None, tuple[Ref, ...]]] = {}

    async def tip(self, issue: int) -> Tip | None:
        """Return the tip of an issue's claim ref as a read shows it now; None where there is no ref.

        Raises GitHubError.
        """
        for space in self._spaces():
            try:
                answer = await self._client.request(
                    "GET", f"{self._base}/git/ref/{space}/issue-{issue}", kind="claim.read"
                )
            except NotFoundError:
                continue
            ref = read(Ref, answer.data, what="claim ref")
            self._space = space
            return await self._load(ref.object.sha)
        return None

    async def list(self, wanted: frozenset[int]) -> tuple[dict[int, Tip], bool]:
        """Return the tips of the wanted issues' claim refs, and whether anything changed since the last call.

        One request, answered 304 and free while nothing changes, and one more for each tip not yet known.
        Raises GitHubError.
        """
        changed = False
        found: dict[int, str] = {}
        for space in self._spaces():
            refs, news = await self._matching(space)
            changed |= news
            names = {f"refs/{space}/issue-{issue}": issue for issue in wanted}
            found |= {names[ref.ref]: ref.object.sha for ref in refs if ref.ref in names}
            if refs:
                self._space = space
                break
        return {issue: await self._load(sha) for issue, sha in found.items()}, changed

    async def move(self, tip: Tip | None, record: ClaimRecord) -> Tip:
        """Put a record on top of a tip (None: make the ref), if and only if the ref still is that tip.

        Raises OvertakenError when somebody else moved it, UnavailableError when the outcome stayed unknown (call
        again with the same record), GitHubError.
        """
        if tip is not None and self._space is None:
            await self.tip(record.issue)  # a restarted process that knows its claim, but not where refs live
        new = await self._commit(tip, record)
        writing, unclear = True, False
        for pause_s in _SETTLING_PAUSES_S:
            delay_s = pause_s
            if writing:
                try:
                    await self._write(record.issue, tip, new)
                except RefusedError as refusal:
                    if refusal.says("reference does not exist") and not unclear:  # somebody deleted it
                        raise OvertakenError(record.issue, None) from refusal
                    # "Exists" or "not a fast forward": the ref has left the tip, nothing is left to write.
                    writing = refusal.says("object does not exist")
                except RetryableError as error:
                    unclear = True
                    delay_s = max(pause_s, error.delay_s)
                    if delay_s > self._client.settings.patience_s:
                        raise
                else:
                    return new
            seen = await self.tip(record.issue)
            if seen is not None and seen.sha == new.sha:
                return new
            if seen is not None and await self._went_on(seen, tip, new):
                raise OvertakenError(record.issue, seen)
            await trio.sleep(delay_s)
        if (
            not writing and not unclear
        ):  # our first attempt was refused, so it was another's doing for certain
            raise OvertakenError(record.issue, None)
        raise UnavailableError(
            f"claim ref of issue {record.issue}: moved or not, GitHub's reads do not tell; try the same again"
        )

    async def _went_on(self, seen: Tip, tip: Tip | None, new: Tip) -> bool:
        """Say whether a reading proves that the ref left the tip for another commit than ours.

        A reading may be older than the tip itself: only a descendant of it, or a later epoch, proves anything.
        """
        assert new.record is not None, "we wrote it"
        if tip is None or seen.record is None:
            return tip is None or seen.sha != tip.sha
        if seen.record.epoch > new.record.epoch:
            return True
        for _ in range(_LONGEST_WALK):
            if tip.sha in seen.parents:
                return True
            if not seen.parents:
                return False
            seen = await self._load(seen.parents[0])
        return True

    def _spaces(self) -> tuple[str, ...]:
        return (PRIMARY, FALLBACK) if self._space is None else (self._space,)

    async def _matching(self, space: str) -> tuple[tuple[Ref, ...], bool]:
        etag, known = self._lists.get(space, (None, ()))
        answer = await self._client.request(
            "GET", f"{self._base}/git/matching-refs/{space}/", kind="claims.list", etag=etag
        )
        if answer.unchanged:
            return known, False
        refs = read_list(Ref, answer.data, what="claim refs")
        self._lists[space] = (answer.etag, refs)
        return refs, True

    async def _load(self, sha: str) -> Tip:
        if sha in self._tips:
            self._tips.move_to_end(sha)
            return self._tips[sha]
        answer = await self._client.request("GET", f"{self._base}/git/commits/{sha}", kind="claim.read")
        return self._remember(read(Commit, answer.data, what="claim commit"))

    def _remember(self, commit: Commit) -> Tip:
        record, problem = None, ""
        try:
            record = read_claim(commit.message.encode())
        except MalformedError as error:
            problem = str(error)
            log.warning("claim_unreadable", sha=commit.sha, problem=problem)
        tip = Tip(commit.sha, commit.tree.sha, tuple(p.sha for p in commit.parents), record, problem)
        self._tips[commit.sha] = tip
        while len(self._tips) > _REMEMBERED_COMMITS:
            self._tips.popitem(last=False)
        return tip

    async def _commit(self, tip: Tip | None, record: ClaimRecord) -> Tip:
        """Write a commit that only we can have written: its record has our nonce. Twice is harmless."""
        body: dict[str, object] = {
            "message": record.to_json().decode(),
            "tree": await self._tree() if tip is None else tip.tree,
            "parents": [] if tip is None else [tip.sha],
        }
        answer = await self._post(f"{self._base}/git/commits", body, kind="claim.commit", repeatable=True)
        return self._remember(read(Commit, answer.data, what="claim commit"))

    async def _tree(self) -> str:
        """Return a tree to hang the first claim of an issue on: the default branch's, which surely exists."""
        if self._root_tree is None:
            answer = await self._client.request("GET", self._base, kind="repository.read")
            branch = read(Repository, answer.data, what="repository").default_branch
            answer = await self._client.request(
                "GET", f"{self._base}/git/ref/heads/{branch}", kind="branch.read"
            )
            head = read(Ref, answer.data, what="default branch").object.sha
            answer = await self._client.request("GET", f"{self._base}/git/commits/{head}", kind="branch.read")
            self._root_tree = read(Commit, answer.data, what="default branch").tree.sha
        return self._root_tree

    async def _write(self, issue: int, tip: Tip | None, new: Tip) -> None:
        if tip is not None:
            space = self._space or PRIMARY
            await self._client.request(
                "PATCH",
                f"{self._base}/git/refs/{space}/issue-{issue}",
                kind="claim.move",
                body={"sha": new.sha, "force": False},
                repeatable=False,
            )
            return
        space = self._space or PRIMARY
        try:
            await self._create(space, issue, new)
        except RefusedError as refusal:
            if self._space is not None or refusal.says("exist"):
                raise
            # The host has no objection to this ref in particular, so it refuses its place: every agent of the
            # hive gets the same answer and falls back likewise.
            log.warning("claim_refs_fall_back", refused=refusal.reason, to=FALLBACK)
            await self._create(FALLBACK, issue, new)
            space = FALLBACK
        self._space = space

    async def _create(self, space: str, issue: int, new: Tip) -> None:
        ref = f"refs/{space}/issue-{issue}"
        await self._post(
            f"{self._base}/git/refs", {"ref": ref, "sha": new.sha}, kind="claim.create", repeatable=False
        )

    async def _post(self, path: str, body: Mapping[str, object], *, kind: str, repeatable: bool) -> Answer:
        answer = await self._client.request("POST", path, kind=kind, body=body, repeatable=repeatable)
        if answer.status != 201:
            raise MalformedAnswerError(f"POST {path}: expected 201, GitHub answered {answer.status}")
        return answer
