"""HMMM's own words: the contents of `meta_msg`, one model for each `query_type` (architecture §5, §6).

`query_type`, `text` and `parameters` are the seed's; what this protocol adds lives in `parameters`. Every answer
carries `plan_digest`, the SHA-256 of the plan envelope that it answers: a claimant that shows two peers two plans
is found out when their answers meet.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from hmmm.base import Digest, GitSha, Id, Line, Model, NodeId, Text
from hmmm.limits import DiscussionLimits
from hmmm.plan import Plan, RepositoryPath

MAX_WEIGHED: Final = 64
MAX_NAMED: Final = 32
MAX_ROUND: Final = 100
"""Above `DiscussionLimits.rounds`, since a human may ask for one more round again and again."""

Severity = Literal["blocking", "advisory"]
Verdict = Literal["proceed", "revise", "abandon"]
Outcome = Literal["pull_request", "released", "needs_human", "taken_over", "abandoned"]


class MetObjection(Model):
    """An objection that a revised plan means to meet, and how."""

    msg_id: Id
    how: Line


class PlanProposed(Model):
    """The claimant's plan; opens the first round."""

    plan: Plan
    plan_id: Id
    round: int = Field(ge=1, le=MAX_ROUND)
    window_s: float = Field(ge=0.1, le=3600)
    reviewers: tuple[NodeId, ...] = Field(default=(), max_length=MAX_NAMED)
    limits: DiscussionLimits


class PlanRevised(PlanProposed):
    """A plan that takes the place of an earlier one; opens the next round."""

    supersedes: Id
    """msg_id of the plan message that this one replaces."""
    meets: tuple[MetObjection, ...] = Field(default=(), max_length=MAX_WEIGHED)


class PlanAnswer(Model):
    """What every answer to a plan carries."""

    plan_digest: Digest


class Reviewing(PlanAnswer):
    """The author has the plan and is still thinking; extends the window once."""

    eta_s: float = Field(default=0, ge=0, le=3600)


class NoObjection(PlanAnswer):
    """The author has nothing against the plan."""


class Objection(PlanAnswer):
    """The author wants the plan changed (`blocking`) or warns (`advisory`)."""

    severity: Severity
    reason: Text
    rule: Annotated[str, Field(max_length=40)] | None = None
    """The rule that found it; None when a model or a human did."""
    paths: tuple[RepositoryPath, ...] = Field(default=(), max_length=100)
    quoted: Text | None = None
    """What of the issue, plan or repository the objection rests on."""


class Suggestion(PlanAnswer):
    """An improvement that the claimant may take up."""

    paths: tuple[RepositoryPath, ...] = Field(default=(), max_length=100)
    quoted: Text | None = None
    """What of the issue or plan it rests on."""


class ClarificationNeeded(Model):
    """A question. The seed's own example names only a `field`."""

    plan_digest: Digest | None = None
    field: Line | None = None
    quoted: Text | None = None
    """What of the issue or plan leaves it open."""


AnswerSource = Literal["issue", "repository", "author"]
"""Where a claimant found an answer: in the issue's text, in a file, or in a comment by whoever may decide it."""


class Answer(Model):
    """An answer to a question, which is its parent."""

    plan_digest: Digest | None = None
    source: AnswerSource | None = None
    """None: the speaker's own word."""
    quoted: Text | None = None
    """The words that the answer rests on."""
    author: Line = ""
    """Who commented, if the answer is a comment."""
    url: Annotated[str, Field(max_length=500)] | None = None
    """The comment."""


def plan_answered(parameters: Model) -> str | None:
    """Return the digest of the plan that a word is about; None for a word about no plan, or one that does not say."""
    return (
        parameters.plan_digest if isinstance(parameters, PlanAnswer | ClarificationNeeded | Answer) else None
    )


Decision = Literal["no_objection", "open", "met", "lapsed", "noted", "not_followed", "answered", "reviewing"]


class Weighed(Model):
    """One message of a round, and what the claimant made of it."""

    msg_id: Id
    digest: Digest
    node_id: NodeId
    query_type: Line
    decision: Decision
    reason: Line = ""


class RoundClosed(PlanAnswer):
    """The claimant's account of a round: every message that it weighed, who stayed silent, what comes next."""

    round: int = Field(ge=1, le=MAX_ROUND)
    weighed: tuple[Weighed, ...] = Field(default=(), max_length=MAX_WEIGHED)
    silent: tuple[NodeId, ...] = Field(default=(), max_length=MAX_NAMED)
    next: Literal["execute", "revise", "escalate"]
    reason: Line = ""


class Countersigned(PlanAnswer):
    """A participant's word that the account of the round lists what it said."""

    round: int = Field(ge=1, le=MAX_ROUND)
    closed_digest: Digest
    """Digest of the `round_closed` envelope."""


class ExecutionStarted(PlanAnswer):
    """From here on code is changed."""


class TestRun(Model):
    """What the repository's own test command said."""

    __test__ = False  # not a test case, whatever pytest makes of the name
    outcome: Literal["passed", "failed", "timeout", "not_configured"]
    exit_code: int | None = None
    seconds: float = Field(default=0, ge=0)


class ExecutionFinished(PlanAnswer):
    """The work is done (`ok`), or it failed for the reason given."""

    ok: bool
    reason: Line = ""
    head_sha: GitSha | None = None
    tree_sha: GitSha | None = None
    patch_digest: Digest | None = None
    tests: TestRun | None = None
    files: tuple[RepositoryPath, ...] = Field(default=(), max_length=40)
    """The first forty files that the patch changes."""
    notes: Text = ""
    """What a reader must know of how it was made, e.g. that a small model wrote it."""
    output: Text = ""
    """The end of what failed printed; empty when nothing did."""
    suggestion: Id | None = None
    """The helper's suggestion with which it worked, if it took one."""


class HelpChosen(PlanAnswer):
    """The claimant takes up an offer of help; until the talk is closed it talks with this helper alone."""

    request_id: Id
    helper: NodeId


class HelpSuggestion(PlanAnswer):
    """What the helper would do, as text; a patch of the claim's base may come along. Both are untrusted."""

    request_id: Id
    patch: Annotated[str, Field(min_length=1, max_length=8000)] | None = None


class HelpTried(PlanAnswer):
    """A suggestion was tried and did not do it (the text says what failed): the helper may suggest once more."""

    request_id: Id
    suggestion: Id


class HelpClosed(PlanAnswer):
    """The claimant ends the talk with a helper that did not get it further; the next offer is taken up."""

    request_id: Id
    helper: NodeId
    outcome: Literal["not_helped", "silent", "withdrew"]
    reason: Line = ""


class HumanVerdict(Model):
    """A human's decision, as the authority signed it; the envelope inside is what counts."""

    verdict: Verdict
    signed: Annotated[str, Field(max_length=8192)]
    """The DSSE envelope by the hive key, as text."""


class DiscussionClosed(Model):
    """The end of a discussion; it never reopens."""

    outcome: Outcome
    reason: Line = ""
    failed: bool = False
    """Whether it counts as a failed try of the issue (architecture §7: after three it is left to a human)."""
    pull_request: Annotated[str, Field(max_length=500)] | None = None


class RoundStatus(PlanAnswer):
    """The claimant's open round in short, repeated every few seconds; whoever is not listed sends again.

    Advisory and never logged: it repairs gossip's losses (architecture §5) and carries no new fact.
    """

    round: int = Field(ge=1, le=MAX_ROUND)
    taken_in: tuple[Digest, ...] = Field(default=(), max_length=MAX_WEIGHED)
    remaining_s: float = Field(ge=0, le=7200)


META_CONTENTS: Final[dict[str, type[Model]]] = {
    "plan_proposed": PlanProposed,
    "plan_revised": PlanRevised,
    "reviewing": Reviewing,
    "no_objection": NoObjection,
    "objection": Objection,
    "suggestion": Suggestion,
    "clarification_needed": ClarificationNeeded,
    "answer": Answer,
    "round_closed": RoundClosed,
    "countersigned": Countersigned,
    "execution_started": ExecutionStarted,
    "execution_finished": ExecutionFinished,
    "help_chosen": HelpChosen,
    "help_suggestion": HelpSuggestion,
    "help_tried": HelpTried,
    "help_closed": HelpClosed,
    "human_verdict": HumanVerdict,
    "discussion_closed": DiscussionClosed,
    "round_status": RoundStatus,
}
"""query_type → model of its parameters."""

CLAIMANT_ONLY: Final = frozenset(
    {"plan_proposed", "plan_revised", "round_closed", "execution_started", "execution_finished"}
    | {"discussion_closed", "round_status", "help_chosen", "help_tried", "help_closed"}
)
"""Types that only the discussion's claimant may send."""

ROOTS: Final = (CLAIMANT_ONLY - {"help_tried"}) | {"human_verdict"}
"""Types that start a thread of their own: hop_count 1 (architecture §5)."""

NEVER_LOGGED: Final = frozenset({"round_status"})


class Content(Model):
    """The seed's `content`: what is said, as prose for people and parameters for programs."""

    query_type: Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[a-z_]+$")]
    text: Text = ""
    parameters: dict[str, object] = Field(default_factory=dict)
