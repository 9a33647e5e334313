"""The parts that a scribe in a cluster has beside the others, made and handed out as tasks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import trio

from bzzz_mesh import Directory, Members, Mesh
from bzzz_scribe.carrier import Carrier, Speaker
from bzzz_scribe.kubernetes.client import ApiClient, Cluster
from bzzz_scribe.kubernetes.members import MembersMap
from bzzz_scribe.kubernetes.outlet import KubernetesOutlet
from bzzz_scribe.kubernetes.relay import VerdictRelay
from bzzz_scribe.metrics import ScribeMetrics
from bzzz_scribe.settings import KubernetesStoreSettings, ScribeSettings


@dataclass(frozen=True)
class ClusterParts:
    """The API server's client, and the outlet to custom resources."""

    api: ApiClient
    outlet: KubernetesOutlet
    members_map: str
    metrics: ScribeMetrics
    now: Callable[[], datetime]

    def tasks(
        self,
        mesh: Mesh,
        directory: Directory,
        on_members: Callable[[Members], None],
        speaker: Speaker,
        caught_up: trio.Event,
    ) -> list[Callable[[], Awaitable[None]]]:
        """Return what is to run while the mesh is joined."""
        members = MembersMap(self.api, self.members_map, speaker.node_id, mesh, directory, on_members)
        outlet = self.outlet
        carrier = Carrier(mesh, speaker, self.metrics, self.now)
        relay = VerdictRelay(carrier, speaker.hive_key, outlet.resources, outlet.discussions)
        return [partial(outlet.run, caught_up), members.run, relay.run]

    async def aclose(self) -> None:
        """Close the connections."""
        await self.api.aclose()


def cluster_of(
    settings: ScribeSettings, metrics: ScribeMetrics, now: Callable[[], datetime]
) -> ClusterParts | None:
    """Return the parts that the settings ask for; None for a scribe without a cluster.

    Raises ClusterSettingsError.
    """
    store = settings.store
    if not isinstance(store, KubernetesStoreSettings):
        return None
    api = ApiClient(Cluster.find(store.api_url, store.token_file, store.ca_file, store.namespace))
    outlet = KubernetesOutlet(api, settings.hive, store.ttl_after_closed, metrics, now)
    return ClusterParts(api, outlet, store.members_config_map or f"{settings.hive}-members", metrics, now)
