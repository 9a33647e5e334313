"""What webhook and authority share: a token and the key of the signatures."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from bzzz_operator.errors import OperatorError

KEYS: Final = ("token", "hmac")


@dataclass(frozen=True)
class Credentials:
    """A token of the webhook's own check, and the HMAC key of both directions; never shown."""

    token: str = field(repr=False)
    hmac: bytes = field(repr=False)

    @classmethod
    def of(cls, token: bytes, hmac: bytes, where: str) -> Credentials:
        """Check what was read, without the white space around it. Raises OperatorError that says where it was."""
        values = dict(zip(KEYS, (token.strip(), hmac.strip()), strict=True))
        for key, value in values.items():
            if not 16 <= len(value) <= 1024 or not value.isascii():
                raise OperatorError(f"{where}: expected {key} of 16 to 1024 ASCII characters")
        return cls(values["token"].decode(), values["hmac"])


GetCredentials = Callable[[], Awaitable[Credentials]]
"""Raises OperatorError, ApiError."""
