"""A configuration that does not fit names its file and field; a card that is not the scribe's is refused."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bzzz_mesh import DirectoryError, read_members
from bzzz_scribe.errors import ScribeError, SettingsError
from bzzz_scribe.main import run
from bzzz_scribe.settings import load_settings, read_hive_key, read_seed
from tests.support.discussions import Hive, seed_of


@pytest.fixture
def config(tmp_path: Path) -> dict[str, Any]:
    hive = Hive()
    node = hive.node("scribe-0", role="scribe", log_key=None)
    (tmp_path / "seed").write_text(seed_of("mesh test scribe-0").hex())
    (tmp_path / "card").write_bytes(node.card_bytes)
    (tmp_path / "members").write_text("[]")
    (tmp_path / "token").write_text("secret-of-the-archive")
    return {
        "nodeId": "scribe-0",
        "hive": "test",
        "hiveKey": hive.key.public.hex(),
        "meshSeedFile": str(tmp_path / "seed"),
        "cardFile": str(tmp_path / "card"),
        "membersFile": str(tmp_path / "members"),
        "archive": {"url": "http://127.0.0.1:1", "tokenFile": str(tmp_path / "token")},
        "stateFile": str(tmp_path / "state.db"),
        "publicUrl": "http://127.0.0.1:1",
    }


def written(folder: Path, config: object) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps(config))
    return path


def test_what_is_not_said_has_a_default(tmp_path: Path, config: dict[str, Any]) -> None:
    read = load_settings(written(tmp_path, config))
    assert (read.http.host, read.http.port, read.listen) == ("127.0.0.1", 0, "/ip4/127.0.0.1/tcp/0")
    assert (read.repositories, read.revocations_file) == ((), None)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"hiveKey": "xyz"}, "hiveKey"),
        ({"nodeId": "Not A Name"}, "nodeId"),
        ({"archive": {"url": "ftp://x", "tokenFile": "t"}}, "archive.url"),
        ({"http": {"port": 70_000}}, "http.port"),
        ({"repositories": ["no-slash"]}, "repositories.0"),
        ({"surprise": 1}, "surprise"),
        ({"stateFile": None}, "stateFile"),
        ({"hiveKey": None}, "hiveKeyFile"),
        ({"hiveKeyFile": "/x"}, "hiveKeyFile"),
        ({"store": {"type": "elsewhere"}}, "store"),
        ({"store": {"type": "kubernetes", "namespace": "Not A Name"}}, "store.kubernetes.namespace"),
        ({"store": {"type": "kubernetes", "ttlAfterClosed": "a week"}}, "ttlAfterClosed"),
    ],
)
def test_a_field_that_does_not_fit_is_named(
    tmp_path: Path, config: dict[str, Any], change: dict[str, Any], field: str
) -> None:
    with pytest.raises(SettingsError, match=field):
        load_settings(written(tmp_path, config | change))


def test_the_hives_key_may_stand_in_a_file(tmp_path: Path, config: dict[str, Any]) -> None:
    path = tmp_path / "hive.pub"
    path.write_text(config["hiveKey"] + "\n")
    in_a_file = {**config, "hiveKey": None, "hiveKeyFile": str(path)}
    assert read_hive_key(load_settings(written(tmp_path, in_a_file))).hex() == config["hiveKey"]
    path.write_text("what is no key")
    with pytest.raises(SettingsError, match=r"hive\.pub: expected the hive's public key"):
        read_hive_key(load_settings(written(tmp_path, in_a_file)))


def test_an_address_of_the_command_line_goes_before_the_files(tmp_path: Path, config: dict[str, Any]) -> None:
    path = written(tmp_path, {**config, "announce": ["/ip4/10.0.0.1/tcp/1"]})
    assert load_settings(path).announce == ("/ip4/10.0.0.1/tcp/1",)
    assert load_settings(path, ("/ip4/10.0.0.2/tcp/2",)).announce == ("/ip4/10.0.0.2/tcp/2",)


async def test_a_cluster_that_cannot_be_found_is_said_with_the_remedy(
    tmp_path: Path, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    settings = load_settings(written(tmp_path, {**config, "store": {"type": "kubernetes"}}))
    with pytest.raises(ScribeError, match=r"store\.apiUrl: expected the API server's address"):
        await run(settings)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.json: the configuration cannot be read"):
        load_settings(tmp_path / "nowhere.json")


@pytest.mark.parametrize("text", ["", "abc", "g" * 64, "ab" * 31, "ab" * 33])
def test_a_seed_that_is_none_is_refused_without_being_shown(tmp_path: Path, text: str) -> None:
    path = tmp_path / "seed"
    path.write_text(text)
    with pytest.raises(SettingsError, match="64 hex digits") as refused:
        read_seed(path)
    assert not text or text not in str(refused.value)


@pytest.mark.parametrize(
    "text", ["{}", "nonsense", '[{"nodeId":"a"}]', '[{"nodeId":"a","peerId":"b","addresses":"c"}]']
)
def test_a_list_of_members_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "members"
    path.write_text(text)
    with pytest.raises(DirectoryError, match="members"):
        read_members(path)


def test_members_may_have_more_fields_and_no_addresses(tmp_path: Path) -> None:
    path = tmp_path / "members"
    path.write_text('[{"nodeId":"bzzz-0","peerId":"12D3","addresses":[],"role":"agent"}]')
    assert [m.node_id for m in read_members(path)] == ["bzzz-0"]


@pytest.mark.parametrize(
    ("card", "said"),
    [
        ({"role": "agent"}, "expected a scribe's card"),
        ({"hive": "other"}, "expected hive test"),
        (
            {"peer_id": "12D3KooWHHzSeKaY8xuZVzkLbKFfvNgPPeKhFBGrMbNzbm5akpqu"},
            "expected a scribe's card for peer",
        ),
    ],
)
async def test_a_card_that_is_not_the_scribes_ends_the_start(
    tmp_path: Path, config: dict[str, Any], card: dict[str, Any], said: str
) -> None:
    fields = {"log_key": None, "role": "scribe"} | card
    if fields["role"] == "agent":
        fields.pop("log_key")
    (tmp_path / "card").write_bytes(Hive().node("scribe-0", **fields).card_bytes)
    with pytest.raises(SettingsError, match=said):
        await run(load_settings(written(tmp_path, config)))


def test_a_scribe_that_cannot_start_says_why_and_exits_with_1(tmp_path: Path, config: dict[str, Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        file = written(tmp_path, config | {"http": {"port": port}})
        ended = subprocess.run(
            [sys.executable, "-m", "bzzz_scribe", "--config", file],
            capture_output=True,
            timeout=60,
            check=False,
        )
    assert ended.returncode == 1
    assert ended.stdout == b""
    (line,) = ended.stderr.splitlines()
    assert "Address already in use" in json.loads(line)["error"]
