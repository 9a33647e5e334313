"""`bzzz answer` against a real API server and the real authority."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import kopf
import pytest

from bzzz_operator.api import Api
from bzzz_operator.authority import Authority, AuthoritySettings
from tests.cli.test_cluster_commands import invoke
from tests.support.kube_api import ApiServer
from tests.support.processes import eventually

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def server() -> Iterator[ApiServer]:
    with ApiServer.start() as api:
        for name in ("hiveagents", "metadiscussions"):
            api.apply((ROOT / "crds" / f"{name}.bzzz.dev.yaml").read_text())
        yield api


class Debates:
    """MetaDiscussions, a scribe's hand and an operator's authority that acts when it is told to."""

    def __init__(self, server: ApiServer) -> None:
        self.server, self.namespace = server, server.namespace()

    def open(self, name: str, number: int, repository: str = "acme/widgets", **status: Any) -> None:
        made = {
            "apiVersion": "bzzz.dev/v1alpha1",
            "kind": "MetaDiscussion",
            "metadata": {"name": name},
            "spec": {"issue": {"repository": repository, "number": number}},
        }
        self.server.apply(json.dumps(made), "-n", self.namespace)
        self.says(name, **status)

    def says(self, name: str, **status: Any) -> None:
        patch = json.dumps({"status": status})
        where = ("metadiscussion", name, "-n", self.namespace, "--subresource=status")
        self.server.kubectl("patch", *where, "--type=merge", "-p", patch)

    def get(self, name: str) -> dict[str, Any]:
        return dict(self.server.get("metadiscussion", name, "-n", self.namespace))

    def sign(self, name: str) -> None:
        async def act() -> None:
            login = kopf.ConnectionInfo(
                server=self.server.url, ca_path=str(self.server.ca_file), token=self.server.admin_token
            )
            api = Api(login, self.namespace)
            try:
                authority = Authority(api, AuthoritySettings("hive", self.namespace), list)
                await authority.open()
                await authority.answer(self.get(name))
            finally:
                await api.close()

        asyncio.run(act())

    def bzzz(self, *arguments: str) -> tuple[int, str, str]:
        config = self.server.kubeconfig_of(self.server.admin_token)
        return invoke(config, "answer", *arguments, "-n", self.namespace)


@pytest.fixture
def debates(server: ApiServer) -> Debates:
    made = Debates(server)
    made.open("widgets-7", 7, phase="Escalated", epoch=2, reason="cannot agree on y")
    return made


def test_an_answer_is_written_signed_and_followed(debates: Debates) -> None:
    with ThreadPoolExecutor(1) as pool:
        answered = pool.submit(
            debates.bzzz, "acme/widgets#7", "revise", "--text", "keep the old name", "--by", "ana"
        )
        eventually(
            lambda: debates.get("widgets-7")["spec"].get("resolution"), within=30, what="it is written down"
        )
        debates.sign("widgets-7")
        debates.says("widgets-7", phase="Revising")
        code, out, err = answered.result(60)
    assert (code, err) == (0, "")
    assert "acme/widgets#7: cannot agree on y" in out
    assert "signed by the hive" in out
    assert "the claimant obeys; the discussion is Revising" in out
    resolution = {"verdict": "revise", "text": "keep the old name", "by": "ana"}
    assert debates.get("widgets-7")["spec"]["resolution"] == resolution


@pytest.mark.parametrize("issue", ["acme/widgets#7", "ACME/Widgets#7", "#7", "7", "widgets-7"])
def test_an_issue_may_be_named_in_any_of_these_ways(debates: Debates, issue: str) -> None:
    code, out, _ = debates.bzzz(issue, "proceed", "--no-wait")
    assert code == 0
    assert "proceed is written down" in out
    found = debates.get("widgets-7")["spec"]["resolution"]
    assert found["verdict"] == "proceed"
    assert found["by"], "the login of whoever typed it"


def test_a_later_answer_takes_the_place_of_an_earlier_one_whole(debates: Debates) -> None:
    debates.bzzz("#7", "revise", "--text", "smaller", "--by", "ana", "--no-wait")
    debates.bzzz("#7", "abandon", "--by", "ben", "--no-wait")
    assert debates.get("widgets-7")["spec"]["resolution"] == {"verdict": "abandon", "text": "", "by": "ben"}


def test_the_same_answer_twice_is_said_to_be_there(debates: Debates) -> None:
    debates.bzzz("#7", "proceed", "--by", "ana", "--no-wait")
    code, _, err = debates.bzzz("#7", "proceed", "--by", "ana", "--no-wait")
    assert code == 1
    assert "is there already" in err


def test_a_discussion_that_asks_nobody_takes_no_answer(debates: Debates) -> None:
    debates.open("widgets-8", 8, phase="Listening", epoch=1)
    code, _, err = debates.bzzz("#8", "proceed")
    assert code == 1
    assert "expected it to wait for a human, it is Listening" in err
    assert "resolution" not in debates.get("widgets-8")["spec"]


def test_an_answer_that_the_operator_refuses_is_an_error_with_its_reason(debates: Debates) -> None:
    with ThreadPoolExecutor(1) as pool:
        answered = pool.submit(debates.bzzz, "#7", "proceed")
        eventually(
            lambda: debates.get("widgets-7")["spec"].get("resolution"), within=30, what="it is written down"
        )
        debates.says("widgets-7", phase="Closed")
        debates.sign("widgets-7")
        code, _, err = answered.result(60)
    assert code == 1
    assert "proceed is not accepted" in err


def test_an_operator_that_is_away_is_said_and_the_answer_stays(debates: Debates) -> None:
    code, _, err = debates.bzzz("#7", "proceed", "--timeout", "1s")
    assert code == 1
    assert "expected the operator to sign it within 1 s" in err
    assert debates.get("widgets-7")["spec"]["resolution"]["verdict"] == "proceed"


@pytest.mark.parametrize(
    ("typed", "code", "complaint"),
    [
        (("#9", "proceed"), 1, "there is no such discussion"),
        (("nonsense!", "proceed"), 1, "waiting for a human: acme/widgets#7"),
        (("#7", "merge"), 2, "VERDICT: expected proceed, revise, abandon, came merge"),
        (("#7", "revise"), 2, "--text: expected what is to be revised"),
        (("#7", "abandon", "--text", "x" * 4001), 2, "--text: expected at most 4000 characters"),
        (("#7", "abandon", "--by", "x" * 121), 2, "--by: expected 1 to 120 characters"),
    ],
)
def test_what_is_typed_wrong_is_told(
    debates: Debates, typed: tuple[str, ...], code: int, complaint: str
) -> None:
    got, _, err = debates.bzzz(*typed)
    assert got == code
    assert complaint in err


def test_of_two_repositories_with_that_number_one_must_be_named(debates: Debates) -> None:
    debates.open("gears-7", 7, repository="acme/gears", phase="Escalated", epoch=1)
    code, _, err = debates.bzzz("#7", "proceed")
    assert code == 1
    assert "several are meant; name the repository" in err
    assert "acme/gears#7" in err
    assert debates.bzzz("acme/gears#7", "proceed", "--no-wait")[0] == 0
