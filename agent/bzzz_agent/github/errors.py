"""What can go wrong with GitHub, told apart by what the caller should do next.

`RetryableError`: later, with the delay that the answer asked for. `PermanentError`: not without a change, by us
or by a human. `ClaimLostError`: stop the work, the issue is another's.
"""

from __future__ import annotations

from hmmm.errors import BzzzError


class GitHubError(BzzzError):
    """Root of the errors around GitHub; `status` is the HTTP status, None when no answer came."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class RetryableError(GitHubError):
    """It may work later; `delay_s` is how long to wait at least (0: the caller's own back-off)."""

    def __init__(self, message: str, *, status: int | None = None, delay_s: float = 0.0) -> None:
        super().__init__(message, status=status)
        self.delay_s = delay_s


class RateLimitedError(RetryableError):
    """GitHub's primary or secondary limit (429, or 403 with its marks)."""


class UnavailableError(RetryableError):
    """5xx, 409, no answer or no JSON. Of a write nobody knows whether it was applied: read the truth again."""


class PermanentError(GitHubError):
    """Repeating the same request cannot help."""


class UnauthorizedError(PermanentError):
    """401: the credential is wrong, expired or revoked."""


class ForbiddenError(PermanentError):
    """403 that is no rate limit: the credential lacks a permission."""


class NotFoundError(PermanentError):
    """404 or 410: it is not there, or (a private repository) the credential may not know that it is."""


class RefusedError(PermanentError):
    """422: GitHub understood and said no; `reason` is its own words, for telling cases apart."""

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message, status=422)
        self.reason = reason

    def says(self, *words: str) -> bool:
        """Say whether GitHub's words contain all of these, whatever the case."""
        reason = self.reason.lower()
        return all(word.lower() in reason for word in words)


class MalformedAnswerError(PermanentError):
    """A successful answer that lacks what GitHub documents."""
