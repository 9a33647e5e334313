"""Rules of help without a model: who can help, what is wanted, and what of a failure travels."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bzzz_agent.claimant.excerpts import MAX_BYTES, end_of, line_of
from bzzz_agent.claimant.wants import wanted
from bzzz_agent.help.able import MAX_TALKS, Means, refusal
from hmmm.envelope import MAX_ENVELOPE_BYTES, SigningKey
from hmmm.messages import Capabilities, TaskHelpRequest, sign_message
from hmmm.plan import Plan

ABLE = Means(capabilities=frozenset({"lang:python", "tool:ruff"}), equipped=True)


@pytest.mark.parametrize(
    ("means", "wants", "why"),
    [
        (ABLE, (), None),
        (ABLE, ("lang:python",), None),
        (ABLE, ("lang:rust", "TOOL:Ruff"), None),
        (ABLE, ("lang:rust",), "it has none of lang:rust"),
        (replace(ABLE, capabilities=frozenset()), ("lang:rust",), None),
        (replace(ABLE, equipped=False), (), "neither a help command nor a model"),
        (replace(ABLE, problem="github: 401"), (), "not well: github: 401"),
        (replace(ABLE, leaving=True), (), "leaves the hive"),
        (replace(ABLE, working_on="acme/widgets#7@1"), (), "works on acme/widgets#7@1"),
        (replace(ABLE, talks=MAX_TALKS), (), "promised to help 4 others"),
    ],
)
def test_who_can_help_says_so_and_who_cannot_says_why(
    means: Means, wants: tuple[str, ...], why: str | None
) -> None:
    said = refusal(wants, means)
    assert said is None if why is None else why in (said or "")


def peer(*tools: str, languages: tuple[str, ...] = ()) -> Capabilities:
    return Capabilities(
        node_id="bzzz-1", msg_id="m", sent_at=datetime.now(UTC), tools=tools, languages=languages
    )


def plan(*footprint: str, **fields: Any) -> Plan:
    return Plan(summary="s", footprint=footprint, **fields)


PYTHON = peer("ruff", "pip", languages=("python", "go"))


@pytest.mark.parametrize(
    ("problem", "about", "own", "wants"),
    [
        ("ruff found 3 errors", plan("a.py"), frozenset[str](), ("tool:ruff",)),
        ("ruff found 3 errors", plan("a.py"), frozenset({"tool:ruff"}), ("lang:python",)),
        ("pip: gruffly said", plan("a.rs"), frozenset[str](), ("tool:pip",)),
        ("go on", plan("a.md"), frozenset[str](), ()),
        ("1 failed", plan("a.py", "b.go", "c.rs"), frozenset[str](), ("lang:go", "lang:python")),
        ("1 failed", plan("x", requires=("tool:ruff", "tool:saw")), frozenset[str](), ("tool:ruff",)),
    ],
)
def test_what_is_wanted_is_what_fails_and_somebody_announces(
    problem: str, about: Plan, own: frozenset[str], wants: tuple[str, ...]
) -> None:
    assert wanted(problem, about, own, [PYTHON]) == wants
    assert wanted(problem, about, own, []) == (), "a name that nobody answers to would keep everybody away"


@given(st.text(max_size=6000) | st.text(alphabet='"\\\n\x1b[0m€', min_size=3000, max_size=6000))
def test_the_end_of_any_output_fits_a_request_for_help(output: str) -> None:
    said = end_of(output)
    assert len(said.encode()) <= MAX_BYTES
    assert all(c in "\n\t" or c >= " " for c in said)
    assert len(line_of(output)) <= 300
    request = TaskHelpRequest(
        node_id="n" * 63,
        msg_id="m" * 64,
        sent_at=datetime.now(UTC),
        repository=f"{'o' * 69}/{'r' * 69}",
        issue_id=2**53,
        epoch=2**31,
        problem=said,
        wants=("tool:" + "w" * 40,) * 8,
        plan_digest="0" * 64,
        base_sha="0" * 40,
        asked=tuple(f"{'a' * 55}-{n:04d}" for n in range(32)),
    )
    signed = sign_message(request, SigningKey.mesh(b"k" * 32))
    assert len(signed.envelope.raw) <= MAX_ENVELOPE_BYTES


def test_an_output_keeps_its_end_in_whole_lines_and_loses_its_colours() -> None:
    assert end_of("\x1b[31mred\x1b[0m\r\n") == "red"
    said = end_of("".join(f"line {n}\n" for n in range(1000)))
    assert said.endswith("line 999")
    assert said.splitlines()[0].startswith("line ")
    assert line_of("a\n  b\tc") == "a b c"
