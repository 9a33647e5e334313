"""One request from its arrival to its answer: who asks, limits, faults, the handler, the ETag, the record."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import IO

import structlog
from pydantic import ValidationError

from bzzz_github_server import githttp, pages, people, routing
from bzzz_github_server.accounts import Account
from bzzz_github_server.errors import EmulatorError, GitError, Refusal, not_found
from bzzz_github_server.faults import Faults, FaultSettings, Outcome
from bzzz_github_server.githttp import Stream
from bzzz_github_server.limits import SECONDARY, Limits
from bzzz_github_server.recorder import Recorder
from bzzz_github_server.shapes import tidy
from bzzz_github_server.wire import Request, Response, refuse, reply
from bzzz_github_server.world import World, accepted

_INSTALLATION_TOKEN = re.compile(r"^/app/installations/(\d{1,15})/access_tokens$")
_PASSED_ON = re.compile(r"^/(?:users/[^/]+(?:/repos|/orgs)?|orgs/[^/]+(?:/members)?|user/(?:repos|orgs))$")
_MISSING = re.compile(r"^/(?:graphql|search|notifications|gists|markdown|teams|enterprises)(?:/.*)?$")
_APP = re.compile(r"^/app(?:/.*)?$|^/(?:repos/[^/]+/[^/]+|orgs/[^/]+|users/[^/]+)/installation$")

_ALWAYS = {
    "X-GitHub-Media-Type": "github.v3; format=json",
    "X-Content-Type-Options": "nosniff",
    "Vary": "Accept, Authorization",
}
_log = structlog.get_logger(__name__)


class Dropped(Exception):  # noqa: N818 - an order to close the connection, no error
    """Close the connection without an answer."""


@dataclass
class Gateway:
    """Everything between a socket and an answer."""

    world: World
    limits: Limits
    faults: Faults
    recorder: Recorder

    def answer(self, request: Request) -> Response:
        """Answer a REST request or a page.

        Raises:
            Dropped: a fault wants the connection closed.
        """
        if request.path == "/healthz":
            return reply({"ok": True})
        if request.path == "/_faults":
            return self._guarded(lambda: self._change_faults(request))
        if pages.is_page(request):
            return self._guarded(lambda: pages.page(self.world, request, self._caller(request)))
        outcome = self.faults.draw(request, "rest")
        login: list[str] = []
        response = self._rest(request, outcome, login)
        response.headers.update({**_ALWAYS, **response.headers})
        if outcome.lost is not None:
            response = refuse(Refusal(outcome.lost, "Server Error"))
        self.recorder.write(request, response, login=login[0] if login else None, faults=outcome.kinds)
        if outcome.drop or outcome.drop_answer:
            raise Dropped
        return response

    def git(self, request: Request, body: IO[bytes], size: int) -> Response | Stream:
        """Answer a git request.

        Raises:
            Dropped: a fault wants the connection closed.
        """
        outcome = self.faults.draw(request, "git")
        time.sleep(outcome.delay_s)
        if outcome.drop:
            raise Dropped
        if outcome.refusal is not None:
            return _plain(_refusal(outcome))
        try:
            stream = githttp.serve(self.world, request, body, size, self._git_caller(request))
        except Refusal as refusal:
            return _plain(refusal)
        except GitError as problem:
            _log.error("git_failed", path=request.path, problem=str(problem))
            return _plain(Refusal(500, "Internal Server Error"))
        if outcome.lost is None and not outcome.drop_answer:
            return stream
        for _ in stream.chunks():
            pass
        if outcome.drop_answer:
            raise Dropped
        return _plain(Refusal(outcome.lost or 502, "Bad Gateway"))

    # ---- steps --------------------------------------------------------------------------------------------

    def _rest(self, request: Request, outcome: Outcome, login: list[str]) -> Response:
        time.sleep(outcome.delay_s)
        if outcome.drop:
            return Response(502)
        if outcome.refusal is not None:
            return refuse(_refusal(outcome))
        account: Account | None = None
        try:
            # An app's JSON web token is the emulator's to check.
            account = None if _APP.match(request.path) else self._caller(request)
        except Refusal as refusal:
            return refuse(refusal)
        caller, anonymous = (account.login, False) if account else ("anonymous", True)
        login.append(caller)
        if request.path == "/rate_limit":
            return reply(self.limits.describe(caller, anonymous=anonymous))
        try:
            writes = request.method not in ("GET", "HEAD")
            self.limits.admit(caller, anonymous=anonymous, writes=writes)
        except Refusal as refusal:
            return refuse(refusal)
        response = self._guarded(lambda: self._route(request, account, outcome.lag_s))
        response = _conditional(request, response)
        free = response.status == 304 and not anonymous
        response.headers.update(self.limits.charge(caller, anonymous=anonymous, free=free))
        return response

    def _caller(self, request: Request) -> Account | None:
        return self.world.accounts.authenticate(request.headers.get("authorization", ""))

    def _git_caller(self, request: Request) -> Account | None:
        try:
            return self._caller(request)
        except Refusal as refusal:
            raise Refusal(401, refusal.message, headers=githttp.CHALLENGE) from refusal

    def _guarded(self, handle: Callable[[], Response]) -> Response:
        """Run a handler; its refusals and our own failures become answers."""
        try:
            return handle()
        except Refusal as refusal:
            return refuse(refusal)
        except (EmulatorError, GitError) as problem:
            _log.error("request_failed", problem=str(problem))
        except Exception:
            _log.exception("request_failed")
        return refuse(Refusal(500, "Internal Server Error"))

    def _route(self, request: Request, account: Account | None, lag_s: float) -> Response:
        if _APP.match(request.path):
            return self._app(request)
        if request.path.startswith("/repos/"):
            return routing.dispatch(self.world, request, account, lag_s)
        if request.path == "/user" and request.method in ("GET", "HEAD"):
            if account is None:
                raise Refusal(401, "Requires authentication")
            if account.is_app:
                raise Refusal(403, "Resource not accessible by integration")
            return people.get_caller(self.world, account.login)
        if _PASSED_ON.match(request.path) and request.method in ("GET", "HEAD"):
            login = account.login if account and not account.is_app else "admin"
            answer = accepted(self.world.emulator.call("GET", request.target, login=login))
            return replace(reply(tidy(answer.json())), status=answer.status)
        if request.path == "/" and request.method in ("GET", "HEAD"):
            return reply(
                {
                    "current_user_url": f"{self.world.origin}/user",
                    "rate_limit_url": f"{self.world.origin}/rate_limit",
                }
            )
        if _MISSING.match(request.path):
            raise Refusal(
                501, f"The local GitHub server does not supply {request.path} (docs/local-github.md)."
            )
        raise not_found()

    def _app(self, request: Request) -> Response:
        """GitHub Apps are the emulator's: it checks their JSON web tokens and makes installation tokens."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() not in ("bearer", "token") or not token:
            raise Refusal(401, "A JSON web token could not be decoded")
        answer = self.world.emulator.forward(
            request.method, request.target, request.body, token=token.strip()
        )
        made = _INSTALLATION_TOKEN.match(request.path)
        if made and answer.status == 201:
            self.world.accounts.remember_installation(int(made[1]), answer.json())
        return reply(tidy(answer.json()), answer.status)

    def _change_faults(self, request: Request) -> Response:
        """`GET /_faults` shows the rules and how often they bit, `PUT` replaces them. Administrators only."""
        account = self._caller(request)
        if account is None or not account.admin:
            raise Refusal(401 if account is None else 403, "Administrators of the local server only")
        if request.method == "PUT":
            try:
                self.faults.replace(FaultSettings.model_validate_json(request.body or b"{}"))
            except ValidationError as problem:
                lines = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in problem.errors())
                raise Refusal(422, lines) from problem
        elif request.method not in ("GET", "HEAD"):
            raise Refusal(405, "Expected GET or PUT")
        return reply(self.faults.describe())


def _refusal(outcome: Outcome) -> Refusal:
    """The refusal that a fault wants said."""
    rule = outcome.refusal
    if rule is None:  # pragma: no cover - callers checked
        raise ValueError("no rule refuses")
    wait = {"Retry-After": str(max(1, round(rule.seconds)))}
    if rule.kind == "secondaryLimit":
        return Refusal(403, SECONDARY, headers=wait)
    if rule.kind == "tooManyRequests":
        return Refusal(429, "Too many requests", headers=wait)
    return Refusal(rule.status, "Server Error")


def _plain(refusal: Refusal) -> Response:
    """A refusal as git clients show it."""
    headers = {"Content-Type": "text/plain; charset=utf-8", **refusal.headers}
    return Response(refusal.status, refusal.message.encode() + b"\n", headers)


def _conditional(request: Request, response: Response) -> Response:
    """Give a good answer to GET its ETag, and 304 to who has it already."""
    if request.method not in ("GET", "HEAD") or response.status != 200:
        return response
    etag = f'W/"{hashlib.sha256(response.body).hexdigest()}"'
    headers = {**response.headers, "ETag": etag, "Cache-Control": "private, max-age=60, s-maxage=60"}
    known = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    if etag.removeprefix("W/") in known or "*" in known:
        return Response(304, b"", headers)
    return replace(response, headers=headers)
