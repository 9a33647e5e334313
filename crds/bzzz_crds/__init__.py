"""HiveAgent and MetaDiscussion: the custom resources' models, and how a manifest is read.

Architecture §10 is the source of every field, default and bound. One model serves the cluster's schema, the
operator, `bzzz local` and the agent's own `spec`.
"""

from __future__ import annotations

from bzzz_crds.errors import ManifestError
from bzzz_crds.hiveagent import HiveAgent, HiveAgentSpec
from bzzz_crds.manifests import load_manifests
from bzzz_crds.metadiscussion import MetaDiscussion

__all__ = ["HiveAgent", "HiveAgentSpec", "ManifestError", "MetaDiscussion", "load_manifests"]
