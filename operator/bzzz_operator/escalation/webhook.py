"""One delivery to the webhook: a signed POST, bounded in time and in what is read of the answer."""

from __future__ import annotations

import aiohttp

from bzzz_operator.escalation.credentials import Credentials
from bzzz_operator.runtime.clock import Now
from hmmm.errors import excerpt
from hmmm.escalation import TOKEN_HEADER, Notice, Outcome, signed_headers

CONNECT_TIMEOUT_S = 5.0
ANSWER_TIMEOUT_S = 30.0
"""n8n answers when Slack has: three tries of ten seconds at most."""


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
