"""The evidence as it stands in a pull request's text: readable, and readable back by a program.

The block sits between two comments that foreign text cannot contain, since `<` is always escaped there. There must be
exactly one: two would let a reader see one and a program another.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from hmmm.errors import EvidenceError
from hmmm.evidence.statement import Statement

BEGIN: Final = "<!-- bzzz:evidence/1 -->"
END: Final = "<!-- /bzzz:evidence/1 -->"
MAX_BODY_CHARACTERS: Final = 262_144
"""Four times what GitHub allows; a longer text is no pull request's."""

_PATTERN: Final = re.compile(
    r"""\|\ evidence\ \|\ \|\n
    \|\ ?---\ ?\|\ ?---\ ?\|\n
    \|\ transcript\ \|\ <(?P<transcript_url>[^\s<>|]{1,500})>\ \|\n
    \|\ log\ key\ \|\ `(?P<log_key>[0-9a-f]{64})`\ \|\n
    \|\ records\ \|\ `(?P<first>[0-9]{1,16})`\ to\ `(?P<last>[0-9]{1,16})`\ \|\n
    \|\ log\ length\ \|\ `(?P<length>[0-9]{1,16})`\ \|\n
    \|\ tree\ hash\ \|\ `(?P<tree_hash>[0-9a-f]{64})`\ \|\n
    \|\ tree\ signature\ \|\ `(?P<signature>[0-9a-f]{136})`\ \|\n
    \n<details>\n<summary>[^\n]{0,200}</summary>\n\n
    ```json\n(?P<statement>\{[\x20-\x5f\x61-\x7e]{1,16384}\})\n```\n\n
    </details>""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class EvidenceBlock:
    """What a pull request's text says of its evidence."""

    transcript_url: str
    log_key: str
    first: int
    last: int
    length: int
    tree_hash: str
    signature: str
    statement: str
    """The signed statement, byte for byte."""


def block_of(statement: Statement, signed: bytes) -> EvidenceBlock:
    """Return the block that belongs to a statement."""
    stated = statement.predicate
    return EvidenceBlock(
        transcript_url=stated.transcript_url,
        log_key=stated.log_key,
        first=stated.log.first,
        last=stated.log.last,
        length=stated.log.length,
        tree_hash=stated.log.tree_hash,
        signature=stated.log.signature,
        statement=signed.decode(),
    )


def render_block(block: EvidenceBlock) -> str:
    """Write the block as markdown; `parse_evidence_block` reads it back."""
    return "\n".join(
        [
            BEGIN,
            "| evidence | |",
            "|---|---|",
            f"| transcript | <{block.transcript_url}> |",
            f"| log key | `{block.log_key}` |",
            f"| records | `{block.first}` to `{block.last}` |",
            f"| log length | `{block.length}` |",
            f"| tree hash | `{block.tree_hash}` |",
            f"| tree signature | `{block.signature}` |",
            "",
            "<details>",
            "<summary>Signed statement (in-toto, DSSE): check it with <code>bzzz verify</code></summary>",
            "",
            "```json",
            block.statement,
            "```",
            "",
            "</details>",
            END,
        ]
    )


def parse_evidence_block(body: str) -> EvidenceBlock:
    """Read the evidence block out of a pull request's text.

    Raises EvidenceError: reason `no_evidence` (none there), `ambiguous` (more than one) or `bad_block`.
    """
    if len(body) > MAX_BODY_CHARACTERS:
        raise EvidenceError(
            "bad_block",
            f"pull request's text: expected at most {MAX_BODY_CHARACTERS} characters, got {len(body)}",
        )
    text = body.replace("\r\n", "\n")
    if BEGIN not in text:
        raise EvidenceError("no_evidence", "pull request's text: expected an evidence block, found none")
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise EvidenceError("ambiguous", "pull request's text: expected exactly one evidence block")
    found = _PATTERN.fullmatch(text.partition(BEGIN)[2].partition(END)[0].strip())
    if found is None:
        raise EvidenceError(
            "bad_block", "pull request's text: the evidence block was changed and cannot be read"
        )
    return EvidenceBlock(
        transcript_url=found["transcript_url"],
        log_key=found["log_key"],
        first=int(found["first"]),
        last=int(found["last"]),
        length=int(found["length"]),
        tree_hash=found["tree_hash"],
        signature=found["signature"],
        statement=found["statement"],
    )
