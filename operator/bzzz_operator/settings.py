"""What the operator is told, read once from a JSON file (`--config FILE`) and passed in from there.

One frozen tree, camelCase in the file, nothing unknown; the chart renders it (`H-operator-config`, key
`operator.json`). No secret is in it: the operator makes the hive's secrets itself and reads them from the API server.
`H` below is the hive's name.
"""

from __future__ import annotations

import ipaddress
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from bzzz_crds.values import DnsLabel, DurationBetween
from bzzz_operator.errors import SettingsError
from hmmm.base import first_problem

HiveName = Annotated[str, Field(min_length=1, max_length=45, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
"""At most 45 characters: `H-metrics-token` and a pod's labels are made from it."""

Image = Annotated[str, Field(min_length=1, max_length=512, pattern=r"^\S+$")]
Port = Annotated[int, Field(ge=1, le=65_535)]

PRIVATE_RANGES: Final = (
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "fc00::/7",
    "fe80::/10",
)
"""Where API servers, metadata services and a company's own machines usually are; link-local has the metadata."""


def _cidr(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        raise ValueError(f"expected an address range like 10.20.0.0/16: {error}") from error


Cidr = Annotated[str, Field(max_length=50), AfterValidator(_cidr)]


class Settings(BaseModel):
    """Base of the tree: frozen, camelCase in the file, nothing unknown."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, validate_default=True
    )


class Images(Settings):
    """The images of an agent's pod."""

    agent: Image
    sidecar: Image
    workspace: Image
    """For HiveAgents that name none by `spec.execution.image`."""
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    pull_secrets: tuple[str, ...] = ()
    """Names of Secrets of type kubernetes.io/dockerconfigjson."""


class Archive(Settings):
    """The hive's archive. Its Secrets have fixed names: `H-archive-token`, `H-archive-keys`."""

    url: Annotated[str, Field(pattern=r"^https?://[^\s/]+$", max_length=500)]
    """E.g. http://H-archive.NS.svc:8081."""
    retry_s: float = Field(default=15.0, gt=0, le=600)
    """Longest pause between two looks at its list of logs; an archive that is away for longer is a problem."""


class ResourceAmounts(Settings):
    """Requests or limits of a container, as Kubernetes writes quantities."""

    cpu: Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?m?$", max_length=12)] | None = None
    memory: Annotated[str, Field(pattern=r"^[0-9]+(Ki|Mi|Gi|Ti|k|M|G)?$", max_length=16)] | None = None


class ContainerResources(Settings):
    """A container's requests and limits."""

    requests: ResourceAmounts
    limits: ResourceAmounts

    def to_object(self) -> dict[str, Any]:
        """Return it as a manifest has it."""
        return {
            name: amounts.model_dump(exclude_none=True)
            for name, amounts in (("requests", self.requests), ("limits", self.limits))
        }


def _resources(cpu: str, memory: str, cpu_limit: str, memory_limit: str) -> ContainerResources:
    return ContainerResources(
        requests=ResourceAmounts(cpu=cpu, memory=memory),
        limits=ResourceAmounts(cpu=cpu_limit, memory=memory_limit),
    )


class Resources(Settings):
    """Requests and limits of an agent's containers; architecture §14: idle ≤ 250 MB and 3 % of a core in all."""

    agent: ContainerResources = _resources("50m", "160Mi", "1", "768Mi")
    hypercore: ContainerResources = _resources("20m", "64Mi", "500m", "256Mi")
    workspace: ContainerResources = _resources("50m", "64Mi", "2", "2Gi")


class Maxima(Settings):
    """Hive-wide bounds of every HiveAgent's `spec.discussion`; beyond them an agent is not started."""

    rounds: int = Field(default=10, ge=1, le=10)
    participants: int = Field(default=32, ge=1, le=32)
    hops: int = Field(default=16, ge=1, le=16)
    ttl: Annotated[timedelta, DurationBetween("1s", "24h")] = timedelta(hours=24)
    window: Annotated[timedelta, DurationBetween("100ms", "1h")] = timedelta(hours=1)


class Claims(Settings):
    """How issues are looked for and held; None leaves the agent's own default."""

    lease_s: float | None = Field(default=None, ge=2, le=86_400)
    poll_interval_s: float | None = Field(default=None, ge=0.2, le=3600)
    back_off_s: float | None = Field(default=None, ge=0, le=86_400)


class Workspace(Settings):
    """The workspace container's bounds."""

    size_limit: Annotated[str, Field(pattern=r"^[1-9][0-9]*(Ki|Mi|Gi|Ti)$", max_length=16)] = "2Gi"
    """Of the checkout's emptyDir; beyond it the kubelet evicts the pod, so the runner's own bound is below it."""
    max_megabytes: int = Field(default=1536, ge=16, le=1_000_000)
    """The largest checkout that the runner takes."""


class Storage(Settings):
    """Volumes of the agents' logs."""

    storage_class: Annotated[str, Field(max_length=253)] | None = None
    """None takes the cluster's default class."""


class EscalationWebhook(Settings):
    """Whom to tell that a human is asked, and where answers come in (docs/escalation.md)."""

    url: Annotated[str, Field(pattern=r"^https?://[!-~]+$", max_length=500)]
    """E.g. http://n8n.tools.svc:5678/webhook/bzzz-escalation. Never taken from a message."""
    secret_name: Annotated[str, Field(min_length=1, max_length=253)]
    """The Secret with `token` (the webhook's header) and `hmac` (the key of both directions' signatures)."""
    answer_port: int = Field(default=8083, ge=0, le=65_535)
    """Of the answer endpoint; 0 takes any free one, which the ready line tells."""


class PodPlacement(Settings):
    """What else a pod carries; for taints, zones, and labels that a company's policies ask for."""

    node_selector: dict[str, str] = Field(default_factory=dict, max_length=50)
    tolerations: tuple[dict[str, Any], ...] = Field(default=(), max_length=50)
    labels: dict[str, str] = Field(default_factory=dict, max_length=50)
    annotations: dict[str, str] = Field(default_factory=dict, max_length=50)


class InClusterService(Settings):
    """A service of the cluster that agents may reach, e.g. a GitHub server or a model of one's own."""

    host: Annotated[str, Field(min_length=1, max_length=253)]
    """As `spec.github.apiUrl` or `spec.model.baseUrl` name it, e.g. github.tools.svc."""
    namespace: DnsLabel
    pod_labels: dict[str, str] = Field(default_factory=dict, max_length=20)
    port: Port | None = None
    """The pods' port (policies are judged after the Service's translation); None means any."""


class NetworkPolicies(Settings):
    """The policies that are rendered from the flow table (docs/network.md)."""

    enabled: bool = True
    internet: bool = True
    """HTTPS to public addresses, for GitHub and hosted models; false leaves only what is named below."""
    denied: tuple[Cidr, ...] = Field(default=PRIVATE_RANGES, max_length=100)
    """Ranges that HTTPS out never reaches. Add the API server's address here if it is a public one."""
    allowed_private: tuple[Cidr, ...] = Field(default=(), max_length=100)
    """Ranges, within `denied` or not, that agents may reach on HTTPS ports: a GitHub Enterprise server, a proxy."""
    api_server: tuple[Cidr, ...] = Field(default=(), max_length=20)
    """Where the API server is, for operator and scribe; empty bounds only the ports."""
    in_cluster: tuple[InClusterService, ...] = Field(default=(), max_length=50)
    dns_namespace: dict[str, str] = Field(
        default={"kubernetes.io/metadata.name": "kube-system"}, max_length=10
    )
    dns_pods: dict[str, str] = Field(default={"k8s-app": "kube-dns"}, max_length=10)
    dns_ports: tuple[Port, ...] = Field(default=(53,), min_length=1, max_length=5)
    """The DNS pods' own ports; OpenShift's listen on 5353."""
    metrics_from: dict[str, str] = Field(default_factory=dict, max_length=10)
    """Labels of the namespaces that may scrape metrics; empty means every namespace. Agents ask for a token, too."""


class OperatorSettings(Settings):
    """Everything the operator is told."""

    hive: HiveName
    namespace: DnsLabel
    cluster_domain: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9.-]+$")] = (
        "cluster.local"
    )
    public_url: Annotated[str, Field(pattern=r"^https?://[^\s/]+(/[^\s]*)?$", max_length=500)]
    """Under which people reach the scribe's pages; pull requests link there."""
    images: Images
    archive: Archive
    resources: Resources = Field(default_factory=Resources)
    workspace: Workspace = Field(default_factory=Workspace)
    storage: Storage = Field(default_factory=Storage)
    pods: PodPlacement = Field(default_factory=PodPlacement)
    runtime_class_name: Annotated[str, Field(min_length=1, max_length=253)] | None = None
    """E.g. gvisor; None takes the nodes' default."""
    maxima: Maxima = Field(default_factory=Maxima)
    claims: Claims = Field(default_factory=Claims)
    model_url: Annotated[str, Field(pattern=r"^https?://[^\s/]+(/[^\s]*)?$", max_length=500)] | None = None
    """The served embedded model (`http://H-model.NS.svc:8080/v1`), for agents whose model is `embedded:…`."""
    escalation: EscalationWebhook | None = None
    """None alerts nobody: a verdict comes by `spec.resolution` alone, and there is no answer endpoint."""
    network_policies: NetworkPolicies = Field(default_factory=NetworkPolicies)
    drain_timeout: Annotated[timedelta, DurationBetween("0s", "24h")] = timedelta(minutes=30)
    """How long a pod that is scaled away may work on, before it is taken down and its issue released."""
    card_life: Annotated[timedelta, DurationBetween("1m", "87600h")] = timedelta(days=365)
    """Validity of a membership card; renewed at half of it."""
    workers: int = Field(default=16, ge=1, le=64)
    """HiveAgents reconciled at a time; those that are share a write of the ledger."""
    connections: int = Field(default=32, ge=2, le=256)
    """To the API server, watches included."""
    metrics_port: int = Field(default=9400, ge=0, le=65_535)
    """0 takes any free one; the ready line tells which."""
    liveness_port: int = Field(default=8082, ge=0, le=65_535)
    # in a pod the kubelet and Prometheus come from outside
    listen_host: str = "0.0.0.0"  # noqa: S104
    lease_s: float = Field(default=15.0, ge=1, le=600)
    """How long another operator waits after this one was last heard of; renewed at a third of it."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"


def load_settings(path: Path) -> OperatorSettings:
    """Read the configuration. Raises SettingsError, naming the file and the field."""
    try:
        return OperatorSettings.model_validate_json(path.read_bytes())
    except OSError as error:
        raise SettingsError(
            f"{path}: cannot be read: {error.strerror}; name the file with --config"
        ) from error
    except ValidationError as error:
        raise SettingsError(f"{path}: {first_problem(error).replace('Value error, ', '')}") from error
