"""One API server for the authority's tests, a namespace a test, and authorities that may crash."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

import kopf
import pytest

from bzzz_operator.api import Api, Json
from bzzz_operator.authority import AgentWish, Authority, AuthoritySettings
from bzzz_operator.kinds import Kind
from hmmm.membership import MembershipCard, Revocations, read_card, read_revocations
from tests.support.kube_api import ApiServer

T = TypeVar("T")
START = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


class CrashError(Exception):
    """The operator is gone."""


class CrashingApi(Api):
    """Dies before or after its nth write, as kill -9 would."""

    crash_at: int | None = None
    after: bool = False
    writes: int = 0

    async def _write(self, kind: Kind, verb: str, *args: Any, **kwargs: Any) -> Json:
        self.writes += 1
        mine = self.writes == self.crash_at
        if mine and not self.after:
            raise CrashError
        answer = await super()._write(kind, verb, *args, **kwargs)
        if mine:
            raise CrashError
        return answer


@dataclass
class Cluster:
    """A namespace, and whatever operator's authority acts in it."""

    server: ApiServer
    namespace: str
    now: datetime = START
    wishes: list[AgentWish] = field(default_factory=list[AgentWish])

    def api(self) -> CrashingApi:
        login = kopf.ConnectionInfo(
            server=self.server.url, ca_path=str(self.server.ca_file), token=self.server.admin_token
        )
        return CrashingApi(login, self.namespace)

    def run(
        self, work: Callable[[Authority], Awaitable[T]], *, crash_at: int | None = None, after: bool = False
    ) -> T:
        """Let a freshly started operator do something with its authority."""

        async def operate() -> T:
            api = self.api()
            api.crash_at, api.after = crash_at, after
            settings = AuthoritySettings("hive", self.namespace)
            authority = Authority(api, settings, lambda: self.wishes, lambda: self.now)
            try:
                await authority.open()
                return await work(authority)
            finally:
                await api.close()

        return asyncio.run(operate())

    def seeds(self, secret: str) -> dict[str, str]:
        data = self.get("secret", secret)["data"]
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    def put_seed(self, secret: str, key: str, text: str) -> None:
        patch = json.dumps({"stringData": {key: text}})
        self.server.kubectl("patch", "secret", secret, "-n", self.namespace, "--type=merge", "-p", patch)

    def get(self, kind: str, name: str) -> dict[str, Any]:
        return dict(self.server.get(kind, name, "-n", self.namespace))

    @property
    def data(self) -> dict[str, str]:
        return self.get("configmap", "hive-members")["data"]

    @property
    def cards(self) -> dict[str, MembershipCard]:
        data = self.data
        key = bytes.fromhex(data["hive.pub"])
        cards = (
            read_card(v.encode(), hive="hive", hive_key=key) for k, v in data.items() if k[:5] == "card-"
        )
        return {card.node_id: card for card in cards}

    @property
    def revocations(self) -> Revocations:
        data = self.data
        key = bytes.fromhex(data["hive.pub"])
        return read_revocations(data["revocations.json"].encode(), hive="hive", hive_key=key)


@pytest.fixture(scope="package")
def server() -> Iterator[ApiServer]:
    with ApiServer.start() as api:
        yield api


@pytest.fixture
def cluster(server: ApiServer) -> Cluster:
    return Cluster(server, server.namespace())
