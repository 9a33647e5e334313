"""Who may do what: as GitHub answers, not as emulate would."""

from __future__ import annotations

import httpx
import pytest

from tests.github.conftest import WIDGETS, Server, commit_on, open_issue, unique


def test_an_unknown_token_is_401_on_rest(server: Server) -> None:
    answer = httpx.get(f"{server.url}/user", headers={"Authorization": "Bearer nobody-knows-me"})
    assert answer.status_code == 401
    assert answer.json()["message"] == "Bad credentials"


@pytest.mark.parametrize("scheme", ["Bearer", "token", "bearer"])
def test_a_token_is_taken_under_each_scheme(server: Server, scheme: str) -> None:
    answer = httpx.get(f"{server.url}/user", headers={"Authorization": f"{scheme} tok-bot"})
    assert answer.json()["login"] == "bot"


def test_basic_credentials_carry_the_token_as_password(server: Server) -> None:
    assert httpx.get(f"{server.url}/user", auth=("anything", "tok-ada")).json()["login"] == "ada"


def test_nobody_reads_what_is_public_and_writes_nothing(nobody: httpx.Client) -> None:
    assert nobody.get(WIDGETS).status_code == 200
    assert nobody.post(f"{WIDGETS}/issues", json={"title": "x"}).status_code == 401
    assert nobody.get("/user").status_code == 401


@pytest.mark.parametrize("path", ["", "/issues", "/git/ref/heads/main", "/contents/README.md", "/pulls"])
def test_a_private_repository_is_404_to_nobody_and_open_to_readers(
    nobody: httpx.Client, guest: httpx.Client, path: str
) -> None:
    assert nobody.get(f"/repos/acme/secret{path}").status_code == 404
    assert guest.get(f"/repos/acme/secret{path}").status_code == 200


def test_who_lost_access_to_a_private_repository_gets_404(boss: httpx.Client, server: Server) -> None:
    path = "/repos/acme/secret"
    with server.as_user("guest") as guest:
        assert boss.delete(f"{path}/collaborators/guest").status_code == 204
        try:
            assert guest.get(path).status_code == 404
            assert guest.post(f"{path}/issues", json={"title": "x"}).status_code == 404
        finally:
            boss.put(f"{path}/collaborators/guest", json={"permission": "pull"})
        assert guest.get(path).status_code == 200


def test_a_reader_may_open_issues_and_comment_but_not_write_refs_or_labels(guest: httpx.Client) -> None:
    number = open_issue(guest)
    assert guest.post(f"{WIDGETS}/issues/{number}/comments", json={"body": "x"}).status_code == 201
    refused = [
        guest.post(f"{WIDGETS}/git/refs", json={"ref": "refs/heads/x", "sha": "0" * 40}),
        guest.post(f"{WIDGETS}/issues/{number}/labels", json={"labels": ["x"]}),
        guest.post(f"{WIDGETS}/issues/{number}/assignees", json={"assignees": ["guest"]}),
        guest.post(f"{WIDGETS}/pulls", json={"title": "x", "head": "a", "base": "b"}),
        guest.patch(f"{WIDGETS}/issues/1", json={"state": "closed"}),
    ]
    assert [answer.status_code for answer in refused] == [403] * 5


def test_the_permission_endpoint_tells_a_writer_from_a_reader_and_a_stranger(bot: httpx.Client) -> None:
    told = {
        login: bot.get(f"{WIDGETS}/collaborators/{login}/permission").json()["permission"]
        for login in ("boss", "bot", "guest", "eve", "visitor")
    }
    assert told == {"boss": "admin", "bot": "write", "guest": "read", "eve": "write", "visitor": "read"}
    assert bot.get(f"{WIDGETS}/collaborators/no-such-login/permission").status_code == 404


def test_on_a_private_repository_a_stranger_has_no_permission(bot: httpx.Client) -> None:
    answer = bot.get("/repos/acme/secret/collaborators/visitor/permission")
    assert answer.json()["permission"] == "none"


def test_a_permission_that_is_granted_later_counts_at_once(boss: httpx.Client, server: Server) -> None:
    path = "/repos/acme/plain"
    with server.as_user("guest") as guest:
        assert boss.put(f"{path}/collaborators/guest", json={"permission": "push"}).status_code == 204
        commit_on(guest, "acme/plain", unique("granted"))
        assert boss.get(f"{path}/collaborators/guest/permission").json()["role_name"] == "write"
        assert boss.put(f"{path}/collaborators/guest", json={"permission": "pull"}).status_code == 204


def test_only_administrators_grant_permissions(bot: httpx.Client) -> None:
    assert bot.put(f"{WIDGETS}/collaborators/guest", json={"permission": "admin"}).status_code == 403


def test_the_repository_says_what_its_caller_may_do(bot: httpx.Client, guest: httpx.Client) -> None:
    assert bot.get(WIDGETS).json()["permissions"]["push"] is True
    assert guest.get(WIDGETS).json()["permissions"] == {
        "admin": False,
        "maintain": False,
        "push": False,
        "triage": False,
        "pull": True,
    }


def test_names_of_repositories_are_found_in_any_case(bot: httpx.Client) -> None:
    assert bot.get("/repos/ACME/Widgets").json()["full_name"] == "acme/widgets"


def test_a_repository_may_belong_to_a_user(ada: httpx.Client) -> None:
    shape = ada.get("/repos/ada/mine").json()
    assert (shape["owner"]["login"], shape["owner"]["type"]) == ("ada", "User")
    commit_on(ada, "ada/mine", unique("own"))


def test_what_is_not_supplied_says_so(boss: httpx.Client) -> None:
    for path in (f"{WIDGETS}/actions/runs", "/search/issues?q=x", "/graphql"):
        answer = boss.get(path)
        assert answer.status_code == 501, path
        assert "local-github.md" in answer.json()["message"]
    assert boss.get("/nonsense").status_code == 404
