"""GitHub Apps: installation tokens work as on GitHub, within what they were granted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from github import Auth, Github, GithubException, GithubIntegration

from tests.github.conftest import Server, git, start
from tests.support.processes import Processes


@pytest.fixture(scope="module")
def key() -> str:
    made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return made.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    ).decode()


@pytest.fixture(scope="module")
def with_app(tmp_path_factory: pytest.TempPathFactory, key: str) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("app")
    (folder / "app.pem").write_text(key)
    app = {
        "appId": 77,
        "slug": "bzzz-app",
        "privateKeyFile": str(folder / "app.pem"),
        "installationId": 7001,
        "account": "acme",
    }
    repositories = [{"name": "acme/widgets", "private": True}, {"name": "ada/mine", "private": True}]
    with Processes(folder) as processes:
        yield start(processes, folder, apps=[app], repositories=repositories)


def installation(server: Server, key: str, permissions: dict[str, str]) -> Auth.AppInstallationAuth:
    auth = Auth.AppAuth(77, key).get_installation_auth(7001, token_permissions=permissions)
    quick = {"seconds_between_requests": None, "seconds_between_writes": None, "retry": None}
    return auth.withRequester(Github(base_url=server.url, auth=auth, **quick).requester)


def client(server: Server, auth: Auth.Auth) -> Github:
    return Github(
        base_url=server.url, auth=auth, seconds_between_requests=None, seconds_between_writes=None, retry=None
    )


def test_an_installation_comments_and_makes_refs_but_cannot_be_assigned(with_app: Server, key: str) -> None:
    auth = installation(with_app, key, {"issues": "write", "contents": "write", "pull_requests": "write"})
    repository = client(with_app, auth).get_repo("acme/widgets")
    issue = repository.create_issue("By an app")
    assert issue.create_comment("hello").user.login == "bzzz-app[bot]"
    issue.add_to_assignees("bzzz-app[bot]", "bot")
    assert [user.login for user in issue.assignees] == ["bot"]
    tip = repository.get_branch("main").commit.sha
    assert repository.create_git_ref("refs/claims/issue-1", tip).object.sha == tip


def test_an_installation_gets_no_more_than_it_was_granted(with_app: Server, key: str) -> None:
    auth = installation(with_app, key, {"issues": "write", "contents": "read"})
    repository = client(with_app, auth).get_repo("acme/widgets")
    tip = repository.get_branch("main").commit.sha
    with pytest.raises(GithubException) as refused:
        repository.create_git_ref("refs/claims/issue-2", tip)
    assert (refused.value.status, refused.value.message) == (403, "Resource not accessible by integration")
    with pytest.raises(GithubException) as unseen:
        client(with_app, auth).get_repo("ada/mine")
    assert unseen.value.status == 404


def test_an_installation_clones_with_its_token(with_app: Server, key: str, tmp_path: Path) -> None:
    auth = installation(with_app, key, {"contents": "read"})
    host = with_app.url.removeprefix("http://")
    git(tmp_path, "clone", "-q", f"http://x-access-token:{auth.token}@{host}/acme/widgets.git", "clone")
    assert (tmp_path / "clone" / "README.md").exists()
    assert auth.token not in (with_app.folder / "record.jsonl").read_text()


def test_the_app_is_known_by_its_signed_token_only(with_app: Server, key: str) -> None:
    integration = GithubIntegration(auth=Auth.AppAuth(77, key), base_url=with_app.url)
    assert integration.get_repo_installation("acme", "widgets").id == 7001
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = stranger.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    ).decode()
    with pytest.raises(GithubException) as refused:
        GithubIntegration(auth=Auth.AppAuth(77, pem), base_url=with_app.url).get_access_token(7001)
    assert refused.value.status == 401
