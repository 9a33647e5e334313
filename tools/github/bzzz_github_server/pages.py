"""Pages for people: a repository, an issue, a pull request. Read-only, and all that anybody wrote is text."""

from __future__ import annotations

import re
from html import escape

from bzzz_github_server import diffs
from bzzz_github_server.accounts import Account
from bzzz_github_server.errors import Refusal, not_found
from bzzz_github_server.githttp import CHALLENGE
from bzzz_github_server.pulls import diff, head_of
from bzzz_github_server.wire import Json, Request, Response
from bzzz_github_server.world import Hosted, World, as_admin

PATH = re.compile(
    r"^/([\w.-]+/[\w.-]+)(?:/(issues|pull|commit|raw)(?:/(\d{1,9}|[0-9a-f]{40})(\.diff|/.*)?)?)?/?$"
)
_NOT_OWNERS = frozenset(
    {
        *("repos", "user", "users", "orgs", "app"),
        *("search", "gists", "notifications", "teams", "enterprises"),
    }
)
"""First parts of the API's own paths."""

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "pre{white-space:pre-wrap;overflow-wrap:anywhere;background:#f4f4f4;color:#111;padding:.75rem}"
)
_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_PLAIN = {**_HEADERS, "Content-Type": "text/plain; charset=utf-8"}


def is_page(request: Request) -> bool:
    """Whether a request is for a page and not for the API."""
    match = PATH.match(request.path)
    owner = request.path.split("/")[1]
    return request.method in ("GET", "HEAD") and match is not None and owner not in _NOT_OWNERS


def page(world: World, request: Request, account: Account | None) -> Response:
    """Answer with a page.

    Raises:
        Refusal: 401 to who has not said who they are (browsers then ask), else 404.
    """
    match = PATH.match(request.path)
    hosted = world.find(match[1]) if match else None
    readable = hosted is not None and world.accounts.access(account, hosted.name, "metadata") != "none"
    if match is None or hosted is None or not readable:
        raise not_found() if account else Refusal(401, "Authentication required.", headers=CHALLENGE)
    kind, name, rest = match[2], match[3], match[4] or ""
    if kind is None or name is None:
        return _overview(world, hosted)
    if kind == "raw" or kind == "commit":
        return _git(hosted, kind, name, rest)
    if len(name) > 9:
        raise not_found()
    if kind == "pull" and rest == ".diff":
        if int(name) not in hosted.states:
            raise not_found()
        return Response(200, diff(hosted, int(name)), _PLAIN)
    return _conversation(world, hosted, int(name))


def _git(hosted: Hosted, kind: str, name: str, rest: str) -> Response:
    commit = hosted.repository.commit(name)
    if commit is None:
        raise not_found()
    if kind == "commit":
        return Response(200, diffs.text(hosted.repository, diffs.parent_of(commit), name), _PLAIN)
    entry = hosted.repository.entry(name, rest.lstrip("/"))
    content = hosted.repository.blob(entry.sha) if entry and entry.kind == "blob" else None
    if content is None:
        raise not_found()
    return Response(200, content, _PLAIN)


def _overview(world: World, hosted: Hosted) -> Response:
    rows = "".join(
        f"<li><a href='{escape(item['html_url'])}'>#{number} {escape(item['title'])}</a> ({_state(item)})</li>"
        for number, item in sorted(hosted.issues.all().items(), reverse=True)
    )
    clone = f"{world.origin}/{hosted.name}.git"
    return _html(
        hosted.name, f"<p>git clone {escape(clone)}</p><h2>Issues and pull requests</h2><ul>{rows}</ul>"
    )


def _conversation(world: World, hosted: Hosted, number: int) -> Response:
    item = hosted.issues.get(number)
    if item is None:
        raise not_found()
    comments: list[Json] = as_admin(world, hosted, "GET", f"/issues/{number}/comments?per_page=100").json()
    labels = ", ".join(label["name"] for label in item["labels"]) or "none"
    assignees = ", ".join(user["login"] for user in item["assignees"]) or "nobody"
    parts = [
        f"<p>{_state(item)}, by {escape(item['user']['login'])}; labels: {escape(labels)}; "
        f"assigned: {escape(assignees)}</p><pre>{escape(item['body'] or '')}</pre>"
    ]
    parts += [
        f"<h2>{escape(comment['user']['login'])} commented</h2><pre>{escape(comment['body'])}</pre>"
        for comment in comments
    ]
    if number in hosted.states:
        text = diff(hosted, number).decode("utf-8", "replace")
        head = head_of(hosted, number)
        parts.append(f"<h2>Changes (head {head})</h2><pre>{escape(text)}</pre>")
    kind = "Pull request" if number in hosted.states else "Issue"
    return _html(f"{kind} #{number}: {item['title']}", "".join(parts))


def _state(item: Json) -> str:
    if "pull_request" not in item:
        return str(item["state"])
    words = "merged" if item["pull_request"]["merged_at"] else item["state"]
    return f"{'draft ' if item.get('draft') else ''}pull request, {words}"


def _html(title: str, body: str) -> Response:
    safe = escape(title)
    text = (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{safe}</title>"
        f"<meta name=viewport content='width=device-width'><style>{_STYLE}</style><h1>{safe}</h1>{body}</html>"
    )
    return Response(200, text.encode("utf-8", "replace"), dict(_HEADERS))
