"""The emulator's JSON made like GitHub's: what it lacks is added, what it gets wrong is put right."""

from __future__ import annotations

import re
from typing import Any, cast

from bzzz_github_server.wire import Json
from bzzz_github_server.world import Hosted, World, as_admin

_FRACTION = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.\d+Z$")

_ONLY_ALONE = (
    "merged",
    "mergeable",
    "rebaseable",
    "mergeable_state",
    "merged_by",
    "comments",
    "review_comments",
    "maintainer_can_modify",
    "commits",
    "additions",
    "deletions",
    "changed_files",
)
"""Fields of a pull request that lists leave out."""


def tidy(value: Any) -> Any:
    """Whole seconds in all `*_at` fields, as GitHub has them; everything else as it is."""
    if isinstance(value, list):
        return [tidy(item) for item in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    fields = cast("Json", value)
    return {
        name: _FRACTION.sub(r"\1Z", field) if name.endswith("_at") and isinstance(field, str) else tidy(field)
        for name, field in fields.items()
    }


def repository_shape(world: World, hosted: Hosted) -> Json:
    """`full-repository` without `permissions`, which depend on the caller."""
    shape: Json = tidy(as_admin(world, hosted, "GET", "").json())
    shape.pop("permissions", None)
    shape["owner"] = owner_shape(shape["owner"])
    shape["git_refs_url"] = f"{shape['url']}/git/refs{{/sha}}"
    # Computed by emulate from its own idea of the files; ours are in the bare repository.
    shape["language"] = None
    shape["allow_rebase_merge"] = False
    shape["pushed_at"] = hosted.pushed_at or shape["created_at"]
    shape["network_count"] = shape["subscribers_count"] = 0
    return shape


def owner_shape(owner: Json) -> Json:
    """An owner as `simple-user`: emulate shows organisations in a form that GitHub has elsewhere."""
    page, api = owner["html_url"], owner["url"].replace("/orgs/", "/users/")
    links = {
        "followers_url": f"{api}/followers",
        "following_url": f"{api}/following{{/other_user}}",
        "gists_url": f"{api}/gists{{/gist_id}}",
        "starred_url": f"{api}/starred{{/owner}}{{/repo}}",
        "subscriptions_url": f"{api}/subscriptions",
        "organizations_url": f"{api}/orgs",
        "repos_url": f"{api}/repos",
        "events_url": f"{api}/events{{/privacy}}",
        "received_events_url": f"{api}/received_events",
    }
    same = ("login", "id", "node_id", "avatar_url", "type", "site_admin", "user_view_type")
    return {**{name: owner[name] for name in same}, "gravatar_id": "", "url": api, "html_url": page, **links}


def issue_shape(hosted: Hosted, shape: Json) -> Json:
    """`issue`, with the association that the configuration gives its author."""
    association = hosted.associations.get(shape["number"])
    return {**tidy(shape), **({"author_association": association} if association else {})}


def pull_as_issue(pull: Json) -> Json:
    """A pull request as the issue endpoints show it."""
    issue = pull["issue_url"]
    same = (
        *("html_url", "id", "node_id", "number", "title", "user", "labels", "state", "locked"),
        *("active_lock_reason", "assignee", "assignees", "milestone", "comments", "created_at", "updated_at"),
        *("closed_at", "author_association", "body", "draft"),
    )
    return {
        "url": issue,
        "repository_url": issue.rpartition("/issues/")[0],
        "labels_url": f"{issue}/labels{{/name}}",
        "comments_url": f"{issue}/comments",
        "events_url": f"{issue}/events",
        "timeline_url": f"{issue}/timeline",
        **{name: pull.get(name) for name in same},
        "state_reason": None,
        "closed_by": pull.get("merged_by"),
        "performed_via_github_app": None,
        "reactions": _no_reactions(issue),
        "pull_request": {
            name: pull[name] for name in ("url", "html_url", "diff_url", "patch_url", "merged_at")
        },
    }


def _no_reactions(issue: str) -> Json:
    names = ("+1", "-1", "laugh", "confused", "heart", "hooray", "eyes", "rocket")
    return {"url": f"{issue}/reactions", "total_count": 0, **dict.fromkeys(names, 0)}


def pull_in_list(pull: Json) -> Json:
    """`pull-request-simple`: what a list shows of a pull request."""
    return {name: value for name, value in pull.items() if name not in _ONLY_ALONE}
