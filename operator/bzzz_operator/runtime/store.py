"""The operator's view of the namespace: the newest known version of each object, by kind and name.

Filled by kopf's watch, by the informers and by the answers to our own writes. An event that tells nothing newer than
what is known (our own write coming back) wakes nobody: that is what makes a converged hive quiet.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, cast

from bzzz_operator.kinds import CONFIG_MAP, POD, SECRET, SERVICE, STATEFUL_SET, Kind

Json = dict[str, Any]
Listener = Callable[[Kind, Json | None, Json | None], None]
"""Told of a kind, the object before (None: new) and after (None: deleted)."""

LARGE_VALUE: Final = 1024
"""Characters of a ConfigMap's value above which its hash is kept instead."""
REMEMBERED_DELETIONS: Final = 4096


class Store:
    """The caches. Not thread-safe: everything happens on the event loop."""

    def __init__(self, hive_label: Mapping[str, str]) -> None:
        self._objects: dict[Kind, dict[str, Json]] = {}
        self._listeners: list[Listener] = []
        self._deleted: OrderedDict[str, None] = OrderedDict()
        self._ours = dict(hive_label)

    def listen(self, listener: Listener) -> None:
        """Have a function told of every change."""
        self._listeners.append(listener)

    def get(self, kind: Kind, name: str) -> Json | None:
        """Return the newest known version of an object. Do not change it."""
        return self._objects.get(kind, {}).get(name)

    def all(self, kind: Kind) -> Iterable[Json]:
        """Return all objects of a kind, by name."""
        found = self._objects.get(kind, {})
        return [found[name] for name in sorted(found)]

    def put(self, kind: Kind, body: Json, *, quiet: bool = False) -> bool:
        """Take in an object; return whether it was news. `quiet` tells no listener: it is our own write's answer."""
        head = body["metadata"]
        known = self._objects.setdefault(kind, {})
        old = known.get(head["name"])
        if head.get("uid") in self._deleted or (old is not None and not _is_newer(head, old["metadata"])):
            return False
        known[head["name"]] = slim(kind, body, self._ours)
        if not quiet:
            self._tell(kind, old, known[head["name"]])
        return True

    def drop(self, kind: Kind, name: str, uid: str | None) -> None:
        """Forget an object that was deleted, unless another took its name meanwhile."""
        if uid is not None:
            self._deleted[uid] = None
            while len(self._deleted) > REMEMBERED_DELETIONS:
                self._deleted.popitem(last=False)
        old = self._objects.get(kind, {}).get(name)
        if old is None or (uid is not None and old["metadata"].get("uid") != uid):
            return
        del self._objects[kind][name]
        self._tell(kind, old, None)

    def replace(self, kind: Kind, bodies: Iterable[Json]) -> bool:
        """Take in a complete list: what it does not have is gone. Return whether a spec, or an object, was news."""
        news = False
        names: set[str] = set()
        for body in bodies:
            name = body["metadata"]["name"]
            names.add(name)
            before = _life(self.get(kind, name))
            if self.put(kind, body) and before != _life(body):
                news = True
        for name, old in list(self._objects.setdefault(kind, {}).items()):
            if name not in names:
                self.drop(kind, name, old["metadata"].get("uid"))
                news = True
        return news

    def _tell(self, kind: Kind, old: Json | None, new: Json | None) -> None:
        for listener in self._listeners:
            listener(kind, old, new)


def _life(body: Json | None) -> tuple[object, object] | None:
    """Return what changes with an object's spec, and not with its status."""
    return None if body is None else (body["metadata"].get("uid"), body["metadata"].get("generation"))


def _is_newer(head: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    """Compare resource versions as numbers, as the API server's own watch cache does."""
    if head.get("uid") != old.get("uid"):
        return True
    return int(head.get("resourceVersion") or 0) > int(old.get("resourceVersion") or 0)


def slim(kind: Kind, body: Json, ours: Mapping[str, str]) -> Json:
    """Return what the operator ever looks at: a tenth of what the API server sends."""
    head = {k: v for k, v in body["metadata"].items() if k != "managedFields"}
    kept: Json = {"metadata": head}
    labels = cast("Mapping[str, str]", head.get("labels") or {})
    is_ours = all(labels.get(key) == value for key, value in ours.items())
    if kind == SECRET or (not is_ours and kind in {STATEFUL_SET, CONFIG_MAP}):
        return kept
    if kind == POD:
        return {**kept, "status": body.get("status") or {}}
    if kind == SERVICE and not is_ours:
        return {**kept, "spec": body.get("spec") or {}}
    kept = {**body, "metadata": head}
    return {**kept, "data": slim_data(kept.get("data") or {})} if kind == CONFIG_MAP else kept


def slim_data(data: Mapping[str, str]) -> dict[str, str]:
    """Replace large values by their hash; applied to what is wanted as well, before the two are compared."""
    return {
        key: value if len(value) <= LARGE_VALUE else "sha256:" + hashlib.sha256(value.encode()).hexdigest()
        for key, value in data.items()
    }
