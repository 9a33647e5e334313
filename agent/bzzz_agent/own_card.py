"""The agent's own membership card: waited for at the start, followed while it is renewed."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import structlog
import trio

from bzzz_agent import __version__
from bzzz_agent.journal import Journal
from bzzz_agent.settings import AgentSettings, SettingsError
from bzzz_agent.waiting import read_when_there
from bzzz_mesh import Mesh
from hmmm.errors import BzzzError
from hmmm.membership import Roster
from hmmm.records import AgentStarted

log = structlog.get_logger("bzzz.agent.card")

LOOK_S: Final = 5.0


def read_own(settings: AgentSettings, peer_id: str) -> Roster:
    """Begin a roster with the own card. Raises BzzzError while there is none that fits this node's key."""
    roster = Roster(settings.hive, bytes.fromhex(settings.hive_key), read_when_there(settings.card_file))
    own = roster.own
    if (own.node_id, own.peer_id) != (settings.node_id, peer_id):
        raise SettingsError(
            f"{settings.card_file}: expected a card of {settings.node_id} as {peer_id}, got one of {own.node_id} as "
            f"{own.peer_id}; ask the authority for a card that fits"
        )
    return roster


async def follow(path: Path, roster: Roster, mesh: Mesh, journal: Journal) -> None:
    """Take a renewed card into use, for ever; one that does not hold leaves the last in force.

    It is logged at once: what is said under it must be found valid by readers of the log alone.
    """
    refused = roster.own_card
    while True:
        await trio.sleep(LOOK_S)
        try:
            raw = read_when_there(path)
            if raw in (roster.own_card, refused) or not mesh.renew(raw):
                continue
        except BzzzError as error:
            log.warning("own card was not renewed; the last one stays", problem=str(error))
            refused = _content(path)
            continue
        log.info("own card was renewed", serial=roster.own.serial, until=str(roster.own.not_after))
        await note_start(journal, roster)


async def note_start(journal: Journal, roster: Roster) -> None:
    """Log which agent speaks from here on, and under which card."""
    own = roster.own
    await journal.note(
        AgentStarted(
            node_id=own.node_id, peer_id=own.peer_id, version=__version__, card=roster.own_card.decode()
        )
    )


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
