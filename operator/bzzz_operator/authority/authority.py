"""The authority as the reconciler sees it: Secrets, ledger and verdicts behind one object."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from bzzz_operator.authority.types import AgentWish, AuthoritySettings, KubeApi, Settlement


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Authority:
    """Holds the hive key. One acts at a time: the operator's Lease sees to it; the ledger's resourceVersion makes sure."""

    def __init__(
        self,
        api: KubeApi,
        settings: AuthoritySettings,
        wishes: Callable[[], Iterable[AgentWish]],
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        """Make it; `open` must come before anything else."""
        raise NotImplementedError

    async def open(self) -> None:
        """Read the hive-level Secrets, or make those that are missing, and write a first ledger.

        Raises AuthorityError, and what the API client raises.
        """
        raise NotImplementedError

    @property
    def public_key(self) -> str:
        """The hive's public key, 64 hex digits."""
        raise NotImplementedError

    @property
    def archive_token(self) -> str:
        """The bearer token for the archive."""
        raise NotImplementedError

    async def ensure_keys(self, wish: AgentWish) -> None:
        """Make a HiveAgent's Secrets and the entries of its ordinals that are missing; carry out pending rotations.

        Raises AuthorityError, and what the API client raises.
        """
        raise NotImplementedError

    async def settle(self) -> Settlement:
        """Bring the ledger to what all wishes ask for, by compare-and-set. Callers at the same time share one write.

        Nodes whose keys `ensure_keys` has not seen in this process get no card yet; none is taken from them either.
        Raises AuthorityError, and what the API client raises.
        """
        raise NotImplementedError

    async def answer(self, discussion: Mapping[str, Any]) -> bool:
        """Take in a MetaDiscussion's `spec.resolution`: sign it once, write `status.verdict` and the conditions.

        Takes the object as the API server gives it; returns whether its status was written.
        Raises what the API client raises.
        """
        raise NotImplementedError
