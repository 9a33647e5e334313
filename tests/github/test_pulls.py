"""Pull requests: opened once a head, heads that follow, diffs, drafts, merging and what it closes."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from bzzz_github_server.merging import closing_numbers
from tests.github.conftest import WIDGETS, Server, commit_on, git, numbers, open_issue, open_pull, unique

DIFF = {"Accept": "application/vnd.github.diff"}


@pytest.fixture
def branch(bot: httpx.Client) -> str:
    name = unique("bzzz/issue")
    commit_on(bot, "acme/widgets", name, path=f"{name}.txt", message=f"Work on {name}")
    return name


def test_a_pull_request_shows_what_git_shows(server: Server, bot: httpx.Client, branch: str) -> None:
    pull = open_pull(bot, "acme/widgets", branch, body="Why", draft=True)
    sha = bot.get(f"{WIDGETS}/git/ref/heads/{branch}").json()["object"]["sha"]
    base = bot.get(f"{WIDGETS}/git/ref/heads/trunk").json()["object"]["sha"]
    assert (pull["head"]["sha"], pull["head"]["ref"], pull["head"]["label"]) == (
        sha,
        branch,
        f"acme:{branch}",
    )
    assert (pull["base"]["sha"], pull["base"]["ref"]) == (base, "trunk")
    assert (pull["commits"], pull["changed_files"], pull["additions"], pull["deletions"]) == (1, 1, 1, 0)
    assert (pull["draft"], pull["mergeable_state"], pull["user"]["login"]) == (True, "draft", "bot")
    assert pull["html_url"] == f"{server.url}/acme/widgets/pull/{pull['number']}"
    assert bot.get(pull["url"]).json() == pull


def test_of_eight_who_open_the_same_pull_request_one_gets_201(
    server: Server, bot: httpx.Client, branch: str
) -> None:
    barrier = threading.Barrier(8)

    def attempt(number: int) -> tuple[int, str]:
        with server.as_user("bot") as client:
            barrier.wait(10)
            body = {"title": f"Try {number}", "head": branch, "base": "trunk"}
            answer = client.post(f"{WIDGETS}/pulls", json=body)
            errors = answer.json().get("errors", [{"message": ""}])
            return answer.status_code, errors[0]["message"]

    with ThreadPoolExecutor(8) as pool:
        answers = sorted(pool.map(attempt, range(8)))
    exists = f"A pull request already exists for acme:{branch}."
    assert answers == [(201, ""), *[(422, exists)] * 7]
    found = numbers(bot.get(f"{WIDGETS}/pulls", params={"head": f"acme:{branch}", "state": "all"}))
    assert len(found) == 1


def test_a_head_may_have_another_pull_request_once_the_first_is_closed(
    bot: httpx.Client, branch: str
) -> None:
    first = open_pull(bot, "acme/widgets", branch)
    assert bot.patch(first["url"], json={"state": "closed"}).json()["state"] == "closed"
    second = open_pull(bot, "acme/widgets", branch)
    assert numbers(bot.get(f"{WIDGETS}/pulls", params={"head": f"acme:{branch}"})) == [second["number"]]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"head": "not-there"}, "head"),
        ({"base": "not-there"}, "base"),
        ({"head": "stranger:trunk"}, "head"),
        ({"head": "trunk"}, "No commits between trunk and trunk"),
        ({"title": " "}, "title"),
        ({"body": "x" * 65_537}, "too long"),
        ({"head": 7}, "head"),
    ],
)
def test_bad_pull_requests_are_422(
    bot: httpx.Client, branch: str, change: dict[str, object], words: str
) -> None:
    answer = bot.post(f"{WIDGETS}/pulls", json={"title": "T", "head": branch, "base": "trunk", **change})
    assert answer.status_code == 422
    assert words in answer.text


def test_drafts_are_refused_where_the_repository_has_none(bot: httpx.Client) -> None:
    branch = unique("plain")
    commit_on(bot, "acme/plain", branch)
    body = {"title": "T", "head": branch, "base": "main", "draft": True}
    answer = bot.post("/repos/acme/plain/pulls", json=body)
    assert answer.status_code == 422
    assert answer.json()["message"].startswith("Draft pull requests are not supported")
    assert open_pull(bot, "acme/plain", branch)["draft"] is False


def test_the_head_follows_pushes_and_refs_until_it_is_closed(
    server: Server, bot: httpx.Client, branch: str, tmp_path: Path
) -> None:
    pull = open_pull(bot, "acme/widgets", branch)
    clone = server.clone("acme/widgets", tmp_path / "clone")
    git(clone, "checkout", "-q", branch)
    (clone / "more.txt").write_text("more\n")
    git(clone, "add", ".")
    git(clone, "commit", "-qm", "More")
    git(clone, "push", "-q", "origin", branch)
    sha = git(clone, "rev-parse", "HEAD")
    now = bot.get(pull["url"]).json()
    assert (now["head"]["sha"], now["commits"], now["changed_files"]) == (sha, 2, 2)
    forced = {"sha": pull["head"]["sha"], "force": True}
    bot.patch(f"{WIDGETS}/git/refs/heads/{branch}", json=forced)
    assert bot.get(pull["url"]).json()["head"]["sha"] == pull["head"]["sha"]
    bot.patch(pull["url"], json={"state": "closed"})
    git(clone, "push", "-q", "--force", "origin", branch)
    assert bot.get(pull["url"]).json()["head"]["sha"] == pull["head"]["sha"]


def test_deleting_the_branch_closes_the_pull_request_and_keeps_its_diff(
    bot: httpx.Client, branch: str
) -> None:
    pull = open_pull(bot, "acme/widgets", branch)
    before = bot.get(pull["url"], headers=DIFF).text
    assert bot.delete(f"{WIDGETS}/git/refs/heads/{branch}").status_code == 204
    now = bot.get(pull["url"]).json()
    assert (now["state"], now["merged"], now["head"]["sha"]) == ("closed", False, pull["head"]["sha"])
    assert bot.get(pull["url"], headers=DIFF).text == before


def test_diff_patch_files_and_commits_tell_the_change(bot: httpx.Client, branch: str) -> None:
    pull = open_pull(bot, "acme/widgets", branch)
    diff = bot.get(pull["url"], headers=DIFF)
    assert diff.headers["Content-Type"].startswith("application/vnd.github.diff")
    assert f"+{branch}\n" in diff.text
    assert bot.get(pull["diff_url"]).text == diff.text
    patch = bot.get(pull["url"], headers={"Accept": "application/vnd.github.v3.patch"})
    assert f"Subject: [PATCH] Work on {branch}" in patch.text
    files = bot.get(f"{pull['url']}/files").json()
    assert [(file["filename"], file["status"], file["additions"]) for file in files] == [
        (f"{branch}.txt", "added", 1)
    ]
    assert files[0]["patch"] == f"@@ -0,0 +1 @@\n+{branch}"
    assert [commit["sha"] for commit in bot.get(f"{pull['url']}/commits").json()] == [pull["head"]["sha"]]


def test_files_tell_renames_deletions_and_binaries(server: Server, bot: httpx.Client, tmp_path: Path) -> None:
    branch = unique("kinds")
    clone = server.clone("acme/widgets", tmp_path / "clone")
    git(clone, "checkout", "-q", "-b", branch)
    git(clone, "mv", "src/app.py", "src/moved name.py")
    git(clone, "rm", "-q", "run.sh")
    (clone / "image.bin").write_bytes(bytes(range(256)))
    git(clone, "add", ".")
    git(clone, "commit", "-qm", "Kinds")
    git(clone, "push", "-q", "origin", branch)
    files = bot.get(f"{open_pull(bot, 'acme/widgets', branch)['url']}/files").json()
    told = {
        file["filename"]: (file["status"], file.get("previous_filename"), "patch" in file) for file in files
    }
    assert told == {
        "image.bin": ("added", None, False),
        "run.sh": ("removed", None, True),
        "src/moved name.py": ("renamed", "src/app.py", False),
    }


def test_lists_filter_by_state_head_and_base(bot: httpx.Client, branch: str) -> None:
    pull = open_pull(bot, "acme/widgets", branch)

    def listed(**query: str) -> list[int]:
        return numbers(bot.get(f"{WIDGETS}/pulls", params={"per_page": 100, **query}))

    assert pull["number"] in listed()
    assert pull["number"] not in listed(state="closed")
    assert listed(head=f"acme:{branch}", base="trunk") == [pull["number"]]
    assert listed(head=f"acme:{branch}", base="other") == listed(head=f"other:{branch}") == []
    shape = bot.get(f"{WIDGETS}/pulls", params={"head": f"acme:{branch}"}).json()[0]
    assert "mergeable" not in shape


def test_merging_closes_the_issues_that_the_words_name(bot: httpx.Client) -> None:
    branch, api = unique("merged"), "/repos/acme/plain"
    one, two, three = (open_issue(bot, "acme/plain") for _ in range(3))
    sha = commit_on(bot, "acme/plain", branch, path=branch, message=f"Resolves acme/plain#{two}")
    pull = open_pull(bot, "acme/plain", branch, body=f"Closes #{one}. See #{three}, fixes other/repo#{three}")
    merged = bot.put(f"{pull['url']}/merge", json={"sha": sha})
    assert merged.status_code == 200, merged.text
    states = [bot.get(f"{api}/issues/{number}").json()["state"] for number in (one, two, three)]
    assert states == ["closed", "closed", "open"]
    now = bot.get(pull["url"]).json()
    assert (now["state"], now["merged"], now["merged_by"]["login"]) == ("closed", True, "bot")
    assert now["merge_commit_sha"] == merged.json()["sha"]
    tip = bot.get(f"{api}/git/ref/heads/main").json()["object"]["sha"]
    assert tip == merged.json()["sha"]
    assert [parent["sha"] for parent in bot.get(f"{api}/git/commits/{tip}").json()["parents"]][1] == sha
    assert bot.get(f"{pull['url']}/merge").status_code == 204
    assert bot.put(f"{pull['url']}/merge").status_code == 405


def test_squashing_makes_one_commit_of_all(bot: httpx.Client) -> None:
    branch = unique("squashed")
    commit_on(bot, "acme/plain", branch, path=branch)
    pull = open_pull(bot, "acme/plain", branch)
    sha = bot.put(f"{pull['url']}/merge", json={"merge_method": "squash"}).json()["sha"]
    commit = bot.get(f"/repos/acme/plain/git/commits/{sha}").json()
    assert commit["message"] == f"{branch} (#{pull['number']})"
    assert len(commit["parents"]) == 1


def test_what_cannot_be_merged_is_refused_in_githubs_words(bot: httpx.Client, guest: httpx.Client) -> None:
    first, second, draft = unique("conflict"), unique("conflict"), unique("draft")
    for branch in (first, second):
        commit_on(bot, "acme/plain", branch, path="same.txt")
    one, two = (open_pull(bot, "acme/plain", branch) for branch in (first, second))
    assert bot.get(two["url"]).json()["mergeable_state"] == "clean"
    stale = bot.put(f"{one['url']}/merge", json={"sha": two["head"]["sha"]})
    assert (stale.status_code, stale.json()["message"][:24]) == (409, "Head branch was modified")
    assert guest.put(f"{one['url']}/merge").status_code == 403
    assert bot.put(f"{one['url']}/merge", json={"merge_method": "rebase"}).status_code == 405
    assert bot.put(f"{one['url']}/merge").status_code == 200
    assert bot.get(two["url"]).json()["mergeable"] is False
    assert bot.put(f"{two['url']}/merge").json()["message"] == "Pull Request is not mergeable"
    commit_on(bot, "acme/widgets", draft)
    drafted = open_pull(bot, "acme/widgets", draft, draft=True)
    assert bot.put(f"{drafted['url']}/merge").json()["message"] == "Pull Request is still a draft"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Closes #1", [1]),
        ("fixes: #12 and resolved #3", [12, 3]),
        ("close acme/widgets#4, FIX Acme/Widgets#5", [4, 5]),
        ("closes #1 closes #1", [1]),
        ("see #1", []),
        ("encloses #1", []),
        ("fixes other/repo#1", []),
        ("fixes #" + "9" * 40, []),
    ],
)
def test_closing_keywords_are_githubs(text: str, found: list[int]) -> None:
    assert closing_numbers(text, "acme/widgets") == found
