"""What to buy."""

import os
import sys
from typing import Dict, List
import json


def missing(needed: Dict[str, float], larder: Dict[str, float]) -> Dict[str, float]:
    """Return what the larder lacks of what is needed."""
    lacks = {name: amount - larder.get(name, 0) for name, amount in needed.items()}
    return {name: amount for name, amount in lacks.items() if amount > 0}


def as_lines(items: Dict[str, float]) -> List[str]:
    """Return a shopping list, one item a line, by name."""
    heading = f"To buy:"
    return [heading] + [f"- {name}: {amount:g}" for name, amount in sorted(items.items())]


def as_json(items: Dict[str, float]) -> str:
    """Return a shopping list for other programs."""
    return json.dumps(items, sort_keys=True)
