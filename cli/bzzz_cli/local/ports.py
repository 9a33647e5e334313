"""Ports that stay the same while a process dies and is started again."""

from __future__ import annotations

import random
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bzzz_cli.errors import CommandError
from bzzz_cli.local.files import write_private

RANGE: Final = range(20_000, 32_000)
"""Below Linux's range for outgoing connections (32768 to 60999), which would take a dead process's port."""
TRIES: Final = 200


def free_ports(count: int) -> list[int]:
    """Return distinct ports of 127.0.0.1 on which nobody listens.

    Raises CommandError.
    """
    ports: list[int] = []
    chance = random.SystemRandom()
    for _ in range(TRIES + count):
        port = chance.choice(RANGE)
        if port not in ports and _is_free(port):
            ports.append(port)
        if len(ports) == count:
            return ports
    raise CommandError(f"expected {count} free ports in {RANGE.start}-{RANGE.stop}, found {len(ports)}")


def kept_port(file: Path) -> int:
    """Return the port that a file names if it is free, else a new one, which the file names from then on.

    Pull requests link to the scribe's port: a hive that is started again should be found there.
    """
    text = file.read_text().strip() if file.exists() else ""
    if text.isascii() and text.isdigit() and int(text) in RANGE and _is_free(int(text)):
        return int(text)
    (port,) = free_ports(1)
    write_private(file, str(port).encode())
    return port


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@dataclass(frozen=True)
class HivePorts:
    """The ports of a whole hive."""

    github: int
    model: int
    archive: int
    scribe: int
    scribe_mesh: int
    mesh: tuple[int, ...]
    replication: tuple[int, ...]

    @classmethod
    def choose(cls, agents: int, scribe_file: Path) -> HivePorts:
        """Choose them for so many agents; the scribe's is kept in a file. Raises CommandError."""
        scribe = kept_port(scribe_file)
        others = [port for port in free_ports(5 + 2 * agents) if port != scribe]
        return cls(
            *others[:3],
            scribe=scribe,
            scribe_mesh=others[3],
            mesh=tuple(others[4 : 4 + agents]),
            replication=tuple(others[4 + agents : 4 + 2 * agents]),
        )
