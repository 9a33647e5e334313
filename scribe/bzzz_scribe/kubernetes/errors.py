"""What can go wrong at the API server, by what helps."""

from __future__ import annotations

from bzzz_scribe.errors import ScribeError


class ApiAwayError(ScribeError):
    """The API server gave no answer, or one that says to come back later; the same again helps."""


class ApiRefusedError(ScribeError):
    """The API server answered, and said no; the same again does not help.

    `status` is the HTTP status, `reason` the server's word for it, `fields` the fields that it blames.
    """

    def __init__(self, status: int, reason: str, message: str, fields: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.fields = fields

    @property
    def missing(self) -> bool:
        """Whether there is no such object (any more)."""
        return self.status == 404

    @property
    def gone(self) -> bool:
        """Whether a watch asked for a past that the server no longer remembers."""
        return self.status == 410

    @property
    def conflicting(self) -> bool:
        """Whether another field manager owns what was to be applied."""
        return self.status == 409 and bool(self.fields)


class ClusterSettingsError(ScribeError):
    """Where the API server is cannot be told; the text says what is missing."""
