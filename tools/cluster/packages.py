"""Programs from Debian packages that the built-in cluster and the building of images need."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tools.cluster.errors import MissingToolError
from tools.cluster.node import PATH, as_root
from tools.cluster.steps import Steps

PACKAGES = {
    "containerd": "containerd",
    "runc": "runc",
    "/usr/lib/cni/ptp": "containernetworking-plugins",
    "etcd": "etcd-server",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ipset": "ipset",
    "socat": "socat",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "mmdebstrap": "mmdebstrap",
    "podman": "podman",
    "buildah": "buildah",
    "fuse-overlayfs": "fuse-overlayfs",
}
"""Program (a name on the PATH, or a file) and the package that holds it."""


def missing_packages() -> list[str]:
    """Return the packages whose programs are not here."""
    return [package for program, package in PACKAGES.items() if not is_here(program)]


def is_here(program: str) -> bool:
    """Whether a program is on the system's PATH, or a file exists."""
    if program.startswith("/"):
        return Path(program).exists()
    return shutil.which(program, path=PATH) is not None


def ensure_packages(steps: Steps) -> None:
    """Install what is missing; raises MissingToolError where that needs somebody else's hands.

    Packages that would start a service of their own (containerd, etcd) are kept from it: the cluster runs its own.
    """
    missing = missing_packages()
    if not missing:
        return
    words = " ".join(missing)
    if shutil.which("apt-get") is None:
        raise MissingToolError(
            f"expected programs of these Debian packages: {words}; install their like and try again"
        )
    if not as_root():
        raise MissingToolError(f"expected these packages: {words}; run: sudo apt-get install -y {words}")
    with steps.step(f"apt-get install {words}"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing]
        for command in (["apt-get", "update", "-qq"], install):
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=1800, check=False
            )
        if done.returncode != 0:
            raise MissingToolError(f"expected apt-get to install {words}, got: {done.stderr.strip()[-1000:]}")
    still = missing_packages()
    if still:
        raise MissingToolError(
            f"expected programs of {' '.join(still)} after their installation, they are not on {PATH}"
        )
