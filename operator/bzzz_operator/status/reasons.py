"""The reasons of conditions: documented constants (docs/operator.md has the same list, a test compares)."""

from __future__ import annotations

from typing import Final

READY: Final = "Ready"
PROGRESSING: Final = "Progressing"
DEGRADED: Final = "Degraded"

# Ready
ALL_REPLICAS_READY: Final = "AllReplicasReady"
REPLICAS_NOT_READY: Final = "ReplicasNotReady"
SUSPENDED: Final = "Suspended"

# Progressing
RECONCILED: Final = "Reconciled"
ROLLING_OUT: Final = "RollingOut"
SCALING_UP: Final = "ScalingUp"
SCALING_DOWN: Final = "ScalingDown"
STARTING: Final = "Starting"
BLOCKED: Final = "Blocked"
WAITING_FOR_DELETION: Final = "WaitingForDeletion"

# Degraded
SPEC_INVALID: Final = "SpecInvalid"
SECRET_MISSING: Final = "SecretMissing"  # noqa: S105
SECRET_INCOMPLETE: Final = "SecretIncomplete"  # noqa: S105
MODEL_NOT_SERVED: Final = "ModelNotServed"
BEYOND_MAXIMA: Final = "BeyondMaxima"
HIVE_DISAGREES: Final = "HiveDisagrees"
NAME_CONFLICT: Final = "NameConflict"
FIELD_CONFLICT: Final = "FieldConflict"
REFUSED: Final = "Refused"
STORAGE_CLASS_MISSING: Final = "StorageClassMissing"
STORAGE_FIXED: Final = "StorageFixed"
ARCHIVE_UNAVAILABLE: Final = "ArchiveUnavailable"
POD_FAILING: Final = "PodFailing"
IMAGE_PULL_FAILING: Final = "ImagePullFailing"
UNSCHEDULABLE: Final = "Unschedulable"
AUTHORITY_FAILED: Final = "AuthorityFailed"
REVOKED: Final = "Revoked"

MEANINGS: Final = {
    ALL_REPLICAS_READY: "every replica is on the mesh",
    REPLICAS_NOT_READY: "fewer replicas are on the mesh than spec.replicas asks for",
    SUSPENDED: "spec.suspend is true: the agents finish what is under way and take nothing new",
    RECONCILED: "nothing is under way, or nothing is wrong",
    ROLLING_OUT: "pods are being replaced by newer ones",
    SCALING_UP: "pods are being added",
    SCALING_DOWN: "agents that are scaled away finish what is on their desk",
    STARTING: "pods are there and their agents are not on the mesh yet",
    BLOCKED: "a problem under Degraded keeps changes from being carried out; what runs goes on",
    WAITING_FOR_DELETION: "objects of an earlier HiveAgent of this name are still being deleted",
    SPEC_INVALID: "the spec does not fit this operator's schema",
    SECRET_MISSING: "a Secret that the spec names does not exist",
    SECRET_INCOMPLETE: "a Secret that the spec names lacks a key",
    MODEL_NOT_SERVED: "spec.model is the embedded one and this hive serves none",
    BEYOND_MAXIMA: "spec.discussion goes beyond the hive's maxima",
    HIVE_DISAGREES: "HiveAgents of one hive contradict each other",
    NAME_CONFLICT: "an object of a name that we need is somebody else's",
    FIELD_CONFLICT: "another field manager keeps taking a field of ours",
    REFUSED: "the API server refuses an object",
    STORAGE_CLASS_MISSING: "no storage class can make the agents' volumes",
    STORAGE_FIXED: "spec.storage.size was changed, which volumes that exist do not follow",
    ARCHIVE_UNAVAILABLE: "the archive does not take its list of logs; pull requests wait for it",
    POD_FAILING: "a container ends again and again",
    IMAGE_PULL_FAILING: "an image cannot be pulled",
    UNSCHEDULABLE: "no node takes a pod",
    AUTHORITY_FAILED: "the hive's keys or its ledger of members cannot be used",
    REVOKED: "an agent was put out of the hive and waits to be rotated",
    "KeyDamaged": "a Secret with a key was altered; it is never replaced silently",
    "LedgerDamaged": "the ledger of members cannot be read, or is full",
    "LedgerOfAnotherHive": "the ledger was signed by another hive key",
}
