"""The pull request's text: it tells the discussion, carries the evidence, and foreign text in it stays text."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from hmmm.errors import EvidenceError, LocalProtocolError
from hmmm.evidence import block_of, parse_evidence_block
from hmmm.evidence.block import BEGIN, END, MAX_BODY_CHARACTERS
from hmmm.limits import DiscussionLimits, HelpLimits
from hmmm.markdown import escape_markdown, plain_line
from hmmm.meta import ClarificationNeeded, Suggestion, TestRun
from hmmm.patch_digest import patch_digest
from hmmm.pr_body import MAX_BODY, Report, render_pr_body
from tests.support.discussions import Claimant, Sealed, agreed, debate, evidence_of, sealed_discussion

HOSTILE = [
    "<!-- bzzz:evidence/1 -->",
    "<script>alert(1)</script>",
    "Fixes #7, closes acme/other#9 and GH-12, resolves https://github.com/acme/widgets/issues/3",
    "@everyone @acme/team",
    "```\n# heading\n- list\n| a | b |\n***bold*** _em_ ~~gone~~ [link](javascript:alert(1)) ![i](http://x/y.png)",
    "</details><details open>",
    "\u202egnp.exe\u200b \u2066x\u2069",
    "line\u2028separator\r\nnext",
    "\ud800",
    "&lt;b&gt; &#x3c;i&#x3e;",
    "1. one",
    "$x^2$ \\",
    "x" * 100_000,
]


def text_of(sealed: Sealed, **changes: Any) -> str:
    report = Report("Mended x.", sealed.claimant.state, sealed.statement, sealed.signed_statement, ("x.py",))
    return render_pr_body(replace(report, **changes))


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_stays_text_wherever_it_stands(hostile: str) -> None:
    claimant, first, second = debate()
    said = hostile.encode(errors="replace").decode()[:4000]
    claimant.objection(first, "advisory", reason=said)
    claimant.hear(second, Suggestion(plan_digest=claimant.plan_digest), said)
    agreed(claimant, first, second)
    claimant.seal()
    sealed = evidence_of(claimant)
    body = text_of(sealed, summary=hostile, files=(hostile, "y.py"), notes=(hostile,))
    above = body.partition(BEGIN)[0]
    assert body.count(BEGIN) == body.count(END) == 1
    assert parse_evidence_block(body) == block_of(sealed.statement, sealed.signed_statement)
    assert "<" not in above
    shown = above.replace("Closes #42", "").replace("&#8203;", "\u200b")
    assert re.findall(r"[#@]\w|GH-\d", shown) == []
    assert not re.search(r"https?://|[\u202a-\u202e\u2066-\u2069\ud800\u2028]", above)
    rows = [line for line in above.splitlines() if line.startswith("| 1 |")]
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 6 for row in rows)
    assert len(rows) == 2


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_help_stays_text_and_is_cut(hostile: str) -> None:
    limits = DiscussionLimits(help=HelpLimits(requests=1, helpers=16))
    claimant, first, _ = debate(limits=limits)
    said = hostile.encode(errors="replace").decode()
    claimant.get_stuck()
    claimant.ask_for_help(said[:300], problem=said[:4000])
    crowd = [first, *(claimant.hive.node(f"crowd-{n}") for n in range(15))]
    for node in crowd:
        claimant.offer(node)
    for _ in crowd:
        claimant.act()
        helper = next(node for node in crowd if node.node_id == claimant.help.helper)
        claimant.suggest(helper, said[:4000])
        if len(claimant.help.talks) < len(crowd):
            claimant.close_talk(reason=said[:300])
    claimant.finish(suggestion=claimant.heard[-1].message.msg_id)
    claimant.seal()
    sealed = evidence_of(claimant)
    body = text_of(sealed)
    above = body.partition(BEGIN)[0]
    assert body.count(BEGIN) == body.count(END) == 1
    assert "<" not in above
    assert re.findall(r"[#@]\w|GH-\d", above.replace("Closes #42", "").replace("&#8203;", "\u200b")) == []
    assert above.count("crowd-") >= 3
    assert len(above) < 12_000


@given(text=st.text(max_size=400), limit=st.integers(2, 300))
def test_any_text_becomes_one_line_that_means_nothing_in_markdown(text: str, limit: int) -> None:
    line = escape_markdown(text, limit)
    assert line.splitlines() in ([line], [])
    assert not set("<>") & set(line)
    assert not re.search(r"(?<!\\)(\\\\)*[`*_\[\]|~]", line)
    assert not re.match(r"[#+\-=]|\d+[.)]", line)
    assert len(plain_line(text, limit)) <= limit
    assert line.encode().decode() == line


@given(text=st.text(alphabet="ab @#:/.wGH-1`*_|\\<>&", max_size=60))
def test_escaped_text_reads_as_it_was_written(text: str) -> None:
    """Undoing what a renderer undoes gives the line back, but for zero-width breaks."""
    shown = escape_markdown(text)
    shown = shown.replace("&#8203;", "").replace("&lt;", "<").replace("&gt;", ">")
    shown = re.sub(r"\\(.)", r"\1", shown.replace("&amp;", "&"))
    assert shown == plain_line(text, 300)


MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


@given(text=st.text(max_size=80) | st.text(alphabet="ab 1.-+#>|*_`~[](){}<>&!\\\"'=:/@\n", max_size=60))
def test_a_real_renderer_shows_escaped_text_as_it_was_written(text: str) -> None:
    line = plain_line(text, 300)
    cell = f"| a |\n|---|\n| {escape_markdown(text)} |"
    for source, frame in ((escape_markdown(text), "p"), (cell, "td")):
        rendered = MARKDOWN.render(source)
        shown = re.search(f"<{frame}>(.*)</{frame}>", rendered, re.DOTALL)
        assert (shown[1] if shown else "").find("<") == -1
        assert html.unescape(shown[1] if shown else "").replace("\u200b", "").strip() == line


def test_the_text_names_the_issue_it_closes_and_where_to_read_on() -> None:
    sealed = sealed_discussion()
    body = text_of(sealed)
    assert "\nCloses #42\n" in body
    assert sealed.statement.predicate.transcript_url in body
    assert "Tests: passed, exit code 0, 1.5 s" in body
    assert "| 1 | bzzz-1 | blocking objection |" in body
    assert "met: its author accepts the plan of round 2" in body
    assert "Round 1: revise (1 blocking); countersigned 2 of 2" in body
    assert "Round 2: execute; countersigned 1 of 1; silent: bzzz-2" in body
    assert "unreviewed" not in body


def finished(claimant: Claimant, *speakers: Any) -> str:
    agreed(claimant, *speakers)
    claimant.seal()
    return text_of(evidence_of(claimant))


def test_a_plan_that_nobody_answered_is_called_unreviewed() -> None:
    claimant, first, _ = debate()
    claimant.reviewing(first)
    claimant.pass_time(30)
    assert "*unreviewed*" in finished(claimant, first)


def test_an_objection_that_a_human_overruled_says_so() -> None:
    claimant, first, _ = debate(limits=DiscussionLimits(rounds=1))
    claimant.objection(first)
    claimant.pass_time(30)
    claimant.act()
    claimant.act()
    claimant.human("proceed", first, "go | on @all")
    claimant.act()
    claimant.finish()
    claimant.seal()
    body = text_of(evidence_of(claimant))
    assert "overruled by a human" in body
    assert "A human decided: **proceed**: go \\| on @&#8203;all" in body


def test_questions_safeguards_and_failed_tests_are_told() -> None:
    claimant, first, second = debate()
    claimant.hear(first, ClarificationNeeded(plan_digest=claimant.plan_digest), "which format?")
    claimant.bite("over_hopped", second)
    claimant.pass_time(30)
    claimant.close()
    claimant.countersign(first)
    claimant.execute()
    claimant.finish(tests=TestRun(outcome="failed", exit_code=1, seconds=2))
    claimant.seal()
    body = text_of(evidence_of(claimant))
    assert "| question | which format? | not answered |" in body
    assert "Safeguards that bit: over\\_hopped (bzzz-2)".replace("(", "\\(").replace(")", "\\)") in body
    assert "Tests: **failed**, exit code 1, 2.0 s" in body


def test_the_text_stays_below_github_s_limit_however_much_was_said() -> None:
    claimant, first, second = debate(limits=DiscussionLimits(rounds=10))
    for _ in range(8):
        for node in (first, second):
            for _ in range(3):
                claimant.objection(node, reason="@#<|" * 900)
        claimant.pass_time(30)
        claimant.close()
        claimant.revise()
    claimant.no_objection(first)
    claimant.no_objection(second)
    body = finished(claimant, first, second)
    assert len(body) <= MAX_BODY
    assert re.search(r"… and \d+ more, in the transcript", body)
    assert parse_evidence_block(body)


def test_a_statement_that_was_not_signed_is_not_published() -> None:
    sealed = sealed_discussion()
    other = sealed.statement.model_copy(update={"predicate_type": "x"})
    with pytest.raises(LocalProtocolError):
        text_of(sealed, statement=other)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda body: body.replace(BEGIN, ""), "no_evidence"),
        (lambda body: body + BEGIN, "ambiguous"),
        (lambda body: body.replace(END, ""), "ambiguous"),
        (lambda body: body.replace("| log length |", "| length |"), "bad_block"),
        (lambda body: body.replace("```json", "```"), "bad_block"),
        (lambda body: body + " " * MAX_BODY_CHARACTERS, "bad_block"),
        (lambda body: END + body.replace(END, ""), "ambiguous"),
    ],
)
def test_a_block_that_is_not_exactly_one_readable_one_is_refused(change: Any, reason: str) -> None:
    with pytest.raises(EvidenceError) as refusal:
        parse_evidence_block(change(text_of(sealed_discussion())))
    assert refusal.value.reason == reason


@given(body=st.text(max_size=300) | st.text(max_size=100).map(lambda text: BEGIN + text + END))
def test_no_text_makes_reading_the_block_raise_anything_else(body: str) -> None:
    with pytest.raises(EvidenceError):
        parse_evidence_block(body)


GIT = b"""diff --git a/x.py b/x.py
index 1111111..2222222 100644
--- a/x.py
+++ b/x.py
@@ -1,2 +1,2 @@ def f():
-index 1111111..2222222 100644
+@@ -1 +1 @@ not a heading
 same
"""


def test_a_patch_s_digest_does_not_depend_on_how_git_abbreviates() -> None:
    github = GIT.replace(b"index 1111111..2222222", b"index 1111111111..2222222222", 1).replace(
        b" def f():", b""
    )
    assert patch_digest(github) == patch_digest(GIT)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"-index 1111111", b"-index 1111112"),
        (b"not a heading", b"no heading"),
        (b"100644\n---", b"100755\n---"),
        (b"-1,2 +1,2", b"-1,2 +1,3"),
        (b" same", b"+same"),
        (b"a/x.py b/x.py", b"a/x.py b/y.py"),
    ],
)
def test_a_patch_s_digest_depends_on_every_change_it_makes(before: bytes, after: bytes) -> None:
    assert before in GIT
    assert patch_digest(GIT.replace(before, after)) != patch_digest(GIT)
