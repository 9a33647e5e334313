"""What a peer says changes what is done."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.hive import Hive, agent, issue, number_of

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

ISSUE = issue("Tidy up", "touch: src/a.py", "touch: generated/table.txt", labels=("bzzz", "tool:edit"))


def test_the_same_issue_ends_in_another_diff_when_a_peer_objects(hive_of: Callable[..., Hive]) -> None:
    editor = agent("edit", capabilities={"tools": ["edit"]}, reviewers=1)
    guard = agent(
        "guard", execution={"limits": {"protectedPaths": ["generated/**"]}}, capabilities={"tools": ["guard"]}
    )
    alone, together = hive_of([editor], [ISSUE]), hive_of([editor, guard], [ISSUE])

    unreviewed = alone.check_all(alone.start().wait(240))[1]
    reviewed = together.check_all(together.start().wait(240))[1]

    free, bounded = alone.diff(number_of(unreviewed)), together.diff(number_of(reviewed))
    assert "src/a.py" in free
    assert "generated/table.txt" in free
    assert "src/a.py" in bounded
    assert "generated/table.txt" not in bounded
    assert unreviewed["rounds"] == 1
    assert reviewed["rounds"] == 2
    assert "*unreviewed*" in alone.pull_requests()[number_of(unreviewed)]["body"]
    body = together.pull_requests()[number_of(reviewed)]["body"]
    assert "protected" in body
    assert "guard-0" in body
