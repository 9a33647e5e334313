"""Write the CustomResourceDefinitions: `python -m bzzz_crds [FOLDER]` (crds/ of this checkout by default).

`--check` changes nothing, names what is stale and exits 1.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bzzz_crds.definitions import files

CRDS = Path(__file__).resolve().parent.parent


def main() -> int:
    """Write or check; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bzzz_crds", description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=CRDS)
    parser.add_argument("--check", action="store_true", help="name what is stale, change nothing")
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    stale = [
        (folder / name, text)
        for name, text in files().items()
        if not (folder / name).exists() or (folder / name).read_text(encoding="utf-8") != text
    ]
    for path, text in stale:
        print(f"{'stale' if arguments.check else 'wrote'}: {path}", file=sys.stderr)
        if not arguments.check:
            path.write_text(text, encoding="utf-8")
    return 1 if stale and arguments.check else 0


if __name__ == "__main__":
    sys.exit(main())
