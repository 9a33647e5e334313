"""Evidence bundles: everything to check a pull request by, made from the archive and the claimant's own log.

The proof covers exactly the issue's records up to the seal, whatever the statement says: a statement that names
other records must not open them to whoever holds this issue's link.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import trio

from bzzz_scribe.archive import ArchiveClient
from bzzz_scribe.errors import ArchiveAwayError, ArchiveRefusedError, NotReadyError
from bzzz_scribe.keeper import Keeper
from bzzz_scribe.logbook import Seal
from bzzz_scribe.store import Document
from hmmm.errors import MalformedError, RemoteProtocolError
from hmmm.evidence.bundle import ArchiveWord, Bundle
from hmmm.evidence.statement import Statement, read_statement
from hmmm.observer import Entry
from hmmm.records import EffectIntended, data_of

PULL_REQUEST: Final = "pull_request"
"""The effect whose parameters hold the signed statement: a claimant logs it after the seal, before the report."""
LENGTH_NOT_SIGNED: Final = "LENGTH_NOT_SIGNED"
"""The archive's word for: there is no proof at that length any more, only at the head."""
AT_A_TIME: Final = 4
"""Bundles made at a time; each costs the archive tens of milliseconds."""


@dataclass(frozen=True)
class SignedStatement:
    """A claimant's statement as signed, and parsed; its signature is for the reader of the bundle to check."""

    raw: str
    statement: Statement


class BundleMaker:
    """Makes bundles. `revocations` gives the newest signed revocations known, empty for none."""

    def __init__(
        self,
        keeper: Keeper,
        archive: ArchiveClient,
        hive: str,
        hive_key: bytes,
        revocations: Callable[[], bytes],
    ) -> None:
        self._keeper = keeper
        self._archive = archive
        self._hive = hive
        self._hive_key = hive_key
        self._revocations = revocations
        self._limiter = trio.CapacityLimiter(AT_A_TIME)

    async def make(self, seal: Seal) -> Document:
        """Return a sealed issue's bundle (`bzzz-bundle/1`).

        Raises NotReadyError while statement, card or archive are missing, StoreError, ArchiveRefusedError.
        """
        async with self._limiter:
            entries, _ = await self._keeper.entries(seal)
            signed = statement_of(entries, seal)
            if signed is None:
                raise NotReadyError("the claimant has not signed its statement yet; ask again in a moment")
            try:
                return await self._assemble(seal, entries, signed)
            except ArchiveAwayError as error:
                raise NotReadyError(f"the archive is away: {error}; ask again in a moment") from error

    async def _assemble(self, seal: Seal, entries: Sequence[Entry], signed: SignedStatement) -> Document:
        sealed_at = next(e.record.at for e in entries if e.seq == seal.seq)
        card = self._keeper.owners.card_for(seal.log_key, sealed_at)
        if card is None:
            raise NotReadyError("the claimant's membership card is not known here yet; ask again in a moment")
        length = signed.statement.predicate.log.length
        proof, consistency = await self._proof(seal, covered(entries, seal), length)
        revocations = self._revocations()
        try:
            bundle = Bundle(
                hive=self._hive,
                hive_key=self._hive_key.hex(),
                card=card.decode(),
                revocations=revocations.decode() if revocations else None,
                statement=signed.raw,
                proof=proof,
                consistency=consistency,
                archive=await self._word(seal.log_key, length),
            )
        except ValueError as error:
            raise MalformedError("bad_bundle", f"bundle of {seal.issue}: {error}") from error
        return bundle.to_object()

    async def _proof(self, seal: Seal, seqs: Sequence[int], length: int) -> tuple[Document, Document | None]:
        """Return the proof at the statement's length, or at a later head with a proof that it continues that one."""
        try:
            return await self._archive.proof(seal.log_key, seqs, length), None
        except ArchiveRefusedError as error:
            if error.code != LENGTH_NOT_SIGNED:
                raise
        consistency = await self._archive.consistency(seal.log_key, length)
        return await self._archive.proof(seal.log_key, seqs, _head_length(consistency)), consistency

    async def _word(self, log_key: str, length: int) -> ArchiveWord | None:
        word = await self._archive.acknowledged(log_key, length)
        if not word.acknowledged:
            return None
        said = {"length": length, "treeHash": word.tree_hash, "acknowledgedAt": word.signed_at}
        try:
            return ArchiveWord.from_object(said, what="archive's word")
        except MalformedError:
            return None  # it proves nothing by itself, so a bundle without it is whole


def covered(entries: Sequence[Entry], seal: Seal) -> tuple[int, ...]:
    """Return the sequence numbers that the seal covers: the issue's, from its first up to the seal itself."""
    return tuple(e.seq for e in entries if seal.data.first_seq <= e.seq <= seal.seq)


def statement_of(entries: Sequence[Entry], seal: Seal) -> SignedStatement | None:
    """Return the statement that the claimant logged for a seal; the first one, which is the one it published."""
    for entry in entries:
        if entry.seq <= seal.seq:
            continue
        signed = _statement_in(entry)
        if signed is not None and signed.statement.predicate.log.last == seal.seq:
            return signed
    return None


def _statement_in(entry: Entry) -> SignedStatement | None:
    try:
        data = data_of(entry.record)
        if not isinstance(data, EffectIntended) or data.effect != PULL_REQUEST:
            return None
        raw = data.parameters.get("statement")
        if not isinstance(raw, str):
            return None
        return SignedStatement(raw, read_statement(raw.encode())[0])
    except (RemoteProtocolError, UnicodeEncodeError):
        return None


def _head_length(consistency: Document) -> int:
    head = consistency.get("head")
    length = head.get("length") if isinstance(head, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if not isinstance(length, int):
        raise ArchiveAwayError("archive: expected a head in the consistency proof")
    return length
