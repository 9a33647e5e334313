"""Pages for people, in which all that anybody wrote is text."""

from __future__ import annotations

import httpx

from tests.github.conftest import WIDGETS, Server, commit_on, open_issue, open_pull, unique

EVIL = "<script>alert(1)</script>\"'&<img src=x onerror=alert(2)>"


def test_an_issue_and_a_pull_request_open_at_their_html_urls(bot: httpx.Client, nobody: httpx.Client) -> None:
    branch = unique("page")
    commit_on(bot, "acme/widgets", branch)
    pull = open_pull(bot, "acme/widgets", branch, title="A change", draft=True)
    page = nobody.get(pull["html_url"])
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert f"Pull request #{pull['number']}: A change" in page.text
    assert "draft pull request, open" in page.text
    assert f"+{branch}" in page.text
    issue = bot.get(f"{WIDGETS}/issues/1").json()
    assert "Adds wrongly" in nobody.get(issue["html_url"]).text


def test_what_people_write_is_never_markup(bot: httpx.Client, nobody: httpx.Client) -> None:
    number = open_issue(bot, title=EVIL, body=EVIL, labels=["<b>"])
    bot.post(f"{WIDGETS}/issues/{number}/comments", json={"body": EVIL})
    branch = unique("evil")
    entry = {"path": "<i>.txt", "mode": "100644", "type": "blob", "content": EVIL}
    tree = bot.post(f"{WIDGETS}/git/trees", json={"base_tree": "HEAD", "tree": [entry]})
    assert tree.status_code == 422
    commit_on(bot, "acme/widgets", branch, path="<i>.txt")
    pull = open_pull(bot, "acme/widgets", branch, title=EVIL, body=EVIL)
    for path in (f"/acme/widgets/issues/{number}", f"/acme/widgets/pull/{pull['number']}", "/acme/widgets"):
        page = nobody.get(path)
        assert "alert(1)" in page.text
        assert "<script" not in page.text
        assert "<img" not in page.text
        assert "<i>" not in page.text
        assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_a_private_page_asks_for_the_token_and_does_not_tell_whether_it_is_there(server: Server) -> None:
    for name in ("acme/secret", "acme/nothing"):
        answer = httpx.get(f"{server.url}/{name}")
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, 'Basic realm="GitHub"')
    assert httpx.get(f"{server.url}/acme/secret", auth=("x", "tok-guest")).status_code == 200
    assert httpx.get(f"{server.url}/acme/nothing", auth=("x", "tok-guest")).status_code == 404


def test_raw_files_and_commits_open_as_plain_text(bot: httpx.Client, nobody: httpx.Client) -> None:
    file = bot.get(f"{WIDGETS}/contents/src/app.py").json()
    raw = nobody.get(file["download_url"])
    assert (raw.headers["Content-Type"], raw.text[:7]) == ("text/plain; charset=utf-8", "def add")
    commit = bot.get(f"{WIDGETS}/commits/trunk").json()
    assert "+# Project" in nobody.get(commit["html_url"]).text


def test_pages_that_are_not_there_are_404(nobody: httpx.Client) -> None:
    for path in (
        "/issues/99999",
        "/pull/99999",
        "/pull/99999.diff",
        "/commit/" + "0" * 40,
        "/pull/" + "f" * 40,
    ):
        assert nobody.get(f"/acme/widgets{path}").status_code == 404, path
