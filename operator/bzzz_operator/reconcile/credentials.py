"""Which keys the user's Secrets hold. Their values are never kept; a Secret is read once a version."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable

from bzzz_operator.api import Api
from bzzz_operator.kinds import SECRET
from bzzz_operator.objects import Json, part
from bzzz_operator.runtime.store import Store
from bzzz_operator.status.problems import SecretFacts


class Credentials:
    """Facts about Secrets, by the versions that the watch of their metadata tells."""

    def __init__(self, api: Api, store: Store) -> None:
        self._api = api
        self._store = store
        self._known: dict[str, tuple[str, SecretFacts]] = {}

    async def facts(self, names: Iterable[str]) -> dict[str, SecretFacts]:
        """Return what is known of the Secrets that exist. Raises ApiError."""
        found: dict[str, SecretFacts] = {}
        for name in names:
            head = self._store.get(SECRET, name)
            if head is None:
                self._known.pop(name, None)
                continue
            version = str(head["metadata"].get("resourceVersion"))
            known = self._known.get(name)
            if known is None or known[0] != version:
                secret = await self._api.find(SECRET, name)
                if secret is None:
                    continue
                known = self._known[name] = (version, _facts(secret))
            found[name] = known[1]
        return found


def _facts(secret: Json) -> SecretFacts:
    data = part(secret, "data")
    return SecretFacts(
        keys=frozenset(key for key, value in data.items() if value),
        app_id=_text(data.get("appId")),
        installation_id=_text(data.get("installationId")),
    )


def _text(value: object) -> str | None:
    try:
        return base64.b64decode(str(value), validate=True).decode("ascii").strip() if value else None
    except (binascii.Error, UnicodeDecodeError):
        return ""
