"""What things are called in the cluster, and what belongs to what. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Container
from typing import Final

NAME_LIMIT: Final = 63
_HASH_CHARACTERS: Final = 8
_NOT_A_NAMES: Final = re.compile(r"[^a-z0-9]+", re.ASCII)
_AGENT: Final = re.compile(r"^(.+)-(0|[1-9][0-9]{0,5})$", re.ASCII)

Issue = tuple[str, int]
"""Repository and number. One resource an issue, whatever its epochs."""


def discussion_name(issue: Issue) -> str:
    """Return a MetaDiscussion's name: slug of the repository, the number, and a hash that keeps two apart.

    >>> discussion_name(("Acme/widgets", 42))
    'acme-widgets-42-3f6d63f5'
    """
    repository, number = issue
    canonical = f"{repository.lower()}#{number}"
    digest = hashlib.sha256(canonical.encode()).hexdigest()[:_HASH_CHARACTERS]
    end = f"-{number}-{digest}"
    slug = _NOT_A_NAMES.sub("-", repository.lower())[: NAME_LIMIT - len(end)].strip("-") or "issue"
    return slug + end


def issue_of(repository: str, number: int) -> Issue:
    """Return the key of an issue: GitHub does not tell `Acme/Widgets` from `acme/widgets`."""
    return repository.lower(), number


def hive_agent_of(node_id: str, hive_agents: Container[str]) -> tuple[str, int] | None:
    """Return which HiveAgent an agent is of, and its ordinal; None where there is no such HiveAgent."""
    match = _AGENT.match(node_id)
    if match is None or match[1] not in hive_agents:
        return None
    return match[1], int(match[2])
