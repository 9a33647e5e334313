"""Is what is there what we want? Only the fields that we own count.

The API server adds defaults, other managers add fields and list entries of their own; neither is drift. A field that
we set and that is missing or different is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final, cast

_KEYS: Final = ("mountPath", "containerPort", "uid", "name")
"""By which entries of a list are told apart, the first that all wanted entries have; as server-side apply does."""

_QUANTITIES: Final = frozenset({"cpu", "memory", "ephemeral-storage", "storage", "sizeLimit"})
"""Fields that the API server rewrites: "1000m" becomes "1"."""
_UNITS: Final = {
    "m": Decimal("0.001"),
    "k": Decimal(1000),
    "M": Decimal(1000) ** 2,
    "G": Decimal(1000) ** 3,
    "Ki": Decimal(1024),
    "Mi": Decimal(1024) ** 2,
    "Gi": Decimal(1024) ** 3,
    "Ti": Decimal(1024) ** 4,
}


def covers(have: object, want: object, field: str = "") -> bool:
    """Whether everything wanted is there. An empty wanted value is there when nothing is."""
    if not want and want is not False and want != 0 and have is None:
        return True
    if isinstance(want, Mapping):
        wanted = cast("Mapping[str, object]", want)
        if not isinstance(have, Mapping):
            return False
        there = cast("Mapping[str, object]", have)
        return all(covers(there.get(key), value, key) for key, value in wanted.items())
    if isinstance(want, Sequence) and not isinstance(want, str):
        if not isinstance(have, Sequence) or isinstance(have, str):
            return False
        return _covers_list(cast("Sequence[object]", have), cast("Sequence[object]", want))
    if have == want:
        return True
    return field in _QUANTITIES and same_quantity(have, want)


def _covers_list(have: Sequence[object], want: Sequence[object]) -> bool:
    key = _key_of(want)
    if key is None:
        return len(have) == len(want) and all(covers(h, w) for h, w in zip(have, want, strict=True))
    there = {_entry(entry).get(key): entry for entry in have}
    return all(covers(there.get(_entry(entry)[key]), entry) for entry in want)


def _entry(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _key_of(want: Sequence[object]) -> str | None:
    for key in _KEYS:
        if want and all(isinstance(_entry(entry).get(key), str | int) for entry in want):
            return key
    return None


def same_quantity(one: object, other: object) -> bool:
    """Whether two amounts are the same, however they are written."""
    amounts = (_amount(one), _amount(other))
    return amounts[0] is not None and amounts[0] == amounts[1]


def _amount(value: object) -> Decimal | None:
    text = str(value)
    unit = next((u for u in sorted(_UNITS, key=len, reverse=True) if text.endswith(u)), "")
    try:
        return Decimal(text.removesuffix(unit)) * _UNITS.get(unit, Decimal(1))
    except InvalidOperation:
        return None
