"""All objects that a HiveAgent becomes, in the order in which they are applied."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from bzzz_operator.desired import names, volumes
from bzzz_operator.desired.config import as_text, config_data, digest
from bzzz_operator.desired.facts import HiveFacts, WantedAgent
from bzzz_operator.desired.pod import pod_template
from bzzz_operator.kinds import (
    CONFIG_MAP,
    DISRUPTION_BUDGET,
    NETWORK_POLICY,
    SERVICE,
    SERVICE_ACCOUNT,
    STATEFUL_SET,
    Kind,
)
from bzzz_operator.network import flows
from bzzz_operator.network.policies import Surroundings, policy_spec

Json = dict[str, Any]


@dataclass(frozen=True)
class Manifest:
    """An object as it shall be applied."""

    kind: Kind
    body: Json

    @property
    def name(self) -> str:
        """The object's name."""
        return self.body["metadata"]["name"]


def desired_state(agent: WantedAgent, hive: HiveFacts) -> tuple[Manifest, ...]:
    """Return every object of a HiveAgent but its Secrets, which the authority makes.

    Pure: the same input gives the same bytes. Each object carries the hash of itself, by which a field that a later
    version of this function no longer sets is noticed.
    """
    data = config_data(agent, hive)
    objects = [
        _object(SERVICE_ACCOUNT, agent.name, agent, hive, {"automountServiceAccountToken": False}),
        _object(CONFIG_MAP, names.config_map(agent.name), agent, hive, {"data": data}),
        _object(CONFIG_MAP, names.runner_map(agent.name), agent, hive, _runner(hive)),
        _object(SERVICE, agent.name, agent, hive, {"spec": _service(agent)}),
        _object(DISRUPTION_BUDGET, agent.name, agent, hive, {"spec": _budget(agent)}),
    ]
    if hive.settings.network_policies.enabled:
        objects.append(_object(NETWORK_POLICY, agent.name, agent, hive, {"spec": _policy(agent, hive)}))
    config_hash = digest(*data.values(), hive.runner_program)
    body = {"spec": _stateful_set(agent, hive, config_hash)}
    objects.append(_object(STATEFUL_SET, agent.name, agent, hive, body))
    return tuple(objects)


def _object(kind: Kind, name: str, agent: WantedAgent, hive: HiveFacts, content: Json) -> Manifest:
    settings = hive.settings
    head = names.metadata(kind, name, agent.name, agent.uid, settings.hive, settings.namespace)
    text = as_text({**head, **content})
    body = orjson.loads(text)  # a copy that shares nothing, at a tenth of what copy.deepcopy takes
    body["metadata"]["annotations"] = {names.APPLIED_HASH: digest(text)}
    return Manifest(kind, body)


def _runner(hive: HiveFacts) -> Json:
    return {"data": {names.RUNNER_FILE: hive.runner_program}}


def _service(agent: WantedAgent) -> Json:
    ports = (
        ("mesh", flows.MESH_PORT),
        ("replication", flows.REPLICATION_PORT),
        ("metrics", flows.AGENT_METRICS_PORT),
        ("log-metrics", flows.SIDECAR_METRICS_PORT),
    )
    return {
        "clusterIP": "None",
        # a pod is dialled by its name before it is ready: by the mesh that it joins, and by the archive whose word
        # its log waits for
        "publishNotReadyAddresses": True,
        "selector": names.selector(agent.name),
        "ports": [
            {"name": name, "port": port, "targetPort": port, "protocol": "TCP"} for name, port in ports
        ],
    }


def _budget(agent: WantedAgent) -> Json:
    return {"maxUnavailable": 1, "selector": {"matchLabels": names.selector(agent.name)}}


def _policy(agent: WantedAgent, hive: HiveFacts) -> Json:
    settings = hive.settings
    around = Surroundings(
        settings.hive, settings.namespace, settings.network_policies, hive.services, settings.cluster_domain
    )
    model = agent.spec.model
    urls = [agent.spec.github.api_url, *([model.base_url] if model is not None and model.base_url else [])]
    return {
        **policy_spec("agent", around, urls),
        "podSelector": {"matchLabels": names.selector(agent.name)},
    }


def _stateful_set(agent: WantedAgent, hive: HiveFacts, config_hash: str) -> Json:
    retain = agent.spec.storage.retain
    return {
        "replicas": agent.replicas,
        "serviceName": agent.name,
        "podManagementPolicy": "Parallel",
        "updateStrategy": {"type": "RollingUpdate"},
        "revisionHistoryLimit": 3,
        "persistentVolumeClaimRetentionPolicy": {
            "whenDeleted": "Retain" if retain else "Delete",
            "whenScaled": "Retain",
        },
        "selector": {"matchLabels": names.selector(agent.name)},
        "template": pod_template(agent, hive, config_hash),
        "volumeClaimTemplates": [volumes.claim_template(agent, hive)],
    }
