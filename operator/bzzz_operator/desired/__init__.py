"""What a HiveAgent becomes: a pure function from its spec and the hive's facts to manifests (architecture §10)."""

from __future__ import annotations

from bzzz_operator.desired.facts import AppCredential, HiveFacts, TokenCredential, VolumeFacts, WantedAgent
from bzzz_operator.desired.manifests import desired_state

__all__ = ["AppCredential", "HiveFacts", "TokenCredential", "VolumeFacts", "WantedAgent", "desired_state"]
