"""Writes the status of an object: only what is different, only what is ours, never by force.

What another field manager owns is left to it: said once, and left out from then on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, cast

import structlog

from bzzz_scribe.kubernetes.client import ApiClient, Json
from bzzz_scribe.kubernetes.documents import API_VERSION
from bzzz_scribe.kubernetes.errors import ApiAwayError, ApiRefusedError
from bzzz_scribe.kubernetes.watched import Watched
from bzzz_scribe.metrics import ScribeMetrics

MAX_CONFLICTS: Final = 8
"""Fields given up in one go; the server names them all at once, so that more than two rounds are odd."""
_STEP: Final = re.compile(r'\.([A-Za-z_][A-Za-z0-9_-]*)|\[([A-Za-z0-9_]+)="([^"\]]*)"\]', re.ASCII)

Path = tuple[str | tuple[str, str], ...]
"""Steps below `status`: a field's name, or (key, value) of a list's entry."""

log = structlog.get_logger("bzzz.scribe.kubernetes.applier")


@dataclass
class _Memory:
    """What is remembered of one object, for as long as it is this very one."""

    uid: str
    left: set[Path] = field(default_factory=set[Path])
    echo: tuple[Json, Json] | None = None
    """What was applied, and what the server made of it: it may spell a value otherwise."""


class Applier:
    """Applies statuses of one kind."""

    def __init__(
        self,
        api: ApiClient,
        kind: str,
        watched: Watched,
        fields: tuple[str, ...],
        metrics: ScribeMetrics,
        others: frozenset[Path] = frozenset(),
    ) -> None:
        """`others` are parts of those fields that another manager writes: no difference there is ours to mend."""
        self._api = api
        self._kind = kind
        self._watched = watched
        self._fields = fields
        self._others = others
        self._metrics = metrics
        self._memories: dict[str, _Memory] = {}

    async def apply(self, name: str, status: Json) -> bool:
        """Make an object's status so; return whether anything was written.

        Raises ApiAwayError, ApiRefusedError.
        """
        live = self._watched.objects[name]
        memory = self._memory_of(name, str(live["metadata"]["uid"]))
        for _ in range(MAX_CONFLICTS):
            wanted = without(status, memory.left)
            have = without(self._ours(live), memory.left)
            if have == wanted or memory.echo == (wanted, have):
                return False
            try:
                answer = await self._write(name, memory.uid, wanted)
            except ApiRefusedError as error:
                if not error.conflicting or not self._give_up(name, memory, error):
                    raise
                continue
            memory.echo = (wanted, without(self._ours(answer), memory.left))
            self._watched.learn(answer)
            return True
        return False

    async def _write(self, name: str, uid: str, status: Json) -> Json:
        body: Json = {
            "apiVersion": API_VERSION,
            "kind": self._kind,
            "metadata": {"name": name, "uid": uid},  # another object of this name is not written to
            "status": status,
        }
        with counted(self._metrics, self._kind, "apply"):
            return await self._api.apply(f"{self._watched.path}/{name}/status", body)

    def _give_up(self, name: str, memory: _Memory, error: ApiRefusedError) -> bool:
        """Leave to their owner the fields that the server named; return whether any of them is news."""
        taken = {path for path in map(path_of, error.fields) if path} - memory.left
        if taken:
            memory.left |= taken
            log.warning(
                "fields belong to another manager and are left to it",
                kind=self._kind,
                name=name,
                fields=sorted(error.fields),
                error=str(error),
            )
        return bool(taken)

    def _ours(self, found: Json) -> Json:
        status = cast("Json", found.get("status") or {})
        return {name: status[name] for name in self._fields if name in status}

    def _memory_of(self, name: str, uid: str) -> _Memory:
        memory = self._memories.get(name)
        if memory is None or memory.uid != uid:
            self._memories = {n: m for n, m in self._memories.items() if n in self._watched.objects}
            memory = self._memories[name] = _Memory(uid, set(self._others))
        return memory


class counted:  # noqa: N801  reads as a word of the sentence `with counted(...)`
    """Counts one write by its end: written, refused or away."""

    def __init__(self, metrics: ScribeMetrics, kind: str, verb: str) -> None:
        self._labels = (kind, verb)
        self._metrics = metrics

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """Count."""
        if error is None or isinstance(error, ApiAwayError | ApiRefusedError):
            result = "done" if error is None else "away" if isinstance(error, ApiAwayError) else "refused"
            self._metrics.api_writes.labels(*self._labels, result).inc()


def path_of(text: str) -> Path:
    """Return the steps below status of a field as the server names it; all of a field if the rest is not clear.

    >>> path_of('.status.agents[nodeId="bzzz-0"].phase')
    ('agents', ('nodeId', 'bzzz-0'), 'phase')
    """
    steps: list[str | tuple[str, str]] = []
    at = 0
    while match := _STEP.match(text, at):
        steps.append(match[1] or (match[2], match[3]))
        at = match.end()
    if at != len(text):
        steps = steps[:2]
    return tuple(steps[1:]) if steps[:1] == ["status"] else ()


def without(value: Json, paths: set[Path]) -> Json:
    """Return a document without the parts that the paths name."""
    for path in paths:
        value = cast("Json", _cut_out(value, path))
    return value


def _cut_out(value: object, path: Path) -> object:
    step, rest = path[0], path[1:]
    if isinstance(value, dict) and isinstance(step, str):
        fields = cast("Json", value)
        if step not in fields:
            return fields
        if not rest:
            return {name: part for name, part in fields.items() if name != step}
        return {**fields, step: _cut_out(fields[step], rest)}
    if isinstance(value, list) and isinstance(step, tuple):
        key, wanted = step
        entries = cast("list[Json]", value)
        if not rest or rest == (key,):
            return [entry for entry in entries if str(entry.get(key)) != wanted]
        return [_cut_out(e, rest) if str(e.get(key)) == wanted else e for e in entries]
    return cast("object", value)
