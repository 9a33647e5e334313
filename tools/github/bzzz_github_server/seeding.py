"""From the configuration to a world: repositories imported, the emulator seeded, people and issues in place."""

from __future__ import annotations

from pathlib import Path

import structlog

from bzzz_github_server import emulator, importing
from bzzz_github_server.accounts import Accounts, at_least
from bzzz_github_server.emulator import ADMIN, Emulator
from bzzz_github_server.errors import SettingsError
from bzzz_github_server.githttp import folder_of
from bzzz_github_server.issues import make_labels, refresh_issue
from bzzz_github_server.settings import Association, IssueSettings, RepositorySettings, Settings
from bzzz_github_server.wire import Json
from bzzz_github_server.world import Hosted, World, accepted

VISITOR = "visitor"
"""Author of issues whose association grants nothing and that name nobody."""

_EMULATED = {"read": "pull", "write": "push", "admin": "admin"}
_ROLES: dict[Association, str] = {"OWNER": "admin", "MEMBER": "write", "COLLABORATOR": "write"}

_log = structlog.get_logger(__name__)


def build(settings: Settings, authority: str) -> World:
    """Make the world; its emulator is running when this returns.

    Raises:
        SettingsError: a source cannot be imported, or a file cannot be read.
        EmulatorError: the emulator does not start.
    """
    names = [repository.name.lower() for repository in settings.repositories]
    if len(set(names)) != len(names):
        raise SettingsError("repositories: expected each name once")
    hosted = {
        repository.name.lower(): _host(repository, settings.state_dir) for repository in settings.repositories
    }
    logins = _logins(settings)
    seed = _seed(settings, logins, hosted)
    running = emulator.start(seed, logins=logins, authority=authority)
    try:
        world = World(f"http://{authority}", running, Accounts(settings), hosted)
        for repository in settings.repositories:
            _people(world, settings, repository)
            _issues(world, settings, repository)
    except BaseException:
        running.close()
        raise
    return world


def _host(settings: RepositorySettings, state_dir: Path) -> Hosted:
    folder = folder_of(state_dir, settings.name)
    repository, branch = importing.make(settings, folder)
    hosted = Hosted(settings.name, repository, branch, settings.private, settings.drafts)
    hosted.refs.replace({ref.name: ref for ref in repository.refs()})
    _log.info("repository_imported", name=settings.name, branch=branch)
    return hosted


def author_of(settings: Settings, issue: IssueSettings) -> str:
    """The login that opens a configured issue."""
    if issue.author:
        return issue.author
    admins = [user.login for user in settings.users if user.permission == "admin"]
    return admins[0] if issue.author_association in _ROLES and admins else VISITOR


def _logins(settings: Settings) -> list[str]:
    """Everybody the emulator has to know, each once."""
    authors = [
        author_of(settings, issue) for repository in settings.repositories for issue in repository.issues
    ]
    return list(dict.fromkeys([*(user.login for user in settings.users), *authors]))


def _seed(settings: Settings, logins: list[str], hosted: dict[str, Hosted]) -> Json:
    owners = dict.fromkeys(repository.name.partition("/")[0] for repository in settings.repositories)
    return {
        "users": [{"login": login, "email": f"{login}@users.noreply.github.com"} for login in logins],
        "orgs": [
            {"login": owner, "members": [{"login": ADMIN, "role": "admin"}]}
            for owner in owners
            if owner not in logins
        ],
        # Its own README is never seen: it is there because emulate opens pull requests on branches only.
        "repos": [
            {
                "owner": repository.name.partition("/")[0],
                "name": repository.name.partition("/")[2],
                "private": repository.private,
                "default_branch": hosted[repository.name.lower()].default_branch,
                "auto_init": True,
            }
            for repository in settings.repositories
        ],
        "apps": [
            {
                "app_id": app.app_id,
                "slug": app.slug,
                "name": app.slug,
                "private_key": _read(app.private_key_file),
                "permissions": dict(app.permissions),
                "events": [],
                "installations": [
                    {
                        "installation_id": app.installation_id,
                        "account": app.account,
                        "repository_selection": "all",
                    }
                ],
            }
            for app in settings.apps
        ],
    }


def _read(path: Path) -> str:
    try:
        return path.read_text("ascii")
    except (OSError, UnicodeDecodeError) as problem:
        raise SettingsError(f"apps: expected a private key in PEM at {path}, got {problem}") from problem


def _people(world: World, settings: Settings, repository: RepositorySettings) -> None:
    """Make everybody a collaborator in the emulator as the configuration says."""
    roles = {user.login: _EMULATED[user.permission] for user in settings.users}
    for issue in repository.issues:
        role = _ROLES.get(issue.author_association)
        author = author_of(settings, issue)
        if role and not at_least(world.accounts.collaborates(author, repository.name), "write"):
            world.accounts.grant(author, repository.name, role)
            roles[author] = _EMULATED[role]
    owner = repository.name.partition("/")[0]
    caller = owner if owner in roles else ADMIN
    for login, role in {**roles, ADMIN: "admin"}.items():
        if login != caller:
            _put(
                world.emulator,
                f"/repos/{repository.name}/collaborators/{login}",
                caller,
                {"permission": role},
            )


def _put(running: Emulator, path: str, login: str, body: Json) -> None:
    accepted(running.call("PUT", path, login=login, body=body))


def _issues(world: World, settings: Settings, repository: RepositorySettings) -> None:
    hosted = world.hosted[repository.name.lower()]
    for issue in repository.issues:
        body = {"title": issue.title, "body": issue.body}
        author = author_of(settings, issue)
        made = accepted(world.emulator.call("POST", f"{hosted.api}/issues", login=author, body=body)).json()
        hosted.associations[int(made["number"])] = issue.author_association
        if issue.labels:
            make_labels(world, hosted, list(issue.labels))
            path, labels = f"{hosted.api}/issues/{made['number']}/labels", list(issue.labels)
            accepted(world.emulator.call("POST", path, login=author, body=labels))
        refresh_issue(world, hosted, int(made["number"]))
