"""Records answers in MetaDiscussions: an answer becomes `spec.resolution`, as after `kubectl patch`."""

from __future__ import annotations

from typing import Final

from bzzz_operator.api import Api, Json
from bzzz_operator.errors import ApiError, OperatorError
from bzzz_operator.escalation.answers import Ruling, rule
from bzzz_operator.kinds import META_DISCUSSION
from bzzz_operator.objects import items, name_of, part
from hmmm.escalation import Answer

TRIES: Final = 5


class ResourceAnswers:
    """Answers to the questions of one hive's MetaDiscussions."""

    def __init__(self, api: Api, hive: str) -> None:
        self._api = api
        self._hive = hive

    async def take(self, answer: Answer) -> Ruling:
        """Decide on an answer and record it. Raises OperatorError, ApiError."""
        for _ in range(TRIES):
            found = await self._find(answer)
            ruling = rule(answer, found, self._hive)
            if ruling.patch is None or found is None:
                return ruling
            try:
                await self._record(found, ruling.patch)
            except ApiError as error:
                if not error.conflict:
                    raise
            else:
                return ruling
        raise OperatorError("the MetaDiscussion keeps changing")

    async def _find(self, answer: Answer) -> Json | None:
        """Return the object as the API server has it now: no cache decides on a verdict."""
        for one in items(await self._api.list(META_DISCUSSION), "items"):
            issue = part(one, "spec", "issue")
            if (issue.get("repository"), issue.get("number")) == (
                answer.issue.repository,
                answer.issue.number,
            ):
                return one
        return None

    async def _record(self, found: Json, patch: Json) -> None:
        """Merge, for exactly the object that was looked at. Raises ApiError."""
        body = {"metadata": {"resourceVersion": found["metadata"]["resourceVersion"]}, **patch}
        await self._api.patch(META_DISCUSSION, name_of(found), body)
