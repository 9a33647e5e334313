"""The page that a pull request links to: only with its token, only once sealed, and whatever was said is text."""

from __future__ import annotations

import json
from dataclasses import dataclass
from html.parser import HTMLParser

import pytest

from hmmm.envelope import sha256_hex
from hmmm.evidence import Statement, verify_evidence
from hmmm.identity import IssueIdentity
from hmmm.pr_body import Report, render_pr_body
from hmmm.records import Claimed, PullRequestOpened
from tests.scribe.rig import Rig, Voice, report
from tests.support.discussions import TOKEN, a_plan, agreed
from tests.support.processes import eventually

HOSTILE = "</td><script>alert(1)</script><img src=x onerror=alert(2)> {{ 7*7 }} javascript:alert(3) \u202eevil\u202c"


@dataclass
class Told:
    """A hive in which #42 is sealed and reported, and #43 is still debated by the same agent."""

    rig: Rig
    voice: Voice
    statement: Statement

    @property
    def path(self) -> str:
        return f"/logs/{self.voice.log.key}/{TOKEN}"


@pytest.fixture(scope="module")
def told(shared: Rig) -> Told:
    voice = shared.agent("bzzz-0")
    chair = voice.claimant
    first, second = shared.hive.node("bzzz-1"), shared.hive.node("bzzz-2")
    chair.claim()
    chair.propose(a_plan(summary=HOSTILE))
    chair.pass_time(2)
    chair.objection(first, reason=HOSTILE)
    chair.pass_time(30)
    chair.close()
    chair.countersign(first)
    other = IssueIdentity(repository="acme/widgets", number=43, epoch=1)
    chair.record(
        Claimed(claim_sha="e" * 40, nonce="n2", title="secret", body_digest=sha256_hex(b"")), issue=other
    )
    chair.revise()
    chair.pass_time(1)
    chair.no_objection(first, text=HOSTILE)
    chair.no_objection(second)
    agreed(chair, first, second)
    chair.seal()
    statement = report(voice)
    chair.record(PullRequestOpened(number=8, url="javascript:alert(4)", head_sha="a" * 40), issue=other)
    voice.write()
    shared.start()
    shared.wait_folded(voice)
    return Told(shared, voice, statement)


class Page(HTMLParser):
    """What a browser would see: elements, their attributes, and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_tells_who_said_what_and_how_to_check_it(told: Told) -> None:
    answer = told.rig.ask(told.path)
    assert answer.status_code == 200
    page = Page(answer.text)
    text = " ".join(page.text.split())
    position = told.statement.predicate.log
    for expected in (
        "acme/widgets#42",
        "bzzz-1",
        "blocking objection",
        "its author accepts the plan of round 2",
        "Silent: bzzz-2. Countersigned by 1 of 1: bzzz-1.",
        "Countersigned by 2 of 2: bzzz-1, bzzz-2",
        "Tests: passed",
        told.voice.log.key,
        position.tree_hash,
        position.signature,
        "bzzz verify http://github.test/acme/widgets/pull/7",
    ):
        assert expected in text, expected
    assert ("href", "http://github.test/acme/widgets/pull/7") in page.attributes


def test_hostile_text_is_text_on_the_page(told: Told) -> None:
    page = Page(told.rig.ask(told.path).text)
    assert "<script>alert(1)</script><img src=x onerror=alert(2)> {{ 7*7 }}" in page.text
    assert not {"script", "img", "iframe", "style", "form"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    hrefs = [value or "" for name, value in page.attributes if name in {"href", "src"}]
    assert not [href for href in hrefs if href.lower().startswith("javascript")]
    assert "\u202e" not in page.text


def test_answers_forbid_scripts_framing_and_handing_the_address_on(told: Told) -> None:
    for path in (told.path, f"{told.path}/bundle.json", "/api/state", "/logs/nothing/here", "/nowhere"):
        headers = told.rig.ask(path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'")
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
    style = told.rig.ask("/static/scribe.css")
    assert (style.status_code, style.headers["content-type"]) == (200, "text/css; charset=utf-8")


@pytest.mark.parametrize(
    "path",
    [
        "/logs/{key}/" + "6" * 32,
        "/logs/{key}/" + TOKEN[:-1],
        "/logs/{key}/" + TOKEN.upper().replace("5", "%35") + "0",
        "/logs/{key}/" + "x" * 32,
        "/logs/{key}/%F0%9F%90%9D",
        "/logs/{other}/" + TOKEN,
        "/logs/notakey/" + TOKEN,
        "/logs/{key}/" + "6" * 32 + "/bundle.json",
        "/logs/{other}/" + TOKEN + "/transcript.json",
        "/logs/{key}",
        "/logs/{key}/../../api",
    ],
)
def test_any_other_address_is_not_found(told: Told, path: str) -> None:
    where = path.format(key=told.voice.log.key, other="0" * 64)
    assert told.rig.ask(where).status_code == 404


def test_nothing_public_gives_the_token_away(told: Told) -> None:
    for path in ("/api/state", "/api/export", "/metrics", f"{told.path}/transcript.json"):
        assert TOKEN not in told.rig.ask(path).text, path
    assert TOKEN not in told.rig.live.err.read_text()


def test_a_seal_opens_its_own_issue_only(told: Told) -> None:
    for suffix in ("", "/transcript.json", "/bundle.json"):
        text = told.rig.ask(f"{told.path}{suffix}").text
        assert "secret" not in text
    document = told.rig.ask(f"{told.path}/transcript.json").json()
    assert document["issue"]["number"] == 42
    assert document["log"]["treeHash"] == told.statement.predicate.log.tree_hash


def test_the_bundle_verifies_with_the_pinned_key_and_the_pull_request(told: Told) -> None:
    answer = told.rig.ask(f"{told.path}/bundle.json")
    assert answer.status_code == 200, answer.text
    bundle = answer.json()
    chair = told.voice.claimant
    body = render_pr_body(
        Report("Mended x.", chair.state, told.statement, bundle["statement"].encode(), ("x.py",))
    )
    pull = {
        "number": 7,
        "body": body,
        "state": "open",
        "head": {"sha": told.statement.head_sha, "ref": "bzzz/issue-42"},
        "base": {"ref": "main", "repo": {"full_name": "acme/widgets"}},
    }
    links = verify_evidence(bundle, pull, told.rig.hive.key.public)
    assert [link for link in links if link.status not in {"holds", "not_checked"}] == []
    assert links[-1].name == "patch"
    assert bundle["archive"]["treeHash"] == told.statement.predicate.log.tree_hash
    assert {block["seq"] for block in bundle["proof"]["blocks"]} == set(told.statement.predicate.log.seqs)

    text = json.dumps(bundle).replace(bundle["proof"]["blocks"][0]["data"][:8], "AAAAAAAA", 1)
    assert verify_evidence(json.loads(text), pull, told.rig.hive.key.public)[-1].status == "fails"


def test_there_is_no_page_before_the_seal_and_no_bundle_before_the_statement(rig: Rig) -> None:
    voice = rig.agent("bzzz-0")
    chair = voice.claimant
    chair.claim()
    chair.propose()
    agreed(chair)
    voice.write()
    rig.start()
    rig.wait_folded(voice)
    path = f"/logs/{voice.log.key}/{TOKEN}"
    assert rig.ask(path).status_code == 404
    chair.seal()
    voice.write()
    rig.wait_folded(voice)
    assert "not signed yet" in rig.ask(path).text
    refused = rig.ask(f"{path}/bundle.json")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
    assert "statement" in refused.json()["error"]["message"]
    report(voice)
    eventually(lambda: rig.ask(f"{path}/bundle.json").status_code == 200, what="the bundle is there")


def test_a_bundle_is_made_when_the_archive_has_forgotten_the_old_head(rig: Rig) -> None:
    voice = rig.agent("bzzz-0")
    chair = voice.claimant
    chair.claim()
    chair.propose()
    agreed(chair)
    chair.seal()
    report(voice)
    rig.archive.wait_held(voice.log, voice.written)
    rig.archive.live.kill()  # heads are remembered in memory only
    rig.archive.config["http"]["port"] = int(rig.archive.live.ready["url"].rpartition(":")[2])
    rig.archive.start()
    rig.start()
    rig.wait_folded(voice)
    bundle = rig.ask(f"/logs/{voice.log.key}/{TOKEN}/bundle.json").json()
    assert bundle["proof"]["head"]["length"] == voice.written
    links = verify_evidence(bundle, {}, rig.hive.key.public)
    assert [link.name for link in links if link.status == "fails"] == ["pull request"]
