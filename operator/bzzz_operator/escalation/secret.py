"""Reads what webhook and authority share from its Secret."""

from __future__ import annotations

import asyncio
import base64
import binascii
from typing import Final

from bzzz_operator.api import Api
from bzzz_operator.errors import OperatorError
from bzzz_operator.escalation.credentials import KEYS, Credentials
from bzzz_operator.kinds import SECRET
from bzzz_operator.objects import part

REREAD_S: Final = 30.0


async def read_credentials(api: Api, name: str) -> Credentials:
    """Read the Secret with the keys `token` and `hmac`. Raises OperatorError that names what is missing, ApiError."""
    secret = await api.find(SECRET, name)
    if secret is None:
        raise OperatorError(f"Secret {name}: expected it with the keys token and hmac, found none; create it")
    data = part(secret, "data")
    values: list[bytes] = []
    for key in KEYS:
        try:
            values.append(base64.b64decode(str(data[key]), validate=True))
        except (KeyError, binascii.Error) as error:
            raise OperatorError(
                f"Secret {name}: expected the keys token and hmac, {key} is missing"
            ) from error
    return Credentials.of(*values, where=f"Secret {name}")


class CredentialsCache:
    """Reads the Secret again every half minute: nobody who knocks makes the API server work for it."""

    def __init__(self, api: Api, name: str) -> None:
        self._api = api
        self._name = name
        self._read: tuple[Credentials, float] | None = None

    async def get(self) -> Credentials:
        """Return what is shared. Raises OperatorError, ApiError."""
        at = asyncio.get_running_loop().time()
        if self._read is None or at - self._read[1] > REREAD_S:
            self._read = (await read_credentials(self._api, self._name), at)
        return self._read[0]
