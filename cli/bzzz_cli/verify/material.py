"""What verification needs, and where a key came from that was not given: offline from files."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from bzzz_cli.errors import UsageError
from hmmm.evidence import MAX_BUNDLE_BYTES

MAX_PULL_BYTES = 4 * 1024 * 1024
MAX_DIFF_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class Pin:
    """The hive's public key and where it came from."""

    key: bytes
    source: str
    pinned: bool
    """False when the key came along with the evidence: then it proves consistency, and not by whom."""


@dataclass(frozen=True)
class Material:
    """Everything that is checked."""

    bundle: object
    pull_request: object
    pin: Pin
    diff: bytes | None = None
    revocations: bytes | None = None


def parse_key(text: str, source: str) -> bytes:
    """Return a hive's public key from its 64 hex digits. Raises UsageError."""
    stripped = text.strip()
    if re.fullmatch(r"[0-9a-fA-F]{64}", stripped) is None:
        raise UsageError(
            f"{source}: expected a hive's public key of 64 hex digits, came {len(stripped)} characters"
        )
    return bytes.fromhex(stripped)


def given_pin(option: str | None) -> Pin | None:
    """Return the key of `--hive-key`, given as hex or as a file. Raises UsageError."""
    if option is None:
        return None
    path = Path(option)
    if re.fullmatch(r"[0-9a-fA-F]{64}", option) is None and path.is_file():
        return Pin(
            parse_key(read_text(path, "--hive-key", 4096), f"--hive-key {path}"), str(path), pinned=True
        )
    return Pin(parse_key(option, "--hive-key"), "--hive-key", pinned=True)


def unpinned(bundle: object) -> Pin:
    """Return the key that a bundle brings along. Raises UsageError if it brings none."""
    key = cast("dict[str, Any]", bundle).get("hiveKey") if isinstance(bundle, dict) else None
    if not isinstance(key, str):
        raise UsageError("expected a hive key: none is pinned and the bundle brings none; give --hive-key")
    return Pin(parse_key(key, "the bundle's hiveKey"), "the evidence itself", pinned=False)


def read_json(path: Path, option: str, limit: int) -> object:
    """Return a file's JSON. Raises UsageError."""
    try:
        return cast("object", json.loads(read_text(path, option, limit)))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{option} {path}: expected JSON: {str(error)[:200]}") from error


def read_text(path: Path, option: str, limit: int) -> str:
    """Return a file's text. Raises UsageError."""
    return read_bytes(path, option, limit).decode("utf-8", "replace")


def read_bytes(path: Path, option: str, limit: int) -> bytes:
    """Return a file's bytes. Raises UsageError."""
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise UsageError(f"{option} {path}: cannot be read: {error.strerror}") from error
    if len(data) > limit:
        raise UsageError(f"{option} {path}: expected at most {limit} bytes, came more")
    return data


def offline(
    bundle: Path, pull_request: Path, hive_key: str | None, diff: Path | None, revocations: Path | None
) -> Material:
    """Take everything from files; nothing is asked over the network. Raises UsageError."""
    parsed = read_json(bundle, "--bundle", MAX_BUNDLE_BYTES)
    return Material(
        bundle=parsed,
        pull_request=read_json(pull_request, "--pr", MAX_PULL_BYTES),
        pin=given_pin(hive_key) or unpinned(parsed),
        diff=None if diff is None else read_bytes(diff, "--diff", MAX_DIFF_BYTES),
        revocations=None if revocations is None else read_bytes(revocations, "--revocations", MAX_PULL_BYTES),
    )
