"""What the containers of an agent's pod are told: `agent.json` and `hypercore.json`."""

from __future__ import annotations

import hashlib
from typing import Any, Final

import orjson

from bzzz_crds import HiveAgentSpec
from bzzz_operator.desired import names
from bzzz_operator.desired.facts import AppCredential, HiveFacts, WantedAgent
from bzzz_operator.network import flows

Json = dict[str, Any]

EMBEDDED: Final = "embedded:"
"""Models of this provider are the one that the hive serves itself."""

_NOT_THE_AGENTS_BUSINESS: Final = ("replicas", "storage")
"""Left out of the agent's copy of the spec: scaling must not replace the pods that stay."""


def agent_config(agent: WantedAgent, hive: HiveFacts) -> Json:
    """Return `agent.json` (bzzz_agent.settings). Identity (node id, card, address) comes by flags, secrets by file."""
    settings = hive.settings
    claims = settings.claims.model_dump(by_alias=True, exclude_none=True)
    config: Json = {
        "hive": settings.hive,
        "hiveKey": hive.hive_key,
        "meshSeedFile": "/etc/bzzz/keys/mesh.seed",
        "membersFile": "/etc/bzzz/hive/members.json",
        "revocationsFile": "/etc/bzzz/hive/revocations.json",
        "listen": f"/ip4/0.0.0.0/tcp/{flows.MESH_PORT}",
        "log": {"socket": names.LOG_SOCKET},
        "archive": {"url": settings.archive.url, "tokenFile": "/etc/bzzz/archive/token"},
        "runner": {"socket": names.RUN_SOCKET, "tokenFile": "/etc/bzzz/runner/token"},
        "stateDir": "/var/lib/bzzz",
        "publicUrl": settings.public_url,
        "github": _github(agent),
        "claims": claims,
        "modelProxyPort": names.PROXY_PORT,
        "metrics": _metrics(flows.AGENT_METRICS_PORT),
        "podinfoFile": names.PODINFO_FILE,
        "readyFile": names.READY_FILE,
        "aliveFile": names.ALIVE_FILE,
        "spec": _spec(agent.spec),
    }
    model = _model(agent.spec, settings.model_url)
    return {**config, "model": model} if model is not None else config


def hypercore_config(hive: HiveFacts) -> Json:
    """Return `hypercore.json` (sidecar/lib/config.js)."""
    return {
        "dir": "/data",
        "dirPerKey": True,
        "socket": names.LOG_SOCKET,
        "seedFile": "/etc/bzzz/keys/log.seed",
        "replication": {"host": "0.0.0.0", "port": flows.REPLICATION_PORT, "allow": [hive.archive_key]},  # noqa: S104
        "metrics": _metrics(flows.SIDECAR_METRICS_PORT),
    }


def config_data(agent: WantedAgent, hive: HiveFacts) -> dict[str, str]:
    """Return the data of the ConfigMap: stable text, so that equal configurations are equal bytes."""
    return {
        "agent.json": as_text(agent_config(agent, hive)),
        "hypercore.json": as_text(hypercore_config(hive)),
    }


def as_text(value: Json) -> str:
    """Return JSON with sorted keys."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2).decode()


def digest(*texts: str) -> str:
    """Return a short hash of texts."""
    sha = hashlib.sha256()
    for text in texts:
        sha.update(text.encode())
        sha.update(b"\0")
    return sha.hexdigest()[:16]


def is_embedded(spec: HiveAgentSpec) -> bool:
    """Whether the agent thinks with the model that the hive serves."""
    return spec.model is not None and spec.model.base_url is None and spec.model.name.startswith(EMBEDDED)


def _spec(spec: HiveAgentSpec) -> Json:
    return {k: v for k, v in spec.to_object().items() if k not in _NOT_THE_AGENTS_BUSINESS}


def _github(agent: WantedAgent) -> Json:
    api_url = agent.spec.github.api_url
    if isinstance(agent.credential, AppCredential):
        app: Json = {
            "appId": agent.credential.app_id,
            "installationId": agent.credential.installation_id,
            "privateKeyFile": "/etc/bzzz/github/privateKey",
        }
        return {"apiUrl": api_url, "app": app}
    return {"apiUrl": api_url, "tokenFile": "/etc/bzzz/github/token"}


def _model(spec: HiveAgentSpec, served: str | None) -> Json | None:
    if spec.model is None:
        return None
    model: Json = {"name": spec.model.name}
    base_url = served if is_embedded(spec) else spec.model.base_url
    if base_url is not None:
        model["baseUrl"] = base_url
    if spec.model.credentials_secret_ref is not None:
        model["keyFile"] = "/etc/bzzz/model/apiKey"
    return model


def _metrics(port: int) -> Json:
    return {"host": "0.0.0.0", "port": port, "tokenFile": "/etc/bzzz/metrics/token"}  # noqa: S104
