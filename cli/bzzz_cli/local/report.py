"""`--report DIR`: everything needed to check the run after the hive is gone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from bzzz_agent.github.client import GitHubClient
from bzzz_cli.local.outcome import Account
from bzzz_cli.local.status import ScribeClient, StatusError
from hmmm.errors import EvidenceError
from hmmm.evidence import parse_evidence_block

DIFF = "application/vnd.github.diff"


@dataclass(frozen=True)
class PullRequestReport:
    """A pull request with its evidence, as far as each could be had."""

    number: int
    url: str
    title: str
    api: dict[str, Any]
    diff: str
    transcript: str | None
    bundle: bytes | None
    problem: str = ""
    """Why something is missing."""


async def gather(client: GitHubClient, scribe: ScribeClient, account: Account) -> PullRequestReport | None:
    """Fetch an issue's pull request, diff and evidence bundle; None where there is no pull request.

    What cannot be had is left out and named in `problem`. Raises GitHubError when GitHub cannot be read.
    """
    url = account.pull_request
    if url is None:
        return None
    number = int(url.rstrip("/").rpartition("/")[2])
    path = f"/repos/{account.sight.repository}/pulls/{number}"
    api = (await client.request("GET", path, kind="pull.read")).data
    diff = (await client.request("GET", path, kind="pull.diff", accept=DIFF)).text
    fields = cast("dict[str, Any]", api) if isinstance(api, dict) else {}
    transcript, problem = transcript_link(str(fields.get("body") or ""))
    bundle = None
    if transcript is not None:
        try:
            bundle = await scribe.read(f"{transcript}/bundle.json")
        except StatusError as error:
            problem = str(error)
    title = str(fields.get("title", ""))
    return PullRequestReport(number, url, title, fields, diff, transcript, bundle, problem)


def transcript_link(body: str) -> tuple[str | None, str]:
    """Return the transcript's link in a pull request's text, or why there is none."""
    try:
        return parse_evidence_block(body).transcript_url, ""
    except EvidenceError as error:
        return None, str(error)


def write_report(
    folder: Path,
    accounts: Sequence[Account],
    pulls: Sequence[PullRequestReport],
    hive_key: str,
    seconds: float,
) -> None:
    """Write report.json and, for each pull request N, pr-N.json, pr-N.diff and bundle-N.json."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "report.json", report_of(accounts, hive_key, seconds))
    for pull in pulls:
        _write(folder / f"pr-{pull.number}.json", pull.api)
        (folder / f"pr-{pull.number}.diff").write_text(pull.diff, encoding="utf-8")
        if pull.bundle is not None:
            (folder / f"bundle-{pull.number}.json").write_bytes(pull.bundle)


def report_of(accounts: Sequence[Account], hive_key: str, seconds: float) -> dict[str, Any]:
    """Return the content of report.json."""
    eligible = [account for account in accounts if account.eligible]
    return {
        "hiveKey": hive_key,
        "seconds": round(seconds, 3),
        "issues": [_issue(account) for account in accounts],
        "totals": {
            "issues": len(accounts),
            "eligible": len(eligible),
            "pullRequests": sum(account.pull_request is not None for account in eligible),
            "otherOutcomes": sum(a.outcome is not None and a.pull_request is None for a in eligible),
            "unaccounted": sum(account.outcome is None for account in eligible),
        },
    }


def _issue(account: Account) -> dict[str, Any]:
    sight, discussion = account.sight, account.discussion
    entry: dict[str, Any] = {
        "repository": sight.repository,
        "number": sight.number,
        "title": sight.title,
        "eligible": account.eligible,
        "outcome": account.outcome,
        "reason": "" if discussion is None else discussion.reason,
        "claimant": None,
        "epoch": None,
        "rounds": 0,
        "objections": [],
        "phaseTimestamps": {},
        "pullRequest": account.pull_request,
        "logKey": None,
        "range": None,
    }
    if discussion is not None:
        entry |= {
            "claimant": discussion.claimant,
            "epoch": discussion.epoch,
            "rounds": discussion.round,
            "objections": list(discussion.objections),
            "phaseTimestamps": discussion.phase_timestamps,
            "logKey": discussion.log_key,
            "range": [discussion.first_seq, discussion.last_seq],
        }
    return entry


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
