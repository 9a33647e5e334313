"""Small values for the pure tests."""

from __future__ import annotations

from typing import Any

from bzzz_crds import HiveAgentSpec
from bzzz_operator.desired import HiveFacts, TokenCredential, WantedAgent
from bzzz_operator.desired.facts import GitHubCredential, VolumeFacts
from bzzz_operator.settings import OperatorSettings

Json = dict[str, Any]


def settings(**changes: Any) -> OperatorSettings:
    """Return an operator's settings."""
    base: Json = {
        "hive": "hive",
        "namespace": "agents",
        "publicUrl": "https://hive.example.com",
        "images": {"agent": "agent:1", "sidecar": "sidecar:1", "workspace": "workspace:1"},
        "archive": {"url": "http://hive-archive.agents.svc:8081"},
    }
    return OperatorSettings.model_validate({**base, **changes})


def spec(**changes: Any) -> HiveAgentSpec:
    """Return a HiveAgent's spec."""
    base: Json = {
        "replicas": 3,
        "github": {"repositories": ["acme/widgets"], "credentialsSecretRef": {"name": "github"}},
        "execution": {"type": "command", "plan": "dryRun", "command": ["ruff", "check"]},
    }
    return HiveAgentSpec.model_validate({**base, **changes})


def wanted(
    credential: GitHubCredential | None = None,
    replicas: int = 3,
    volume: VolumeFacts | None = None,
    **changes: Any,
) -> WantedAgent:
    """Return an agent to be made."""
    return WantedAgent("bzzz", "uid-1", spec(**changes), credential or TokenCredential(), replicas, volume)


def facts(**changes: Any) -> HiveFacts:
    """Return the hive's facts; `changes` are of the settings."""
    return HiveFacts(settings(**changes), "aa" * 32, "bb" * 32, "print('runner')\n")
