"""What a command in a workspace finds when it looks around; prints JSON. Needs Python's standard library alone.

`python3 probe.py TARGETS [FILE]`: TARGETS is a JSON list of `host:port` to connect to. Secrets are reported by
their SHA-256, so that nothing of them gets into a log or a patch.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import stat
import struct
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PATIENCE_S = 3.0
SYSTEM = {"/proc", "/sys", "/usr", "/bin", "/sbin", "/lib", "/lib64"}
SMALL = 64 * 1024
LISTEN = "0A"
HTTP_PATHS = ("/", "/metrics", "/healthz", "/v1/logs", "/v1/models", "/v1/chat/completions")


def digest(data: bytes) -> str:
    return hashlib.sha256(data.strip()).hexdigest()


def files() -> dict[str, str]:
    """Every small file that can be read on a volume, so not of the image's own, by the hash of its content."""
    found, image = {}, Path("/").stat().st_dev
    for folder, below, names in os.walk("/", followlinks=False):
        below[:] = [name for name in below if str(Path(folder, name)) not in SYSTEM]
        for name in names:
            path = Path(folder, name)
            try:
                info = path.stat()
                if info.st_dev != image and stat.S_ISREG(info.st_mode) and info.st_size < SMALL:
                    found[str(path)] = digest(path.read_bytes())
            except OSError:
                continue
    return found


def processes() -> list[dict[str, object]]:
    """Every process to be seen, and what of the others can be read."""
    found = []
    for entry in sorted(Path("/proc").iterdir()):
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        opened = []
        for name in ("environ", "mem", "maps"):
            try:
                with (entry / name).open("rb") as file:
                    opened += [name] if name == "mem" or file.read(1) else []
            except OSError:
                pass
        for name in ("fd", "root"):
            try:
                os.listdir(entry / name)  # noqa: PTH208
                opened.append(name)
            except OSError:
                pass
        try:
            words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            words = ""
        found.append({"pid": int(entry.name), "command": words[:200], "opened": opened})
    return found


def unix_sockets() -> dict[str, str]:
    """Every unix socket with a name in this network namespace, abstract ones too: what connecting to it says."""
    found = {}
    for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
        fields = line.split(None, 7)
        if len(fields) == 8:
            found[fields[7]] = unix_connect(fields[7])
    for path in ("/run/bzzz/log/log.sock", "/run/bzzz/run/run.sock"):
        found[path] = unix_connect(path)
    return found


def unix_connect(path: str) -> str:
    with socket.socket(socket.AF_UNIX) as tried:
        tried.settimeout(PATIENCE_S)
        try:
            tried.connect("\0" + path[1:] if path.startswith("@") else path)
        except OSError as error:
            return type(error).__name__
        return "connected"


def runner() -> str:
    """What the runner says to a call with its own token, from its own UID."""
    token = Path("/etc/bzzz/runner/token").read_text().strip()
    head = f"POST /run HTTP/1.1\r\nHost: runner\r\nAuthorization: Bearer {token}\r\nContent-Length: 2\r\n\r\n{{}}"
    with socket.socket(socket.AF_UNIX) as tried:
        tried.settimeout(PATIENCE_S)
        try:
            tried.connect("/run/bzzz/run/run.sock")
            tried.sendall(head.encode())
            return tried.recv(100).decode(errors="replace").split("\r\n")[0]
        except OSError as error:
            return type(error).__name__


def listening() -> list[tuple[str, int]]:
    """Every TCP port of this network namespace on which somebody listens, with its address."""
    found = set()
    for name in ("tcp", "tcp6"):
        table = Path("/proc/net", name)
        for line in table.read_text().splitlines()[1:] if table.exists() else ():
            local, _, state = line.split()[1:4]
            if state == LISTEN:
                address, port = local.split(":")
                found.add((readable(address), int(port, 16)))
    return sorted(found)


def readable(address: str) -> str:
    """The kernel's hexadecimal address as text: words of four bytes in the machine's order."""
    raw = b"".join(struct.pack("=I", int(address[i : i + 8], 16)) for i in range(0, len(address), 8))
    return socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, raw)


def answers(pool: ThreadPoolExecutor, places: list[tuple[str, int]]) -> dict[str, dict[str, str]]:
    """What ports say to requests without credentials, by path: the first line of what comes back."""
    asked = [(host, port, path) for host, port in places for path in HTTP_PATHS]
    found: dict[str, dict[str, str]] = {}
    for (host, port, path), said in zip(asked, pool.map(lambda place: answer(*place), asked), strict=True):
        found.setdefault(f"{host}:{port}", {})[path] = said
    return found


def answer(host: str, port: int, path: str) -> str:
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"
    try:
        with socket.create_connection((host, port), PATIENCE_S) as tried:
            tried.sendall(request.encode())
            said = tried.recv(200).decode("latin-1")
            return re.sub(r"[^ -~]", ".", said.split("\r\n")[0])[:100]
    except OSError as error:
        return type(error).__name__


def reach(target: str) -> str:
    host, _, port = target.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), PATIENCE_S):
            return "open"
    except OSError as error:
        return type(error).__name__


def main() -> None:
    targets = json.loads(sys.argv[1])
    own = socket.gethostbyname(socket.gethostname())
    ports = listening()
    with ThreadPoolExecutor(40) as pool:
        reached = dict(zip(targets, pool.map(reach, targets), strict=True))
        everywhere = {"0.0.0.0", "::"}
        places = [
            (h, port) for at, port in ports for h in (("127.0.0.1", own) if at in everywhere else (at,))
        ]
        said = answers(pool, places)
    found = {
        "uid": os.getuid(),
        "status": Path("/proc/self/status").read_text(),
        "environment": sorted({digest(value.encode()) for value in os.environ.values()}),
        "files": files(),
        "processes": processes(),
        "unix": unix_sockets(),
        "runner": runner(),
        "listening": ports,
        "answers": said,
        "reach": reached,
    }
    text = json.dumps(found)
    if len(sys.argv) > 2:
        Path(sys.argv[2]).write_text(text)
    else:
        print(text)


if __name__ == "__main__":
    main()
