"""The images that the cluster itself runs: pause, CoreDNS, the volume provisioner, and a shell for its helper pods."""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from pathlib import Path

from tools.cluster.errors import MissingToolError
from tools.cluster.layout import Layout
from tools.cluster.oci import Image, write_archive
from tools.cluster.render import PAUSE_IMAGE
from tools.cluster.steps import Steps

COREDNS_IMAGE = "registry.k8s.io/coredns/coredns:v1.15.0"
LOCAL_PATH_IMAGE = "docker.io/rancher/local-path-provisioner:v0.0.30"
BUSYBOX_IMAGE = "docker.io/library/busybox:1.35.0"
APPLETS = (
    "sh",
    "mkdir",
    "rm",
    "cat",
    "echo",
    "ls",
    "nslookup",
    "wget",
    "nc",
    "sleep",
    "test",
    "touch",
    "date",
    "env",
    "id",
    "timeout",
    "httpd",
)
NOBODY = "65532:65532"


def own_images(layout: Layout, busybox: Path) -> list[Image]:
    """Return what is in each of the cluster's own images."""
    shell = {f"bin/{applet}": "busybox" for applet in APPLETS}
    return [
        Image(PAUSE_IMAGE, {"pause": layout.bin / "pause"}, ["/pause"], user=NOBODY),
        Image(COREDNS_IMAGE, {"coredns": layout.bin / "coredns"}, ["/coredns"], user=NOBODY),
        Image(BUSYBOX_IMAGE, {"bin/busybox": busybox, **libraries(busybox)}, ["/bin/sh"], shell),
        Image(
            LOCAL_PATH_IMAGE,
            {"usr/local/bin/local-path-provisioner": layout.bin / "local-path-provisioner"},
            ["/usr/local/bin/local-path-provisioner"],
            user=NOBODY,
        ),
    ]


def ensure_own_images(layout: Layout, steps: Steps) -> list[Path]:
    """Write the cluster's own images into the cache where they are missing; return the archives."""
    archives: list[Path] = []
    for image in own_images(layout, ensure_busybox(layout)):
        hashed = hashlib.sha256(repr((image.name, image.entrypoint, image.links, image.user)).encode())
        for source in image.files.values():
            status = source.stat()
            hashed.update(f"{source.name} {status.st_size} {status.st_mtime_ns}".encode())
        short = image.name.rsplit("/", 1)[-1].partition(":")[0]
        archive = layout.images / f"{short}.tar"
        stamp = layout.images / f".{short}.stamp"
        if not (archive.exists() and stamp.exists() and stamp.read_text() == hashed.hexdigest()):
            with steps.step(f"writing the image {image.name}"):
                write_archive(image, archive)
                stamp.write_text(hashed.hexdigest())
        archives.append(archive)
    return archives


def ensure_busybox(layout: Layout) -> Path:
    """Return a busybox in the cache, taken out of Debian's package without installing it,
    for it is small and its libraries are the machine's.
    """
    target = layout.bin / "busybox"
    if target.exists():
        return target
    with tempfile.TemporaryDirectory(dir=layout.cache) as scratch:
        # apt's own user may not enter a private folder: fetched as the user we are
        fetch = ["apt-get", "-qq", "-o", "APT::Sandbox::User=", "download", "busybox"]
        done = subprocess.run(fetch, cwd=scratch, capture_output=True, text=True, timeout=300, check=False)
        packages = list(Path(scratch).glob("busybox_*.deb"))
        if done.returncode != 0 or not packages:
            raise MissingToolError(
                f"expected Debian's package busybox from apt, got: {done.stderr.strip()[-500:]}\n"
                f"run: apt-get update, or put a busybox at {target}"
            )
        subprocess.run(["dpkg-deb", "-x", packages[0], scratch], check=True, timeout=60)
        (Path(scratch) / "bin" / "busybox").replace(target)
    return target


def libraries(program: Path) -> dict[str, Path]:
    """Return the shared libraries that a program loads on this machine, by their path in an image."""
    words = subprocess.run(
        ["ldd", program], check=True, capture_output=True, text=True, timeout=10
    ).stdout.split()
    files = [word for word in words if word.startswith("/")]
    return {file.lstrip("/"): Path(file).resolve() for file in files}
