"""Checking, and saying what was found: a line a link, the first that does not hold last."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bzzz_cli.console import printable
from bzzz_cli.errors import EXIT_FAILED
from bzzz_cli.verify.material import Material, Pin
from hmmm.evidence import LINKS, Link, verify_evidence

WORDS: Final = {"holds": "holds", "fails": "FAILS", "moved": "MOVED", "not_checked": "not checked"}
NAME_WIDTH: Final = max(len(name) for name in LINKS)


def verify(material: Material, say: Callable[[str], None]) -> int:
    """Walk the chain and say each link; return the exit code, 1 if one does not hold."""
    links = verify_evidence(
        material.bundle,
        material.pull_request,
        material.pin.key,
        material.diff,
        revocations=material.revocations,
    )
    for link in links:
        say(f"{WORDS[link.status]:<11}  {link.name:<{NAME_WIDTH}}  {printable(_detail(link, material.pin))}")
    broken = next((link for link in links if not link.ok), None)
    say(_verdict(broken, material.pin))
    return 0 if broken is None and links else EXIT_FAILED


def _detail(link: Link, pin: Pin) -> str:
    if link.name != "hive key" or link.status != "holds":
        return link.detail
    if pin.pinned:
        return f"{pin.key.hex()}, pinned by {pin.source}"
    return f"{pin.key.hex()}, NOT PINNED: it came along with the evidence"


def _verdict(broken: Link | None, pin: Pin) -> str:
    if broken is not None and broken.status == "moved":
        return "moved: the evidence holds for an earlier head of this pull request, not for what it shows now"
    if broken is not None:
        return f"refused: {broken.name} does not hold"
    if not pin.pinned:
        return (
            "consistent, but anybody can make a key: compare the hive key with one that you have from elsewhere "
            "(.bzzz/hive.pub in the default branch, or --hive-key)"
        )
    return "verified"
