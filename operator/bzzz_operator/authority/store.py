"""The ConfigMap `H-members` at the API server: read when it may have changed, written by compare-and-set."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, cast

from bzzz_operator.api import Api, Json
from bzzz_operator.authority.book import Ledger
from bzzz_operator.authority.keys import hive_labels
from bzzz_operator.authority.types import AuthoritySettings
from bzzz_operator.errors import ApiError
from bzzz_operator.kinds import CONFIG_MAP

REREAD_S: Final = 30.0
"""The ledger is read anew at least so often, whoever settles: somebody may have edited it."""


@dataclass(frozen=True)
class Page:
    """The ConfigMap as it was last read or written."""

    version: str
    labels: Mapping[str, str]
    data: dict[str, str]
    read_at: float
    """On the event loop's clock."""
    ledger: Ledger | None = None
    """What the data say, once this process wrote or read them."""


class LedgerStore:
    """Reads and writes the one ConfigMap. Not for several tasks at a time."""

    def __init__(self, api: Api, settings: AuthoritySettings) -> None:
        self._api = api
        self._settings = settings
        self.name = f"{settings.hive}-members"
        self.page: Page | None = None

    def forget(self) -> None:
        """Read anew the next time."""
        self.page = None

    @property
    def is_fresh(self) -> bool:
        """Whether `read` would ask nobody."""
        now = asyncio.get_running_loop().time()
        return self.page is not None and now - self.page.read_at < REREAD_S

    def understood(self, ledger: Ledger) -> None:
        """Keep what the page that was last read says, so that it need not be parsed again."""
        if self.page is not None:
            self.page = replace(self.page, ledger=ledger)

    async def read(self) -> Page | None:
        """Return the ConfigMap, at most half a minute old; None if there is none. Raises ApiError."""
        if not self.is_fresh:
            now = asyncio.get_running_loop().time()
            found = await self._api.find(CONFIG_MAP, self.name)
            self.page = None if found is None else _page(found, now, None)
        return self.page

    async def write(self, page: Page | None, data: dict[str, str], ledger: Ledger) -> bool:
        """Write the ledger unless somebody else did since; return whether it was written. Raises ApiError."""
        labels = hive_labels(self._settings)
        metadata: Json = {"name": self.name, "labels": labels}
        body: Json = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
        try:
            if page is None:
                written = await self._api.create(CONFIG_MAP, body)
            else:
                metadata["resourceVersion"] = page.version
                metadata["labels"] = {**page.labels, **labels}
                written = await self._api.replace(CONFIG_MAP, body)
        except ApiError as error:
            self.page = None  # whatever happened, what we know may be old
            if error.conflict or error.not_found:
                return False
            raise
        self.page = _page(written, asyncio.get_running_loop().time(), ledger)
        return True


def _page(found: Json, now: float, ledger: Ledger | None) -> Page:
    metadata = found["metadata"]
    return Page(
        version=str(metadata["resourceVersion"]),
        labels=cast("dict[str, str]", metadata.get("labels") or {}),
        data=cast("dict[str, str]", found.get("data") or {}),
        read_at=now,
        ledger=ledger,
    )
