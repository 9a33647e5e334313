"""What the hive said before about the same files (docs/knowledge.md): read from the archive, found by path and word."""

from bzzz_agent.knowledge.library import Library
from bzzz_agent.knowledge.memory import Memory
from bzzz_agent.knowledge.passages import Passage

__all__ = ["Library", "Memory", "Passage"]
