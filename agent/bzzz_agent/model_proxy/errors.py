"""Why a request to the proxy is not served, in words that the clients of both wire formats show to people."""

from __future__ import annotations

from hmmm.errors import BzzzError


class ProxyError(BzzzError):
    """A request that is not sent on, or an answer that did not come; `status` is HTTP's, `kind` the formats' type."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status, self.kind = status, kind


class LimitReachedError(ProxyError):
    """The issue's tokens or money are spent. 403, because clients repeat a 429 by themselves."""

    def __init__(self, message: str) -> None:
        super().__init__(403, "permission_error", message)
