"""Commits, trees, blobs, contents and comparisons by REST, on the repository that git serves."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.github.conftest import WIDGETS, Server, commit_on, git, unique

GIT = f"{WIDGETS}/git"


def trunk(client: httpx.Client) -> str:
    return client.get(f"{GIT}/ref/heads/trunk").json()["object"]["sha"]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(message=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=200))
def test_a_commits_message_comes_back_as_it_was_sent(bot: httpx.Client, message: str) -> None:
    tree = bot.get(f"{GIT}/commits/{trunk(bot)}").json()["tree"]["sha"]
    made = bot.post(f"{GIT}/commits", json={"message": message, "tree": tree, "parents": []})
    assert made.status_code == 201, made.text
    assert bot.get(f"{GIT}/commits/{made.json()['sha']}").json()["message"] == message


def test_a_commit_keeps_its_author_and_moment(bot: httpx.Client) -> None:
    tree = bot.get(f"{GIT}/commits/{trunk(bot)}").json()["tree"]["sha"]
    author = {"name": "A <d> a\n", "email": "a@b", "date": "2026-01-02T03:04:05+02:00"}
    made = bot.post(
        f"{GIT}/commits", json={"message": "m", "tree": tree, "parents": [], "author": author}
    ).json()
    assert made["author"] == {"name": "A d a", "email": "a@b", "date": "2026-01-02T01:04:05Z"}
    assert made["committer"]["name"] == "A d a"


@pytest.mark.parametrize(
    "change",
    [
        {"message": None},
        {"message": "a\0b"},
        {"tree": "0" * 40},
        {"tree": "--help"},
        {"parents": ["0" * 40]},
        {"parents": ["main"]},
        {"author": {"name": "x"}},
        {"author": {"name": "x", "email": "y", "date": "yesterday"}},
    ],
)
def test_bad_commits_are_422(bot: httpx.Client, change: dict[str, object]) -> None:
    tree = bot.get(f"{GIT}/commits/{trunk(bot)}").json()["tree"]["sha"]
    answer = bot.post(f"{GIT}/commits", json={"message": "m", "tree": tree, "parents": [], **change})
    assert answer.status_code == 422, answer.text


def test_a_tree_is_made_on_top_of_another_with_deletions_and_sub_trees(bot: httpx.Client) -> None:
    source = bot.get(f"{GIT}/trees/trunk").json()
    below = next(entry["sha"] for entry in source["tree"] if entry["path"] == "src")
    entries = [
        {"path": "docs/a/b.md", "mode": "100644", "type": "blob", "content": "hé\n"},
        {"path": "copy", "mode": "040000", "type": "tree", "sha": below},
        {"path": "run.sh", "mode": "100755", "type": "blob", "sha": None},
    ]
    made = bot.post(f"{GIT}/trees", json={"base_tree": source["sha"], "tree": entries})
    assert made.status_code == 201, made.text
    listed = bot.get(f"{GIT}/trees/{made.json()['sha']}?recursive=1").json()
    paths = {entry["path"]: entry["type"] for entry in listed["tree"]}
    assert paths == {
        "README.md": "blob",
        "copy": "tree",
        "copy/app.py": "blob",
        "docs": "tree",
        "docs/a": "tree",
        "docs/a/b.md": "blob",
        "naïve name.txt": "blob",
        "src": "tree",
        "src/app.py": "blob",
    }


@pytest.mark.parametrize("path", ["../x", "/x", "a//b", ".git/config", "a/.GIT/hooks", "a/./b", "", "a\0b"])
def test_a_tree_takes_no_path_that_leaves_the_repository(bot: httpx.Client, path: str) -> None:
    entry = {"path": path, "mode": "100644", "type": "blob", "content": "x"}
    assert bot.post(f"{GIT}/trees", json={"tree": [entry]}).status_code == 422


@pytest.mark.parametrize(
    "entry",
    [
        {"path": "x", "mode": "100666", "type": "blob", "content": "x"},
        {"path": "x", "mode": "100644", "type": "blob", "sha": "0" * 40},
        {"path": "x", "mode": "100644", "type": "blob", "sha": "nonsense"},
        {"path": "x", "mode": "100644", "type": "blob"},
        "x",
    ],
)
def test_bad_tree_entries_are_422(bot: httpx.Client, entry: object) -> None:
    assert bot.post(f"{GIT}/trees", json={"tree": [entry]}).status_code == 422


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=300))
def test_a_blob_comes_back_as_it_was_sent(bot: httpx.Client, content: bytes) -> None:
    body = {"content": base64.b64encode(content).decode(), "encoding": "base64"}
    sha = bot.post(f"{GIT}/blobs", json=body).json()["sha"]
    shape = bot.get(f"{GIT}/blobs/{sha}").json()
    assert base64.b64decode(shape["content"]) == content
    assert shape["size"] == len(content)
    assert (
        bot.get(f"{GIT}/blobs/{sha}", headers={"Accept": "application/vnd.github.raw+json"}).content
        == content
    )


def test_contents_show_files_folders_and_what_is_missing(bot: httpx.Client) -> None:
    file = bot.get(f"{WIDGETS}/contents/src/app.py").json()
    assert base64.b64decode(file["content"]).startswith(b"def add")
    raw = bot.get(f"{WIDGETS}/contents/src/app.py", headers={"Accept": "application/vnd.github.raw+json"})
    assert raw.content == base64.b64decode(file["content"])
    assert [entry["type"] for entry in bot.get(f"{WIDGETS}/contents").json()] == [
        "file",
        "file",
        "file",
        "dir",
    ]
    assert bot.get(f"{WIDGETS}/contents/na%C3%AFve%20name.txt").json()["size"] == 2
    assert bot.get(f"{WIDGETS}/contents/README.md?ref=v1").status_code == 404
    for path in ("nothing", "%2e%2e/secret", "src/%2e%2e/README.md", ".git/config", "src/app.py/x"):
        assert bot.get(f"{WIDGETS}/contents/{path}").status_code == 404, path


def test_a_file_is_written_replaced_and_deleted_by_commits(bot: httpx.Client) -> None:
    branch = unique("contents")
    commit_on(bot, "acme/widgets", branch)
    path = f"{WIDGETS}/contents/.bzzz/hive.pub"
    body = {"message": "Pin", "content": base64.b64encode(b"one").decode(), "branch": branch}
    made = bot.put(path, json=body)
    assert made.status_code == 201, made.text
    assert bot.put(path, json=body).status_code == 422
    assert bot.put(path, json={**body, "sha": "0" * 40}).status_code == 409
    again = bot.put(path, json={**body, "sha": made.json()["content"]["sha"]})
    assert again.status_code == 200
    query = {"message": "Unpin", "branch": branch, "sha": again.json()["content"]["sha"]}
    assert bot.delete(path, params=query).status_code == 200
    assert bot.get(f"{path}?ref={branch}").status_code == 404


def test_branches_commits_and_comparisons_tell_what_git_tells(
    server: Server, bot: httpx.Client, tmp_path: Path
) -> None:
    branch = unique("feature/compared")
    sha = commit_on(bot, "acme/widgets", branch, path="src/new.py")
    clone = server.clone("acme/widgets", tmp_path / "clone")
    assert bot.get(f"{WIDGETS}/branches/{branch}").json()["commit"]["sha"] == sha
    assert branch in [shape["name"] for shape in bot.get(f"{WIDGETS}/branches?per_page=100").json()]
    assert bot.get(f"{WIDGETS}/branches/not-there").status_code == 404
    listed = [shape["sha"] for shape in bot.get(f"{WIDGETS}/commits", params={"sha": branch}).json()]
    assert listed == git(clone, "rev-list", f"origin/{branch}").split()
    only = bot.get(f"{WIDGETS}/commits", params={"sha": branch, "path": "src/new.py"}).json()
    assert [shape["sha"] for shape in only] == [sha]
    one = bot.get(f"{WIDGETS}/commits/{branch}").json()
    assert (one["stats"]["additions"], one["files"][0]["filename"]) == (1, "src/new.py")
    compared = bot.get(f"{WIDGETS}/compare/v1...{branch}").json()
    assert (compared["status"], compared["ahead_by"], compared["behind_by"]) == ("ahead", 2, 0)
    assert [file["filename"] for file in compared["files"]] == ["README.md", "src/new.py"]
    assert bot.get(f"{WIDGETS}/compare/trunk...nothing").status_code == 404


def test_the_import_takes_the_heads_branch_its_history_and_nothing_uncommitted(bot: httpx.Client) -> None:
    assert bot.get(WIDGETS).json()["default_branch"] == "trunk"
    refs = {ref["ref"] for ref in bot.get(f"{GIT}/matching-refs/tags/").json()}
    assert refs == {"refs/tags/v1"}
    assert bot.get(f"{GIT}/ref/heads/bzzz/issue-1").status_code == 404
    readme = bot.get(f"{WIDGETS}/contents/README.md").json()
    assert base64.b64decode(readme["content"]) == b"# Project\n"
    assert len(bot.get(f"{WIDGETS}/commits").json()) == 2


def test_odd_paths_and_queries_never_become_a_500(bot: httpx.Client) -> None:
    for path in (
        "git/trees/--help",
        "git/trees/-z",
        "commits/--all",
        "commits/-1",
        "contents/%00",
        "branches/%2e%2e",
    ):
        assert bot.get(f"{WIDGETS}/{path}").status_code == 404, path
    assert bot.get(f"{WIDGETS}/issues?page=-1&per_page=x").status_code == 200
    assert bot.get(f"{WIDGETS}/commits?page=99999").json() == []
    assert json.loads(bot.get(f"{WIDGETS}/git/matching-refs/%0a").content) == []
