"""A hive in miniature: real keys, cards, signatures, records and proofs; only the clock and the mesh are missing.

`Claimant` keeps an agent's log in memory and folds it with the code that everyone folds with. Its clock is virtual:
`pass_time` moves it. `sealed_discussion` is a whole, honest discussion with its evidence.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from hmmm.base import Model
from hmmm.discussion import (
    AskForHelp,
    ChooseHelper,
    CloseRound,
    CloseTalk,
    Decision,
    Discussion,
    Escalate,
    Execute,
    Help,
    Propose,
    Revise,
    TrySuggestion,
    decide,
    may_go_on,
)
from hmmm.envelope import STATEMENT_TYPE, Envelope, SigningKey, sha256_hex
from hmmm.evidence import Bundle, Statement, make_statement
from hmmm.hypercore_proof import log_key_of_seed
from hmmm.identity import IssueIdentity
from hmmm.limits import DiscussionLimits
from hmmm.membership import MembershipCard, Revocation, Revocations, sign_card, sign_revocations
from hmmm.messages import (
    ESCALATION_TOPIC,
    HIVE_TOPIC,
    Escalation,
    MetaMessage,
    Signed,
    TaskHelpRequest,
    TaskHelpResponse,
    issue_topic,
    sign_message,
)
from hmmm.meta import (
    Countersigned,
    ExecutionFinished,
    ExecutionStarted,
    HelpChosen,
    HelpClosed,
    HelpSuggestion,
    HelpTried,
    HumanVerdict,
    MetObjection,
    NoObjection,
    Objection,
    PlanProposed,
    PlanRevised,
    Reviewing,
    Severity,
    TestRun,
    Verdict,
)
from hmmm.observer import Entry, LogObserver, LogOwner
from hmmm.patch_digest import patch_digest
from hmmm.plan import Plan
from hmmm.pr_body import Report, render_pr_body
from hmmm.records import (
    Claimed,
    EvidenceSealed,
    HelpReopened,
    MessageReceived,
    MessageSent,
    Record,
    RoundReopened,
    SafeguardBit,
    record_kind_of,
)
from hmmm.verdict import SignedVerdict, sign_verdict
from tests.support.paper_log import PaperLog

__all__ = ["START", "Claimant", "Hive", "Node", "Sealed", "a_plan", "sealed_discussion"]

START = datetime(2026, 1, 1, tzinfo=UTC)
HEAD, BASE, TREE = "a" * 40, "b" * 40, "c" * 40
DIFF = (
    b"diff --git a/x.py b/x.py\nindex 1111111..2222222 100644\n--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-a\n+b\n"
)
TOKEN = "5" * 32


def seed_of(name: str) -> bytes:
    """A 32-byte seed that belongs to a name."""
    return bytes.fromhex(sha256_hex(name.encode()))


def a_plan(summary: str = "mend x", footprint: tuple[str, ...] = ("x.py",)) -> Plan:
    """A small plan."""
    return Plan(summary=summary, steps=("mend it",), footprint=footprint, tests=("pytest",))


@dataclass
class Node:
    """A member of the hive: an agent (or the scribe) with its keys and its card."""

    node_id: str
    key: SigningKey
    log_seed: bytes
    card: MembershipCard
    card_bytes: bytes

    def __hash__(self) -> int:
        return hash(self.node_id)


@dataclass
class Hive:
    """The authority and its members."""

    name: str = "test"
    key: SigningKey = field(default_factory=lambda: SigningKey.hive(seed_of("hive")))
    serial: int = 0

    def node(self, node_id: str, **card: Any) -> Node:
        """Admit a member; `card` overrides fields of its card."""
        self.serial += 1
        key = SigningKey.mesh(seed_of(f"mesh {self.name} {node_id}"))
        log_seed = seed_of(f"log {self.name} {node_id}")
        fields: dict[str, Any] = {
            "hive": self.name,
            "serial": self.serial,
            "node_id": node_id,
            "peer_id": key.key_id,
            "log_key": log_key_of_seed(log_seed),
            "role": "agent",
            "not_before": START - timedelta(days=1),
            "not_after": START + timedelta(days=365),
        } | card
        made = MembershipCard(**fields)
        return Node(node_id, key, log_seed, made, sign_card(made, self.key))

    def revoke(self, *serials: int, at: datetime = START, version: int = 1) -> bytes:
        """Sign a list of revocations."""
        revoked = tuple(Revocation(serial=serial, revoked_at=at) for serial in serials)
        return sign_revocations(Revocations(hive=self.name, version=version, revoked=revoked), self.key)


class Claimant:
    """An agent that holds one claim: its log, its clock, and the fold of the one by the other."""

    def __init__(
        self,
        hive: Hive,
        node: Node,
        *,
        limits: DiscussionLimits | None = None,
        reviewers: Iterable[str] = ("bzzz-1", "bzzz-2"),
        issue: IssueIdentity | None = None,
    ) -> None:
        self.hive, self.node = hive, node
        self.limits = DiscussionLimits() if limits is None else limits
        self.reviewers = tuple(reviewers)
        self.issue = issue or IssueIdentity(repository="acme/widgets", number=42, epoch=1)
        self.now = START
        self.blocks: list[bytes] = []
        self.entries: list[Entry] = []
        self.owner = LogOwner(node.node_id, node.key.key_id, hive.name, hive.key.public)
        self.observer = LogObserver(self.owner)
        self.sent: list[Signed] = []
        self.heard: list[Signed] = []
        self._ids = 0

    @property
    def state(self) -> Discussion:
        """The discussion as the log has it."""
        return self.observer.discussions[self.issue]

    @property
    def plan_digest(self) -> str:
        """Digest of the plan under discussion."""
        assert self.state.plan is not None
        return self.state.plan.digest

    @property
    def plan_and_account(self) -> bool:
        """Whether there is an account of the present round."""
        return self.observer.discussions[self.issue].closing is not None

    def pass_time(self, seconds: float) -> None:
        """Move the clock."""
        self.now += timedelta(seconds=seconds)

    def new_id(self, prefix: str = "m") -> str:
        """An id that was not used before."""
        self._ids += 1
        return f"{prefix}-{self.node.node_id[-12:]}-{self._ids}"

    # --- the log

    def append(self, block: bytes) -> Entry:
        """Append a block as it is and fold it."""
        self.blocks.append(block)
        (entry,) = self.observer.add(len(self.blocks) - 1, block)
        self.entries.append(entry)
        return entry

    def record(self, data: Model, *, issue: IssueIdentity | None = None, **fields: Any) -> Entry:
        """Append a record of typed data."""
        values = {
            "id": self.new_id("r"),
            "at": self.now,
            "kind": record_kind_of(data),
            "issue": issue or self.issue,
            "data": data.to_object(),
        } | fields
        return self.append(Record(**values).to_json())

    def claim(self) -> Entry:
        """Open the discussion."""
        return self.record(
            Claimed(claim_sha="d" * 40, nonce="n1", title="mend x", body_digest=sha256_hex(b""))
        )

    # --- own words

    def compose(
        self, parameters: Model, text: str = "", parent: MetaMessage | None = None, **fields: Any
    ) -> Signed:
        """Sign a word of the claimant's as it would stand next in the log."""
        values = self._header(self.node.node_id) | {
            "log_seq": len(self.blocks),
            "previous": self.state.last_claimant_digest,
        }
        return sign_message(
            MetaMessage.compose(parent=parent, text=text, parameters=parameters, **values | fields),
            self.node.key,
        )

    def log_own(self, signed: Signed) -> Entry:
        """Append an own message."""
        topics = {"meta_msg": issue_topic(self.issue.number), "escalation": ESCALATION_TOPIC}
        topic = topics.get(signed.message.type, HIVE_TOPIC)
        self.sent.append(signed)
        return self.record(MessageSent(topic=topic, envelope=signed.envelope.raw.decode()))

    def say(self, parameters: Model, text: str = "", **fields: Any) -> Entry:
        """Say something as the claimant."""
        return self.log_own(self.compose(parameters, text, **fields))

    def propose(self, plan: Plan | None = None, **fields: Any) -> Entry:
        """Publish the first plan."""
        values: dict[str, Any] = {
            "plan": plan or a_plan(),
            "plan_id": self.new_id("p"),
            "round": 1,
            "window_s": self.limits.window_s,
            "reviewers": self.reviewers,
            "limits": self.limits,
        }
        return self.say(PlanProposed(**values | fields), "a plan")

    def revise(self, plan: Plan | None = None, **fields: Any) -> Entry:
        """Publish a plan that takes the place of the present one."""
        state = self.state
        assert state.plan is not None
        values: dict[str, Any] = {
            "plan": plan or a_plan(f"mend x, take {state.round + 1}"),
            "plan_id": self.new_id("p"),
            "round": state.round + 1,
            "window_s": self.limits.window_s,
            "reviewers": self.reviewers,
            "limits": self.limits,
            "supersedes": state.plan.msg_id,
            "meets": tuple(MetObjection(msg_id=o.msg_id, how="done") for o in state.open_blocking),
        }
        return self.say(PlanRevised(**values | fields), "a better plan")

    def close(self, **changes: Any) -> Entry:
        """Close the round as `decide` asks, or otherwise where `changes` say."""
        from hmmm.discussion import account_for

        return self.say(account_for(self.state).model_copy(update=changes))

    def execute(self) -> Entry:
        """Start changing code."""
        return self.say(ExecutionStarted(plan_digest=self.plan_digest))

    def finish(self, **fields: Any) -> Entry:
        """Finish changing code."""
        values: dict[str, Any] = {
            "plan_digest": self.plan_digest,
            "ok": True,
            "head_sha": HEAD,
            "patch_digest": patch_digest(DIFF),
            "tests": TestRun(outcome="passed", exit_code=0, seconds=1.5),
        }
        return self.say(ExecutionFinished(**values | fields))

    def escalate(self, reason: str = "cannot agree", **fields: Any) -> Entry:
        """Ask a human."""
        message = Escalation(**self._header(self.node.node_id) | {"reason": reason} | fields)
        return self.log_own(sign_message(message, self.node.key))

    def reopen(self) -> Entry:
        """Restart in an open round."""
        return self.record(RoundReopened(round=self.state.round))

    def bite(self, safeguard: str, node: Node) -> Entry:
        """Record a safeguard that bit."""
        return self.record(SafeguardBit(safeguard=safeguard, node_id=node.node_id))

    def seal(self, **fields: Any) -> Entry:
        """Seal the evidence."""
        values: dict[str, Any] = {
            "head_sha": HEAD,
            "base_sha": BASE,
            "tree_sha": TREE,
            "patch_digest": patch_digest(DIFF),
            "plan_digest": self.plan_digest,
            "first_seq": self.observer.first_seq[self.issue],
            "transcript_token": TOKEN,
        }
        return self.record(EvidenceSealed(**values | fields))

    # --- others' words

    def word_of(self, node: Node, parameters: Model, text: str = "", **fields: Any) -> Signed:
        """Sign somebody else's word about the issue, a reply to the plan; `fields` make it say otherwise."""
        parent = fields.pop("parent", self._plan_message())
        header = self._header(node.node_id)
        message = MetaMessage.compose(parent=parent, text=text, parameters=parameters, **header)
        return sign_message(message.model_copy(update=fields), node.key)

    def hear_signed(self, signed: Signed, node: Node, **fields: Any) -> Entry:
        """Log a message as received, vouched for by a node's card."""
        self.heard.append(signed)
        return self.record(
            MessageReceived(
                topic=issue_topic(self.issue.number),
                envelope=signed.envelope.raw.decode(),
                card=node.card_bytes.decode(),
            ),
            **fields,
        )

    def hear(self, node: Node, parameters: Model, text: str = "", **fields: Any) -> Entry:
        """Hear somebody's word."""
        return self.hear_signed(self.word_of(node, parameters, text, **fields), node)

    def no_objection(self, node: Node, **fields: Any) -> Entry:
        """Hear that a node has nothing against the plan."""
        return self.hear(node, NoObjection(plan_digest=self.plan_digest), **fields)

    def objection(
        self, node: Node, severity: Severity = "blocking", reason: str = "breaks y", **fields: Any
    ) -> Entry:
        """Hear an objection."""
        return self.hear(
            node, Objection(plan_digest=self.plan_digest, severity=severity, reason=reason), **fields
        )

    def reviewing(self, node: Node, eta_s: float = 0, **fields: Any) -> Entry:
        """Hear that a node is still thinking."""
        return self.hear(node, Reviewing(plan_digest=self.plan_digest, eta_s=eta_s), **fields)

    def left_out(self, node: Node, **fields: Any) -> Entry:
        """Hear that an account lacks a node's message."""
        parameters = Objection(
            plan_digest=self.plan_digest, severity="blocking", reason="mine is missing", rule="left_out"
        )
        return self.hear(node, parameters, **fields)

    def countersign(self, node: Node, **fields: Any) -> Entry:
        """Hear that a node's word is in the account."""
        closing = self.state.closing
        assert closing is not None
        parameters = Countersigned(
            plan_digest=self.plan_digest, round=closing.round, closed_digest=closing.digest
        )
        return self.hear(node, parameters, **fields)

    def human(self, verdict: Verdict, relay: Node, text: str = "", **fields: Any) -> Entry:
        """Hear a human's verdict, relayed by a node."""
        signed = sign_verdict(
            SignedVerdict(
                **{
                    "verdict_id": self.new_id("v"),
                    "issue": self.issue,
                    "verdict": verdict,
                    "text": text,
                    "decided_at": self.now,
                }
                | fields
            ),
            self.hive.key,
        )
        return self.hear(relay, HumanVerdict(verdict=verdict, signed=signed.decode()), text, parent=None)

    # --- help

    @property
    def help(self) -> Help:
        """The request for help that is open."""
        assert self.state.help is not None
        return self.state.help

    def get_stuck(self, reason: str = "the tests fail") -> Entry:
        """Agree on the plan, execute it, fail."""
        self.pass_time(self.limits.window_s)
        self.close()
        self.pass_time(5)
        self.execute()
        return self.fail(reason)

    def fail(self, reason: str = "the tests fail") -> Entry:
        """Fail while executing."""
        return self.finish(ok=False, reason=reason, head_sha=None, patch_digest=None, output="1 failed")

    def ask_for_help(self, *wants: str, asked: Iterable[str] = (), **fields: Any) -> Entry:
        """Ask for help."""
        values = {
            "problem": "1 failed",
            "wants": wants,
            "plan_digest": self.plan_digest,
            "base_sha": BASE,
            "asked": tuple(asked),
        }
        message = TaskHelpRequest(**self._header(self.node.node_id) | values | fields)
        return self.log_own(sign_message(message, self.node.key))

    def offer(self, node: Node, *capabilities: str, eta: float | None = 5, **fields: Any) -> Entry:
        """Hear an offer of help, or (`can_help=False`) its refusal."""
        values = {
            "request_id": self.help.msg_id if self.state.help else "none",
            "can_help": True,
            "capabilities": capabilities,
            "eta_seconds": eta,
        }
        message = TaskHelpResponse(**self._header(node.node_id) | values | fields)
        signed = sign_message(message, node.key)
        self.heard.append(signed)
        envelope, card = signed.envelope.raw.decode(), node.card_bytes.decode()
        return self.record(MessageReceived(topic=HIVE_TOPIC, envelope=envelope, card=card))

    def choose(self, helper: str | Node, **fields: Any) -> Entry:
        """Take up an offer."""
        name = helper.node_id if isinstance(helper, Node) else helper
        values = {"plan_digest": self.plan_digest, "request_id": self.help.msg_id, "helper": name}
        return self.say(HelpChosen(**values | fields))

    def suggest(self, node: Node, text: str = "try this", patch: str | None = None, **fields: Any) -> Entry:
        """Hear a suggestion, a reply to the claimant's last word of the talk."""
        words = HelpSuggestion(plan_digest=self.plan_digest, request_id=self.help.msg_id, patch=patch)
        return self.hear(node, words, text, **{"parent": self._last_word_of_talk()} | fields)

    def tried(self, text: str = "2 failed", **fields: Any) -> Entry:
        """Say that a suggestion did not do it."""
        talk = self.help.talk
        assert talk is not None
        tried = talk.untried or talk.suggestions[-1]
        (last,) = [s.message for s in self.heard if s.message.msg_id == tried.msg_id]
        assert isinstance(last, MetaMessage)
        values = {"plan_digest": self.plan_digest, "request_id": self.help.msg_id, "suggestion": last.msg_id}
        return self.say(HelpTried(**values | fields), text, parent=last)

    def close_talk(self, outcome: str = "not_helped", reason: str = "", **fields: Any) -> Entry:
        """End the talk with a helper."""
        values = {
            "plan_digest": self.plan_digest,
            "request_id": self.help.msg_id,
            "helper": self.help.talks[-1].helper if self.help.talks else "nobody",
            "outcome": outcome,
            "reason": reason,
        }
        return self.say(HelpClosed(**values | fields))

    def reopen_help(self) -> Entry:
        """Restart while help is awaited."""
        return self.record(HelpReopened(request_id=self.help.msg_id if self.state.help else "none"))

    def _last_word_of_talk(self) -> MetaMessage | None:
        for signed in reversed(self.sent):
            message = signed.message
            if isinstance(message, MetaMessage) and message.query_type in {"help_chosen", "help_tried"}:
                return message
        return None

    # --- what follows

    def decide(self) -> Decision:
        """What the claimant is to do now."""
        return decide(self.state, self.now)

    def act(self) -> Decision:
        """Do what is to be done now, as an honest claimant; waiting, reporting and giving up are left to the caller."""
        decision = self.decide()
        match decision:
            case Propose():
                self.propose()
            case CloseRound(account=account):
                self.say(account)
            case Revise():
                self.revise()
            case Escalate(reason=reason):
                self.escalate(reason)
            case AskForHelp():
                self.ask_for_help()
            case ChooseHelper(offer=offer):
                self.choose(offer.node_id)
            case TrySuggestion():
                talk = self.help.talk
                assert talk is not None
                self.tried() if may_go_on(talk, self.state.limits) else self.close_talk()
            case CloseTalk(outcome=outcome, reason=reason):
                self.close_talk(outcome, reason)
            case Execute():
                self.finish() if self.state.phase == "Executing" else self.execute()
            case _:
                pass
        return decision

    def observe(self, order: Iterable[int]) -> LogObserver:
        """Give a fresh observer the log's blocks in some order, repetitions and all."""
        observer = LogObserver(self.owner)
        for seq in order:
            observer.add(seq, self.blocks[seq])
        return observer

    def _header(self, node_id: str) -> dict[str, Any]:
        return {
            "node_id": node_id,
            "msg_id": self.new_id(),
            "sent_at": self.now,
            "repository": self.issue.repository,
            "issue_id": self.issue.number,
            "epoch": self.issue.epoch,
        }

    def _plan_message(self) -> MetaMessage | None:
        for signed in reversed(self.sent):
            if isinstance(signed.message, MetaMessage) and signed.message.query_type.startswith("plan_"):
                return signed.message
        return None


@dataclass
class Sealed:
    """A sealed discussion with everything that a reader gets of it."""

    claimant: Claimant
    paper: PaperLog
    statement: Statement
    signed_statement: bytes
    bundle: dict[str, Any]
    pull_request: dict[str, Any]


def evidence_of(
    claimant: Claimant,
    *,
    length: int | None = None,
    leave_out: Iterable[int] = (),
    take_in: Iterable[int] = (),
    said: dict[str, Any] | None = None,
    quoted: dict[str, Any] | None = None,
    signer: SigningKey | None = None,
) -> Sealed:
    """Make statement, bundle and pull request of a sealed discussion.

    The proof is at `length` (default: just after the seal). To lie: `leave_out` and `take_in` change which records
    the statement names, `said` changes fields of the seal that it repeats, `quoted` the log head and the tests that
    it quotes, `signer` is who signs it.
    """
    sealed_seq, sealed = next(
        (entry.seq, EvidenceSealed.from_object(entry.record.data, what="seal"))
        for entry in reversed(claimant.entries)
        if entry.record.kind == "evidence_sealed"
    )
    own = {e.seq for e in claimant.entries if e.record.issue == claimant.issue and e.seq <= sealed_seq}
    seqs = sorted((own - set(leave_out)) | set(take_in))
    stated = seqs[-1] + 1
    paper = PaperLog(claimant.blocks, claimant.node.log_seed)
    execution = claimant.state.execution
    head = {
        "tests": None if execution is None else execution.tests,
        "length": stated,
        "tree_hash": paper.tree_hash(stated),
        "signature": paper.head(stated)["signature"],
    }
    repeated = sealed.model_copy(update=said or {})
    statement = make_statement(
        issue=claimant.issue,
        hive=claimant.hive.name,
        node_id=claimant.node.node_id,
        peer_id=claimant.node.key.key_id,
        log_key=paper.key.hex(),
        seqs=seqs,
        sealed=repeated,
        transcript_url=f"http://127.0.0.1:8080/logs/{paper.key.hex()}/{repeated.transcript_token}",
        **head | (quoted or {}),
    )
    signed = Envelope.sign(STATEMENT_TYPE, statement.to_json(), signer or claimant.node.key).raw
    made = Bundle(
        hive=claimant.hive.name,
        hive_key=claimant.hive.key.public.hex(),
        card=claimant.node.card_bytes.decode(),
        statement=signed.decode(),
        proof=paper.bundle(seqs, stated if length is None else length),
    )
    body = render_pr_body(Report("Mended x.", claimant.state, statement, signed, ("x.py",)))
    pull_request = {
        "number": 7,
        "body": body,
        "state": "open",
        "head": {"sha": sealed.head_sha, "ref": f"bzzz/issue-{claimant.issue.number}"},
        "base": {"ref": "main", "repo": {"full_name": claimant.issue.repository}},
    }
    return Sealed(claimant, paper, statement, signed, made.to_object(), pull_request)


def debate(hive: Hive | None = None, **claimant: Any) -> tuple[Claimant, Node, Node]:
    """A claimant with its plan on the table, and its two reviewers."""
    hive = hive or Hive()
    chair = Claimant(hive, hive.node("bzzz-0"), **claimant)
    chair.claim()
    chair.propose()
    return chair, hive.node("bzzz-1"), hive.node("bzzz-2")


def agreed(claimant: Claimant, *speakers: Node) -> None:
    """Let the window pass, close the round, let the speakers countersign, execute and finish."""
    claimant.pass_time(claimant.limits.window_s)
    claimant.close()
    for speaker in speakers:
        claimant.countersign(speaker)
    if not speakers:
        claimant.pass_time(5)
    claimant.execute()
    claimant.finish()


def sealed_discussion() -> Sealed:
    """Two rounds: an objection, a revision that meets it, agreement, a seal; then other work in the same log."""
    claimant, first, second = debate()
    claimant.pass_time(2)
    claimant.objection(first, reason="x.py is the wrong file | <b>see</b> #7")
    claimant.no_objection(second)
    claimant.pass_time(30)
    claimant.close()
    claimant.countersign(first)
    claimant.countersign(second)
    other = IssueIdentity(repository="acme/widgets", number=43, epoch=1)
    claimant.record(Claimed(claim_sha="e" * 40, nonce="n2", body_digest=sha256_hex(b"")), issue=other)
    claimant.revise()
    claimant.pass_time(1)
    claimant.no_objection(first)
    agreed(claimant, first)
    claimant.seal()
    return evidence_of(claimant)
