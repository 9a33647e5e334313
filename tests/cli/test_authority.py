"""The hive's authority, its keys, and the pin in the served copy."""

from __future__ import annotations

import socket
import stat
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bzzz_cli.errors import CommandError, UsageError
from bzzz_cli.local.authority import Authority
from bzzz_cli.local.ports import RANGE, free_ports, kept_port
from bzzz_cli.local.repository import serve_copy
from hmmm.envelope import SigningKey
from hmmm.membership import Roster, read_card

KEY = "ab" * 32


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.test"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "trunk")
    (folder / "a.py").write_text("1\n")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "First")
    (folder / "a.py").write_text("not committed\n")
    return folder


def test_a_card_admits_its_bearer_to_the_hive(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "local")
    card = authority.issue_card("bzzz-0", "agent", KEY).read_bytes()
    roster = Roster("local", bytes.fromhex(authority.public_key), card)
    now = datetime.now(UTC)
    admitted = roster.admit(authority.issue_card("scribe", "scribe", None).read_bytes(), now)
    assert [c.node_id for c in roster.members(now)] == ["bzzz-0", "scribe"]
    assert (
        admitted.peer_id == SigningKey.mesh(bytes.fromhex(authority.mesh_seed("scribe").read_text())).key_id
    )
    assert roster.own.log_key == KEY


def test_the_same_folder_is_the_same_hive_and_serials_grow(tmp_path: Path) -> None:
    first = Authority(tmp_path, "local")
    serials = [serial_of(first, first.issue_card("bzzz-0", "agent", KEY))]
    again = Authority(tmp_path, "local")
    serials.append(serial_of(again, again.issue_card("bzzz-0", "agent", KEY)))
    assert first.public_key == again.public_key
    assert first.peer_id("bzzz-0") == again.peer_id("bzzz-0")
    assert serials == [1, 2]


def serial_of(authority: Authority, card: Path) -> int:
    return read_card(card.read_bytes(), hive="local", hive_key=bytes.fromhex(authority.public_key)).serial


def test_nobody_else_can_read_what_the_authority_keeps(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "local")
    authority.issue_card("bzzz-0", "agent", KEY)
    authority.log_seed("bzzz-0")
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in tmp_path.rglob("*") if p.is_file()}
    assert set(modes) == {"hive.seed", "mesh.seed", "log.seed", "card.json", "serials.json"}
    assert set(modes.values()) == {0o600}


def test_a_damaged_seed_is_named_and_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "hive.seed").write_text("half a se")
    with pytest.raises(CommandError, match=r"hive\.seed: expected 64 hex digits") as refused:
        Authority(tmp_path, "local")
    assert "half" not in str(refused.value)
    assert (tmp_path / "hive.seed").read_text() == "half a se"


def test_the_served_copy_has_the_committed_files_and_the_pinned_key(checkout: Path, tmp_path: Path) -> None:
    head = git(checkout, "rev-parse", "HEAD")
    served = serve_copy(checkout, tmp_path / "served.git", "acme/widgets", KEY)
    assert git(served, "symbolic-ref", "--short", "HEAD") == "trunk"
    assert git(served, "show", "trunk:.bzzz/hive.pub") == KEY
    assert git(served, "show", "trunk:a.py") == "1"
    assert git(served, "rev-parse", "trunk^") == head


def test_the_users_checkout_is_not_written(checkout: Path, tmp_path: Path) -> None:
    before = {p: p.read_bytes() for p in checkout.rglob("*") if p.is_file()}
    serve_copy(checkout, tmp_path / "served.git", "acme/widgets", KEY)
    assert {p: p.read_bytes() for p in checkout.rglob("*") if p.is_file()} == before


def test_a_key_pinned_earlier_gives_way_in_the_copy(checkout: Path, tmp_path: Path) -> None:
    git(checkout, "checkout", "-q", "a.py")
    (checkout / ".bzzz").mkdir()
    (checkout / ".bzzz" / "hive.pub").write_text("cd" * 32)
    git(checkout, "add", ".")
    git(checkout, "commit", "-qm", "Pin")
    served = serve_copy(checkout, tmp_path / "served.git", "acme/widgets", KEY)
    assert git(served, "show", "trunk:.bzzz/hive.pub") == KEY


def test_a_detached_head_is_served_as_main(checkout: Path, tmp_path: Path) -> None:
    git(checkout, "checkout", "-qf", "--detach")
    served = serve_copy(checkout, tmp_path / "served.git", "acme/widgets", KEY)
    assert git(served, "symbolic-ref", "--short", "HEAD") == "main"


def test_without_a_checkout_a_readme_is_served(tmp_path: Path) -> None:
    served = serve_copy(None, tmp_path / "served.git", "acme/widgets", KEY)
    assert git(served, "show", "main:README.md") == "# acme/widgets"
    assert git(served, "show", "main:.bzzz/hive.pub") == KEY


def test_a_folder_that_is_no_repository_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    with pytest.raises(UsageError, match="expected a git checkout with at least one commit; run git init"):
        serve_copy(tmp_path / "plain", tmp_path / "served.git", "acme/widgets", KEY)
    with pytest.raises(UsageError, match="expected a folder, found none"):
        serve_copy(tmp_path / "none", tmp_path / "served.git", "acme/widgets", KEY)


def test_ports_are_distinct_free_and_out_of_the_way_of_outgoing_connections() -> None:
    ports = free_ports(30)
    assert len(set(ports)) == 30
    assert all(port in RANGE for port in ports)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", ports[0]))


def test_a_kept_port_stays_the_same_until_somebody_else_takes_it(tmp_path: Path) -> None:
    port = kept_port(tmp_path / "port")
    assert kept_port(tmp_path / "port") == port
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        taken_over = kept_port(tmp_path / "port")
    assert taken_over != port
    assert kept_port(tmp_path / "port") == taken_over
