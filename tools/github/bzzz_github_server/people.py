"""Who works on a repository: permissions, collaborators, who can be assigned."""

from __future__ import annotations

from bzzz_github_server.accounts import Access
from bzzz_github_server.errors import Refusal, not_found
from bzzz_github_server.paging import paged
from bzzz_github_server.shapes import tidy
from bzzz_github_server.wire import Json, Response, empty, reply
from bzzz_github_server.world import Call, Route, World, accepted, at_least

_SIMPLE = (
    *(
        "login",
        "id",
        "node_id",
        "avatar_url",
        "gravatar_id",
        "url",
        "html_url",
        "followers_url",
        "following_url",
    ),
    *("gists_url", "starred_url", "subscriptions_url", "organizations_url", "repos_url", "events_url"),
    *("received_events_url", "type", "site_admin", "user_view_type"),
)
_LEGACY: dict[Access, str] = {"maintain": "write", "triage": "read"}
"""`permission` knows four words only; `role_name` tells the role itself."""


def user(world: World, login: str) -> Json:
    """An account, short form.

    Raises:
        Refusal: 404, no such account.
    """
    full: Json = accepted(world.emulator.call("GET", f"/users/{login}")).json()
    return {name: full[name] for name in _SIMPLE if name in full}


def get_permission(world: World, call: Call) -> Response:
    """What a login may do here; everybody may read a public repository."""
    login = call.args[0]
    person = user(world, login)
    role = world.accounts.collaborates(login, call.hosted.name)
    if role == "none" and not call.hosted.private:
        role = "read"
    shape = {**person, "role_name": role, "permissions": permissions(role)}
    return reply({"permission": _LEGACY.get(role, role), "role_name": role, "user": shape})


def permissions(role: Access) -> dict[str, bool]:
    """A role as the booleans of a repository's `permissions`."""
    names: dict[str, Access] = {
        "admin": "admin",
        "maintain": "maintain",
        "push": "write",
        "triage": "triage",
        "pull": "read",
    }
    return {name: at_least(role, level) for name, level in names.items()}


def list_collaborators(world: World, call: Call) -> Response:
    """Everybody who was given a role here."""
    shapes: list[Json] = []
    for login in world.accounts.logins():
        role = world.accounts.collaborates(login, call.hosted.name)
        if role != "none":
            shapes.append({**user(world, login), "role_name": role, "permissions": permissions(role)})
    return paged(call.request, shapes, world.origin)


def is_collaborator(world: World, call: Call) -> Response:
    """204 if the login was given a role here, else 404."""
    if world.accounts.collaborates(call.args[0], call.hosted.name) == "none":
        raise not_found()
    return empty()


def put_collaborator(world: World, call: Call) -> Response:
    """Give a login a role; at once, without an invitation (GitHub: 204 for who is one already)."""
    login = call.args[0]
    user(world, login)
    permission = call.request.json().get("permission", "push")
    if permission not in ("pull", "triage", "push", "maintain", "admin"):
        raise Refusal(422, "Validation Failed")
    body = {"permission": permission}
    accepted(world.emulator.call("PUT", f"{call.hosted.api}/collaborators/{login}", body=body))
    world.accounts.grant(login, call.hosted.name, permission)
    return empty()


def delete_collaborator(world: World, call: Call) -> Response:
    """Take a login's role away."""
    login = call.args[0]
    accepted(world.emulator.call("DELETE", f"{call.hosted.api}/collaborators/{login}"))
    world.accounts.grant(login, call.hosted.name, "none")
    return empty()


def list_assignees(world: World, call: Call) -> Response:
    """Who can be assigned."""
    logins = [
        login for login in world.accounts.logins() if world.accounts.assignable(login, call.hosted.name)
    ]
    return paged(call.request, [user(world, login) for login in logins], world.origin)


def is_assignee(world: World, call: Call) -> Response:
    """204 if the login can be assigned, else 404."""
    if not world.accounts.assignable(call.args[0], call.hosted.name):
        raise not_found()
    return empty()


def get_caller(world: World, login: str) -> Response:
    """`GET /user`."""
    return reply(tidy(accepted(world.emulator.call("GET", "/user", login=login)).json()))


ROUTES = (
    Route("GET", r"/collaborators", list_collaborators, "metadata", "write"),
    Route("GET", r"/collaborators/([^/]+)/permission", get_permission, "metadata", signed_in=True),
    Route("GET", r"/collaborators/([^/]+)", is_collaborator, "metadata", "write"),
    Route("PUT", r"/collaborators/([^/]+)", put_collaborator, "metadata", "admin"),
    Route("DELETE", r"/collaborators/([^/]+)", delete_collaborator, "metadata", "admin"),
    Route("GET", r"/assignees", list_assignees, "issues"),
    Route("GET", r"/assignees/([^/]+)", is_assignee, "issues"),
)
