"""The archive holds what sidecars appended, says so only when it is durable, and serves it."""

from __future__ import annotations

from tests.support.sidecar import Archive, Log, record


def test_what_is_appended_is_acknowledged_by_the_archive(archived: tuple[Log, Archive]) -> None:
    log, archive = archived
    appended = log.append(*(record(n) for n in range(20)))
    answer = archive.get(f"/v1/logs/{log.key}/acknowledged?length={appended['length']}&wait=10")
    head = log.get("/v1/head")
    assert answer["acknowledged"] is True
    assert answer["length"] == 20
    assert answer["treeHash"] == head["treeHash"]
    assert answer["signedAt"].endswith("Z")
    assert archive.get(f"/v1/logs/{log.key}/head") == head
