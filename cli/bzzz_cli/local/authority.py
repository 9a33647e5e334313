"""The hive's authority, hosted by `bzzz local`: makes keys and seeds, signs membership cards (architecture §4).

Everything is kept below one folder, so that a hive that is started again on the same folder is the same hive: same
hive key, same peers, same logs. Each start signs new cards with higher serials.
"""

from __future__ import annotations

import json
import re
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from bzzz_cli.errors import CommandError
from bzzz_cli.local.files import secret_file, write_json, write_private
from hmmm.envelope import SigningKey
from hmmm.membership import MembershipCard, Role, sign_card

CARD_LIFE: Final = timedelta(days=30)
"""A local hive that runs longer is started again, which renews the cards."""
CLOCK_ALLOWANCE: Final = timedelta(minutes=1)


class Authority:
    """Holds the hive key. One authority a folder at a time (`hive` holds the folder's lock)."""

    def __init__(self, folder: Path, hive: str) -> None:
        self.hive = hive
        self._folder = folder
        self._serials = folder / "serials.json"
        self._key = SigningKey.hive(bytes.fromhex(seed(folder / "hive.seed").read_text()))
        self.public_key: str = self._key.public.hex()

    def mesh_seed(self, node_id: str) -> Path:
        """Return the file with a node's mesh seed, 32 bytes in hex; made on first use."""
        return seed(self._folder / node_id / "mesh.seed")

    def log_seed(self, node_id: str) -> Path:
        """Return the file with the seed of a node's log (or the archive's Noise key), made on first use."""
        return seed(self._folder / node_id / "log.seed")

    def peer_id(self, node_id: str) -> str:
        """Return the libp2p peer id of a node's mesh key."""
        return SigningKey.mesh(bytes.fromhex(self.mesh_seed(node_id).read_text())).key_id

    def issue_card(self, node_id: str, role: Role, log_key: str | None, now: datetime | None = None) -> Path:
        """Sign a new card for a node and return its file. Serials never repeat."""
        now = now or datetime.now(UTC)
        card = MembershipCard(
            hive=self.hive,
            serial=self._next_serial(),
            node_id=node_id,
            peer_id=self.peer_id(node_id),
            log_key=log_key,
            role=role,
            not_before=now - CLOCK_ALLOWANCE,
            not_after=now + CARD_LIFE,
        )
        return write_private(self._folder / node_id / "card.json", sign_card(card, self._key))

    def _next_serial(self) -> int:
        last = json.loads(self._serials.read_text())["last"] if self._serials.exists() else 0
        write_json(self._serials, {"last": last + 1})
        return last + 1


def seed(path: Path) -> Path:
    """Return a file with a 32-byte seed in hex, made on first use.

    Raises CommandError for a file that holds something else.
    """
    text = secret_file(path, secrets.token_hex(32).encode()).decode(errors="replace")
    if re.fullmatch(r"[0-9a-f]{64}", text) is None:
        raise CommandError(f"{path}: expected 64 hex digits; restore the file, or remove it for a new key")
    return path


def token(path: Path) -> str:
    """Return a bearer token kept in a file, made on first use."""
    return secret_file(path, secrets.token_urlsafe(32).encode()).decode()
