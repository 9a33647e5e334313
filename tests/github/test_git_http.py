"""Git over http on the same origin, in step with REST both ways."""

from __future__ import annotations

import os
from pathlib import Path

import httpx
import pytest

from tests.github.conftest import WIDGETS, Server, commit_on, git, open_pull, unique


def work(clone: Path, branch: str, text: str = "work\n") -> str:
    """Commit on a new branch of a clone; the commit."""
    git(clone, "checkout", "-q", "-B", branch)
    (clone / "work.txt").write_text(text)
    git(clone, "add", ".")
    git(clone, "commit", "-qm", f"Work on {branch}: {text}")
    return git(clone, "rev-parse", "HEAD")


@pytest.fixture
def clone(server: Server, tmp_path: Path) -> Path:
    return server.clone("acme/widgets", tmp_path / "clone")


def test_a_push_is_seen_by_rest_at_once(clone: Path, bot: httpx.Client) -> None:
    branch = unique("pushed")
    sha = work(clone, branch)
    git(clone, "push", "-q", "origin", branch)
    assert bot.get(f"{WIDGETS}/git/ref/heads/{branch}").json()["object"]["sha"] == sha
    assert bot.get(f"{WIDGETS}/commits/{sha}").json()["files"][0]["filename"] == "work.txt"


def test_what_rest_made_is_fetched_also_by_its_id(server: Server, clone: Path, bot: httpx.Client) -> None:
    branch = unique("by-rest")
    sha = commit_on(bot, "acme/widgets", branch)
    git(clone, "fetch", "-q", "origin", branch)
    assert git(clone, "rev-parse", "FETCH_HEAD") == sha
    tree = bot.get(f"{WIDGETS}/git/commits/{sha}").json()["tree"]["sha"]
    loose = bot.post(
        f"{WIDGETS}/git/commits", json={"message": "On no ref", "tree": tree, "parents": [sha]}
    ).json()
    git(clone, "fetch", "-q", "origin", loose["sha"])
    assert git(clone, "log", "-1", "--format=%s", "FETCH_HEAD") == "On no ref"


def test_a_push_with_the_expected_old_sha_wins_once(server: Server, clone: Path, tmp_path: Path) -> None:
    branch = unique("fenced")
    work(clone, branch)
    expect_none = f"--force-with-lease=refs/heads/{branch}:"
    git(clone, "push", "-q", expect_none, "origin", branch)
    rival = server.clone("acme/widgets", tmp_path / "rival")
    old = git(rival, "rev-parse", f"origin/{branch}")
    newer = work(rival, branch, "rival\n")
    git(rival, "push", "-q", f"--force-with-lease={branch}:{old}", "origin", branch)
    work(clone, branch, "stale\n")
    for lease in (expect_none, f"--force-with-lease={branch}:{old}"):
        assert "failed:" in git(clone, "push", "-q", lease, "origin", branch, check=False)
    assert git(clone, "ls-remote", "origin", f"refs/heads/{branch}").split()[0] == newer


def test_an_atomic_push_moves_all_refs_or_none(clone: Path, bot: httpx.Client) -> None:
    good, bad = unique("atomic"), unique("atomic")
    work(clone, good)
    git(clone, "push", "-q", "origin", f"HEAD:refs/heads/{bad}")
    work(clone, "elsewhere", "other\n")
    git(clone, "commit", "-q", "--amend", "-m", "diverged")
    git(clone, "reset", "-q", "--hard", "origin/trunk")
    sha = work(clone, "third", "third\n")
    pushed = git(
        clone,
        "push",
        "-q",
        "--atomic",
        "origin",
        f"{sha}:refs/heads/{good}",
        f"{sha}:refs/heads/{bad}",
        check=False,
    )
    assert "failed:" in pushed
    assert bot.get(f"{WIDGETS}/git/ref/heads/{good}").status_code == 404


def test_a_deleted_branch_is_gone_from_rest(clone: Path, bot: httpx.Client) -> None:
    branch = unique("short-lived")
    work(clone, branch)
    git(clone, "push", "-q", "origin", branch)
    git(clone, "push", "-q", "--delete", "origin", branch)
    assert bot.get(f"{WIDGETS}/git/ref/heads/{branch}").status_code == 404


def test_large_pushes_and_clones_go_through(server: Server, clone: Path, tmp_path: Path) -> None:
    branch = unique("large")
    git(clone, "checkout", "-q", "-b", branch)
    # Larger than http.postBuffer, so that git sends it in chunks.
    (clone / "large.bin").write_bytes(bytes(range(256)) * 4096 * 5)
    (clone / "random.bin").write_bytes(os.urandom(3_000_000))
    git(clone, "add", ".")
    git(clone, "commit", "-qm", "Large")
    git(clone, "push", "-q", "origin", branch)
    again = server.clone("acme/widgets", tmp_path / "again")
    git(again, "checkout", "-q", branch)
    assert (again / "random.bin").read_bytes() == (clone / "random.bin").read_bytes()


def test_pull_request_heads_are_fetched_and_cannot_be_pushed(clone: Path, bot: httpx.Client) -> None:
    branch = unique("head")
    sha = commit_on(bot, "acme/widgets", branch)
    number = open_pull(bot, "acme/widgets", branch)["number"]
    git(clone, "fetch", "-q", "origin", f"refs/pull/{number}/head")
    assert git(clone, "rev-parse", "FETCH_HEAD") == sha
    pushed = git(clone, "push", "-q", "origin", f"HEAD:refs/pull/{number}/head", "--force", check=False)
    assert "failed:" in pushed


@pytest.mark.parametrize(
    ("name", "login", "says"),
    [
        ("acme/secret", "unknown", "Authentication failed"),
        ("acme/secret", None, "could not read Username"),
        ("acme/nothing", None, "could not read Username"),
        ("acme/nothing", "bot", "not found"),
    ],
)
def test_who_may_not_read_is_told_as_on_github(
    server: Server, tmp_path: Path, name: str, login: str | None, says: str
) -> None:
    said = git(tmp_path, "ls-remote", server.remote(name, login), check=False)
    assert says in said


def test_an_unknown_token_is_401_even_for_what_is_public(server: Server) -> None:
    answer = httpx.get(
        f"{server.url}/acme/widgets.git/info/refs?service=git-upload-pack", auth=("x", "nonsense")
    )
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic")


def test_everybody_clones_what_is_public_and_a_reader_does_not_push(server: Server, tmp_path: Path) -> None:
    clone = server.clone("acme/widgets", tmp_path / "anonymous", login=None)
    work(clone, "mine")
    assert "could not read Username" in git(clone, "push", "-q", "origin", "mine", check=False)
    refused = git(clone, "push", "-q", server.remote("acme/widgets", "guest"), "mine", check=False)
    assert "403" in refused
    reader = server.clone("acme/secret", tmp_path / "private", login="guest")
    assert (reader / "README.md").exists()


def test_paths_that_leave_the_repositories_are_404(server: Server) -> None:
    for path in (
        "/acme/widgets.git/../../x.git/info/refs",
        "/acme/widgets.git/objects/../../config",
        "/../x.git/HEAD",
    ):
        answer = httpx.get(f"{server.url}{path}".replace("../", "%2e%2e/"), auth=("x", "tok-bot"))
        assert answer.status_code in (404, 403), path
        assert b"[core]" not in answer.content
