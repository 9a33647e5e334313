"""What the server answers is what GitHub's OpenAPI description says it answers."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import pytest

from bzzz_github_server.contract import SPEC, Contract
from tests.github.conftest import WIDGETS, Server, commit_on, open_issue, open_pull, unique

WANTED = {
    "GET /repos/{owner}/{repo}",
    "GET /repos/{owner}/{repo}/assignees",
    "GET /repos/{owner}/{repo}/branches",
    "GET /repos/{owner}/{repo}/branches/{branch}",
    "GET /repos/{owner}/{repo}/collaborators",
    "GET /repos/{owner}/{repo}/collaborators/{username}/permission",
    "GET /repos/{owner}/{repo}/commits",
    "GET /repos/{owner}/{repo}/commits/{ref}",
    "GET /repos/{owner}/{repo}/compare/{base}...{head}",
    "GET /repos/{owner}/{repo}/contents/{path}",
    "PUT /repos/{owner}/{repo}/contents/{path}",
    "GET /repos/{owner}/{repo}/git/blobs/{file_sha}",
    "POST /repos/{owner}/{repo}/git/blobs",
    "GET /repos/{owner}/{repo}/git/commits/{commit_sha}",
    "POST /repos/{owner}/{repo}/git/commits",
    "GET /repos/{owner}/{repo}/git/matching-refs/{ref}",
    "GET /repos/{owner}/{repo}/git/ref/{ref}",
    "POST /repos/{owner}/{repo}/git/refs",
    "PATCH /repos/{owner}/{repo}/git/refs/{ref}",
    "DELETE /repos/{owner}/{repo}/git/refs/{ref}",
    "GET /repos/{owner}/{repo}/git/trees/{tree_sha}",
    "POST /repos/{owner}/{repo}/git/trees",
    "GET /repos/{owner}/{repo}/issues",
    "POST /repos/{owner}/{repo}/issues",
    "GET /repos/{owner}/{repo}/issues/{issue_number}",
    "PATCH /repos/{owner}/{repo}/issues/{issue_number}",
    "POST /repos/{owner}/{repo}/issues/{issue_number}/assignees",
    "DELETE /repos/{owner}/{repo}/issues/{issue_number}/assignees",
    "GET /repos/{owner}/{repo}/issues/{issue_number}/comments",
    "POST /repos/{owner}/{repo}/issues/{issue_number}/comments",
    "PATCH /repos/{owner}/{repo}/issues/comments/{comment_id}",
    "GET /repos/{owner}/{repo}/issues/{issue_number}/events",
    "GET /repos/{owner}/{repo}/issues/{issue_number}/labels",
    "POST /repos/{owner}/{repo}/issues/{issue_number}/labels",
    "PUT /repos/{owner}/{repo}/issues/{issue_number}/labels",
    "DELETE /repos/{owner}/{repo}/issues/{issue_number}/labels/{name}",
    "GET /repos/{owner}/{repo}/labels",
    "POST /repos/{owner}/{repo}/labels",
    "GET /repos/{owner}/{repo}/pulls",
    "POST /repos/{owner}/{repo}/pulls",
    "GET /repos/{owner}/{repo}/pulls/{pull_number}",
    "PATCH /repos/{owner}/{repo}/pulls/{pull_number}",
    "GET /repos/{owner}/{repo}/pulls/{pull_number}/commits",
    "GET /repos/{owner}/{repo}/pulls/{pull_number}/files",
    "PUT /repos/{owner}/{repo}/pulls/{pull_number}/merge",
    "GET /rate_limit",
    "GET /user",
    "GET /users/{username}",
}
"""Every operation that a client of ours uses, and what surrounds them."""


@pytest.fixture(scope="module")
def contract() -> Contract:
    return Contract(SPEC)


def use_everything(bot: httpx.Client, boss: httpx.Client) -> None:
    """Call every wanted operation, as a client would."""
    branch = unique("contract")
    sha = commit_on(bot, "acme/widgets", branch)
    git = f"{WIDGETS}/git"
    tree = bot.get(f"{git}/commits/{sha}").json()["tree"]["sha"]
    blob = bot.post(f"{git}/blobs", json={"content": "eA==", "encoding": "base64"}).json()["sha"]
    for path in (f"blobs/{blob}", f"trees/{tree}?recursive=1", f"ref/heads/{branch}", "matching-refs/heads/"):
        bot.get(f"{git}/{path}")
    child = bot.post(f"{git}/commits", json={"message": "m", "tree": tree, "parents": [sha]}).json()["sha"]
    bot.patch(f"{git}/refs/heads/{branch}", json={"sha": child, "force": False})
    bot.patch(f"{git}/refs/heads/{branch}", json={"sha": sha, "force": False})
    bot.post(f"{git}/refs", json={"ref": f"refs/heads/{branch}", "sha": sha})
    for path in (
        "",
        "/branches",
        f"/branches/{branch}",
        "/commits",
        f"/commits/{sha}",
        f"/compare/trunk...{branch}",
    ):
        bot.get(f"{WIDGETS}{path}")
    for path in ("/contents/README.md", "/contents/src", "/assignees", "/labels", "/collaborators"):
        bot.get(f"{WIDGETS}{path}")
    content = {"message": "m", "content": base64.b64encode(b"x").decode(), "branch": branch}
    bot.put(f"{WIDGETS}/contents/{branch}.txt", json=content)
    bot.post(f"{WIDGETS}/labels", json={"name": unique("label"), "color": "ff0000"})
    _use_issues(bot)
    # Merged into a branch of its own: the default one is other tests'.
    base = unique("base")
    trunk = bot.get(f"{git}/ref/heads/trunk").json()["object"]["sha"]
    bot.post(f"{git}/refs", json={"ref": f"refs/heads/{base}", "sha": trunk})
    pull = open_pull(bot, "acme/widgets", branch, body="Why", base=base)
    bot.post(f"{WIDGETS}/pulls", json={"title": "again", "head": branch, "base": base})
    for path in ("", "/files", "/commits"):
        bot.get(f"{pull['url']}{path}")
    bot.get(f"{WIDGETS}/pulls", params={"head": f"acme:{branch}", "state": "all"})
    bot.get(f"{WIDGETS}/issues", params={"state": "all", "per_page": 100})
    bot.patch(pull["url"], json={"body": "Because"})
    bot.put(f"{pull['url']}/merge", json={"sha": "0" * 40})
    bot.put(f"{pull['url']}/merge")
    bot.get(pull["url"])
    bot.delete(f"{git}/refs/heads/{branch}")
    boss.get(f"{WIDGETS}/collaborators/bot/permission")
    for path in ("/user", "/users/bot", "/rate_limit"):
        bot.get(path)


def _use_issues(bot: httpx.Client) -> None:
    number = open_issue(bot, labels=["bzzz"], body="b")
    path = f"{WIDGETS}/issues/{number}"
    bot.post(f"{path}/assignees", json={"assignees": ["bot"]})
    bot.get(f"{WIDGETS}/issues", params={"assignee": "bot", "labels": "bzzz", "state": "open"})
    bot.request("DELETE", f"{path}/assignees", json={"assignees": ["bot"]})
    bot.post(f"{path}/labels", json={"labels": ["bzzz:claimed"]})
    bot.get(f"{path}/labels")
    bot.put(f"{path}/labels", json={"labels": ["bzzz"]})
    bot.delete(f"{path}/labels/bzzz")
    comment = bot.post(f"{path}/comments", json={"body": "c"}).json()["id"]
    bot.patch(f"{WIDGETS}/issues/comments/{comment}", json={"body": "d"})
    bot.get(f"{path}/comments")
    bot.get(f"{path}/events")
    bot.patch(path, json={"state": "closed", "state_reason": "completed"})
    bot.get(path)


def test_every_operation_of_our_client_keeps_to_githubs_description(
    server: Server, bot: httpx.Client, boss: httpx.Client, contract: Contract
) -> None:
    before = len(server.records())
    use_everything(bot, boss)
    records = server.records()[before:]
    assert {contract.operation(record) for record in records} >= WANTED
    assert [str(violation) for record in records for violation in contract.check(record)] == []
    assert [record["path"] for record in records if record["status"] >= 500] == []
    assert "tok-bot" not in (server.folder / "record.jsonl").read_text()


def record(**change: Any) -> dict[str, Any]:
    return {"method": "GET", "path": "/rate_limit", "request": "", "status": 200, "response": "", **change}


COMMENT = "/repos/a/b/issues/1/comments"


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"path": "/repos/a/b/nonsense"}, "operation", "no such operation"),
        ({"path": "/repos/a/b/issues?colour=red"}, "query", "colour"),
        ({"response": "{}"}, "response", "required"),
        ({"response": "not json"}, "response", "expected JSON"),
        ({"status": 299}, "status", "299"),
        ({"method": "POST", "path": COMMENT, "request": "{}", "status": 201}, "request", "body"),
        ({"method": "POST", "path": COMMENT, "request": '{"body": 7}', "status": 201}, "request", "7"),
        ({"method": "GET", "path": COMMENT, "request": "{}"}, "request", "none is described"),
    ],
)
def test_the_check_finds_what_does_not_fit(
    contract: Contract, change: dict[str, Any], kind: str, words: str
) -> None:
    found = contract.check(record(**change))
    assert [(violation.kind, words in violation.message) for violation in found[:1]] == [(kind, True)]


@pytest.mark.parametrize(
    "change", [{"status": 502}, {"status": 403}, {"status": 304}, {"faults": ["drop"], "status": 299}]
)
def test_the_check_lets_pass_what_any_operation_may_answer(
    contract: Contract, change: dict[str, Any]
) -> None:
    assert contract.check(record(**change)) == []


def test_the_most_specific_operation_is_taken(contract: Contract) -> None:
    paths = {
        "/repos/a/b/issues/comments": "GET /repos/{owner}/{repo}/issues/comments",
        "/repos/a/b/branches/x/y": "GET /repos/{owner}/{repo}/branches/{branch}",
        "/repos/a/b/git/ref/heads/x/y": "GET /repos/{owner}/{repo}/git/ref/{ref}",
        "/user": "GET /user",
    }
    assert {path: contract.operation(record(path=path)) for path in paths} == paths
