"""The base image, made from Debian's packages under the name by which the Dockerfiles ask for it."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

from tools.images.catalogue import BASE
from tools.images.errors import ImageError
from tools.images.store import Store, require_tools

SUITE = "trixie"
# What the published slim image leaves out, so that both are alike: manuals and translations, but no licence.
LEFT_OUT = (
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/groff/*",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/linda/*",
    "path-exclude=/usr/share/lintian/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/man/*",
)
RECIPE = (
    "mmdebstrap",
    "--quiet",
    "--variant=minbase",
    *(f"--dpkgopt={option}" for option in LEFT_OUT),
    SUITE,
)


def ensure_base(store: Store, *, refresh: bool = False) -> str:
    """Have the base image in the store; return its id. The caller holds the store's lock.

    `refresh` makes it anew, with today's security updates; every image is then built on it from the start.
    """
    present = None if refresh else store.image_id(BASE)
    if present is not None:
        return present
    archive = store.folder / f"base-{hashlib.sha256(repr(RECIPE).encode()).hexdigest()[:12]}.tar"
    if refresh or not archive.exists():
        _make(archive)
    container = store.run("from", "--pull-never", "scratch").strip()
    try:
        store.run("add", "--quiet", container, str(archive), "/")
        store.run(
            "config",
            "--cmd",
            "bash",
            "--env",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            container,
        )
        store.run("commit", "--quiet", container, BASE)
    finally:
        store.run("rm", container)
    made = store.image_id(BASE)
    if made is None:
        raise ImageError(
            f"expected {BASE} in {store.folder} after making it; remove that folder and run again"
        )
    return made


def _make(archive: Path) -> None:
    require_tools("mmdebstrap")
    fresh = archive.with_suffix(".new.tar")
    done = subprocess.run([*RECIPE, str(fresh)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        fresh.unlink(missing_ok=True)
        raise ImageError(f"expected mmdebstrap to make {BASE}, got: {done.stderr.strip()[-2000:]}")
    fresh.replace(archive)
