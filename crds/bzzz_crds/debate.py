"""How agents debate before anything is executed (architecture §6)."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from bzzz_crds.durations import format_duration, is_duration
from bzzz_crds.rules import Rule
from bzzz_crds.values import Between, DurationBetween, Model


class Help(Model):
    """What a claimant does whose work failed, or the repository's tests after it."""

    requests: Annotated[int, Between(0, 10)] = Field(
        default=2,
        description="How often one discussion asks peers for help; 0 never: a failure is a failure.",
    )
    helpers: Annotated[int, Between(1, 16)] = Field(
        default=3, description="Helpers that are talked with for one request, one after the other."
    )
    ttl: Annotated[timedelta, DurationBetween("1s", "24h")] = Field(
        default=timedelta(minutes=5),
        description="Longest waiting for the help of one request, from 1s to 24h; then it escalates.",
    )


class Discussion(Model):
    """The debate before anything is executed; hive-wide maxima bound these."""

    rules = (
        Rule(
            "minReviewers",
            "expected at most reviewers",
            "self.minReviewers <= self.reviewers",
            lambda it: it.min_reviewers <= it.reviewers,
            lambda it: f"{it.min_reviewers} of {it.reviewers}",
        ),
        Rule(
            "reviewers",
            "expected at most participants",
            "self.reviewers <= self.participants",
            lambda it: it.reviewers <= it.participants,
            lambda it: f"{it.reviewers} of {it.participants}",
        ),
        Rule(
            "ttl",
            "expected at least the window",
            f"!{is_duration('self.ttl')} || !{is_duration('self.window')} || "
            "duration(self.ttl) >= duration(self.window)",
            lambda it: it.ttl >= it.window,
            lambda it: f"{format_duration(it.ttl)} with a window of {format_duration(it.window)}",
        ),
    )

    window: Annotated[timedelta, DurationBetween("100ms", "1h")] = Field(
        default=timedelta(seconds=30),
        description="How long peers may object in a round; from 100ms to 1h.",
    )
    close_early: bool = Field(
        default=False, description="Close a round once all named reviewers answered without objection."
    )
    reviewers: Annotated[int, Between(0, 16)] = Field(default=2, description="Peers named to review a plan.")
    min_reviewers: Annotated[int, Between(0, 16)] = Field(
        default=0, description="Fewer answers than this escalate; 0 goes on and says unreviewed."
    )
    rounds: Annotated[int, Between(1, 10)] = Field(
        default=3, description="Rounds before the discussion escalates."
    )
    participants: Annotated[int, Between(1, 32)] = Field(
        default=5, description="Participants of one discussion, claimant and humans aside."
    )
    hops: Annotated[int, Between(1, 16)] = Field(default=4, description="Longest chain of replies.")
    message_ttl: Annotated[timedelta, DurationBetween("1s", "2h")] = Field(
        default=timedelta(seconds=60),
        alias="messageTTL",
        description="Age at which a message no longer counts, from 1s to 2h; raised to the window's double where "
        "that is longer.",
    )
    ttl: Annotated[timedelta, DurationBetween("1s", "24h")] = Field(
        default=timedelta(minutes=15),
        description="Longest planning, listening and revising in total, from 1s to 24h; then it escalates.",
    )
    help: Help = Field(default_factory=Help, description="Help among agents.")
    require_human: Literal["never", "onObjection", "always"] = Field(
        default="never", description="When a human must agree before anything is executed."
    )
