"""What is printed once every issue is accounted for: pull requests, transcripts, diffs, and other outcomes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bzzz_cli.local.outcome import Account
from bzzz_cli.local.report import PullRequestReport

MAX_DIFF_LINES = 120


def print_summary(
    say: Callable[[str], None], accounts: Sequence[Account], pulls: Sequence[PullRequestReport]
) -> None:
    """Print each pull request with its transcript's link and diff, then the issues that ended otherwise."""
    by_url = {pull.url: pull for pull in pulls}
    for account in accounts:
        pull = by_url.get(account.pull_request or "")
        if pull is None or account.discussion is None:
            continue
        issue = f"{account.sight.repository}#{account.sight.number}"
        say("")
        say(f"{issue}  {account.sight.title}")
        say(f"  pull request  {pull.url}  {pull.title}")
        say(f"  by            {account.discussion.claimant}, round {account.discussion.round}")
        say(f"  transcript    {pull.transcript or 'none'}{'' if pull.bundle else f' ({pull.problem})'}")
        lines = pull.diff.splitlines()
        for line in lines[:MAX_DIFF_LINES]:
            say(f"    {line}")
        if len(lines) > MAX_DIFF_LINES:
            say(
                f"    … {len(lines) - MAX_DIFF_LINES} more lines in pr-{pull.number}.diff of the report (--report DIR)"
            )
    others = [a for a in accounts if a.pull_request is None]
    if others:
        say("")
    for account in others:
        issue = f"{account.sight.repository}#{account.sight.number}"
        say(f"{issue}  {account.sight.title}: {_otherwise(account)}")


def _otherwise(account: Account) -> str:
    reason = "" if account.discussion is None else account.discussion.reason
    if not account.eligible:
        return f"not eligible ({account.outcome})"
    if account.outcome is None:
        return "no outcome yet"
    return f"{account.outcome}{f': {reason}' if reason else ''}"
