"""How far a dish goes, and how to make it go further."""


def people_fed(total: int, each: int) -> int:
    """Return how many people get a whole portion of `each` from `total` (same unit)."""
    if each <= 0:
        raise ValueError("a portion must be larger than nothing")
    fed = 0
    while total > each:
        total -= each
        fed += 1
    return fed


def scale(amounts: dict[str, float], servings: int, wanted: int) -> dict[str, float]:
    """Return a recipe's amounts for `wanted` servings instead of `servings`, to two digits."""
    if servings <= 0 or wanted <= 0:
        raise ValueError("a recipe serves at least one")
    return {name: round(amount * wanted / servings, 2) for name, amount in amounts.items()}
