"""How this machine reaches package registries, handed to builds as secrets: they see it, images do not.

Dockerfiles mount `pip.conf`, `npmrc` and `ca.crt` where the step that downloads needs them. None is required: a plain
`docker build` without secrets uses the public registries.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CA_IN_BUILD = "/run/secrets/ca.crt"
CA_VARIABLES = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
CA_DEFAULT = "/etc/ssl/certs/ca-certificates.crt"
PIP_KEYS = (
    "index-url",
    "extra-index-url",
    "trusted-host",
    "find-links",
    "proxy",
    "timeout",
    "default-timeout",
    "retries",
)
NPM_KEYS = ("registry", "proxy", "https-proxy", "noproxy", "strict-ssl")
_PIP_LINE = re.compile(r"^(?P<where>\S+)\.(?P<key>[a-z-]+)='(?P<value>.*)'$")


@dataclass(frozen=True)
class Machine:
    """What builds are given."""

    secrets: dict[str, Path]
    folders: tuple[Path, ...]
    """Folders with wheels, mounted where they are."""
    env: dict[str, str]
    """Proxies; buildah hands them to steps without writing them into images."""

    def options(self) -> list[str]:
        """Return buildah's options for a build."""
        secrets = [f"--secret=id={name},src={path}" for name, path in self.secrets.items()]
        return [*secrets, *(f"--volume={folder}:{folder}:ro" for folder in self.folders)]


def describe(folder: Path) -> Machine:
    """Write the secrets' files into `folder` (for this user's eyes only) and return what to build with."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority = certificates(os.environ)
    pip = pip_settings(_output(sys.executable, "-m", "pip", "config", "list"))
    wheels = tuple(Path(part) for part in pip.get("find-links", "").split() if _has_files(Path(part)))
    if not wheels:
        pip.pop("find-links", None)
    secrets = {
        "pip.conf": _write(folder / "pip.conf", pip_conf(pip, authority is not None)),
        "npmrc": _write(folder / "npmrc", npmrc(_npm_settings(), authority is not None)),
    }
    if authority:
        secrets["ca.crt"] = authority
    return Machine(secrets, wheels, apt_proxies(_output("apt-config", "dump"), os.environ))


def certificates(environ: Mapping[str, str]) -> Path | None:
    """Return the file of certificate authorities that this machine's clients are told to trust."""
    named = [Path(environ[variable]) for variable in CA_VARIABLES if environ.get(variable)]
    return next((path for path in (*named, Path(CA_DEFAULT)) if path.is_file()), None)


def pip_settings(listing: str) -> dict[str, str]:
    """Return what `pip config list` says of registries; later lines win, as in pip."""
    found: dict[str, str] = {}
    for line in listing.splitlines():
        match = _PIP_LINE.match(line.strip())
        if match and match["key"] in PIP_KEYS:
            found[match["key"].removeprefix("default-")] = match["value"].replace("\\n", " ").strip()
    return found


def pip_conf(settings: Mapping[str, str], authority: bool) -> str:
    """Return the text of a pip.conf."""
    lines = [f"{key} = {value}" for key, value in settings.items()]
    return "\n".join(["[global]", *lines, *([f"cert = {CA_IN_BUILD}"] if authority else []), ""])


def npmrc(settings: Mapping[str, object], authority: bool) -> str:
    """Return the text of an npmrc."""
    lines = [
        f"{key}={json.dumps(value) if isinstance(value, bool) else value}" for key, value in settings.items()
    ]
    return "\n".join([*lines, *([f"cafile={CA_IN_BUILD}"] if authority else []), ""])


def apt_proxies(dump: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return apt's proxies as environment variables, where the environment names none."""
    found: dict[str, str] = {}
    for line in dump.splitlines():
        match = re.match(r'^Acquire::(https?)::Proxy "([^"]+)";$', line)
        if match and match[2] != "DIRECT" and f"{match[1]}_proxy" not in environ:
            found[f"{match[1]}_proxy"] = match[2]
    return found


def _npm_settings() -> dict[str, object]:
    text = _output("npm", "config", "list", "--json")
    settings: dict[str, object] = json.loads(text) if text.startswith("{") else {}
    return {key: settings[key] for key in NPM_KEYS if settings.get(key) not in (None, "", [], [""])}


def _output(*command: str) -> str:
    if shutil.which(command[0]) is None:
        return ""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _has_files(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def _write(path: Path, text: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
    return path
