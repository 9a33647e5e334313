"""Help for a claimant that is stuck: what is known of it, and whom the claimant is to choose (docs/help.md).

A request gathers offers; the best is chosen, and the claimant talks with that helper alone until the talk is closed;
then the next offer's turn comes. Everything here is a value or a pure question about one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Literal

from hmmm.identity import IssueIdentity
from hmmm.limits import DiscussionLimits, HelpLimits
from hmmm.ranking import rendezvous_weight

MAX_ANSWERS: Final = 32
"""Members whose answer to one request is taken in; a hive of 32 agents connects fully (architecture §4)."""
MAX_WORDS: Final = 3
"""Answers of one member to one request: an offer, its withdrawal, and once more."""
LEAST_PATIENCE_S: Final = 10.0
UNKNOWN_ETA_S: Final = 86_400.0


class HelpPhase(StrEnum):
    """Where a request for help stands."""

    ASKING = "Asking"
    """Offers are awaited."""
    TALKING = "Talking"
    """A helper was chosen, its suggestion is awaited."""
    TRYING = "Trying"
    """Its suggestion is being tried."""
    HELPED = "Helped"
    UNHELPED = "Unhelped"


@dataclass(frozen=True)
class Offer:
    """A member's answer to a request, the last one that it gave."""

    node_id: str
    msg_id: str
    can_help: bool
    capabilities: tuple[str, ...]
    eta_s: float
    reason: str
    at: datetime
    words: int = 1
    """How often this member has answered."""

    def matches(self, wants: tuple[str, ...]) -> int:
        """Return how many of the wanted capabilities it offers; letter case does not tell them apart."""
        return len({want.lower() for want in wants} & {name.lower() for name in self.capabilities})


@dataclass(frozen=True)
class Suggested:
    """A helper's suggestion and what came of it."""

    msg_id: str
    digest: str
    text: str
    patch: str | None
    hop_count: int
    at: datetime
    outcome: Literal["untried", "helped", "failed"] = "untried"
    result: str = ""
    """What failed when it was tried."""


TalkOutcome = Literal["open", "helped", "not_helped", "silent", "withdrew", "unfinished"]


@dataclass(frozen=True)
class Talk:
    """The talk with one helper."""

    helper: str
    word: str
    """msg_id of the claimant's last word to it: what it says is a reply to that."""
    chosen_at: datetime
    patience_s: float
    suggestions: tuple[Suggested, ...] = ()
    withdrawn: bool = False
    outcome: TalkOutcome = "open"
    reason: str = ""

    @property
    def untried(self) -> Suggested | None:
        """The suggestion that is to be tried now."""
        last = self.suggestions[-1] if self.suggestions else None
        return last if last is not None and last.outcome == "untried" else None


@dataclass(frozen=True)
class Help:
    """One request for help, and everything that came of it."""

    msg_id: str
    digest: str
    at: datetime
    problem: str
    wants: tuple[str, ...]
    asked: tuple[str, ...]
    waiting_since: datetime | None
    """Since when others are waited for; None while a suggestion is tried, and after the end."""
    spent_s: float = 0.0
    """Seconds of waiting before that."""
    offers: tuple[Offer, ...] = ()
    talks: tuple[Talk, ...] = ()
    outcome: Literal["open", "helped", "unhelped"] = "open"

    @property
    def talk(self) -> Talk | None:
        """The talk that is under way."""
        last = self.talks[-1] if self.talks else None
        return last if last is not None and last.outcome == "open" else None

    @property
    def phase(self) -> HelpPhase:
        """Where it stands."""
        if self.outcome != "open":
            return HelpPhase.HELPED if self.outcome == "helped" else HelpPhase.UNHELPED
        if self.talk is None:
            return HelpPhase.ASKING
        return HelpPhase.TALKING if self.talk.untried is None else HelpPhase.TRYING

    @property
    def helper(self) -> str | None:
        """Who helps, or helped; None while nobody does."""
        talk = self.talk or next((t for t in self.talks if t.outcome == "helped"), None)
        return None if talk is None else talk.helper

    @property
    def all_answered(self) -> bool:
        """Whether nobody is left who was asked and has not answered."""
        return set(self.asked) <= {offer.node_id for offer in self.offers}

    def spent(self, now: datetime) -> float:
        """Return the seconds of waiting up to now, against which the request's TTL counts."""
        if self.waiting_since is None:
            return self.spent_s
        return self.spent_s + max(0.0, (now - self.waiting_since).total_seconds())

    def waited_for(self, seconds: float) -> datetime | None:
        """Return when the waiting will have lasted so long in all; None while nobody is waited for."""
        if self.waiting_since is None:
            return None
        return self.waiting_since + timedelta(seconds=max(0.0, seconds - self.spent_s))

    def is_over(self, now: datetime, limits: HelpLimits) -> bool:
        """Whether the request's time is over."""
        return self.spent(now) > limits.ttl_s

    @property
    def silence_ends(self) -> datetime | None:
        """When the helper that is talked with counts as silent."""
        if self.talk is None or self.waiting_since is None:
            return None
        return self.waiting_since + timedelta(seconds=self.talk.patience_s)


def best_offer(help_: Help, issue: IssueIdentity) -> Offer | None:
    """Return the offer to take up next: most of the wanted capabilities, then soonest, then by rendezvous hash.

    Each helper is talked with once a request.
    """
    had = {talk.helper for talk in help_.talks}
    left = [offer for offer in help_.offers if offer.can_help and offer.node_id not in had]
    return min(left, key=_preference(help_.wants, issue), default=None)


def _preference(
    wants: tuple[str, ...], issue: IssueIdentity
) -> Callable[[Offer], tuple[int, float, bytes, str]]:
    def key(offer: Offer) -> tuple[int, float, bytes, str]:
        weight = rendezvous_weight(issue, offer.node_id)
        return (-offer.matches(wants), offer.eta_s, bytes(255 - byte for byte in weight), offer.node_id)

    return key


def may_choose(help_: Help, now: datetime, limits: HelpLimits) -> bool:
    """Whether offers were gathered for long enough."""
    return help_.all_answered or now >= help_.at + timedelta(seconds=limits.window_s)


def patience_s(offer: Offer, limits: HelpLimits) -> float:
    """Return how long a helper may be silent: twice what it promised, 10 s at least, and never beyond the TTL."""
    return min(max(LEAST_PATIENCE_S, 2 * offer.eta_s), limits.ttl_s)


def may_go_on(talk: Talk, limits: DiscussionLimits) -> bool:
    """Whether the talk may go on after the last suggestion failed: one reply each, within the hops and messages."""
    last = talk.suggestions[-1]
    return last.hop_count + 2 <= limits.hops and len(talk.suggestions) < limits.messages_per_round
