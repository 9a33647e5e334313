"""What can go wrong in the operator, by whose fault it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from hmmm.errors import BzzzError, excerpt


class OperatorError(BzzzError):
    """Root of the operator's errors."""


class SettingsError(OperatorError):
    """A configuration that does not fit; the text names the file and the field."""


class TryAgainError(OperatorError):
    """Something that is not as it should be yet; the key is reconciled again after `delay_s`."""

    def __init__(self, message: str, delay_s: float) -> None:
        super().__init__(message)
        self.delay_s = delay_s


@dataclass(frozen=True)
class FieldConflict:
    """A field that another manager owns: `conflict with "kubectl" using apps/v1` at `.spec.replicas`."""

    field: str
    message: str


class ApiError(OperatorError):
    """A request that the API server refused, or that never reached it (status 0, reason `Unreachable`)."""

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        *,
        conflicts: tuple[FieldConflict, ...] = (),
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(f"{status} {reason}: {excerpt(message)}")
        self.status = status
        self.reason = reason
        self.conflicts = conflicts
        """Of a server-side apply without force (409)."""
        self.retry_after_s = retry_after_s
        """What the server asked for (429, 503)."""

    @property
    def not_found(self) -> bool:
        """No such object (or kind)."""
        return self.status == 404

    @property
    def conflict(self) -> bool:
        """It is there already, or has changed since it was read, or another manager owns a field."""
        return self.status == 409

    @property
    def gone(self) -> bool:
        """The resource version is too old to watch from: list again."""
        return self.status == 410 or self.reason in {"Expired", "Gone"}

    @property
    def unreachable(self) -> bool:
        """No answer came at all."""
        return self.status == 0


def api_error(status: int, body: object, retry_after: str | None = None) -> ApiError:
    """Make an error of what the server answered: a `Status` object, or anything else."""
    answer = cast("dict[str, Any]", body if isinstance(body, dict) else {"message": body})
    details = answer.get("details")
    causes = cast("dict[str, Any]", details).get("causes") if isinstance(details, dict) else None
    conflicts = tuple(
        FieldConflict(str(cause.get("field", "")), excerpt(cause.get("message", "")))
        for cause in cast("list[dict[str, Any]]", causes if isinstance(causes, list) else [])[:20]
        if cause.get("reason") == "FieldManagerConflict"
    )
    return ApiError(
        status,
        str(answer.get("reason") or "Unknown"),
        str(answer.get("message") or ""),
        conflicts=conflicts,
        retry_after_s=float(retry_after) if retry_after and retry_after.isdigit() else None,
    )
