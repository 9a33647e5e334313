"""An agent as a claimant that is stuck: the real process, log, mesh, workspace and GitHub; the helpers are the test's.

One helper floods and says nothing that was asked of it, one helps; the claimant is killed amid it all.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import trio

from hmmm.messages import HIVE_TOPIC, MetaMessage, TaskHelpRequest, TaskHelpResponse
from hmmm.meta import ExecutionFinished, HelpChosen, HelpSuggestion
from hmmm.records import MessageReceived, MessageSent, Record, data_of, signed_of
from tests.agent.helping import helping_rig, open_issue
from tests.agent.peers import Peer, kind, peer_of, word
from tests.agent.rig import Rig
from tests.support.processes import eventually

pytestmark = pytest.mark.timeout(180)

PATCH = """diff --git a/said.txt b/said.txt
new file mode 100644
--- /dev/null
+++ b/said.txt
@@ -0,0 +1 @@
+please
"""
FORBIDDEN = PATCH.replace("said.txt", "check.py.orig")


def spec(**discussion: Any) -> dict[str, Any]:
    return {
        "capabilities": {"tools": ["saying"]},
        "execution": {
            "type": "command",
            "plan": "command",
            "planCommand": ["python3", "plan.py"],
            "command": ["python3", "do.py"],
            "test": ["python3", "check.py"],
        },
        "discussion": {"window": "300ms", "reviewers": 0, "help": {"ttl": "60s"}, **discussion},
    }


@pytest.fixture
def stuck(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """An agent with an issue at which it will fail."""
    with helping_rig(tmp_path, tmp_path_factory.mktemp("out"), **spec()) as (rig, _):
        yield rig


def said(rig: Rig, *kinds: str) -> list[MetaMessage | TaskHelpRequest | TaskHelpResponse]:
    """What the claimant's log holds of the kinds, in its order."""
    found: list[Any] = []
    for row in rig.log.records():
        data = data_of(Record.from_object(row["record"], what="record"))
        if isinstance(data, MessageSent | MessageReceived):
            message = signed_of(data).message
            name = message.query_type if isinstance(message, MetaMessage) else message.type
            if name in kinds:
                found.append(message)
    return found


async def offer(peer: Peer, request: TaskHelpRequest, eta_s: float) -> None:
    response = TaskHelpResponse(**peer.header(), request_id=request.msg_id, can_help=True, eta_seconds=eta_s)
    await peer.publish(HIVE_TOPIC, response)


async def asked(peer: Peer) -> TaskHelpRequest:
    message = (await peer.hear(kind("task_help_request"), within=90)).message
    assert isinstance(message, TaskHelpRequest)
    return message


async def chosen(peer: Peer, name: str) -> MetaMessage:
    def is_it(message: Any) -> bool:
        return word("help_chosen")(message) and message.parameters.helper == name

    message = (await peer.hear(is_it, within=60)).message
    assert isinstance(message, MetaMessage)
    return message


def suggestion(request: TaskHelpRequest, patch: str | None = None) -> HelpSuggestion:
    assert request.plan_digest is not None
    return HelpSuggestion(plan_digest=request.plan_digest, request_id=request.msg_id, patch=patch)


async def finished(rig: Rig) -> ExecutionFinished:
    def ended() -> Any:
        words = said(rig, "execution_finished")
        last = words[-1].parameters if words and isinstance(words[-1], MetaMessage) else None
        return last if isinstance(last, ExecutionFinished) and last.ok else None

    return await trio.to_thread.run_sync(
        lambda: eventually(ended, within=60, what="the work is done", every=0.3)
    )


async def test_a_flooding_silent_helper_is_replaced_and_a_killed_claimant_goes_on_without_doubling(
    stuck: Rig,
) -> None:
    agent = stuck.start()
    async with AsyncExitStack() as stack:
        flooder = await stack.enter_async_context(peer_of(stuck, agent, "bzzz-1"))
        good = await stack.enter_async_context(peer_of(stuck, agent, "bzzz-2"))
        for peer in (flooder, good):
            await peer.announce(tools=("magic",))
        open_issue(stuck)
        request = await asked(good)
        assert "the magic word is missing, said: nothing" in request.problem
        assert request.wants == ("tool:magic",), "what the failure names and a peer announces"
        assert request.asked == ("bzzz-1", "bzzz-2")
        await offer(flooder, request, 0.1)
        await offer(good, request, 1)
        await chosen(flooder, "bzzz-1")
        for number in range(
            30
        ):  # words that nobody asked for, from the one who was chosen and from the one who was not
            await flooder.say(suggestion(request), f"flood {number}")
            await good.say(suggestion(request), f"too early {number}")
            await offer(flooder, request, number)
        again = await chosen(good, "bzzz-2")
        assert len(said(stuck, "help_suggestion")) == 0
        assert len(said(stuck, "task_help_response")) == 2
    agent.kill()
    agent = stuck.start()
    async with peer_of(stuck, agent, "bzzz-2") as good:
        repeated = await chosen(good, "bzzz-2")
        assert repeated.msg_id == again.msg_id, "the same word as before"
        await good.say(suggestion(request, FORBIDDEN), "touch another file", parent=repeated)
        tried = (await good.hear(word("help_tried"), within=60)).message
        assert isinstance(tried, MetaMessage)
        assert "expected changes of the plan's footprint only, came check.py.orig" in tried.content.text
        await good.say(suggestion(request, PATCH), "say please", parent=tried)
        done = await finished(stuck)
    assert (done.tests and done.tests.outcome, done.files) == ("passed", ("said.txt",))
    talk = [m.query_type if isinstance(m, MetaMessage) else m.type for m in said(stuck, *OF_HELP)]
    assert talk == [
        "task_help_request",
        "task_help_response",
        "task_help_response",
        "help_chosen",
        "help_closed",
        "help_chosen",
        "help_suggestion",
        "help_tried",
        "help_suggestion",
    ]
    (last,) = said(stuck, "help_suggestion")[1:]
    assert done.suggestion == last.msg_id
    assert "a suggestion by bzzz-2 was followed" in done.notes
    kinds = [row["record"]["kind"] for row in stuck.log.records()]
    assert kinds.count("help_reopened") == 1
    assert [s["safeguard"] for s in _safeguards(stuck)] == ["not_asked", "not_helper"]


OF_HELP = (
    "task_help_request",
    "task_help_response",
    "help_chosen",
    "help_suggestion",
    "help_tried",
    "help_closed",
)


def _safeguards(rig: Rig) -> list[dict[str, Any]]:
    found = [row["record"]["data"] for row in rig.log.records() if row["record"]["kind"] == "safeguard"]
    return sorted(found, key=lambda data: data["safeguard"])


async def test_words_alone_are_feedback_for_the_next_try(stuck: Rig) -> None:
    agent = stuck.start()
    async with peer_of(stuck, agent, "bzzz-1") as peer:
        await peer.announce(tools=("magic",))
        open_issue(stuck)
        request = await asked(peer)
        await offer(peer, request, 1)
        word_of_choice = await chosen(peer, "bzzz-1")
        assert isinstance(word_of_choice.parameters, HelpChosen)
        await peer.say(suggestion(request), "please", parent=word_of_choice)
        done = await finished(stuck)
    assert done.suggestion is not None
    assert done.tests is not None
    assert done.tests.outcome == "passed"


async def test_without_a_peer_that_can_help_a_human_is_asked(stuck: Rig) -> None:
    agent = stuck.start()
    async with peer_of(stuck, agent, "bzzz-1") as peer:
        await peer.announce(tools=("magic",))
        open_issue(stuck)
        request = await asked(peer)
        refusal = TaskHelpResponse(**peer.header(), request_id=request.msg_id, can_help=False, reason="busy")
        await peer.publish(HIVE_TOPIC, refusal)

        def escalated() -> Any:
            return said(stuck, "escalation")

        (escalation,) = await trio.to_thread.run_sync(
            lambda: eventually(escalated, within=30, what="a human is asked", every=0.3)
        )
    assert escalation.reason.startswith("nobody can help; what failed: the repository's tests failed")
    assert "the magic word is missing" in escalation.text


async def test_tests_that_failed_before_the_change_are_no_reason_to_ask_for_help(stuck: Rig) -> None:
    stuck.config["spec"]["execution"]["test"] = ["false"]
    stuck.start()
    open_issue(stuck)
    done = await finished(stuck)
    assert done.tests is not None
    assert done.tests.outcome == "failed"
    assert "The tests fail without this change as well." in done.notes
    assert said(stuck, "task_help_request") == []


async def test_a_manifest_that_asks_for_no_help_has_failing_tests_stated_as_ever(stuck: Rig) -> None:
    stuck.config["spec"]["discussion"]["help"] = {"requests": 0}
    stuck.start()
    open_issue(stuck)
    done = await finished(stuck)
    assert done.tests is not None
    assert done.tests.outcome == "failed"
    assert said(stuck, "task_help_request") == []
