"""MetaDiscussions: one an issue, made here or by a user, with the newest claim's discussion as status."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, cast

import structlog

from bzzz_crds.values import format_duration, parse_duration
from bzzz_scribe.kubernetes.applier import Applier, counted
from bzzz_scribe.kubernetes.client import FIELD_MANAGER, ApiClient, Json
from bzzz_scribe.kubernetes.documents import (
    API_VERSION,
    DISCUSSION_FIELDS,
    OPERATORS_PARTS,
    discussion_status,
    ended_at,
    is_over,
)
from bzzz_scribe.kubernetes.errors import ApiRefusedError
from bzzz_scribe.kubernetes.names import Issue, discussion_name, issue_of
from bzzz_scribe.kubernetes.watched import Watched, name_of
from bzzz_scribe.metrics import ScribeMetrics
from bzzz_scribe.store import DiscussionKey, Document

KIND: Final = "MetaDiscussion"
MAX_ISSUES: Final = 10_000

log = structlog.get_logger("bzzz.scribe.kubernetes.discussions")


class Discussions:
    """Carries discussions to MetaDiscussions."""

    def __init__(
        self,
        api: ApiClient,
        watched: Watched,
        hive: str,
        ttl: timedelta,
        metrics: ScribeMetrics,
        now: Callable[[], datetime],
    ) -> None:
        self._api = api
        self._watched = watched
        self._hive = hive
        self._ttl = ttl
        self._metrics = metrics
        self._now = now
        self._applier = Applier(api, KIND, watched, DISCUSSION_FIELDS, metrics, OPERATORS_PARTS)
        self._views: dict[Issue, dict[DiscussionKey, Document]] = {}
        self._ttls: dict[Issue, timedelta] = {}
        self._complained: set[str] = set()

    def put(self, key: DiscussionKey, view: Document) -> Issue:
        """Take in a discussion's view; return whose resource it belongs to."""
        issue = issue_of(key.repository, key.number)
        if issue in self._views or len(self._views) < MAX_ISSUES:
            self._views.setdefault(issue, {})[key] = view
        return issue

    def issues(self) -> list[Issue]:
        """Return every issue that has a discussion."""
        return list(self._views)

    def newest(self, issue: Issue) -> Document | None:
        """Return the newest claim's discussion. Of two logs that claim one turn, the one that goes on is shown."""
        views = self._views.get(issue)
        if not views:
            return None
        return views[max(views, key=lambda key: (key.epoch, bool(views[key]["live"]), key.log_key))]

    async def reconcile(self, issue: Issue) -> tuple[bool, float | None]:
        """Make an issue's resources so; return whether anything was written, and in how many seconds to look again.

        Raises ApiAwayError, ApiRefusedError.
        """
        view = self.newest(issue)
        if view is None:
            return False, None
        found = [one for one in self._watched.objects.values() if issue_named(one) == issue]
        written = False
        if not found:
            if is_over(view, self._ttls.get(issue, self._ttl), self._now()):
                return False, None
            found = [await self._create(view)]
            written = True
        status = discussion_status(view)
        again: list[float] = []
        for one in found:
            ttl = self._ttls[issue] = self._ttl_of(one)
            if one["metadata"].get("deletionTimestamp"):
                continue
            if is_over(view, ttl, self._now()):
                await self._delete(one)
                written = True
                continue
            written = await self._applier.apply(name_of(one), status) or written
            ended = ended_at(view)
            if ended is not None:
                again.append((ended + ttl - self._now()).total_seconds())
        return written, min(again, default=None)

    async def _create(self, view: Document) -> Json:
        """Make an issue's resource. Raises ApiAwayError, ApiRefusedError."""
        repository, number = str(view["repository"]), cast("int", view["number"])
        name = discussion_name(issue_of(repository, number))
        body: Json = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {
                "name": name,
                "labels": {
                    "app.kubernetes.io/managed-by": FIELD_MANAGER,
                    "app.kubernetes.io/part-of": self._hive,
                    "bzzz.dev/hive": self._hive,
                },
            },
            "spec": {
                "issue": {"repository": repository, "number": number},
                "ttlAfterClosed": format_duration(self._ttl),
            },
        }
        try:
            with counted(self._metrics, KIND, "create"):
                made = await self._api.create(self._watched.path, body)
        except ApiRefusedError as error:
            if error.reason != "AlreadyExists":
                raise
            made = await self._taken(name, issue_of(repository, number), error)
        self._watched.learn(made)
        return made

    async def _taken(self, name: str, issue: Issue, error: ApiRefusedError) -> Json:
        """Return the object that has the name already, if it is about this very issue."""
        there = await self._api.get(f"{self._watched.path}/{name}")
        if issue_named(there) == issue:
            return there
        if name not in self._complained:
            self._complained.add(name)
            log.warning("a MetaDiscussion about something else has an issue's name; delete it", name=name)
        raise error

    async def _delete(self, one: Json) -> None:
        metadata = cast("Json", one["metadata"])
        name = name_of(one)
        try:
            with counted(self._metrics, KIND, "delete"):
                await self._api.delete(
                    f"{self._watched.path}/{name}",
                    uid=str(metadata["uid"]),
                    resource_version=str(metadata["resourceVersion"]),
                )
        except ApiRefusedError as error:
            if not error.missing:
                raise
        self._watched.forget(name)
        log.info("closed discussion's time is over; its resource is deleted", name=name)

    def _ttl_of(self, one: Json) -> timedelta:
        text = cast("Json", one.get("spec") or {}).get("ttlAfterClosed")
        try:
            return self._ttl if text is None else parse_duration(str(text))
        except ValueError:
            return self._ttl


def issue_named(one: Json) -> Issue | None:
    """Return the issue that a MetaDiscussion is about; None for a question about a repository as such."""
    spec = cast("Json", one.get("spec") or {})
    issue = cast("Json", spec.get("issue") or {})
    repository, number = issue.get("repository"), issue.get("number")
    if not isinstance(repository, str) or not isinstance(number, int):
        return None
    return issue_of(repository, number)
