"""`bzzz verify`: a line a link, exit code 1 at the first that does not hold, 2 for wrong use; where the key is from."""

from __future__ import annotations

import base64
import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bzzz_cli.errors import UsageError
from bzzz_cli.local.repository import serve_copy
from bzzz_cli.main import app
from bzzz_cli.verify.online import address_of, online
from hmmm.evidence import LINKS
from hmmm.meta import NoObjection, Objection
from tests.support.discussions import Sealed, agreed, debate, evidence_of, sealed_discussion
from tests.support.processes import Processes


@dataclasses.dataclass
class Files:
    """A sealed discussion, written out as `bzzz local --report` does."""

    folder: Path
    sealed: Sealed

    @property
    def key(self) -> str:
        return self.sealed.bundle["hiveKey"]

    def verify(self, *more: str) -> Any:
        folder = self.folder
        arguments = [
            "verify",
            "--bundle",
            str(folder / "bundle-7.json"),
            "--pr",
            str(folder / "pr-7.json"),
            *more,
        ]
        return CliRunner().invoke(app, arguments)

    def change_bundle(self, **fields: Any) -> None:
        (self.folder / "bundle-7.json").write_text(json.dumps(self.sealed.bundle | fields))


def written(folder: Path, sealed: Sealed) -> Files:
    (folder / "bundle-7.json").write_text(json.dumps(sealed.bundle))
    (folder / "pr-7.json").write_text(json.dumps(sealed.pull_request))
    return Files(folder, sealed)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return written(tmp_path, sealed_discussion())


def links_of(output: str) -> list[str]:
    """The names of the links that were printed, in order."""
    return [name for line in output.splitlines() for name in LINKS if line[13:].startswith(f"{name} ")]


def test_evidence_that_holds_exits_0_with_a_line_for_every_link(files: Files) -> None:
    result = files.verify("--hive-key", files.key)
    assert result.exit_code == 0
    assert links_of(result.output) == list(LINKS)
    assert f"{files.key}, pinned by --hive-key" in result.output
    assert result.output.splitlines()[-1] == "verified"


def test_the_pinned_key_may_be_a_file(files: Files) -> None:
    path = files.folder / "hive.pub"
    path.write_text(f"{files.key}\n")
    result = files.verify("--hive-key", str(path))
    assert result.exit_code == 0
    assert f"pinned by {path}" in result.output


def test_a_key_that_came_along_with_the_evidence_is_said_to_prove_little(files: Files) -> None:
    result = files.verify()
    assert result.exit_code == 0
    assert "NOT PINNED: it came along with the evidence" in result.output
    assert "verified" not in result.output.splitlines()[-1]


def test_another_hives_key_is_refused_at_the_hive_key(files: Files) -> None:
    result = files.verify("--hive-key", "ab" * 32)
    assert result.exit_code == 1
    assert links_of(result.output) == ["bundle", "hive key"]
    assert result.output.splitlines()[-1] == "refused: hive key does not hold"


def test_a_flipped_byte_of_a_block_is_refused_at_the_log(files: Files) -> None:
    proof = json.loads(json.dumps(files.sealed.bundle["proof"]))
    data = proof["blocks"][3]["data"]
    proof["blocks"][3]["data"] = ("A" if data[0] != "A" else "B") + data[1:]
    files.change_bundle(proof=proof)
    result = files.verify("--hive-key", files.key)
    assert result.exit_code == 1
    assert links_of(result.output)[-1] == "blocks"  # they make another tree than the signed one


def test_an_objection_to_another_plan_is_refused_naming_that_message(tmp_path: Path) -> None:
    claimant, first, second = debate()
    stray = claimant.hear(
        first, Objection(plan_digest="d" * 64, severity="advisory", reason="about something else")
    )
    claimant.hear(second, NoObjection(plan_digest=claimant.plan_digest))
    agreed(claimant, second)
    claimant.seal()
    result = written(tmp_path, evidence_of(claimant)).verify()
    message = json.loads(stray.record.data["envelope"])
    msg_id = json.loads(base64.b64decode(message["payload"]))["msg_id"]
    assert result.exit_code == 1
    assert links_of(result.output)[-1] == "plan digests"
    assert msg_id in result.output


def test_a_head_that_moved_is_told_apart_from_forgery(files: Files) -> None:
    moved = files.sealed.pull_request | {"head": {"sha": "9" * 40, "ref": "bzzz/issue-42"}}
    (files.folder / "pr-7.json").write_text(json.dumps(moved))
    result = files.verify("--hive-key", files.key)
    assert result.exit_code == 1
    assert "MOVED" in result.output
    assert "FAILS" not in result.output
    assert result.output.splitlines()[-1].startswith("moved: the evidence holds for an earlier head")


def test_a_diff_that_was_not_agreed_is_refused(files: Files) -> None:
    diff = files.folder / "pr-7.diff"
    diff.write_text("diff --git a/y.py b/y.py\n--- a/y.py\n+++ b/y.py\n@@ -1 +1 @@\n-1\n+2\n")
    result = files.verify("--hive-key", files.key, "--diff", str(diff))
    assert result.exit_code == 1
    assert links_of(result.output)[-1] == "patch"


MISUSE = {
    "nothing at all": ["verify"],
    "a bundle without its pull request": ["verify", "--bundle", "b.json"],
    "an address and offline files": ["verify", "https://github.com/a/b/pull/1", "--pr", "p.json"],
    "no pull request's address": ["verify", "https://github.com/a/b/issues/1"],
    "another scheme": ["verify", "file:///etc/passwd"],
    "files that are not there": ["verify", "--bundle", "/no/b.json", "--pr", "/no/p.json"],
    "an unknown option": ["verify", "--no-such-option"],
}


@pytest.mark.parametrize("case", MISUSE)
def test_wrong_use_exits_2_and_says_what_was_expected(case: str) -> None:
    result = CliRunner().invoke(app, MISUSE[case])
    assert result.exit_code == 2
    assert result.output


@pytest.mark.parametrize("key", ["", "abc", "zz" * 32, "ab" * 33])
def test_a_hive_key_that_is_none_exits_2(files: Files, key: str) -> None:
    result = files.verify("--hive-key", key)
    assert result.exit_code == 2
    assert "64 hex digits" in result.output


@pytest.mark.parametrize("content", ["", "[]", "{", "null", '{"hiveKey": 3}', "[" * 100_000])
def test_a_bundle_that_is_none_is_refused_whatever_it_holds(files: Files, content: str) -> None:
    (files.folder / "bundle-7.json").write_text(content)
    result = files.verify("--hive-key", files.key)
    assert result.exit_code in {1, 2}
    assert not isinstance(result.exception, AssertionError | KeyError | TypeError)


ADDRESSES = {
    "https://github.com/acme/widgets/pull/7": "https://api.github.com/repos/acme/widgets/pulls/7",
    "https://git.example.org/acme/widgets/pull/7/": "https://git.example.org/api/v3/repos/acme/widgets/pulls/7",
    "http://127.0.0.1:4010/acme/widgets/pull/7": "http://127.0.0.1:4010/repos/acme/widgets/pulls/7",
    "https://user:secret@git.example.org/acme/w/pull/1": "https://git.example.org/api/v3/repos/acme/w/pulls/1",
}


@pytest.mark.parametrize("url", ADDRESSES)
def test_the_api_is_found_from_a_pull_requests_address(url: str) -> None:
    assert address_of(url, None).path == ADDRESSES[url]


@pytest.mark.parametrize(
    "url", ["http://[::1/a/b/pull/1", "https:///a/b/pull/1", "https://x/a/b/pull/0", "acme/b#1"]
)
def test_what_is_no_pull_requests_address_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="expected a pull request's URL"):
        address_of(url, None)


def test_the_key_is_read_from_the_default_branch_and_the_pull_request_from_the_api(
    tmp_path: Path, files: Files
) -> None:
    source = serve_copy(None, tmp_path / "served.git", "acme/widgets", files.key)
    config = {
        "stateDir": str(tmp_path / "github"),
        "users": [{"login": "boss", "token": "tok-boss", "permission": "admin"}],
        "repositories": [{"name": "acme/widgets", "source": str(source)}],
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    with Processes(tmp_path) as processes:
        argv = [sys.executable, "-m", "bzzz_github_server", "--config", tmp_path / "config.json"]
        server = processes.start("github", argv, ready_within=60)
        url = server.ready["url"]
        push_branch(url, tmp_path / "clone")
        number = open_pull(url, files.sealed.pull_request["body"])
        result = CliRunner().invoke(
            app,
            ["verify", f"{url}/acme/widgets/pull/{number}", "--bundle", str(files.folder / "bundle-7.json")],
        )
        material = online(
            f"{url}/acme/widgets/pull/{number}", bundle=files.folder / "bundle-7.json", environ={}
        )
    assert f"{files.key}, pinned by .bzzz/hive.pub of acme/widgets's default branch" in result.output
    assert "MOVED" in result.output  # the commit of the server is none that a discussion was about
    assert result.exit_code == 1
    assert material.diff is not None
    assert b"+hello" in material.diff


def push_branch(url: str, folder: Path) -> None:
    remote = url.replace("http://", "http://x-access-token:tok-boss@") + "/acme/widgets.git"
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.test"]
    for arguments in (
        ["clone", "-q", remote, str(folder)],
        ["-C", str(folder), "switch", "-qc", "work"],
        ["-C", str(folder), *identity, "commit", "-q", "--allow-empty", "-m", "nothing"],
    ):
        subprocess.run(["git", *arguments], check=True)
    (folder / "hello.txt").write_text("hello\n")
    subprocess.run(["git", "-C", str(folder), "add", "hello.txt"], check=True)
    subprocess.run(["git", "-C", str(folder), *identity, "commit", "-qm", "Say hello"], check=True)
    subprocess.run(["git", "-C", str(folder), "push", "-q", "origin", "work"], check=True)


def open_pull(url: str, body: str) -> int:
    import httpx

    answer = httpx.post(
        f"{url}/repos/acme/widgets/pulls",
        headers={"authorization": "Bearer tok-boss"},
        json={"title": "Say hello", "head": "work", "base": "main", "body": body},
        timeout=30,
    )
    assert answer.status_code == 201, answer.text
    return answer.json()["number"]


def test_a_pull_request_without_evidence_exits_1_and_says_so(tmp_path: Path) -> None:
    pull_request = {
        "number": 1,
        "body": "trust me",
        "head": {"sha": "1" * 40},
        "base": {"repo": {"full_name": "acme/widgets"}},
    }
    sealed = dataclasses.replace(sealed_discussion(), pull_request=pull_request)
    result = written(tmp_path, sealed).verify()
    assert result.exit_code == 1
    assert "expected an evidence block, found none" in result.output


def test_a_host_that_does_not_answer_exits_1_and_is_named() -> None:
    result = CliRunner().invoke(app, ["verify", "http://127.0.0.1:9/acme/widgets/pull/1"])
    assert result.exit_code == 1
    assert "http://127.0.0.1:9/repos/acme/widgets/pulls/1" in result.output
