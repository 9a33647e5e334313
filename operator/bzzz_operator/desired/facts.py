"""What `desired_state` is told: a HiveAgent, and what only the operator knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bzzz_crds import HiveAgentSpec
from bzzz_operator.network.policies import ServiceFacts
from bzzz_operator.settings import OperatorSettings


@dataclass(frozen=True)
class TokenCredential:
    """The GitHub Secret holds a `token`."""


@dataclass(frozen=True)
class AppCredential:
    """The GitHub Secret holds an App's `appId`, `installationId` and `privateKey`; the first two are no secrets."""

    app_id: int
    installation_id: int


GitHubCredential = TokenCredential | AppCredential


@dataclass(frozen=True)
class VolumeFacts:
    """What a StatefulSet's claim template has once it exists: neither can be changed any more."""

    size: str
    storage_class: str | None


@dataclass(frozen=True)
class HiveFacts:
    """What all HiveAgents of the hive have in common."""

    settings: OperatorSettings
    hive_key: str
    """The hive's public key, 64 hex digits."""
    archive_key: str
    """The archive's Noise public key, the only one that the agents' logs are replicated to."""
    runner_program: str
    """Source of the workspace runner, which is delivered into images that know nothing of us."""
    services: Mapping[str, ServiceFacts] = field(default_factory=dict[str, ServiceFacts])


@dataclass(frozen=True)
class WantedAgent:
    """One HiveAgent, without problems that would keep its pods from starting."""

    name: str
    uid: str
    spec: HiveAgentSpec
    credential: GitHubCredential
    replicas: int
    """Of the StatefulSet: above `spec.replicas` while pods that are scaled away still drain."""
    volume: VolumeFacts | None = None
    """Of the StatefulSet that is there; None for a new one."""
