"""`python -m tools.images`: build, base, list."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from tools.images.base import ensure_base
from tools.images.build import build
from tools.images.catalogue import BASE, IMAGES, REGISTRY
from tools.images.errors import ImageError
from tools.images.store import Store, cache_folder, require_tools


def main() -> int:
    """Do what the command line says; returns the exit code."""
    arguments = _parser().parse_args()
    try:
        if arguments.command == "build":
            export = _export_folder(arguments.export, arguments.tag)
            build(arguments.names, tag=arguments.tag, registry=arguments.registry, export=export)
        elif arguments.command == "base":
            _base(refresh=arguments.refresh)
        else:
            for image in IMAGES:
                print(f"{image.reference(REGISTRY, arguments.tag):<45} {image.dockerfile}")
    except ImageError as problem:
        print(f"images: {problem}", file=sys.stderr)
        return 1
    return 0


def _export_folder(asked: str | None, tag: str) -> Path | None:
    """No `--export`: none; `--export`: the cache's; `--export DIR`: that one."""
    if asked is None:
        return None
    return Path(asked).absolute() if asked else cache_folder() / tag


def _base(*, refresh: bool) -> None:
    require_tools("buildah")
    started = time.monotonic()
    store = Store(cache_folder())
    with store.locked():
        image_id = ensure_base(store, refresh=refresh)
    print(f"{BASE} is {image_id[:12]}, {time.monotonic() - started:.1f} s")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tools.images", description="Container images without an engine or a registry."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("build", help="build images, all if none is named")
    make.add_argument("names", nargs="*", metavar="NAME")
    make.add_argument("--registry", default=REGISTRY)
    make.add_argument(
        "--export",
        nargs="?",
        const="",
        metavar="DIR",
        help="write NAME.tar (OCI archives) to DIR, by default the cache's images/TAG",
    )
    base = commands.add_parser("base", help="make the base image if it is not here")
    base.add_argument("--refresh", action="store_true", help="make it anew, with today's updates")
    listing = commands.add_parser("list", help="the images and their Dockerfiles")
    for command in (make, listing):
        command.add_argument("--tag", default="dev")
    return parser


if __name__ == "__main__":
    sys.exit(main())
