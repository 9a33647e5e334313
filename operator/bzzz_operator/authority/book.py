"""The ledger's text: what the ConfigMap `H-members` holds, read and written.

| key | content |
|---|---|
| `hive.pub` | the hive's public key, 64 hex digits |
| `ledger.json` | the book itself (`Ledger`): all else follows from it and the hive key |
| `card-NODE.json` | a node's signed card |
| `revocations.json` | all revocations, signed, versioned |
| `members.json` | who is to be dialled, and where |

Signatures are deterministic (Ed25519), so that equal ledgers have equal texts: what somebody else changed in the
ConfigMap is noticed by comparing, and put right.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from bzzz_operator.authority.errors import ForeignLedgerError, LedgerError
from bzzz_operator.authority.types import MESH_PORT, AuthoritySettings
from hmmm.base import Digest, Moment, NodeId, PeerId, first_problem
from hmmm.envelope import SigningKey
from hmmm.errors import RemoteProtocolError
from hmmm.membership import (
    MAX_REVOCATIONS_BYTES,
    MembershipCard,
    Revocation,
    Revocations,
    Role,
    read_revocations,
    sign_card,
    sign_revocations,
)

FORMAT: Final = "bzzz-ledger/1"
MAX_LEDGER_BYTES: Final = 1_000_000
"""Of all texts together: the API server takes 1 MiB an object."""

RequestId = Annotated[str, Field(min_length=1, max_length=64)]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)


class Entry(_Value):
    """A node that exists, or one that is gone and of which something must be remembered."""

    hive_agent: str
    """Name of its HiveAgent; empty for the scribe."""
    role: Role
    peer_id: PeerId
    log_key: Digest | None = None
    replication_key: Digest | None = None
    serial: int | None = Field(default=None, ge=1, le=2**53)
    """Of its card; None while it has none: gone or revoked."""
    last_serial: int = Field(default=0, ge=0, le=2**53)
    """Of the last card that it had."""
    not_before: Moment | None = None
    not_after: Moment | None = None
    """Of its card."""
    keys_since: Moment | None = None
    """When its keys were replaced; a pod older than that runs with the old ones. None for never."""
    revoked: bool = False
    """Revoked by request: gets no card for these keys."""
    revoke_request: RequestId | None = None
    rotated: RequestId | None = None
    """Requests that were carried out."""


class Ended(_Value):
    """A card that stopped, or will stop, being valid before its time."""

    serial: int = Field(ge=1, le=2**53)
    node_id: str = ""
    revoked_at: Moment
    not_after: Moment | None = None
    """When the card ends anyway; None if unknown, or for all cards below."""
    and_below: bool = False


class Ledger(_Value):
    """Everything that the authority must remember beside its keys."""

    format: Literal["bzzz-ledger/1"] = FORMAT
    last_serial: int = Field(ge=0, le=2**53)
    version: int = Field(ge=0, le=2**53)
    """Of the revocations; grows with every change of them."""
    nodes: dict[NodeId, Entry] = Field(default_factory=dict, max_length=8192)
    ended: tuple[Ended, ...] = Field(default=(), max_length=10_000)
    """By serial."""


def fresh(now: datetime, highest: int = 0, version: int = 0) -> Ledger:
    """Return the first ledger, or one in place of one that was lost.

    Nobody can tell these two apart, so serials and versions always begin at the time in milliseconds, far above what a
    lost ledger had come to, and every card below is revoked: what a lost list had revoked stays so, and nodes that run
    get new cards.
    """
    base = max(milliseconds(now), highest + 1)
    floor = Ended(serial=base, revoked_at=now.replace(microsecond=0), and_below=True)
    return Ledger(last_serial=base, version=max(base, version + 1), ended=(floor,))


def milliseconds(moment: datetime) -> int:
    """Return a moment as Unix time; below 2^53, as serials and versions are, for all dates that we take."""
    return int(moment.timestamp() * 1000)


def parse(
    data: Mapping[str, str], hive_key: SigningKey, settings: AuthoritySettings, now: datetime
) -> Ledger:
    """Read a ledger from the ConfigMap's data; one whose book is missing is made anew.

    What the signed revocations say and the book does not is taken from them. Raises LedgerError.
    """
    _check_hive(data, hive_key, settings)
    signed = _signed_revocations(data, hive_key, settings)
    highest = max((r.serial for r in signed.revoked), default=0)
    book = data.get("ledger.json")
    if book is None:
        return _merged(fresh(now, highest, signed.version), signed)
    try:
        ledger = Ledger.model_validate_json(book)
    except ValidationError as error:
        raise LedgerError(
            f"{_where(settings)}, key ledger.json: {first_problem(error)}; restore it, or remove this key: then "
            "every node gets a new card"
        ) from error
    return _merged(ledger, signed)


def _where(settings: AuthoritySettings) -> str:
    return f"ConfigMap {settings.namespace}/{settings.hive}-members"


def _check_hive(data: Mapping[str, str], hive_key: SigningKey, settings: AuthoritySettings) -> None:
    found = data.get("hive.pub", "").strip()
    if data and found != hive_key.public.hex():
        raise ForeignLedgerError(
            f"{_where(settings)}: expected the ledger of hive key {hive_key.public.hex()}, came one of "
            f"{found[:64] or 'none'}; restore the Secret {settings.hive}-hive-key that belongs to it, or delete the "
            "ConfigMap: then every node gets a new card under the present key"
        )


def _signed_revocations(
    data: Mapping[str, str], hive_key: SigningKey, settings: AuthoritySettings
) -> Revocations:
    text = data.get("revocations.json")
    if not text:
        return Revocations(hive=settings.hive, version=0)
    try:
        return read_revocations(text.encode(), hive=settings.hive, hive_key=hive_key.public)
    except RemoteProtocolError as error:
        raise LedgerError(
            f"{_where(settings)}, key revocations.json: {error}; restore it, or delete the ConfigMap: then every "
            "node gets a new card"
        ) from error


def _merged(ledger: Ledger, signed: Revocations) -> Ledger:
    """Take what was signed for granted: it is out in the world, whatever the book says."""
    known = {(e.serial, e.and_below) for e in ledger.ended}
    missing = tuple(
        Ended(serial=r.serial, revoked_at=r.revoked_at, and_below=bool(r.and_below))
        for r in signed.revoked
        if (r.serial, bool(r.and_below)) not in known
    )
    if not missing and signed.version <= ledger.version:
        return ledger
    highest = max([ledger.last_serial, *(e.serial for e in missing)])
    return ledger.model_copy(
        update={
            "ended": in_order((*ledger.ended, *missing)),
            "version": max(ledger.version, signed.version + bool(missing)),
            "last_serial": highest,
        }
    )


def in_order(ended: tuple[Ended, ...]) -> tuple[Ended, ...]:
    """Return what ended by serial, so that equal sets have equal texts."""
    return tuple(sorted(ended, key=lambda e: (e.serial, e.and_below)))


def render(ledger: Ledger, hive_key: SigningKey, settings: AuthoritySettings) -> dict[str, str]:
    """Return the ConfigMap's data.

    Raises LedgerError when the API server would not take it, or members not read it.
    """
    data = {"hive.pub": hive_key.public.hex(), "ledger.json": _json(ledger)}
    data["revocations.json"] = _revocations(ledger, hive_key, settings)
    members: list[dict[str, object]] = []
    for node_id, entry in sorted(ledger.nodes.items()):
        card = _card(node_id, entry, settings.hive, hive_key)  # pyright: ignore[reportArgumentType]  frozen: hashable
        if card is None:
            continue
        data[f"card-{node_id}.json"] = card
        addresses = [address_of(node_id, entry.hive_agent, settings)] if entry.hive_agent else []
        members.append({"nodeId": node_id, "peerId": entry.peer_id, "addresses": addresses})
    data["members.json"] = json.dumps(members, separators=(",", ":"))
    size = sum(len(key) + len(text.encode()) for key, text in data.items())
    if size > MAX_LEDGER_BYTES:
        raise LedgerError(
            f"{_where(settings)}: expected at most {MAX_LEDGER_BYTES} bytes, came {size} for {len(members)} members; "
            "run fewer agents, or split the hive in two"
        )
    return data


def host_of(node_id: str, agent: str, settings: AuthoritySettings) -> str:
    """Return the DNS name of an agent's pod, below its HiveAgent's headless Service."""
    return f"{node_id}.{agent}.{settings.namespace}.svc.{settings.cluster_domain}"


def address_of(node_id: str, agent: str, settings: AuthoritySettings) -> str:
    """Return the multiaddr under which an agent is dialled."""
    return f"/dns4/{host_of(node_id, agent, settings)}/tcp/{MESH_PORT}"


def _json(ledger: Ledger) -> str:
    value = ledger.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return json.dumps({"format": FORMAT} | value, separators=(",", ":"), sort_keys=True)


def _revocations(ledger: Ledger, hive_key: SigningKey, settings: AuthoritySettings) -> str:
    revoked = tuple(
        Revocation(serial=e.serial, revoked_at=e.revoked_at, and_below=True if e.and_below else None)
        for e in ledger.ended
    )
    signed = sign_revocations(
        Revocations(hive=settings.hive, version=ledger.version, revoked=revoked), hive_key
    )
    if len(signed) > MAX_REVOCATIONS_BYTES:
        raise LedgerError(
            f"{_where(settings)}: expected at most {MAX_REVOCATIONS_BYTES} bytes of revocations, came {len(signed)}; "
            "shorten cardLife, so that they may be forgotten sooner"
        )
    return signed.decode()


@lru_cache(maxsize=4096)
def _card(node_id: str, entry: Entry, hive: str, hive_key: SigningKey) -> str | None:
    """Return an entry's card; None if it has none. Signed once: a hive of 500 is rendered in a tenth of the time."""
    if entry.serial is None or entry.not_before is None or entry.not_after is None:
        return None
    card = MembershipCard(
        hive=hive,
        serial=entry.serial,
        node_id=node_id,
        peer_id=entry.peer_id,
        log_key=entry.log_key,
        role=entry.role,
        not_before=entry.not_before,
        not_after=entry.not_after,
    )
    return sign_card(card, hive_key).decode()


def grace_end(old_not_after: datetime, now: datetime, grace: timedelta) -> datetime:
    """Return when a card that was renewed ends: its node has that long to take the new one into use."""
    return min(old_not_after, now + grace)
