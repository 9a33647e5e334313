"""Where the parts of the project are, and which command installs one that is missing."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path
from typing import Final

from bzzz_cli.errors import MissingComponentError

INSTALL: Final = "run `make install` in the project's folder"

INHERITED: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR")
PROXIES: Final = ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy")


def project_root() -> Path:
    """Return the checkout that this command line belongs to."""
    return Path(__file__).resolve().parents[3]


def sidecar() -> Path:
    """Return the Hypercore sidecar's program. Raises MissingComponentError."""
    program = project_root() / "sidecar" / "bin" / "hypercore-sidecar.js"
    if not program.exists():
        raise MissingComponentError(f"expected the Hypercore sidecar at {program}; {INSTALL}")
    if not (project_root() / "sidecar" / "node_modules").is_dir():
        raise MissingComponentError(
            f"expected the sidecar's Node packages beside {program.parent}; {INSTALL}"
        )
    return program


def node() -> str:
    """Return the Node to run the sidecar with: the one of our environment, else the system's.

    Raises MissingComponentError.
    """
    found = shutil.which(
        "node", path=os.pathsep.join([str(Path(sys.prefix) / "bin"), os.environ.get("PATH", "")])
    )
    if found is None:
        raise MissingComponentError(f"expected node; {INSTALL}")
    return found


def module(name: str, what: str) -> str:
    """Return a Python module's name after a check that it is there. Raises MissingComponentError."""
    try:
        found = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        found = None
    if found is None:
        raise MissingComponentError(f"expected {what} (Python module {name}); {INSTALL}")
    return name


def runner() -> Path:
    """Return the workspace runner's program. Raises MissingComponentError."""
    module("bzzz_runner", "the workspace runner")
    spec = importlib.util.find_spec("bzzz_runner")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin)


def environment(*, network: bool = False) -> dict[str, str]:
    """Return what a component may inherit: no key or token that happens to be in ours."""
    names = (*INHERITED, *PROXIES) if network else INHERITED
    kept = {name: os.environ[name] for name in names if name in os.environ}
    return {**kept, "PATH": f"{Path(sys.prefix) / 'bin'}{os.pathsep}{kept.get('PATH', os.defpath)}"}
