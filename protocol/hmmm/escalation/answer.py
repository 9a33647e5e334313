"""What a machine may say in a person's name: the body of the answer endpoint. Nothing unknown, nothing coerced."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hmmm.base import Id, Repository, Text, first_problem
from hmmm.envelope import parse_json
from hmmm.errors import MalformedError
from hmmm.identity import IssueIdentity
from hmmm.meta import Verdict

ANSWER_SCHEMA: Final = "bzzz.dev/answer/v1"
MAX_ANSWER_BYTES: Final = 16 * 1024


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class AnsweredIssue(_Strict):
    """The issue and the claim of it that the person was shown."""

    repository: Repository
    number: Annotated[int, Field(ge=1, le=2**53)]
    epoch: Annotated[int, Field(ge=1, le=2**53)]

    @property
    def identity(self) -> IssueIdentity:
        """As the protocol names it."""
        return IssueIdentity(repository=self.repository, number=self.number, epoch=self.epoch)


class Answer(_Strict):
    """A person's decision on one escalation."""

    schema_: Literal["bzzz.dev/answer/v1"] = Field(alias="schema")
    hive: Annotated[str, Field(min_length=1, max_length=300)]
    escalation_id: Id
    issue: AnsweredIssue
    verdict: Verdict
    text: Text = ""
    by: Annotated[str, Field(max_length=120)] = ""

    @model_validator(mode="after")
    def _revise_says_what(self) -> Self:
        if self.verdict == "revise" and not self.text.strip():
            raise ValueError("text: expected what is to be revised, because verdict is revise")
        return self


def read_answer(body: bytes) -> Answer:
    """Parse an answer. Raises MalformedError, naming the first field that does not fit."""
    try:
        return Answer.model_validate(parse_json(body, limit=MAX_ANSWER_BYTES, what="answer"))
    except (ValidationError, RecursionError) as error:
        raise MalformedError("malformed", f"answer: {first_problem(error)}; refused") from error
