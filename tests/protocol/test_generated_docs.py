"""What is generated into docs/ is fresh, and true of real messages, records and bundles."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from hmmm.messages import MetaMessage
from hmmm.records import read_record
from tests.support.discussions import Sealed, sealed_discussion

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "docs" / "schemas"


@cache
def sealed() -> Sealed:
    return sealed_discussion()


def check(name: str, value: Any) -> None:
    """Validate a value against a generated schema."""
    jsonschema_rs.validate(json.loads((SCHEMAS / f"{name}.json").read_text()), value)


def test_schemas_and_diagram_are_fresh() -> None:
    tool = [sys.executable, str(ROOT / "tools" / "schemas.py"), "--check"]
    checked = subprocess.run(tool, capture_output=True, text=True, timeout=60, check=False)
    assert checked.returncode == 0, checked.stderr


def test_every_message_of_a_real_discussion_fits_its_schemas() -> None:
    claimant = sealed().claimant
    messages = [s.message for s in (*claimant.sent, *claimant.heard)]
    assert len(messages) == 12
    for signed in (*claimant.sent, *claimant.heard):
        check("envelope", json.loads(signed.envelope.raw))
        payload = json.loads(signed.envelope.payload)
        check(f"messages/{payload['type']}", payload)
        assert isinstance(signed.message, MetaMessage)
        check(f"meta/{signed.message.query_type}", payload["content"]["parameters"])


def test_every_record_of_a_real_log_fits_its_schemas() -> None:
    for block in sealed().claimant.blocks:
        check("record", json.loads(block))
        record = read_record(block)
        check(f"records/{record.kind}", record.data)


def test_cards_statements_and_bundles_fit_their_schemas() -> None:
    check("membership-card", sealed().claimant.node.card.to_object())
    check("statement", sealed().statement.to_object())
    check("bundle", sealed().bundle)


def test_a_schema_refuses_what_the_code_refuses() -> None:
    with pytest.raises(jsonschema_rs.ValidationError):
        check("bundle", sealed().bundle | {"format": "other"})
    with pytest.raises(jsonschema_rs.ValidationError):
        check("statement", sealed().statement.to_object() | {"predicateType": "other"})
