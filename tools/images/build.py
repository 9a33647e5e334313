"""Build images and export them as archives that a cluster's nodes load."""

from __future__ import annotations

import time
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from tools.images import machine
from tools.images.base import ensure_base
from tools.images.catalogue import BASE, REGISTRY, ROOT, Image, find
from tools.images.inputs import LABEL, digest_of
from tools.images.store import Store, cache_folder, require_tools

Say = Callable[[str], None]


@dataclass(frozen=True)
class Built:
    """An image that is there."""

    name: str
    reference: str
    image_id: str
    archive: Path | None
    """An OCI archive, if one was asked for."""


def build(
    names: Iterable[str] = (),
    *,
    tag: str = "dev",
    registry: str = REGISTRY,
    export: Path | None = None,
    say: Say = print,
) -> list[Built]:
    """Build the named images (all if none is named) and what they build on; export each as `NAME.tar` to `export`.

    What did not change takes seconds and is not exported again. Waits while another process builds.

    Raises:
        ImageError: see its message.
    """
    images = find(names)
    require_tools("buildah")
    store = Store(cache_folder())
    with store.locked():
        ensure_base(store)
        given = machine.describe(store.folder / "secrets")
        return [_one(store, given, image, (registry, tag), export, say) for image in images]


def _one(
    store: Store, given: machine.Machine, image: Image, where: tuple[str, str], export: Path | None, say: Say
) -> Built:
    started = time.monotonic()
    reference = image.reference(*where)
    state = "built" if _build(store, given, image, where) else "unchanged"
    image_id = store.image_id(reference) or ""
    archive = None
    if export is not None:
        archive = export / f"{image.name}.tar"
        state += ", exported" if _export(store, reference, image_id, archive) else ", export up to date"
    say(f"{image.name:<15} {state}, {time.monotonic() - started:.1f} s  {archive or reference}")
    return Built(image.name, reference, image_id, archive)


def _build(store: Store, given: machine.Machine, image: Image, where: tuple[str, str]) -> bool:
    """Build an image unless the one that is there was made from the same; return whether it was built."""
    reference = image.reference(*where)
    version = project_version()
    based = {key: find([name])[-1].reference(*where) for key, name in image.on.items()}
    below = [store.image_id(name) or "" for name in (BASE, *based.values())]
    made_from = digest_of(ROOT, image.dockerfile, (version, *below))
    if store.label(reference, LABEL) == made_from:
        return False
    logs = store.folder / "logs"
    logs.mkdir(exist_ok=True)
    store.log(
        logs / f"{image.name}.log",
        "bud",
        "--layers",
        "--isolation=chroot",
        "--network=host",
        "--pull-never",
        f"--label=org.opencontainers.image.version={version}",
        f"--label={LABEL}={made_from}",
        *given.options(),
        *(f"--build-arg={key}={name}" for key, name in based.items()),
        f"--tag={reference}",
        f"--file={ROOT / image.dockerfile}",
        str(ROOT),
        env=given.env,
    )
    return True


def _export(store: Store, reference: str, image_id: str, archive: Path) -> bool:
    """Write the archive unless the one that is there holds this very image; return whether it was written."""
    stamp = archive.with_suffix(".id")
    wanted = f"{image_id} {reference}\n"
    if archive.exists() and stamp.exists() and stamp.read_text() == wanted:
        return False
    archive.parent.mkdir(parents=True, exist_ok=True)
    fresh = archive.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    store.run("push", "--quiet", reference, f"oci-archive:{fresh}:{reference}")
    fresh.replace(archive)
    stamp.write_text(wanted)
    return True


def project_version() -> str:
    """Return the version in pyproject.toml."""
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"])
