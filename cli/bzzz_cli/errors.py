"""What can go wrong at the command line; the text goes to the user, the class decides the exit code."""

from __future__ import annotations

from hmmm.errors import BzzzError

EXIT_FAILED = 1
EXIT_USAGE = 2


class CommandError(BzzzError):
    """The command cannot do what it was asked; exit code 1."""


class UsageError(CommandError):
    """The command was asked for something that does not make sense; exit code 2."""


class MissingComponentError(CommandError):
    """A part of the project is not installed; the text names the command that installs it."""


class ComponentError(CommandError):
    """A process of the local hive did not start, or ended and cannot be started again."""
