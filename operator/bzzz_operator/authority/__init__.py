"""The authority: holder of the hive key (architecture §3, §4). Cards, revocations, rotations, verdicts.

    authority = Authority(api, AuthoritySettings(hive, namespace, cluster_domain, card_life), wishes, now)
    await authority.open()                    # once: hive-level Secrets; raises AuthorityError
    await authority.ensure_keys(wish)         # in each reconcile of a HiveAgent: its three Secrets, pending rotations
    settlement = await authority.settle()     # then the ledger H-members; calls at the same time share one write
    await authority.answer(discussion)        # in each reconcile of a MetaDiscussion: the verdict, conditions

`wishes` is a function that returns an `AgentWish` for every HiveAgent of the namespace, from synced caches: a node in
none of them is gone and loses its card. All calls are idempotent; when nothing differs, nothing is written.
What goes wrong is an `AuthorityError` with a condition's `reason`; the text names the object and the remedy.
"""

from __future__ import annotations

from bzzz_operator.authority.authority import Authority
from bzzz_operator.authority.errors import (
    AuthorityError,
    DamagedKeyError,
    ForeignLedgerError,
    LedgerError,
    NotOursError,
)
from bzzz_operator.authority.requests import must_restart, requests_of
from bzzz_operator.authority.types import (
    REVOKE_ANNOTATION,
    ROTATE_ANNOTATION,
    AgentWish,
    AuthoritySettings,
    Change,
    LogAddress,
    NodeState,
    Settlement,
)

__all__ = [
    "REVOKE_ANNOTATION",
    "ROTATE_ANNOTATION",
    "AgentWish",
    "Authority",
    "AuthorityError",
    "AuthoritySettings",
    "Change",
    "DamagedKeyError",
    "ForeignLedgerError",
    "LedgerError",
    "LogAddress",
    "NodeState",
    "NotOursError",
    "Settlement",
    "must_restart",
    "requests_of",
]
