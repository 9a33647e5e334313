"""A transcript as lines for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Final

Json = dict[str, Any]
WIDTH: Final = 96


def lines_of(entries: Iterable[Json]) -> Iterator[str]:
    """Yield a line an entry: seconds since the first, who, what, and what was said of it.

    Takes the entries of a sealed transcript, and the last messages that the scribe shows of any discussion.
    """
    start: datetime | None = None
    for entry in entries:
        at = datetime.fromisoformat(str(entry["at"]))
        start = start or at
        who, what, text = str(entry.get("from", "")), str(entry.get("type") or entry.get("kind", "")), ""
        message = entry.get("message")
        if message is not None:
            who, text = str(message["node"]), str(message["text"])
            heard = "← " if message["received"] else ""
            what = heard + str(message.get("queryType") or message["type"])
        text = " ".join((text or str(entry.get("text", ""))).split())
        if len(text) > WIDTH:
            text = f"{text[: WIDTH - 1]}…"
        yield f"  {(at - start).total_seconds():6.1f} s  {who:<10} {what:<26} {text}".rstrip()
