"""One run of `bzzz local`: bring the hive up, show it at work, say what became of every issue, stop it."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, cast

import trio
from rich.console import Console

from bzzz_cli.errors import EXIT_FAILED, UsageError
from bzzz_cli.local.config import Folders
from bzzz_cli.local.hive import LocalHive, RunningHive
from bzzz_cli.local.keeper import run_kept
from bzzz_cli.local.outcome import Account, all_final, exit_code
from bzzz_cli.local.plan import HIVE, HivePlan, LocalOptions
from bzzz_cli.local.processes import Event, Supervisor
from bzzz_cli.local.report import write_report
from bzzz_cli.local.signals import cancel_on_signals
from bzzz_cli.local.summary import print_summary
from bzzz_cli.local.table import Display, display, now_utc, rows_of
from bzzz_cli.local.watch import HiveWatch, watching
from hmmm.errors import BzzzError

REFRESH_S: Final = 0.5
LAST_LOOK_S: Final = 20.0
"""Longest time for the summary and report of a run that was told to stop."""
INTERRUPTED: Final = 130
FAILED: Final = "failed"
"""A file in the state folder that marks a run that ended by an error."""


def run_local(options: LocalOptions, plan: HivePlan, complain: Callable[[BaseException], int]) -> int:
    """Run a local hive until it is told to stop, or with `once` until every issue is accounted for.

    Returns the exit code, which is `complain`'s for an error of the run. Raises UsageError for a state folder that
    cannot be used.
    """
    state, temporary = _state_folder(options, plan)
    with _locked(state):
        # A local GitHub server forgets its issues when it ends; old logs would speak of others of the same number.
        if plan.github_token is None and (state / "agents").exists():
            raise UsageError(f"--state {state}: expected a new folder for a hive on the local GitHub server")
        folders = Folders(state=state, scratch=Path(tempfile.mkdtemp(prefix="bzzz-")))

        def work() -> int:
            try:
                return trio.run(_Run(options, plan, folders).main)
            except (BzzzError, BaseExceptionGroup) as error:
                (state / FAILED).touch()
                return complain(_cause_of(error))
            finally:
                _clean_up(folders, temporary)

        try:
            return run_kept(work)
        finally:
            _clean_up(folders, temporary)  # again, for a run that was killed cleaned up nothing


@contextmanager
def _locked(state: Path) -> Generator[None]:
    """Hold a state folder for this process. Raises UsageError if another local hive runs on it."""
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (state / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UsageError(
                f"{state}: another local hive runs on this folder; stop it, or give --state"
            ) from error
        yield


def _clean_up(folders: Folders, temporary: bool) -> None:
    """Remove what is not to stay; after a failure the logs do, because its message names them."""
    shutil.rmtree(folders.scratch, ignore_errors=True)
    if temporary and not (folders.state / FAILED).exists():
        shutil.rmtree(folders.state, ignore_errors=True)


def _state_folder(options: LocalOptions, plan: HivePlan) -> tuple[Path, bool]:
    """Return the folder, and whether it is removed at the end."""
    if options.state is not None:
        return options.state.resolve(), False
    if plan.github_token is None:
        return Path(tempfile.mkdtemp(prefix="bzzz-state-")), not options.keep
    home = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(home) / "bzzz" / HIVE, False


class _Run:
    def __init__(self, options: LocalOptions, plan: HivePlan, folders: Folders) -> None:
        self._options = options
        self._plan = plan
        self._folders = folders
        self._started = time.monotonic()
        self._accounts: tuple[Account, ...] | None = None
        self._told: set[str] = set()
        self._trouble = ""

    async def main(self) -> int:
        """Bring up, watch, and whatever happens: stop."""
        code = INTERRUPTED if self._options.once else 0
        with display(Console()) as shown:
            async with trio.open_nursery() as nursery:
                supervisor = Supervisor(
                    nursery,
                    self._folders.logs,
                    process_file=self._folders.state / "processes.json",
                    on_event=lambda event: _tell(shown.say, event),
                )
                try:
                    with trio.CancelScope() as work:
                        cancel_on_signals(work)
                        code = await self._work(shown, supervisor)
                finally:
                    await supervisor.stop()
                nursery.cancel_scope.cancel()
        return code

    async def _work(self, shown: Display, supervisor: Supervisor) -> int:
        hive = await LocalHive(self._options, self._plan, self._folders, supervisor).bring_up()
        _greet(shown, self._plan, self._folders, hive)
        async with watching(self._plan, hive) as watch:
            try:
                return await self._watch(shown, watch, hive)
            finally:
                with trio.move_on_after(LAST_LOOK_S, shield=True):
                    await self._conclude(shown, watch, hive, last=True)

    async def _watch(self, shown: Display, watch: HiveWatch, hive: RunningHive) -> int:
        names = tuple(agent.node_id for agent in self._plan.agents)
        deadline = self._started + self._options.timeout.total_seconds()
        while True:
            self._accounts = await watch.look()
            shown.show(rows_of(watch.state, names, now_utc()))
            self._say_trouble(shown, watch)
            if self._accounts is not None and all_final(self._accounts):
                if self._options.once:
                    return exit_code(self._accounts)
                await self._conclude(shown, watch, hive)
            if self._options.once and time.monotonic() > deadline:
                shown.say(
                    f"not every issue is settled after {self._options.timeout.total_seconds():g} s (--timeout)"
                )
                return exit_code(self._accounts) if self._accounts is not None else EXIT_FAILED
            await trio.sleep(REFRESH_S)

    async def _conclude(
        self, shown: Display, watch: HiveWatch, hive: RunningHive, *, last: bool = False
    ) -> None:
        """Print what is new since the last time, and write the report when something is, or at the end."""
        found = self._accounts or ()
        news = tuple(a for a in found if _news_of(a) not in self._told)
        if not news and not last:
            return
        pulls = await watch.pull_requests(found)
        self._say_trouble(shown, watch)
        self._told |= {_news_of(account) for account in news}
        print_summary(shown.say, news, pulls)
        if self._options.report is not None:
            write_report(self._options.report, found, pulls, hive.hive_key, time.monotonic() - self._started)
            if last:
                shown.say(f"report: {self._options.report}")

    def _say_trouble(self, shown: Display, watch: HiveWatch) -> None:
        if watch.trouble and watch.trouble != self._trouble:
            shown.say(f"note: {watch.trouble}")
        self._trouble = watch.trouble


def _news_of(account: Account) -> str:
    sight = account.sight
    return f"{sight.repository}#{sight.number} {account.outcome} {account.pull_request}"


def _greet(shown: Display, plan: HivePlan, folders: Folders, hive: RunningHive) -> None:
    shown.say(f"hive of {len(plan.agents)} agents on {', '.join(plan.repositories)}")
    shown.say(f"  GitHub  {hive.api_url}{'' if plan.github_token else ' (local, of this run)'}")
    shown.say(f"  scribe  {hive.scribe_url}")
    shown.say(f"  hive key {hive.hive_key}")
    shown.say(f"  state   {folders.state}")
    for notice in plan.notices:
        shown.say(f"note: {notice}")
    if plan.github_token is not None:
        shown.say("note: transcript links open on this machine only, as long as this runs")
        shown.say(
            "note: for `bzzz verify`, commit the hive key above to .bzzz/hive.pub of the default branch"
        )


def _tell(say: Callable[[str], None], event: Event) -> None:
    if event.what in {"died", "restarted", "killed"}:
        say(f"{event.name}: {event.what}{f' ({event.detail})' if event.detail else ''}")


def _cause_of(error: BaseException) -> BaseException:
    """Return the first error of ours in a group, so that the user reads a sentence instead of a tree."""
    return next((found for found in _leaves_of(error) if isinstance(found, BzzzError)), error)


def _leaves_of(error: BaseException) -> Iterator[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        yield error
        return
    for inner in cast("tuple[BaseException, ...]", error.exceptions):  # pyright: ignore[reportUnknownMemberType]
        yield from _leaves_of(inner)
