"""How far a question to a human has got, and when it is sent again. At least once: nothing but a 2xx ends it.

A webhook that is away, refuses or answers 500 for hours is asked again, ever more seldom; the state says since when and
why. What follows from an answer is decided here, so that it can be tested on a virtual clock.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Final, Literal

from pydantic import Field

from hmmm.base import Id, Line, Model, Moment

FIRST_DELAY_S: Final = 2.0
LONGEST_DELAY_S: Final = 300.0
"""An alert that is five minutes late after an outage of hours is in time."""

State = Literal["Pending", "Failing", "Delivered"]


class Outcome(Model):
    """What came of one attempt."""

    status: int | None = Field(default=None, ge=100, le=599)
    """The HTTP status; None when no answer came."""
    problem: Line = ""

    @property
    def delivered(self) -> bool:
        """The receiver has it: its own 2xx, not a redirect to somewhere else."""
        return self.status is not None and 200 <= self.status < 300


class Delivery(Model):
    """The state of one escalation's delivery."""

    escalation_id: Id
    state: State = "Pending"
    attempts: Annotated[int, Field(ge=0)] = 0
    last_attempt_at: Moment | None = None
    next_attempt_at: Moment | None = None
    delivered_at: Moment | None = None
    problem: Line = ""


def is_due(delivery: Delivery, now: datetime) -> bool:
    """Whether to send it now."""
    if delivery.state == "Delivered":
        return False
    return delivery.next_attempt_at is None or now >= delivery.next_attempt_at


def after_attempt(delivery: Delivery, outcome: Outcome, now: datetime) -> Delivery:
    """Return the state after an attempt; one that was delivered stays so, whatever a late answer says."""
    if delivery.state == "Delivered":
        return delivery
    attempts = delivery.attempts + 1
    told = {"attempts": attempts, "last_attempt_at": now}
    if outcome.delivered:
        return Delivery(escalation_id=delivery.escalation_id, state="Delivered", delivered_at=now, **told)  # pyright: ignore[reportArgumentType]
    return Delivery(
        escalation_id=delivery.escalation_id,
        state="Failing",
        next_attempt_at=now + timedelta(seconds=delay_s(attempts)),
        problem=outcome.problem or f"the webhook answered {outcome.status}",
        **told,  # pyright: ignore[reportArgumentType]
    )


def delay_s(attempts: int) -> float:
    """Return the pause after so many failed attempts, in seconds."""
    return min(FIRST_DELAY_S * 2 ** min(attempts - 1, 30), LONGEST_DELAY_S)
