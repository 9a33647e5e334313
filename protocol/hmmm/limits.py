"""The limits that govern a discussion: announced with its first plan, bounded by the hive's maxima.

Architecture §6 (safeguards) and §10 (`spec.discussion`) are the source of every default here.
"""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from hmmm.base import Model

CLOCK_SKEW_S: Final = 10.0
"""Deadlines are the claimant's clock; others allow this much to either side (architecture §6)."""

COUNTERSIGN_S: Final = 5.0
"""How long a claimant waits for countersignatures after closing a round. A participant that is live answers in
milliseconds; the PR states how many signed."""


MAX_ACCOUNTED: Final = 32
"""Messages and silent reviewers that the account of a round can name and still fit an envelope of 16 KiB, even with
the longest ids and names (tests/protocol/test_safeguards.py). A round of 5 participants with 4 messages each has 20."""


class HelpLimits(Model):
    """Bounds of the help that a stuck claimant may ask for in one discussion; times in seconds (docs/help.md)."""

    requests: int = Field(default=0, ge=0, le=10)
    """Calls for help. 0 in discussions that were recorded before claimants asked: they still fold as they did."""
    helpers: int = Field(default=3, ge=1, le=16)
    """Helpers talked with, one after the other, for one request."""
    window_s: float = Field(default=3.0, ge=0.1, le=600)
    """How long offers are gathered before one is chosen; less where everybody who was asked has answered."""
    ttl_s: float = Field(default=300.0, ge=1, le=86_400)
    """Waiting for offers and suggestions of one request, in total; trying a suggestion has the execution's limits."""

    def bounded_by(self, maxima: HelpLimits) -> HelpLimits:
        """Return these limits cut to the hive's maxima."""
        return self.model_copy(
            update={
                "requests": min(self.requests, maxima.requests),
                "helpers": min(self.helpers, maxima.helpers),
                "ttl_s": min(self.ttl_s, maxima.ttl_s),
            }
        )


class DiscussionLimits(Model):
    """Bounds of one discussion; times in seconds."""

    window_s: float = Field(default=30.0, ge=0.1, le=3600)
    close_early: bool = False
    reviewers: int = Field(default=2, ge=0, le=16)
    min_reviewers: int = Field(default=0, ge=0, le=16)
    rounds: int = Field(default=3, ge=1, le=10)
    participants: int = Field(default=5, ge=1, le=32)
    hops: int = Field(default=4, ge=1, le=16)
    messages_per_round: int = Field(default=4, ge=1, le=64)
    message_ttl_s: float = Field(default=60.0, ge=1, le=7200)
    ttl_s: float = Field(default=900.0, ge=1, le=86_400)
    require_human: Literal["never", "onObjection", "always"] = "never"
    await_answers: bool = False
    """Whether a question keeps its round open until it is answered, and what an author answers makes a new plan.
    False in discussions that were recorded before claimants answered questions: they still fold as they did."""
    help: HelpLimits = Field(default_factory=HelpLimits)

    @property
    def asks_for_help(self) -> bool:
        """Whether a claimant that is stuck asks for help; a suggestion is a reply, which takes two hops."""
        return self.help.requests > 0 and self.hops >= 2

    @property
    def effective_message_ttl_s(self) -> float:
        """The message TTL, never below the window doubled by `reviewing` (architecture §6)."""
        return max(self.message_ttl_s, 2 * self.window_s)

    def bounded_by(self, maxima: DiscussionLimits) -> DiscussionLimits:
        """Return these limits cut to the hive's maxima, so that a claimant cannot loosen its own bounds."""
        return self.model_copy(
            update={
                "rounds": min(self.rounds, maxima.rounds),
                "participants": min(self.participants, maxima.participants),
                "hops": min(self.hops, maxima.hops),
                "messages_per_round": min(self.messages_per_round, maxima.messages_per_round),
                "ttl_s": min(self.ttl_s, maxima.ttl_s),
                "help": self.help.bounded_by(maxima.help),
            }
        )
