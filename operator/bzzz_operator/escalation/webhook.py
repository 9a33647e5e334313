"""One delivery to the webhook: a signed POST, bounded in time and in what is read of the answer."""

from __future__ import annotations

import asyncio
import base64
import binascii
from dataclasses import dataclass, field

import aiohttp

from bzzz_operator.api import Api
from bzzz_operator.errors import OperatorError
from bzzz_operator.kinds import SECRET
from bzzz_operator.objects import part
from bzzz_operator.runtime.clock import Now
from hmmm.errors import excerpt
from hmmm.escalation import TOKEN_HEADER, Notice, Outcome, signed_headers

CONNECT_TIMEOUT_S = 5.0
REREAD_S = 30.0
ANSWER_TIMEOUT_S = 30.0
"""n8n answers when Slack has: three tries of ten seconds at most."""


@dataclass(frozen=True)
class Credentials:
    """What webhook and authority share; never shown."""

    token: str = field(repr=False)
    hmac: bytes = field(repr=False)


async def read_credentials(api: Api, name: str) -> Credentials:
    """Read the Secret with the keys `token` and `hmac`. Raises OperatorError that names what is missing, ApiError."""
    secret = await api.find(SECRET, name)
    if secret is None:
        raise OperatorError(f"Secret {name}: expected it with the keys token and hmac, found none; create it")
    data = part(secret, "data")
    values: dict[str, bytes] = {}
    for key in ("token", "hmac"):
        try:
            values[key] = base64.b64decode(str(data[key]), validate=True).strip()
        except (KeyError, binascii.Error) as error:
            raise OperatorError(
                f"Secret {name}: expected the keys token and hmac, {key} is missing"
            ) from error
        if not 16 <= len(values[key]) <= 1024 or not values[key].isascii():
            raise OperatorError(f"Secret {name}: expected {key} of 16 to 1024 ASCII characters")
    return Credentials(values["token"].decode(), values["hmac"])


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


async def deliver(
    session: aiohttp.ClientSession, url: str, credentials: Credentials, notice: Notice, now: Now
) -> Outcome:
    """Post a notice; every failure is an outcome."""
    body = notice.to_body()
    headers = {
        "Content-Type": "application/json",
        TOKEN_HEADER: credentials.token,
        **signed_headers(credentials.hmac, body, now()),
    }
    timeout = aiohttp.ClientTimeout(total=ANSWER_TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S)
    try:
        async with session.post(
            url, data=body, headers=headers, timeout=timeout, allow_redirects=False
        ) as answer:
            await answer.content.read(4096)
            problem = "" if 200 <= answer.status < 300 else f"the webhook answered {answer.status}"
            return Outcome(status=answer.status, problem=problem)
    except TimeoutError:
        return Outcome(problem=f"the webhook did not answer within {ANSWER_TIMEOUT_S:.0f} s")
    except (aiohttp.ClientError, OSError) as error:
        return Outcome(
            problem=excerpt(f"the webhook cannot be reached: {type(error).__name__}: {error}")[:300]
        )
