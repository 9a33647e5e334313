"""`bzzz local` with agents that miss messages: the same command line, another module in place of the agent's.

python -m tools.bench.lossy_hive local -f hiveagent.yaml …
"""

from __future__ import annotations

from typing import Any

from bzzz_cli.local import hive
from bzzz_cli.main import app

_python = hive._python


def lossy(name: str, module: str, *arguments: str, **options: Any) -> Any:
    """Return the command of a component; an agent's is the launcher that loses messages."""
    return _python(
        name, "tools.bench.lossy_agent" if module == "bzzz_agent" else module, *arguments, **options
    )


if __name__ == "__main__":
    hive._python = lossy
    app()
