"""What people were told and what they answered, in a file: a restarted relay repeats no question, loses no answer."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from bzzz_cli.errors import CommandError
from bzzz_cli.local.files import write_private
from hmmm.escalation import Answer, Delivery

MAX_KEPT: Final = 1000
"""Escalations; the oldest are forgotten. A forgotten one that is still open would be told once more."""


class Answered(BaseModel):
    """The answer that counts, and the verdict that was signed for it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    answer: Answer
    signed: str | None
    """An envelope, which is ASCII; None where the discussion was over and nothing was left to decide."""


class _Pages(BaseModel):
    model_config = ConfigDict(extra="forbid")

    deliveries: dict[str, Delivery] = {}
    answers: dict[str, Answered] = {}


class Books:
    """Keyed by the escalation's id; every change is on disk before the call returns."""

    def __init__(self, path: Path) -> None:
        """Read what there is. Raises CommandError for a file that is no such thing."""
        self._path = path
        try:
            self._pages = _Pages.model_validate_json(path.read_bytes()) if path.exists() else _Pages()
        except (OSError, ValidationError) as error:
            raise CommandError(
                f"{path}: expected what this program wrote: {error}; remove the file, and questions that are still "
                "open are told to people once more"
            ) from error

    def delivery(self, escalation_id: str) -> Delivery:
        """Return how far an escalation's delivery has got."""
        return self._pages.deliveries.get(escalation_id) or Delivery(escalation_id=escalation_id)

    def delivered(self, delivery: Delivery) -> None:
        """Keep how far one has got."""
        self._pages.deliveries[delivery.escalation_id] = delivery
        self._keep()

    def answer(self, escalation_id: str) -> Answered | None:
        """Return the answer that was recorded, if any."""
        return self._pages.answers.get(escalation_id)

    def answered(self, answered: Answered) -> None:
        """Keep the answer that counts."""
        self._pages.answers[answered.answer.escalation_id] = answered
        self._keep()

    def _keep(self) -> None:
        for page in (self._pages.deliveries, self._pages.answers):
            while len(page) > MAX_KEPT:
                del page[next(iter(page))]
        write_private(self._path, self._pages.model_dump_json(by_alias=True, indent=2).encode())
