"""Issues: lists, filters, labels, assignees, comments, and the races that emulate loses."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.github.conftest import WIDGETS, Server, commit_on, numbers, open_issue, open_pull, unique


def test_the_configured_issues_are_there_with_author_and_association(bot: httpx.Client) -> None:
    shapes = [bot.get(f"{WIDGETS}/issues/{number}").json() for number in (1, 2, 3)]
    told = [(shape["title"], shape["user"]["login"], shape["author_association"]) for shape in shapes]
    assert told == [
        ("Adds wrongly", "boss", "OWNER"),
        ("From a stranger", "visitor", "NONE"),
        ("From Eve", "eve", "COLLABORATOR"),
    ]
    assert [label["name"] for label in shapes[0]["labels"]] == ["bzzz"]


def test_lists_filter_by_label_assignee_creator_and_state(bot: httpx.Client, ada: httpx.Client) -> None:
    label = unique("filter")
    mine, theirs, closed = (open_issue(client, labels=[label]) for client in (bot, ada, bot))
    bot.post(f"{WIDGETS}/issues/{mine}/assignees", json={"assignees": ["bot"]})
    bot.patch(f"{WIDGETS}/issues/{closed}", json={"state": "closed"})

    def listed(**query: str) -> list[int]:
        return numbers(bot.get(f"{WIDGETS}/issues", params={"labels": label, "direction": "asc", **query}))

    assert listed() == [mine, theirs]
    assert listed(assignee="none") == [theirs]
    assert listed(assignee="*") == listed(assignee="bot") == [mine]
    assert listed(creator="ada") == [theirs]
    assert listed(state="closed") == [closed]
    assert listed(state="all") == [mine, theirs, closed]
    assert listed(labels=f"{label},other") == []


def test_lists_hold_pull_requests_as_on_github(bot: httpx.Client) -> None:
    branch = unique("in-list")
    commit_on(bot, "acme/widgets", branch)
    pull = open_pull(bot, "acme/widgets", branch)
    shown = {item["number"]: item for item in bot.get(f"{WIDGETS}/issues?per_page=100").json()}
    assert shown[pull["number"]]["pull_request"]["html_url"] == pull["html_url"]
    assert "pull_request" not in shown[1]
    assert bot.get(f"{WIDGETS}/issues/{pull['number']}").json()["pull_request"]["url"] == pull["url"]


def test_pages_are_linked_under_the_servers_own_origin(server: Server, bot: httpx.Client) -> None:
    label = unique("paged")
    made = [open_issue(bot, labels=[label]) for _ in range(5)]
    seen: list[int] = []
    url: str | None = f"{server.url}{WIDGETS}/issues?labels={label}&per_page=2&direction=asc"
    while url:
        answer = bot.get(url)
        seen += numbers(answer)
        url = answer.links.get("next", {}).get("url")
        assert url is None or url.startswith(f"{server.url}/")
    assert seen == made


def test_labels_are_made_on_demand_and_answered_with_the_issues_labels(bot: httpx.Client) -> None:
    number, label = open_issue(bot), unique("new label")
    path = f"{WIDGETS}/issues/{number}/labels"
    assert [made["name"] for made in bot.post(path, json={"labels": [label]}).json()] == [label]
    assert [made["name"] for made in bot.post(path, json=["second"]).json()] == [label, "second"]
    assert bot.get(f"{WIDGETS}/labels/{label}").json()["color"] == "ededed"
    assert [left["name"] for left in bot.delete(f"{path}/{label}").json()] == ["second"]
    assert bot.delete(f"{path}/{label}").status_code == 404
    assert [now["name"] for now in bot.put(path, json={"labels": ["only"]}).json()] == ["only"]
    assert bot.delete(path).status_code == 204
    assert bot.get(path).json() == []


def test_events_tell_who_labelled_and_assigned_whom(bot: httpx.Client, ada: httpx.Client) -> None:
    number = open_issue(bot, labels=["bzzz"])
    ada.post(f"{WIDGETS}/issues/{number}/labels", json={"labels": ["by-ada"]})
    ada.delete(f"{WIDGETS}/issues/{number}/labels/bzzz")
    bot.post(f"{WIDGETS}/issues/{number}/assignees", json={"assignees": ["ada"]})
    events = bot.get(f"{WIDGETS}/issues/{number}/events").json()
    told = [(event["event"], event["actor"]["login"], event.get("label", {}).get("name")) for event in events]
    assert told == [
        ("labeled", "bot", "bzzz"),
        ("labeled", "ada", "by-ada"),
        ("unlabeled", "ada", "bzzz"),
        ("assigned", "bot", None),
    ]
    assert (events[3]["assignee"]["login"], events[3]["assigner"]["login"]) == ("ada", "bot")
    seeded = bot.get(f"{WIDGETS}/issues/2/events").json()
    assert [(event["actor"]["login"], event["label"]["name"]) for event in seeded] == [("visitor", "bzzz")]


def test_events_are_paged(bot: httpx.Client) -> None:
    number = open_issue(bot, labels=[f"label-{index}" for index in range(7)])
    first = bot.get(f"{WIDGETS}/issues/{number}/events?per_page=5")
    assert len(first.json()) == 5
    assert len(bot.get(first.links["next"]["url"]).json()) == 2


def test_assignees_who_cannot_be_assigned_are_dropped_in_silence(bot: httpx.Client) -> None:
    number = open_issue(bot)
    path = f"{WIDGETS}/issues/{number}/assignees"
    answer = bot.post(path, json={"assignees": ["bot", "guest", "no-such-login", "agent-app[bot]"]})
    assert answer.status_code == 201
    assert [user["login"] for user in answer.json()["assignees"]] == ["bot"]
    assert bot.delete(path, params={}).json()["assignees"] != []
    gone = bot.request("DELETE", path, json={"assignees": ["bot", "no-such-login"]})
    assert (gone.status_code, gone.json()["assignees"]) == (200, [])


def test_assigning_is_additive_and_loses_no_update_under_concurrency(
    server: Server, bot: httpx.Client
) -> None:
    number = open_issue(bot)
    logins = ["boss", "bot", "ada", "eve"]
    barrier = threading.Barrier(len(logins))

    def assign(login: str) -> int:
        with server.as_user("bot") as client:
            barrier.wait(10)
            return client.post(
                f"{WIDGETS}/issues/{number}/assignees", json={"assignees": [login]}
            ).status_code

    with ThreadPoolExecutor(len(logins)) as pool:
        assert list(pool.map(assign, logins)) == [201] * 4
    assigned = {user["login"] for user in bot.get(f"{WIDGETS}/issues/{number}").json()["assignees"]}
    assert assigned == set(logins)


def test_what_only_pushers_may_set_is_dropped_for_others(guest: httpx.Client) -> None:
    number = open_issue(guest, labels=["bzzz"], assignees=["bot"])
    shape = guest.get(f"{WIDGETS}/issues/{number}").json()
    assert (shape["labels"], shape["assignees"]) == ([], [])
    edited = guest.patch(f"{WIDGETS}/issues/{number}", json={"title": "Mine to edit", "labels": ["bzzz"]})
    assert (edited.json()["title"], edited.json()["labels"]) == ("Mine to edit", [])


def test_closing_tells_by_whom_and_why(ada: httpx.Client, bot: httpx.Client) -> None:
    number = open_issue(bot)
    body = {"state": "closed", "state_reason": "not_planned"}
    shape = ada.patch(f"{WIDGETS}/issues/{number}", json=body).json()
    assert (shape["state"], shape["state_reason"], shape["closed_by"]["login"]) == (
        "closed",
        "not_planned",
        "ada",
    )
    reopened = ada.patch(f"{WIDGETS}/issues/{number}", json={"state": "open"}).json()
    assert (reopened["state"], reopened["closed_at"]) == ("open", None)


def test_a_change_moves_updated_at_in_whole_seconds(bot: httpx.Client) -> None:
    number = open_issue(bot)
    shape = bot.get(f"{WIDGETS}/issues/{number}").json()
    assert len(shape["updated_at"]) == len("2026-01-01T00:00:00Z")
    bot.patch(f"{WIDGETS}/issues/{number}", json={"body": "more"})
    assert number in numbers(
        bot.get(f"{WIDGETS}/issues", params={"since": shape["updated_at"], "per_page": 100})
    )


def test_comments_are_counted_edited_and_deleted_by_their_author(
    bot: httpx.Client, guest: httpx.Client
) -> None:
    number = open_issue(bot)
    path = f"{WIDGETS}/issues/{number}/comments"
    made = guest.post(path, json={"body": "2026-01-01T00:00:00.123Z"})
    assert (made.status_code, made.json()["body"]) == (201, "2026-01-01T00:00:00.123Z")
    other = bot.post(path, json={"body": "second"}).json()
    assert [comment["body"] for comment in bot.get(path).json()] == ["2026-01-01T00:00:00.123Z", "second"]
    assert bot.get(f"{WIDGETS}/issues/{number}").json()["comments"] == 2
    assert guest.patch(f"{WIDGETS}/issues/comments/{other['id']}", json={"body": "x"}).status_code == 403
    assert (
        guest.patch(f"{WIDGETS}/issues/comments/{made.json()['id']}", json={"body": "x"}).json()["body"]
        == "x"
    )
    assert guest.delete(f"{WIDGETS}/issues/comments/{made.json()['id']}").status_code == 204
    assert bot.get(f"{WIDGETS}/issues/{number}").json()["comments"] == 1


def test_comments_go_on_pull_requests_too(bot: httpx.Client) -> None:
    branch = unique("commented")
    commit_on(bot, "acme/widgets", branch)
    number = open_pull(bot, "acme/widgets", branch)["number"]
    assert bot.post(f"{WIDGETS}/issues/{number}/comments", json={"body": "hm"}).status_code == 201
    assert bot.get(f"{WIDGETS}/pulls/{number}").json()["comments"] == 1
    assert bot.post(f"{WIDGETS}/issues/{number}/labels", json={"labels": ["p"]}).json()[0]["name"] == "p"
    assert bot.get(f"{WIDGETS}/pulls/{number}").json()["labels"][0]["name"] == "p"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/issues", {"title": ""}),
        ("/issues", {"title": "x" * 257}),
        ("/issues", {"title": "x", "body": "y" * 65_537}),
        ("/issues", {"title": "x", "labels": [{"color": "red"}]}),
        ("/issues/1/comments", {"body": ""}),
        ("/issues/1/comments", {"body": "y" * 65_537}),
    ],
)
def test_words_that_github_refuses_are_422(bot: httpx.Client, path: str, body: dict[str, object]) -> None:
    answer = bot.post(f"{WIDGETS}{path}", json=body)
    assert (answer.status_code, answer.json()["message"]) == (422, "Validation Failed")


def test_broken_json_is_400_and_a_list_is_422(bot: httpx.Client) -> None:
    assert bot.post(f"{WIDGETS}/issues", content=b"{").status_code == 400
    assert bot.post(f"{WIDGETS}/issues", content=b"[1]").status_code == 422
    assert bot.post(f"{WIDGETS}/issues", content=b"[" * 100_000).status_code == 400


def test_an_issue_that_is_not_there_is_404(bot: httpx.Client) -> None:
    assert bot.get(f"{WIDGETS}/issues/999999").status_code == 404
    assert bot.get(f"{WIDGETS}/issues/{10**30}").status_code == 404
    assert bot.patch(f"{WIDGETS}/issues/999999", json={"state": "closed"}).status_code == 404
