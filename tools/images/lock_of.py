"""Cut the project's lock down to what one component needs; run inside image builds, standard library only.

    python3 lock_of.py EXTRA [--without NAME ...] > requirements.txt
    python3 lock_of.py --metadata FILE

Reads `pyproject.toml` and `requirements.lock` of the working folder. The lock says of every package who asked for it
("# via ..."), so what an extra needs is what can be reached from its own lines: the very versions that the tests ran
with, and no resolution at build time. `EXTRA` may be `-` for the distribution without extras.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

OURSELVES = "bzzz"
_PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;]+)")
_NAME = re.compile(r"^[A-Za-z0-9._-]+")
_EXTRAS = re.compile(r"\[(?P<extras>[^\]]*)\]")


class LockError(Exception):
    """The lock and the project do not agree."""


def main() -> int:
    """Print the pinned requirements of one extra; returns the exit code."""
    parser = argparse.ArgumentParser(prog="lock_of")
    parser.add_argument("extra", nargs="?", default="-", help="an extra of pyproject.toml, or - for none")
    parser.add_argument("--without", nargs="*", default=[], help="packages that are not needed at run time")
    parser.add_argument("--metadata", type=Path, help="write the distribution's METADATA here, print nothing")
    arguments = parser.parse_args()
    try:
        project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
        if arguments.metadata:
            arguments.metadata.write_text(metadata_of(project), encoding="utf-8")
            return 0
        lock = Path("requirements.lock").read_text(encoding="utf-8")
        pins = pins_of(lock, roots_of(project, arguments.extra), arguments.without)
    except LockError as problem:
        print(f"lock_of: {problem}", file=sys.stderr)
        return 1
    print("\n".join(pins))
    return 0


def metadata_of(project: dict[str, Any]) -> str:
    """Return what an installed distribution says of itself; programs ask for their version there."""
    return f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"


def roots_of(project: dict[str, Any], extra: str) -> set[str]:
    """Return the names that the distribution and one extra ask for; extras that name extras are followed."""
    extras: dict[str, list[str]] = project["optional-dependencies"]
    wanted: list[str] = list(project["dependencies"])
    seen: set[str] = set()
    queue = [] if extra == "-" else [extra]
    while queue:
        name = queue.pop()
        if name in seen:
            continue
        seen.add(name)
        if name not in extras:
            raise LockError(f"expected an extra of pyproject.toml ({', '.join(sorted(extras))}), got {name}")
        for requirement in extras[name]:
            if name_of(requirement) == OURSELVES:
                queue += [part.strip() for part in _EXTRAS.findall(requirement)[0].split(",")]
            else:
                wanted.append(requirement)
    return {name_of(requirement) for requirement in wanted}


def pins_of(lock: str, roots: Iterable[str], without: Iterable[str] = ()) -> list[str]:
    """Return `name==version` of everything that `roots` need, in the lock's order.

    Raises:
        LockError: a root has no pin, or a package to leave out is not in the lock (the list is out of date).
    """
    versions, children = read(lock)
    leave_out = {name_of(name) for name in without}
    unknown = (set(roots) | leave_out) - versions.keys()
    if unknown:
        raise LockError(f"expected a pin in requirements.lock for {', '.join(sorted(unknown))}; lock anew")
    found: set[str] = set()
    queue = [name for name in roots if name not in leave_out]
    while queue:
        name = queue.pop()
        if name not in found:
            found.add(name)
            queue += [child for child in children.get(name, ()) if child not in leave_out]
    return [f"{name}=={version}" for name, version in versions.items() if name in found]


def read(lock: str) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Return each package's version, and for each package what it brings in."""
    versions: dict[str, str] = {}
    children: dict[str, list[str]] = {}
    current = ""
    for line in lock.splitlines():
        pin = _PIN.match(line)
        if pin:
            current = name_of(pin["name"])
            versions[current] = pin["version"]
            continue
        asker = line.strip().removeprefix("#").strip().removeprefix("via").strip()
        if current and asker:
            children.setdefault(name_of(asker), []).append(current)
    return versions, children


def name_of(requirement: str) -> str:
    """Return the normalised name at the start of a requirement."""
    match = _NAME.match(requirement.strip())
    return re.sub(r"[-_.]+", "-", match[0]).lower() if match else ""


if __name__ == "__main__":
    sys.exit(main())
