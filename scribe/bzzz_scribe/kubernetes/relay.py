"""Carries a human's verdict, as the authority signed it, from a MetaDiscussion to the claimant (architecture §11)."""

from __future__ import annotations

from typing import Final, cast

import structlog
import trio

from bzzz_scribe.carrier import TICK_S, Carrier, identity_of, waits_for
from bzzz_scribe.kubernetes.client import Json
from bzzz_scribe.kubernetes.discussions import Discussions, issue_named
from bzzz_scribe.kubernetes.watched import Watched, name_of
from bzzz_scribe.store import Document
from hmmm.envelope import sha256_hex
from hmmm.errors import RemoteProtocolError
from hmmm.verdict import MAX_VERDICT_BYTES, SignedVerdict, read_verdict

MAX_KNOWN: Final = 4096

log = structlog.get_logger("bzzz.scribe.kubernetes.relay")


class VerdictRelay:
    """Looks for signed verdicts on live discussions and has them said."""

    def __init__(
        self, carrier: Carrier, hive_key: bytes, resources: Watched, discussions: Discussions
    ) -> None:
        self._carrier = carrier
        self._hive_key = hive_key
        self._resources = resources
        self._discussions = discussions
        self._refused: set[str] = set()

    async def run(self) -> None:
        """Relay until cancelled."""
        while True:
            found = [self._open(one) for one in list(self._resources.objects.values())]
            await self._carrier.carry({digest: (raw, read) for digest, raw, read in filter(None, found)})
            await trio.sleep(TICK_S)

    def _open(self, one: Json) -> tuple[str, bytes, SignedVerdict] | None:
        """Return a resource's verdict, with its digest, if its claimant still waits for it."""
        issue = issue_named(one)
        verdict = cast("Json", one.get("status") or {}).get("verdict")
        signed = cast("Json", verdict).get("signed") if isinstance(verdict, dict) else None
        if issue is None or not isinstance(signed, str) or len(signed) > MAX_VERDICT_BYTES:
            return None
        view = self._discussions.newest(issue)
        raw = signed.encode("utf-8", "replace")
        digest = sha256_hex(raw)
        if view is None or not waits_for(view, digest) or digest in self._refused:
            return None
        read = self._read(raw, digest, view, name_of(one))
        return None if read is None else (digest, raw, read)

    def _read(self, raw: bytes, digest: str, view: Document, name: str) -> SignedVerdict | None:
        try:
            return read_verdict(raw, self._hive_key, identity_of(view))
        except RemoteProtocolError as error:
            if error.reason == "other_issue":
                return None  # of an earlier claim; the next one may be this one's
            if len(self._refused) < MAX_KNOWN:
                self._refused.add(digest)
                log.warning("verdict does not hold and is not relayed", name=name, error=str(error))
            return None
