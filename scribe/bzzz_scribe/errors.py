"""What can go wrong in the scribe, by who can do something about it."""

from __future__ import annotations

from hmmm.errors import BzzzError


class ScribeError(BzzzError):
    """Root of the scribe's errors."""


class SettingsError(ScribeError):
    """A configuration that does not fit; the text names the file and the field."""


class ArchiveAwayError(ScribeError):
    """The archive gave no answer, or none that can be used now; what is known is served meanwhile."""


class ArchiveRefusedError(ScribeError):
    """The archive answered, and said no. `code` is the archive's own word for the reason."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class StoreError(ScribeError):
    """The state store did not take a write; it is tried again, and what is missing read again from the archive."""


class NotReadyError(ScribeError):
    """What was asked for will exist, but does not yet; ask again in `retry_after_s` seconds."""

    def __init__(self, message: str, retry_after_s: int = 2) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class NotAskedError(ScribeError):
    """Nobody waits for what was brought."""
