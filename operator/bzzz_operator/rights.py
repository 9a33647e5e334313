"""The rights that the operator needs, as RBAC rules: no more. The chart's Role and ClusterRole are compared with them.

A Role can only be as narrow as a namespace for list and watch; nothing outside of the hive's own namespace is asked
for but storage classes, which have none.
"""

from __future__ import annotations

from typing import Any, Final

Rule = dict[str, Any]


def _rule(group: str, resources: list[str], verbs: list[str]) -> Rule:
    return {"apiGroups": [group], "resources": resources, "verbs": verbs}


ROLE: Final[tuple[Rule, ...]] = (
    _rule("bzzz.dev", ["hiveagents", "metadiscussions"], ["get", "list", "watch"]),
    _rule("bzzz.dev", ["hiveagents/status", "metadiscussions/status"], ["get", "patch"]),
    # asked for by the admission plugin OwnerReferencesPermissionEnforcement, where that is on; no finalizer is set
    _rule("bzzz.dev", ["hiveagents/finalizers"], ["update"]),
    _rule("apps", ["statefulsets"], ["get", "list", "watch", "create", "patch"]),
    _rule("", ["services", "serviceaccounts"], ["get", "list", "watch", "create", "patch"]),
    _rule("", ["configmaps", "secrets"], ["get", "list", "watch", "create", "update", "patch"]),
    _rule("", ["pods"], ["get", "list", "watch", "patch", "delete"]),
    _rule("", ["events"], ["create", "patch"]),
    _rule("networking.k8s.io", ["networkpolicies"], ["get", "list", "watch", "create", "patch", "delete"]),
    _rule("policy", ["poddisruptionbudgets"], ["get", "list", "watch", "create", "patch"]),
    _rule("coordination.k8s.io", ["leases"], ["get", "create", "update"]),
)

ANSWERS_ROLE: Final[tuple[Rule, ...]] = (_rule("bzzz.dev", ["metadiscussions"], ["patch"]),)
"""Needed with `escalation` only: an answer that comes by the endpoint becomes `spec.resolution`. Without it the
operator can write no decision of a human's."""

CLUSTER_ROLE: Final[tuple[Rule, ...]] = (_rule("storage.k8s.io", ["storageclasses"], ["get", "list"]),)
"""Optional: without it a missing storage class is only told by pods that stay pending."""
