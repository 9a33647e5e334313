"""Fetching what verification needs from a pull request's URL.

The pull request is a stranger's: its transcript link may lead anywhere. Nothing secret is sent there, answers are
bounded in size and time, redirects are not followed.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urlsplit

import httpx

from bzzz_cli.errors import CommandError, UsageError
from bzzz_cli.verify.material import (
    MAX_DIFF_BYTES,
    MAX_PULL_BYTES,
    Material,
    Pin,
    given_pin,
    parse_key,
    read_json,
    unpinned,
)
from hmmm.errors import EvidenceError, excerpt
from hmmm.evidence import MAX_BUNDLE_BYTES, parse_evidence_block

PIN_PATH: Final = ".bzzz/hive.pub"
TIMEOUT_S: Final = 30.0
_PULL: Final = re.compile(r"/([A-Za-z0-9_.-]+)/([A-Za-z0-9_.-]+)/pull/([1-9][0-9]{0,9})/?")


class UnavailableError(CommandError):
    """Something that verification needs cannot be had; that says nothing about the evidence."""


@dataclass(frozen=True)
class PullAddress:
    """A pull request, and where its API is."""

    api_url: str
    repository: str
    number: int

    @property
    def path(self) -> str:
        """Its URL in the API."""
        return f"{self.api_url}/repos/{self.repository}/pulls/{self.number}"


def address_of(url: str, api_url: str | None) -> PullAddress:
    """Take a pull request's URL apart.

    The API is github.com's, the `/api/v3` of another host, or the very origin on this machine. Raises UsageError.
    """
    wanted = f"{url[:200]}: expected a pull request's URL like https://github.com/acme/widgets/pull/7"
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError as error:
        raise UsageError(wanted) from error
    found = _PULL.fullmatch(parts.path)
    if parts.scheme not in {"http", "https"} or not host or found is None:
        raise UsageError(wanted)
    origin = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    if api_url is None:
        api_url = "https://api.github.com" if host == "github.com" else origin
        if host != "github.com" and not _is_this_machine(host):
            api_url += "/api/v3"
    return PullAddress(api_url.rstrip("/"), f"{found[1]}/{found[2]}", int(found[3]))


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def online(
    url: str,
    *,
    api_url: str | None = None,
    hive_key: str | None = None,
    bundle: Path | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Material:
    """Fetch pull request, diff, bundle and pinned key.

    GITHUB_TOKEN is sent to github.com's API, and to another only if it was named by `api_url`: a URL that somebody
    sent must not get it. Raises UsageError, UnavailableError, EvidenceError.
    """
    address = address_of(url, api_url)
    trusted = api_url is not None or address.api_url == "https://api.github.com"
    token = environ.get("GITHUB_TOKEN") if trusted else None
    with httpx.Client(timeout=TIMEOUT_S, follow_redirects=False) as http:
        github = _GitHub(http, address, token)
        pull_request = github.pull_request()
        fetched = (
            _bundle(http, pull_request) if bundle is None else read_json(bundle, "--bundle", MAX_BUNDLE_BYTES)
        )
        return Material(
            bundle=fetched,
            pull_request=pull_request,
            pin=given_pin(hive_key) or github.pin() or unpinned(fetched),
            diff=github.diff(),
        )


class _GitHub:
    def __init__(self, http: httpx.Client, address: PullAddress, token: str | None) -> None:
        self._http = http
        self._address = address
        self._headers = {"accept": "application/vnd.github+json", "user-agent": "bzzz-verify"}
        if token:
            self._headers["authorization"] = f"Bearer {token}"

    def pull_request(self) -> dict[str, Any]:
        """Return the pull request as the API gives it."""
        return _json_object(
            _get(self._http, self._address.path, self._headers, MAX_PULL_BYTES), self._address.path
        )

    def diff(self) -> bytes:
        """Return the pull request's diff."""
        headers = self._headers | {"accept": "application/vnd.github.diff"}
        return _get(self._http, self._address.path, headers, MAX_DIFF_BYTES)

    def pin(self) -> Pin | None:
        """Return the key pinned in the default branch of the repository; None where there is none."""
        url = f"{self._address.api_url}/repos/{self._address.repository}/contents/{PIN_PATH}"
        try:
            answer = _json_object(_get(self._http, url, self._headers, MAX_PULL_BYTES), url)
        except _AbsentError:
            return None
        try:
            text = base64.b64decode(str(answer.get("content", ""))).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise UnavailableError(f"{url}: expected a file's content in base64") from error
        source = f"{PIN_PATH} of {self._address.repository}'s default branch"
        return Pin(parse_key(text, source), source, pinned=True)


def _bundle(http: httpx.Client, pull_request: dict[str, Any]) -> object:
    block = parse_evidence_block(str(pull_request.get("body") or ""))
    link = urlsplit(block.transcript_url)
    if link.scheme not in {"http", "https"} or not link.hostname:
        raise EvidenceError(
            "bad_block", f"transcript: expected a web address, got {excerpt(block.transcript_url)}"
        )
    url = f"{block.transcript_url}/bundle.json"
    return _json_object(_get(http, url, {"user-agent": "bzzz-verify"}, MAX_BUNDLE_BYTES), url)


class _AbsentError(UnavailableError):
    """404."""


def _get(http: httpx.Client, url: str, headers: Mapping[str, str], limit: int) -> bytes:
    try:
        with http.stream("GET", url, headers=dict(headers)) as response:
            data = b""
            for chunk in response.iter_bytes():
                data += chunk
                if len(data) > limit:
                    raise UnavailableError(f"{url}: expected at most {limit} bytes, came more")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UnavailableError(f"{url}: expected an answer, came {excerpt(repr(error))}") from error
    if response.status_code == 404:
        raise _AbsentError(
            f"{url}: not found, or not for this credential; set GITHUB_TOKEN for a private repository"
        )
    if response.status_code != 200:
        raise UnavailableError(
            f"{url}: expected 200, came {response.status_code} {excerpt(data.decode(errors='replace'))}"
        )
    return data


def _json_object(data: bytes, url: str) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UnavailableError(f"{url}: expected JSON") from error
    if not isinstance(value, dict):
        raise UnavailableError(f"{url}: expected a JSON object")
    return cast("dict[str, Any]", value)
