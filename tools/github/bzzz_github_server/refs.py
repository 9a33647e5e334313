"""REST's git references: create-if-absent and fast-forward-only, decided by git itself.

The claim protocol rests on these two (docs/local-github.md), so they are compare-and-set on the bare
repository and not a check before a write.
"""

from __future__ import annotations

from bzzz_github_server import git
from bzzz_github_server.errors import Refusal, not_found
from bzzz_github_server.formats import Formats
from bzzz_github_server.pulls import follow_refs
from bzzz_github_server.repository import SHA, Ref
from bzzz_github_server.wire import Response, empty, reply
from bzzz_github_server.world import Call, Route, World


def get_ref(world: World, call: Call) -> Response:
    """One reference; the name as GitHub takes it, without `refs/`."""
    name = _full(call.args[0])
    ref = call.hosted.refs.get(name, call.lag_s) if call.lag_s else call.hosted.repository.ref(name)
    if ref is None:
        raise not_found()
    return reply(Formats(world.origin, call.hosted.name).ref(ref))


def matching_refs(world: World, call: Call) -> Response:
    """All references that begin with the name, which need not end at a slash. GitHub does not page these."""
    prefix = _full(call.args[0])
    if call.lag_s:
        past = call.hosted.refs.all(call.lag_s)
        found = [past[name] for name in sorted(past) if name.startswith(prefix)]
    else:
        found = call.hosted.repository.refs(prefix)
    formats = Formats(world.origin, call.hosted.name)
    return reply([formats.ref(ref) for ref in found])


def create_ref(world: World, call: Call) -> Response:
    """Create a reference if there is none of this name: of many callers one gets 201."""
    body = call.request.json()
    name, sha = body.get("ref"), body.get("sha")
    repository = call.hosted.repository
    if not isinstance(name, str) or name.count("/") < 2 or not repository.valid_ref_name(name):
        raise Refusal(422, "Reference name must start with 'refs/' and be a valid git reference name.")
    if name.startswith("refs/pull/"):
        raise Refusal(422, "Reference cannot be created: refs/pull is read-only.")
    ref = Ref(name, *_object(call, sha))
    if not repository.move_ref(name, ref.sha, git.ZERO):
        raise Refusal(422, "Reference already exists")
    follow_refs(world, call.hosted)
    return reply(Formats(world.origin, call.hosted.name).ref(ref), 201)


def update_ref(world: World, call: Call) -> Response:
    """Move a reference: forward only, unless `force`."""
    body = call.request.json()
    name = _full(call.args[0])
    repository = call.hosted.repository
    sha, kind = _object(call, body.get("sha"))
    while True:
        now = repository.ref(name)
        if now is None or name.startswith("refs/pull/"):
            raise Refusal(422, "Reference does not exist")
        if body.get("force") is not True and not repository.is_ancestor(now.sha, sha):
            raise Refusal(422, "Update is not a fast forward")
        if repository.move_ref(name, sha, now.sha):
            break
        # Somebody moved it between our look and our write: look again, it may no longer be a fast-forward.
    follow_refs(world, call.hosted)
    return reply(Formats(world.origin, call.hosted.name).ref(Ref(name, sha, kind)))


def delete_ref(world: World, call: Call) -> Response:
    """Delete a reference, whatever it points to."""
    name = _full(call.args[0])
    if name == f"refs/heads/{call.hosted.default_branch}":
        raise Refusal(422, "Cannot delete the default branch")
    now = call.hosted.repository.ref(name)
    if now is None or name.startswith("refs/pull/"):
        raise Refusal(422, "Reference does not exist")
    call.hosted.repository.move_ref(name, git.ZERO, now.sha)
    follow_refs(world, call.hosted)
    return empty()


def _full(name: str) -> str:
    return name if name.startswith("refs/") else f"refs/{name}"


def _object(call: Call, sha: object) -> tuple[str, str]:
    """The commit or tag that a request names.

    Raises:
        Refusal: 422, malformed or missing.
    """
    if not isinstance(sha, str) or not SHA.match(sha):
        raise Refusal(422, "The sha parameter must be exactly 40 characters and contain only [0-9a-f].")
    kind = call.hosted.repository.kind(sha)
    if kind not in ("commit", "tag"):
        raise Refusal(422, "Object does not exist")
    return sha, kind


ROUTES = (
    Route("GET", r"/git/refs?/(.+)", get_ref, "contents"),
    Route("GET", r"/git/matching-refs/(.+)", matching_refs, "contents"),
    Route("POST", r"/git/refs", create_ref, "contents", "write"),
    Route("PATCH", r"/git/refs/(.+)", update_ref, "contents", "write"),
    Route("DELETE", r"/git/refs/(.+)", delete_ref, "contents", "write"),
)
