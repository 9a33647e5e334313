"""What is observed of a HiveAgent: replicas and conditions by the operator, agents and issues by the scribe.

Everything is optional, because two managers write it by server-side apply and either may be first. Bounds are as
wide as the protocol's: a status that the API server refuses is one that nobody sees.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from bzzz_crds.conditions import Conditions
from bzzz_crds.values import Between, ListMapBy, Model, Moment

NodeId = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
Line = Annotated[str, Field(max_length=300)]
Key = Annotated[str, Field(min_length=64, max_length=64, pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Between(0, 2**53)]


class AgentStatus(Model):
    """One agent, as cards, logs and mesh show it."""

    node_id: NodeId = Field(description="The agent's name: its pod's name.")
    peer_id: Annotated[str, Field(min_length=1, max_length=60)] | None = Field(
        default=None, description="Its identity on the mesh."
    )
    log_key: Key | None = Field(
        default=None, description="Public key of its log, which holds all its evidence."
    )
    phase: Line | None = Field(
        default=None, description="What it does: idle, the phase of its discussion, drained, away."
    )
    present: bool | None = Field(default=None, description="Whether the mesh hears it.")
    issue: Line | None = Field(default=None, description="The issue on its desk, as owner/name#number.")
    models: tuple[Line, ...] | None = Field(
        default=None, strict=False, max_length=16, description="Models that it thinks with."
    )
    load: Annotated[float, Field(ge=0, le=1000, strict=False)] | None = Field(
        default=None, description="Issues that it is working on."
    )
    last_seen: Moment | None = Field(default=None, description="When the mesh last heard it.")


class HiveAgentStatus(Model):
    """What operator and scribe observed."""

    observed_generation: Count | None = Field(
        default=None, description="The metadata.generation that the operator has acted on."
    )
    replicas: Count | None = Field(default=None, description="Agents that there are.")
    ready_replicas: Count | None = Field(default=None, description="Agents that are on the mesh.")
    ready: Annotated[str, Field(max_length=20)] | None = Field(
        default=None, description="Ready agents of those wanted, as kubectl get shows them: 2/3."
    )
    selector: Annotated[str, Field(max_length=1024)] | None = Field(
        default=None, description="Label selector of the agents' pods, for kubectl scale and autoscalers."
    )
    issues: Annotated[str, Field(max_length=1024)] | None = Field(
        default=None, description="Issues under way, as kubectl get shows them: #4 #7."
    )
    agents: (
        Annotated[tuple[AgentStatus, ...], Field(strict=False, max_length=512), ListMapBy("node_id")] | None
    ) = Field(default=None, description="Every agent, by nodeId.")
    conditions: Conditions | None = Field(
        default=None, description="What is true of it: Ready, Progressing, Degraded."
    )
    kopf: dict[str, Any] | None = Field(
        default=None,
        description="The operator framework's own notes.",
        json_schema_extra={"x-kubernetes-preserve-unknown-fields": True},
    )
