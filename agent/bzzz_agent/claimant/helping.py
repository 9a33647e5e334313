"""A claimant that is stuck: asking the hive, choosing a helper, ending a talk, and saying again what gossip lost
(docs/help.md). What a suggestion comes to is tried in `working`.

All that decides is the fold of the log: a claimant that is killed at any point goes on where it was.
"""

from __future__ import annotations

from typing import Literal

import structlog
import trio

from bzzz_agent.claimant.case import Case, StoppedError
from bzzz_agent.claimant.excerpts import end_of
from bzzz_agent.claimant.wants import capabilities_of, wanted
from bzzz_agent.drain import GONE
from hmmm.discussion import HelpPhase, Offer
from hmmm.messages import HIVE_TOPIC, MetaMessage, TaskHelpRequest, issue_topic
from hmmm.meta import HelpChosen, HelpClosed
from hmmm.records import HelpReopened

log = structlog.get_logger("bzzz.agent.help")

MAX_ASKED = 32
SETTLE_S = 3.0
"""How long a claimant that has just come back listens before it asks: a hive is not empty because nobody spoke yet."""
PRESENCE_S = 5.0
"""How long it waits at most until everybody who is connected has said what it can do."""


async def ask(case: Case) -> None:
    """Say on the hive's topic what failed, and who could help."""
    tools, state = case.tools, case.state
    if state.plan is None or state.execution is None:
        raise StoppedError("released", "there is nothing to ask help for", failed=True)
    await _know_the_hive(case)
    peers = tuple(c for c in tools.hive.live(case.issue.repository) if c.node_id != tools.settings.node_id)
    problem = end_of(f"{state.execution.reason}\n\n{state.execution.output}")
    offered = tools.settings.spec.capabilities
    own = capabilities_of(offered.languages, offered.tools)
    request = TaskHelpRequest(
        **tools.voice.issue_header(case.issue),
        problem=problem,
        wants=wanted(problem, state.plan.plan, own, peers),
        plan_digest=state.plan.digest,
        base_sha=case.task.base_sha,
        asked=tuple(c.node_id for c in peers if c.phase not in GONE)[:MAX_ASKED],
    )
    log.info("asks for help", issue=str(case.issue), wants=request.wants, asked=request.asked)
    tools.metrics.help.labels("asked").inc()
    await tools.voice.announce(request, case.issue)


async def _know_the_hive(case: Case) -> None:
    tools = case.tools
    with trio.move_on_after(PRESENCE_S):
        while tools.hive.age_s < SETTLE_S or not _everybody_spoke(case):  # noqa: ASYNC110  time is part of it
            await trio.sleep(0.1)


def _everybody_spoke(case: Case) -> bool:
    tools = case.tools
    there = tools.mesh.on_topic(HIVE_TOPIC)
    cards = tools.inbox.roster.members(tools.now())
    agents = [card.node_id for card in cards if card.peer_id in there and card.role == "agent"]
    return bool(agents) and all(tools.hive.knows(node_id) for node_id in agents)


async def choose(case: Case, offer: Offer) -> None:
    """Take up an offer; the helper is shown the plan again, which it may not have heard."""
    state = case.state
    if state.plan is None or state.help is None:
        return
    log.info("takes up an offer of help", issue=str(case.issue), helper=offer.node_id, eta_s=offer.eta_s)
    await _say_again(case, {state.plan.digest})
    chosen = HelpChosen(plan_digest=state.plan.digest, request_id=state.help.msg_id, helper=offer.node_id)
    await case.tools.voice.chair(case.issue, "", chosen)


async def close(
    case: Case, helper: str, outcome: Literal["not_helped", "silent", "withdrew"], reason: str, text: str = ""
) -> None:
    """End the talk with a helper; the next offer's turn comes."""
    state = case.state
    if state.plan is None or state.help is None:
        return
    log.info("ends a talk", issue=str(case.issue), helper=helper, outcome=outcome, reason=reason)
    case.tools.metrics.help.labels(outcome).inc()
    closed = HelpClosed(
        plan_digest=state.plan.digest,
        request_id=state.help.msg_id,
        helper=helper,
        outcome=outcome,
        reason=reason[:300],
    )
    await case.tools.voice.chair(case.issue, text, closed)


async def reopen(case: Case) -> None:
    """After a restart: whoever is waited for has the full time again, for what it said meanwhile was not heard."""
    help_ = case.state.help
    if help_ is not None and help_.waiting_since is not None:
        await case.tools.journal.note(HelpReopened(request_id=help_.msg_id), case.issue)


async def repeat(case: Case) -> None:
    """Say again what is waited for an answer to, for whoever did not hear it."""
    state = case.state
    help_ = state.help
    if help_ is None or state.plan is None:
        return
    if help_.phase is HelpPhase.ASKING and not help_.all_answered:
        for signed in case.tools.journal.sent(case.issue):
            if signed.digest == help_.digest:
                await case.tools.voice.repeat(signed, HIVE_TOPIC)
    elif help_.phase is HelpPhase.TALKING and help_.talk is not None:
        await _say_again(case, {state.plan.digest}, help_.talk.word)


async def _say_again(case: Case, digests: set[str], msg_id: str | None = None) -> None:
    for signed in case.tools.journal.sent(case.issue):
        word = isinstance(signed.message, MetaMessage) and signed.message.msg_id == msg_id
        if word or signed.digest in digests:
            await case.tools.voice.repeat(signed, issue_topic(case.issue.number))
