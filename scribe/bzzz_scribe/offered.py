"""Verdicts that are brought to the scribe itself, signed by the hive key: the local hive's door for a human.

Whoever holds the hive key may bring one, and nobody else can: the signature is all the login that is needed. They
are kept in memory, for whoever brings one brings it again until the claimant has it.
"""

from __future__ import annotations

from typing import Final

import trio

from bzzz_scribe.carrier import TICK_S, Carrier, waits_for
from bzzz_scribe.errors import NotAskedError
from bzzz_scribe.keeper import Keeper
from hmmm.envelope import VERDICT_TYPE, Envelope, sha256_hex
from hmmm.verdict import MAX_VERDICT_BYTES, SignedVerdict, read_verdict

MAX_OFFERED: Final = 256
"""Verdicts that are waited for at once; more discussions do not escalate in one hive."""


class OfferedVerdicts:
    """Takes verdicts in, and has them said while they are waited for."""

    def __init__(self, keeper: Keeper, hive_key: bytes) -> None:
        self._keeper = keeper
        self._hive_key = hive_key
        self._kept: dict[str, tuple[bytes, SignedVerdict]] = {}

    def offer(self, raw: bytes) -> SignedVerdict:
        """Take a verdict in. The same one again changes nothing.

        Raises MalformedError, SignatureError for what the hive key did not sign, NotAskedError where nobody waits for
        it.
        """
        envelope = Envelope.parse(raw, expected_type=VERDICT_TYPE, limit=MAX_VERDICT_BYTES)
        envelope.verify_hive(self._hive_key)
        told = SignedVerdict.from_json(envelope.payload, limit=MAX_VERDICT_BYTES, what="verdict")
        verdict = read_verdict(raw, self._hive_key, told.issue)
        digest = sha256_hex(raw)
        if not waits_for(self._keeper.discussion(verdict.issue), digest):
            raise NotAskedError(f"{verdict.issue}: no discussion of this claim waits for a human's decision")
        if digest not in self._kept and len(self._kept) >= MAX_OFFERED:
            raise NotAskedError(
                f"{verdict.issue}: {MAX_OFFERED} verdicts are on their way already; try again later"
            )
        self._kept[digest] = (raw, verdict)
        return verdict

    async def run(self, carrier: Carrier) -> None:
        """Relay until cancelled."""
        while True:
            self._kept = {
                digest: kept
                for digest, kept in self._kept.items()
                if waits_for(self._keeper.discussion(kept[1].issue), digest)
            }
            await carrier.carry(self._kept)
            await trio.sleep(TICK_S)
