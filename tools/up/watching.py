"""Looking at the hive from outside, with the eyes of `bzzz local`: issues, discussions, evidence."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trio
from rich.console import Console

from bzzz_cli.local.config import Folders
from bzzz_cli.local.hive import RunningHive
from bzzz_cli.local.outcome import Account, all_final, exit_code
from bzzz_cli.local.plan import HivePlan, LocalOptions, make_plan
from bzzz_cli.local.report import PullRequestReport, write_report
from bzzz_cli.local.summary import print_summary
from bzzz_cli.local.table import display, now_utc, rows_of
from bzzz_cli.local.watch import HiveWatch, watching
from tools.up.github_pod import ACCOUNT

LOOK_S: Final = 0.5


@dataclass(frozen=True)
class Outside:
    """Where the hive's parts are reached from this machine."""

    manifest: Path
    scribe_url: str
    github_url: str
    token_file: Path
    hive_key: str
    folder: Path
    """For the report: pull requests, diffs, bundles."""


def plan_of(manifest: Path) -> HivePlan:
    """Return what a manifest asks for. Raises ManifestError, UsageError."""
    return make_plan(LocalOptions(manifest=manifest), environ={})


def hive_of(outside: Outside) -> RunningHive:
    """Return the hive as `bzzz local` names one that is up."""
    return RunningHive(
        scribe_url=outside.scribe_url,
        api_url=outside.github_url,
        github_token_file=outside.token_file,
        hive_key=outside.hive_key,
        accounts=frozenset({ACCOUNT}),
        folders=Folders(state=outside.folder, scratch=outside.folder),
    )


async def watch(outside: Outside, console: Console, *, once: bool, timeout_s: float) -> int:
    """Show the hive at work; with `once` until every issue has an outcome.

    Returns 0 when all have one and all evidence verifies, 1 otherwise.
    """
    plan, started = plan_of(outside.manifest), trio.current_time()
    names = tuple(agent.node_id for agent in plan.agents)
    accounts: tuple[Account, ...] | None = None
    with display(console) as shown:
        async with watching(plan, hive_of(outside)) as hive:
            while True:
                accounts = await hive.look()
                shown.show(rows_of(hive.state, names, now_utc()))
                over = trio.current_time() - started > timeout_s
                if accounts is not None and all_final(accounts) and (once or over):
                    break
                if once and over:
                    shown.say(
                        f"not every issue is settled after {timeout_s:.0f} s; trouble: {hive.trouble or 'none'}"
                    )
                    break
                await trio.sleep(LOOK_S)
            return await _conclude(outside, shown.say, hive, accounts or (), trio.current_time() - started)


async def _conclude(
    outside: Outside,
    say: Callable[[str], None],
    hive: HiveWatch,
    accounts: tuple[Account, ...],
    seconds: float,
) -> int:
    pulls = await hive.pull_requests(accounts)
    print_summary(say, accounts, pulls)
    write_report(outside.folder, accounts, pulls, outside.hive_key, seconds)
    say("")
    bad = [pull for pull in pulls if not verified(outside, pull, say)]
    return 1 if bad or not accounts else exit_code(accounts)


def verified(outside: Outside, pull: PullRequestReport, say: Callable[[str], None]) -> bool:
    """Check a reported pull request's evidence as anybody would: with the pinned key and nothing of the hive's."""
    folder, number = outside.folder, pull.number
    argv = [str(Path(sys.executable).parent / "bzzz"), "verify"]
    argv += ["--bundle", str(folder / f"bundle-{number}.json"), "--pr", str(folder / f"pr-{number}.json")]
    argv += ["--diff", str(folder / f"pr-{number}.diff"), "--hive-key", outside.hive_key]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)
    word = "evidence verifies" if done.returncode == 0 else f"evidence FAILS: {done.stdout}{done.stderr}"
    say(f"#{number}  {word}")
    return done.returncode == 0
