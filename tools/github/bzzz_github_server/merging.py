"""Merging a pull request: the commit is made by git, the issues it closes are closed."""

from __future__ import annotations

import re
import time

from bzzz_github_server.errors import Refusal, not_found
from bzzz_github_server.gitobjects import caller
from bzzz_github_server.issues import refresh_issue
from bzzz_github_server.pulls import follow_refs, head_of, number_of, refresh
from bzzz_github_server.repository import Person
from bzzz_github_server.wire import Json, Response, reply
from bzzz_github_server.world import Call, Hosted, Route, World, as_actor, as_admin

_CLOSES = re.compile(
    r"\b(?:close[sd]?|fix(?:e[sd])?|resolve[sd]?):?\s+(?:([\w.-]+/[\w.-]+))?#(\d{1,9})\b", re.IGNORECASE
)
"""GitHub's closing keywords."""


def merge(world: World, call: Call) -> Response:
    """Merge by `merge` (a merge commit) or `squash`. Rebasing is refused as where a repository forbids it."""
    body, number, hosted = call.request.json(), number_of(call), call.hosted
    with hosted.lock:
        pull = hosted.pulls.get(number)
        if pull is None:
            raise not_found()
        _check(pull, body)
        sha = _commit(call, pull, body)
        state = hosted.states[number]
        state.merge_sha = sha
        # Its own idea of the commits is beside the point; it is to say merged, when and by whom.
        as_actor(world, call, "PUT", f"/pulls/{number}/merge", {"merge_method": "merge"})
        refresh(world, hosted, number)
        follow_refs(world, hosted)
        if state.base_ref == hosted.default_branch:
            _close_issues(world, hosted, pull, sha)
    return reply({"sha": sha, "merged": True, "message": "Pull Request successfully merged"})


def _check(pull: Json, body: Json) -> None:
    if pull["draft"]:
        raise Refusal(405, "Pull Request is still a draft")
    if pull["state"] != "open":
        raise Refusal(405, "Pull Request is not mergeable")
    if body.get("sha") not in (None, pull["head"]["sha"]):
        raise Refusal(409, "Head branch was modified. Review and try the merge again.")
    if body.get("merge_method", "merge") not in ("merge", "squash"):
        raise Refusal(405, "Rebase merges are not allowed on this repository.")


def _commit(call: Call, pull: Json, body: Json) -> str:
    """Write the merge and move the base branch to it."""
    hosted, number = call.hosted, int(pull["number"])
    base = hosted.repository.ref(f"refs/heads/{pull['base']['ref']}")
    head = head_of(hosted, number)
    tree = hosted.repository.merged_tree(base.sha, head) if base else None
    if base is None or tree is None:
        raise Refusal(405, "Pull Request is not mergeable")
    squash = body.get("merge_method") == "squash"
    label = pull["head"]["label"].replace(":", "/", 1)
    default = f"{pull['title']} (#{number})" if squash else f"Merge pull request #{number} from {label}"
    message = str(body.get("commit_title") or default)
    words = body.get("commit_message", "" if squash else pull["title"])
    if words:
        message = f"{message}\n\n{words}"
    parents = [base.sha] if squash else [base.sha, head]
    committer = Person("GitHub", "noreply@github.com", int(time.time()), "+0000")
    sha = hosted.repository.write_commit(tree, parents, message, caller(call), committer)
    if not hosted.repository.move_ref(base.name, sha, base.sha):
        raise Refusal(409, "Base branch was modified. Review and try the merge again.")
    return sha


def _close_issues(world: World, hosted: Hosted, pull: Json, sha: str) -> None:
    """Close what the description and the merged commits say they close."""
    commits = hosted.repository.commits([sha, f"^{pull['base']['sha']}"])
    texts = [pull["body"] or "", *(commit.message for commit in commits)]
    for number in closing_numbers("\n".join(texts), hosted.name):
        issue = hosted.issues.get(number)
        if issue is not None and issue["state"] == "open" and "pull_request" not in issue:
            as_admin(
                world, hosted, "PATCH", f"/issues/{number}", {"state": "closed", "state_reason": "completed"}
            )
            refresh_issue(world, hosted, number)


def closing_numbers(text: str, repository: str) -> list[int]:
    """The issues of this repository that a text closes by GitHub's keywords, each once, in order."""
    found = (
        int(number)
        for name, number in _CLOSES.findall(text)
        if not name or name.lower() == repository.lower()
    )
    return list(dict.fromkeys(found))


ROUTES = (Route("PUT", r"/pulls/(\d+)/merge", merge, "contents", "write"),)
