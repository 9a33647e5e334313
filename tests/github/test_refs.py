"""References by REST: what the claim protocol rests on."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.github.conftest import WIDGETS, Server, unique

GIT = f"{WIDGETS}/git"


def head(client: httpx.Client) -> str:
    return client.get(f"{GIT}/ref/heads/trunk").json()["object"]["sha"]


def child(client: httpx.Client, parent: str | None, message: str) -> str:
    """A commit with the tree of the default branch."""
    tree = client.get(f"{GIT}/commits/{head(client)}").json()["tree"]["sha"]
    body = {"message": message, "tree": tree, "parents": [parent] if parent else []}
    answer = client.post(f"{GIT}/commits", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()["sha"]


def test_of_sixteen_who_create_the_same_ref_one_gets_201(server: Server, bot: httpx.Client) -> None:
    name = f"refs/claims/{unique('issue')}"
    shas = [child(bot, None, f"claim {number} of {name}") for number in range(16)]
    barrier = threading.Barrier(16)

    def claim(sha: str) -> tuple[int, str]:
        with server.as_user("bot") as client:
            barrier.wait(20)
            answer = client.post(f"{GIT}/refs", json={"ref": name, "sha": sha})
            return answer.status_code, answer.json().get("message", sha)

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(claim, shas))
    won = [sha for status, sha in answers if status == 201]
    assert len(won) == 1
    assert [answer for answer in answers if answer[0] != 201] == [(422, "Reference already exists")] * 15
    assert bot.get(f"{GIT}/{name.replace('refs', 'ref', 1)}").json()["object"]["sha"] == won[0]


def test_of_sixteen_who_move_the_same_ref_forward_one_wins(server: Server, bot: httpx.Client) -> None:
    name = unique("issue")
    first = child(bot, None, f"first of {name}")
    bot.post(f"{GIT}/refs", json={"ref": f"refs/claims/{name}", "sha": first})
    shas = [child(bot, first, f"renewal {number} of {name}") for number in range(16)]
    barrier = threading.Barrier(16)

    def move(sha: str) -> tuple[int, str]:
        with server.as_user("bot") as client:
            barrier.wait(20)
            answer = client.patch(f"{GIT}/refs/claims/{name}", json={"sha": sha, "force": False})
            return answer.status_code, answer.json().get("message", "")

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(move, shas))
    assert sorted(answers) == [(200, ""), *[(422, "Update is not a fast forward")] * 15]


def test_force_moves_a_ref_anywhere(bot: httpx.Client) -> None:
    name = unique("forced")
    one, other = child(bot, None, f"one {name}"), child(bot, None, f"other {name}")
    bot.post(f"{GIT}/refs", json={"ref": f"refs/heads/{name}", "sha": one})
    assert bot.patch(f"{GIT}/refs/heads/{name}", json={"sha": other}).status_code == 422
    moved = bot.patch(f"{GIT}/refs/heads/{name}", json={"sha": other, "force": True})
    assert moved.json()["object"]["sha"] == other


def test_a_ref_says_where_it_is_and_what_it_points_to(server: Server, bot: httpx.Client) -> None:
    sha = head(bot)
    shape = bot.get(f"{GIT}/ref/heads/trunk").json()
    assert shape["ref"] == "refs/heads/trunk"
    assert shape["url"] == f"{server.url}{GIT}/refs/heads/trunk"
    assert shape["object"] == {"sha": sha, "type": "commit", "url": f"{server.url}{GIT}/commits/{sha}"}
    assert bot.get(shape["url"]).json() == shape


def test_matching_refs_match_any_prefix_and_what_is_not_there_matches_nothing(bot: httpx.Client) -> None:
    name = unique("prefix")
    for suffix in ("1", "10", "2"):
        bot.post(f"{GIT}/refs", json={"ref": f"refs/claims/{name}-{suffix}", "sha": head(bot)})

    def matching(prefix: str) -> list[str]:
        return [ref["ref"].rpartition("-")[2] for ref in bot.get(f"{GIT}/matching-refs/{prefix}").json()]

    assert matching(f"claims/{name}-1") == ["1", "10"]
    assert matching(f"claims/{name}") == ["1", "10", "2"]
    assert matching("claims/nothing-of-this-name") == []
    assert bot.get(f"{GIT}/ref/claims/{name}-3").status_code == 404


def test_a_deleted_ref_is_gone_and_the_default_branch_stays(bot: httpx.Client) -> None:
    name = unique("deleted")
    bot.post(f"{GIT}/refs", json={"ref": f"refs/heads/{name}", "sha": head(bot)})
    assert bot.delete(f"{GIT}/refs/heads/{name}").status_code == 204
    assert bot.delete(f"{GIT}/refs/heads/{name}").status_code == 422
    assert bot.delete(f"{GIT}/refs/heads/trunk").status_code == 422


@pytest.mark.parametrize(
    ("ref", "sha", "message"),
    [
        ("heads/x", None, "Reference name"),
        ("refs/x", None, "Reference name"),
        ("refs/heads/a..b", None, "Reference name"),
        ("refs/heads/-x --force", None, "Reference name"),
        ("refs/pull/1/head", None, "read-only"),
        ("refs/heads/new", "0" * 40, "Object does not exist"),
        ("refs/heads/new", "HEAD", "40 characters"),
        ("refs/heads/new", 7, "40 characters"),
    ],
)
def test_bad_refs_are_422(bot: httpx.Client, ref: str, sha: object, message: str) -> None:
    answer = bot.post(f"{GIT}/refs", json={"ref": ref, "sha": head(bot) if sha is None else sha})
    assert answer.status_code == 422
    assert message in answer.json()["message"]


def test_a_ref_under_another_ref_is_422(bot: httpx.Client) -> None:
    name = unique("folder")
    assert bot.post(f"{GIT}/refs", json={"ref": f"refs/claims/{name}", "sha": head(bot)}).status_code == 201
    below = bot.post(f"{GIT}/refs", json={"ref": f"refs/claims/{name}/x", "sha": head(bot)})
    assert below.status_code == 422


def test_moving_a_ref_that_is_not_there_is_422(bot: httpx.Client) -> None:
    answer = bot.patch(f"{GIT}/refs/claims/not-there", json={"sha": head(bot)})
    assert (answer.status_code, answer.json()["message"]) == (422, "Reference does not exist")
