"""The transcript page that a pull request links to: rendered here, readable without a script.

Everything that agents, models, humans or issues wrote is text: autoescape is on for every template, nothing is
marked safe, and no address is made a link but the pull request's, checked to be http(s).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from importlib import resources
from typing import Any, Final
from urllib.parse import urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined

from bzzz_scribe.bundles import SignedStatement, covered
from bzzz_scribe.logbook import Seal
from bzzz_scribe.store import Document
from hmmm.discussion import Discussion
from hmmm.meta import Objection
from hmmm.observer import Entry
from hmmm.transcript import transcript_view

STYLE: Final = resources.files("bzzz_scribe").joinpath("static", "scribe.css").read_bytes()

KINDS: Final = {
    "plan_proposed": "proposed a plan",
    "plan_revised": "revised the plan",
    "reviewing": "is reviewing",
    "no_objection": "has no objection",
    "objection": "objected",
    "suggestion": "suggested",
    "clarification_needed": "asked",
    "answer": "answered",
    "round_closed": "closed the round",
    "countersigned": "countersigned the account of the round",
    "execution_started": "began to execute",
    "execution_finished": "finished executing",
    "task_help_request": "asked for help",
    "task_help_response": "answered the request for help",
    "help_chosen": "chose a helper",
    "help_suggestion": "suggested, as helper",
    "help_tried": "tried the suggestion in vain",
    "help_closed": "ended the talk with a helper",
    "human_verdict": "relayed a human's verdict",
    "discussion_closed": "closed the discussion",
    "escalation": "asked for a human",
    "agent_started": "started",
    "claim_intended": "meant to claim the issue",
    "claim_refused": "did not win the claim",
    "claimed": "claimed the issue",
    "round_reopened": "opened the round again after a restart",
    "safeguard": "applied a safeguard",
    "effect_intended": "was about to write outside",
    "evidence_sealed": "sealed the evidence",
    "pull_request_opened": "opened the pull request",
    "released": "released the issue",
}
"""What each message and record is called on the page."""

_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs"})


def shown(value: object) -> object:
    """Return what the page shows of a value: of text only what can be seen.

    Control and format characters are dropped, among them the bidirectional overrides that make text look like other
    text; lone surrogates could not be encoded.
    """
    if not isinstance(value, str):
        return value
    return "".join(c for c in value if c in "\n\t" or unicodedata.category(c) not in _INVISIBLE)


_ENVIRONMENT: Final = Environment(
    loader=PackageLoader("bzzz_scribe"),
    autoescape=True,
    undefined=StrictUndefined,
    finalize=shown,
    trim_blocks=True,
    lstrip_blocks=True,
)


def transcript_page(
    seal: Seal,
    title: str,
    entries: Sequence[Entry],
    discussion: Discussion,
    signed: SignedStatement | None,
) -> str:
    """Return the page. Its links are relative to `…/logs/KEY/TOKEN`, so that any public prefix works."""
    transcript = transcript_view(entries, discussion)
    return _ENVIRONMENT.get_template("transcript.html").render(
        title=title,
        t=transcript,
        rounds=[_round(plan, transcript, discussion) for plan in transcript["plans"]],
        timeline=[_line(entry, transcript["claimant"]) for entry in transcript["entries"]],
        seal=seal,
        records=_ranges(covered(entries, seal)),
        statement=None if signed is None else signed.statement.predicate,
        head_sha=seal.data.head_sha,
        pull_request=web_address(discussion.pull_request),
        token=seal.data.transcript_token,
    )


def transcript_document(
    title: str, entries: Sequence[Entry], discussion: Discussion, seal: Seal, signed: SignedStatement | None
) -> Document:
    """Return the transcript as JSON-ready data, with where it stands in the log."""
    log: Document = {"key": seal.log_key, "records": _ranges(covered(entries, seal))}
    if signed is not None:
        position = signed.statement.predicate.log
        log |= {"length": position.length, "treeHash": position.tree_hash, "signature": position.signature}
    return {**transcript_view(entries, discussion), "title": title, "log": log}


def message_page(heading: str, text: str) -> str:
    """Return a page that says why there is no other."""
    return _ENVIRONMENT.get_template("message.html").render(heading=heading, text=text)


def web_address(url: str | None) -> str | None:
    """Return an address if it is a plain http(s) one with a host, else None."""
    if url is None:
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return url if parts.scheme in {"http", "https"} and parts.hostname else None


def _round(plan: dict[str, Any], transcript: dict[str, Any], discussion: Discussion) -> dict[str, Any]:
    """Gather what belongs to the round that a plan opened: what was said, what became of it, how it closed."""
    number = plan["round"]
    outcomes = {o["msgId"]: o for o in transcript["objections"]}
    said = [
        {
            "node": c.node_id,
            "kind": KINDS.get(c.query_type, c.query_type),
            "text": c.text or (c.parameters.reason if isinstance(c.parameters, Objection) else ""),
            "objection": outcomes.get(c.msg_id),
        }
        for c in discussion.said(number)
    ]
    closed = next((r for r in transcript["rounds"] if r["round"] == number), None)
    return {"plan": plan, "said": said, "closed": closed}


def _line(entry: dict[str, Any], claimant: str) -> dict[str, Any]:
    """Return one line of the timeline: who, did what, in which words."""
    message = entry.get("message")
    kind = entry["kind"] if message is None else message.get("queryType") or message["type"]
    return {
        "seq": entry["seq"],
        "at": entry["at"],
        "who": claimant if message is None else message["node"],
        "did": KINDS.get(kind, kind.replace("_", " ")),
        "text": _words(entry) if message is None else _said(message),
        "refused": entry["refused"],
        "digest": None if message is None else message["digest"],
    }


def _said(message: dict[str, Any]) -> str:
    parameters = message.get("parameters", message.get("body", {}))
    return message["text"] or str(parameters.get("reason", ""))


def _words(entry: dict[str, Any]) -> str:
    """Return a record's few plain facts; what is long or nested is in the JSON beside the page."""
    data: dict[str, Any] = entry.get("data") or {}
    plain = {name: value for name, value in data.items() if isinstance(value, str | int | float)}
    return ", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in plain.items())


def _ranges(seqs: Sequence[int]) -> str:
    """Return sequence numbers as people write them: `3 to 9, 12`."""
    parts: list[tuple[int, int]] = []
    for seq in seqs:
        if parts and parts[-1][1] == seq - 1:
            parts[-1] = (parts[-1][0], seq)
        else:
            parts.append((seq, seq))
    return ", ".join(str(a) if a == b else f"{a} to {b}" for a, b in parts)
