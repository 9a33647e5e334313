"""A kind of object as the API server has it, kept up to date by list and watch.

A watch that breaks goes on where it was; one whose past is forgotten (410) begins with a list again. Whoever waits
is told the names of what changed. Nothing is raised: while the server is away, what was last seen stays.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final, cast

import structlog
import trio

from bzzz_scribe.kubernetes.client import ApiClient, Json, refusal
from bzzz_scribe.kubernetes.errors import ApiAwayError, ApiRefusedError

WATCH_S: Final = 75.0
"""How long one watch lasts: a connection that died unseen is noticed after no more than this and a quarter."""
PAGE: Final = 500
MAX_OBJECTS: Final = 10_000
BACK_OFF_S: Final = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Pauses while the server is away, each with up to half of itself more; the last repeats."""

log = structlog.get_logger("bzzz.scribe.kubernetes.watched")


class Watched:
    """Every object of one path, or the one that is named; by name."""

    def __init__(self, api: ApiClient, path: str, on_change: Callable[[str], None], name: str = "") -> None:
        self.path = path
        self.synced = trio.Event()
        """Set once the server has said what there is."""
        self.objects: dict[str, Json] = {}
        self._api = api
        self._on_change = on_change
        self._name = name
        self._version = ""

    async def run(self) -> None:
        """Keep up until cancelled."""
        failures = 0
        while True:
            try:
                if not self._version:
                    await self._list()
                failures = 0
                await self._watch()
            except ApiRefusedError as error:
                self._version = ""
                if not error.gone:
                    self._complain(failures, error)
                    failures += 1
                    await trio.sleep(pause(failures))
            except (ApiAwayError, KeyError, TypeError, ValueError) as error:  # or an answer of no known shape
                self._complain(failures, error)
                failures += 1
                await trio.sleep(pause(failures))

    def learn(self, found: Json) -> None:
        """Take in an object as the server answered a write; an older one than is known is passed over."""
        name = name_of(found)
        known = self.objects.get(name)
        if known is None or version_of(found) > version_of(known):
            self._put(name, found)

    def forget(self, name: str) -> None:
        """Take in that there is no such object (any more)."""
        if self.objects.pop(name, None) is not None:
            self._on_change(name)

    def _complain(self, failures: int, error: Exception) -> None:
        if failures == 0:
            log.warning("watch is broken; tried again", path=self.path, error=str(error))

    async def _list(self) -> None:
        found: dict[str, Json] = {}
        if self._name:
            version = await self._read_one(found)
        else:
            version = await self._read_all(found)
        for name in set(self.objects) - set(found):
            self.forget(name)
        for name, one in found.items():
            if self.objects.get(name) != one:
                self._put(name, one)
        self._version = version
        self.synced.set()

    async def _read_one(self, found: dict[str, Json]) -> str:
        """Read the one object. Without it the watch begins at no version and tells when it is made."""
        try:
            one = await self._api.get(f"{self.path}/{self._name}")
        except ApiRefusedError as error:
            if error.missing:
                return "0"
            raise
        found[self._name] = slim(one)
        return str(one["metadata"]["resourceVersion"])

    async def _read_all(self, found: dict[str, Json]) -> str:
        parameters = {"limit": str(PAGE)}
        while True:
            page = await self._api.get(self.path, parameters)
            for one in cast("list[Json]", page.get("items") or []):
                if len(found) < MAX_OBJECTS:
                    found[name_of(one)] = slim(one)
            metadata = cast("Json", page.get("metadata") or {})
            if not metadata.get("continue"):
                return str(metadata.get("resourceVersion", ""))
            parameters["continue"] = str(metadata["continue"])

    async def _watch(self) -> None:
        seconds = WATCH_S + random.uniform(0, WATCH_S / 8)  # noqa: S311  spreads load, hides nothing
        parameters = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(int(seconds)),
            "resourceVersion": self._version,
        }
        if self._name:
            parameters["fieldSelector"] = f"metadata.name={self._name}"
        async with self._api.watch(self.path, parameters, silence_s=seconds + 10) as events:
            async for event in events:
                self._take(str(event.get("type")), cast("Json", event.get("object") or {}))

    def _take(self, kind: str, one: Json) -> None:
        """Take in an event. Raises ApiRefusedError for one that says no."""
        if kind == "ERROR":
            status = int(one.get("code") or 500)
            raise refusal(status, one, f"API server, watch {self.path}: {one.get('message')}")
        self._version = str(one["metadata"]["resourceVersion"])
        if kind == "DELETED":
            known = self.objects.get(name_of(one))
            if known is not None and version_of(known) <= version_of(one):
                self.forget(name_of(one))
        elif kind in {"ADDED", "MODIFIED"}:
            self.learn(one)

    def _put(self, name: str, one: Json) -> None:
        if name in self.objects or len(self.objects) < MAX_OBJECTS:
            self.objects[name] = slim(one)
            self._on_change(name)


def pause(failures: int) -> float:
    """Return how long to wait after so many failures (1 or more) in a row."""
    base = BACK_OFF_S[min(failures, len(BACK_OFF_S)) - 1]
    return base * (1 + random.random() / 2)  # noqa: S311  spreads load, hides nothing


def name_of(one: Json) -> str:
    """Return an object's name."""
    return str(one["metadata"]["name"])


def version_of(one: Json) -> int:
    """Return an object's resource version; the API server promises that they can be compared (KEP-5504)."""
    text = str(one["metadata"].get("resourceVersion", ""))
    return int(text) if text.isdecimal() else 0


def slim(one: Json) -> Json:
    """Return an object without the notes on who manages which field: half its size, and of no use here."""
    metadata = {k: v for k, v in one.get("metadata", {}).items() if k != "managedFields"}
    return {**one, "metadata": metadata}
