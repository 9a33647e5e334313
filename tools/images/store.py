"""The folder of images: buildah on a storage of its own, so that the machine's other images are left alone."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path

from tools.images.errors import ImageError

LOG_LINES = 40
Command = Callable[..., subprocess.CompletedProcess[str]]
"""Takes a command's words."""


def cache_folder() -> Path:
    """Return where images are kept: `$BZZZ_CACHE/images`, by default in ~/.cache/bzzz."""
    return Path(os.environ.get("BZZZ_CACHE", Path.home() / ".cache" / "bzzz")).absolute() / "images"


class Store:
    """Images and build layers under one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._driver = ""

    @contextlib.contextmanager
    def locked(self) -> Generator[None]:
        """One build at a time: a second one finds the layers of the first."""
        with (self.folder / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def run(self, *arguments: str) -> str:
        """Run buildah on this storage; return what it printed.

        Raises:
            ImageError: it failed; with the end of its output.
        """
        command = [*self._buildah(), *arguments]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        _expect_success(arguments[0], done.returncode, done.stdout + done.stderr)
        return done.stdout

    def log(self, file: Path, *arguments: str, env: Mapping[str, str]) -> None:
        """Run buildah with what it says going to a file, where one can watch it; raises like `run`."""
        command = [*self._buildah(), *arguments]
        with file.open("w") as log:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=_environment(env), check=False
            )
        _expect_success(arguments[0], done.returncode, file.read_text(errors="replace"))

    def image_id(self, reference: str) -> str | None:
        """Return the id of an image, `None` if it is not here."""
        return self._inspect(reference, "{{.FromImageID}}")

    def label(self, reference: str, key: str) -> str | None:
        """Return a label of an image, `None` if the image is not here."""
        return self._inspect(reference, f'{{{{index .OCIv1.Config.Labels "{key}"}}}}')

    def _inspect(self, reference: str, form: str) -> str | None:
        command = [*self._buildah(), "inspect", "--type", "image", "--format", form, reference]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else None

    def size(self, reference: str) -> int:
        """Return the bytes that an image has unpacked, layers below it included."""
        listed: list[dict[str, str]] = json.loads(self.run("images", "--json", reference))
        number, unit = listed[0]["size"].split()
        return round(float(number) * {"B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9}[unit.upper()])

    @contextlib.contextmanager
    def container(self, reference: str) -> Generator[Command]:
        """A fresh container of an image, to run commands in as its user; for looking into images, not for isolation.

        Output goes by files: buildah's own pipes lose what a very short command says.
        """
        name = self.run("from", "--pull-never", reference).strip()
        try:
            with tempfile.TemporaryDirectory(prefix="bzzz-") as folder:
                yield lambda *argv: self._command(name, Path(folder), argv)
        finally:
            self.run("rm", name)

    def _command(self, container: str, folder: Path, argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
        files = [folder / "out", folder / "err"]
        for file in files:
            file.write_text("")
            file.chmod(0o666)
        folder.chmod(0o755)
        shell = ["sh", "-c", '"$@" >/output/out 2>/output/err', "sh", *argv]
        options = ["--isolation=chroot", f"--volume={folder}:/output:rw"]
        done = subprocess.run(
            [*self._buildah(), "run", *options, container, "--", *shell],
            capture_output=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        out, err = (file.read_text(errors="replace") for file in files)
        return subprocess.CompletedProcess(
            argv, done.returncode, out, err or done.stderr.decode(errors="replace")
        )

    def _buildah(self) -> list[str]:
        return ["buildah", *self._places(), "--storage-driver", self._chosen_driver()]

    def _places(self) -> list[str]:
        return ["--root", str(self.folder / "storage"), "--runroot", str(self.folder / "run")]

    def _chosen_driver(self) -> str:
        """Overlay where the kernel and the file system below allow it (buildah tries), else whole copies."""
        if not self._driver:
            trial = ["buildah", *self._places(), "--storage-driver", "overlay", "images", "--quiet"]
            works = subprocess.run(trial, capture_output=True, check=False).returncode == 0
            self._driver = "overlay" if works else "vfs"
        return self._driver


def _environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    return {**os.environ, **(more or {})}


def _expect_success(step: str, code: int, output: str) -> None:
    if code != 0:
        end = "\n  ".join(output.strip().splitlines()[-LOG_LINES:])
        raise ImageError(f"expected buildah {step} to succeed, got exit {code}:\n  {end}")


def require_tools(*programs: str) -> None:
    """Have Debian's packages of these programs installed; they are called like them.

    Raises:
        ImageError: they are missing and cannot be installed from here.
    """
    missing = [program for program in programs if shutil.which(program) is None]
    if os.geteuid() != 0:
        raise ImageError(
            "expected to run as root, which making a base image and its layers needs; "
            "run it with sudo, or build with `docker build -f agent/Dockerfile .`"
        )
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise ImageError(f"expected {', '.join(missing)} on this machine; install them and run again")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing]
    for command in (["apt-get", "update", "-qq"], install):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ImageError(f"expected {' '.join(command)} to succeed, got: {done.stderr.strip()[-2000:]}")
