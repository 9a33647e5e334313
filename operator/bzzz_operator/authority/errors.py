"""What can keep the authority from its work; `reason` is the reason of a HiveAgent's `Degraded` condition."""

from __future__ import annotations

from bzzz_operator.errors import OperatorError


class AuthorityError(OperatorError):
    """The authority cannot go on; the text says what was expected, what came and what to do."""

    reason = "AuthorityFailed"


class DamagedKeyError(AuthorityError):
    """A Secret does not hold the key that it should; it is never replaced silently."""

    reason = "KeyDamaged"


class NotOursError(AuthorityError):
    """An object has the name of one of ours and is somebody else's; it is not adopted."""

    reason = "NameConflict"


class LedgerError(AuthorityError):
    """The ConfigMap with the ledger cannot be read, or holds no more."""

    reason = "LedgerDamaged"


class ForeignLedgerError(LedgerError):
    """The ledger was signed by another hive key: somebody restored one of the two and not the other."""

    reason = "LedgerOfAnotherHive"
