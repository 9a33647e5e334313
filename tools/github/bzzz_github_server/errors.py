"""What goes wrong in the server itself, and the refusals that a client is meant to see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hmmm.errors import BzzzError

DOCUMENTATION = "https://docs.github.com/rest"


class ServerError(BzzzError):
    """Root of the local GitHub server's own errors."""


class SettingsError(ServerError):
    """A configuration that does not hold; the text names the field."""


class EmulatorError(ServerError):
    """The emulator process did not start, died, or gave an answer that is none."""


class GitError(ServerError):
    """A git command failed; `output` is what it said, cut to a few lines."""

    def __init__(self, message: str, output: str = "") -> None:
        super().__init__(f"{message}: {output}" if output else message)
        self.output = output


class Refusal(ServerError):  # noqa: N818 - an answer, no failure of ours
    """An answer of 4xx that the client deserves, in GitHub's own words and shape."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        errors: Sequence[Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.errors = tuple(errors)
        self.headers = dict(headers or {})

    def body(self) -> dict[str, object]:
        """The JSON that GitHub sends with it."""
        body: dict[str, object] = {"message": self.message}
        if self.errors:
            body["errors"] = [dict(error) for error in self.errors]
        return {**body, "documentation_url": DOCUMENTATION, "status": str(self.status)}


def not_found() -> Refusal:
    """GitHub's answer for what is not there and for what the caller may not know of."""
    return Refusal(404, "Not Found")


def validation_failed(resource: str, code: str, *, field: str = "", message: str = "") -> Refusal:
    """GitHub's 422 with one entry in `errors`."""
    error = {"resource": resource, "code": code}
    if field:
        error["field"] = field
    if message:
        error["message"] = message
    return Refusal(422, "Validation Failed", errors=[error])
