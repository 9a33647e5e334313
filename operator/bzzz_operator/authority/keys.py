"""Keys, seeds and tokens in Secrets: made once, read ever after.

A seed is a node's identity and its log's: replaced unasked, it would make a stranger of the node and a forgery of its
log. So nothing here overwrites: a Secret is created or read, ordinals that are missing are added, content that is no
key is an error with its remedy. Only a rotation, which a person requested, replaces a node's two seeds.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, cast

from bzzz_operator.api import Api, Json
from bzzz_operator.authority.contents import (
    SEED,
    TOKEN,
    Content,
    annotations_of,
    data_of,
    encoded,
    name_of,
    owners_of,
    secret_of,
    value_of,
    version_of,
)
from bzzz_operator.authority.errors import NotOursError
from bzzz_operator.authority.ledger import NodeKeys
from bzzz_operator.authority.types import AgentWish, AuthoritySettings
from bzzz_operator.errors import ApiError, TryAgainError
from bzzz_operator.kinds import HIVE_AGENT, SECRET
from bzzz_operator.together import all_of
from hmmm.envelope import SigningKey
from hmmm.hypercore_proof import log_key_of_seed, replication_key_of_seed

ROTATED_ANNOTATION: Final = "bzzz.dev/rotated."
"""On a key Secret, followed by an ordinal: the request that its seed was last replaced for."""
MANAGED_BY: Final = "app.kubernetes.io/managed-by"
HIVE_LABEL: Final = "bzzz.dev/hive"
OPERATOR: Final = "bzzz-operator"
TRIES: Final = 5


@dataclass(frozen=True)
class HiveSecrets:
    """The hive-level secrets that the operator itself uses."""

    hive_key: SigningKey
    scribe_peer_id: str
    archive_replication_key: str
    archive_token: str
    metrics_token: str

    def __repr__(self) -> str:
        """Show nothing secret."""
        return f"HiveSecrets(public_key={self.hive_key.public.hex()})"


async def hive_secrets(api: Api, settings: AuthoritySettings) -> HiveSecrets:
    """Read the hive's own Secrets, made on first use; they have no owner, so they survive everything but a person.

    Raises DamagedKeyError, ApiError.
    """

    async def one(suffix: str, key: str, content: Content) -> str:
        name = f"{settings.hive}-{suffix}"
        secret = await api.find(SECRET, name)
        if secret is None:
            body = secret_of(name, hive_labels(settings), {key: content.make()})
            secret = await _create_or_read(api, body)
        return value_of(secret, key, content)

    return HiveSecrets(
        hive_key=SigningKey.hive(bytes.fromhex(await one("hive-key", "hive.seed", SEED))),
        scribe_peer_id=_peer_id(await one("scribe-keys", "mesh.seed", SEED)),
        archive_replication_key=_noise_key(await one("archive-keys", "noise.seed", SEED)),
        archive_token=await one("archive-token", "token", TOKEN),
        metrics_token=await one("metrics-token", "token", TOKEN),
    )


@dataclass(frozen=True)
class AgentSecrets:
    """A HiveAgent's Secrets as they are now."""

    nodes: Mapping[int, NodeKeys]
    """By ordinal, for all that exist in both Secrets."""
    versions: Mapping[str, str]
    """The Secrets' resourceVersions by name."""


async def agent_secrets(
    api: Api, settings: AuthoritySettings, wish: AgentWish, seen: Collection[str] | None = None
) -> AgentSecrets:
    """Make a HiveAgent's three Secrets and what they lack, and carry out its rotations.

    `seen` are the names of Secrets that a synced cache has: others are most likely missing, so they are created without
    looking first. Raises DamagedKeyError, NotOursError, TryAgainError (an earlier HiveAgent's Secrets are still being
    removed), ApiError.
    """

    async def one(suffix: str, contents: Mapping[str, Content], *, owned: bool) -> Json:
        name = f"{wish.name}-{suffix}"
        secret = await api.find(SECRET, name) if seen is None or name in seen else None
        return await _ensure(api, settings, wish, name, contents, secret, owned=owned)

    pods = {f"{wish.name}-{ordinal}": SEED for ordinal in range(wish.replicas)}
    runner, mesh, logs = await all_of(
        one("runner-token", {"token": TOKEN}, owned=True),
        one("mesh-keys", pods, owned=not wish.retain),
        one("log-seeds", pods, owned=not wish.retain),
    )
    value_of(runner, "token", TOKEN)
    return AgentSecrets(
        nodes=_nodes(wish, mesh, logs), versions={name_of(s): version_of(s) for s in (runner, mesh, logs)}
    )


def _nodes(wish: AgentWish, mesh: Json, logs: Json) -> dict[int, NodeKeys]:
    nodes: dict[int, NodeKeys] = {}
    for ordinal in sorted({*range(wish.replicas), *wish.leaving}):
        pod = f"{wish.name}-{ordinal}"
        if pod not in data_of(mesh) or pod not in data_of(logs):
            continue
        log_seed = bytes.fromhex(value_of(logs, pod, SEED))
        rotations = {annotations_of(secret).get(f"{ROTATED_ANNOTATION}{ordinal}") for secret in (mesh, logs)}
        nodes[ordinal] = NodeKeys(
            peer_id=_peer_id(value_of(mesh, pod, SEED)),
            log_key=log_key_of_seed(log_seed),
            replication_key=replication_key_of_seed(log_seed),
            rotation=rotations.pop() if len(rotations) == 1 else None,
        )
    return nodes


async def _ensure(
    api: Api,
    settings: AuthoritySettings,
    wish: AgentWish,
    name: str,
    contents: Mapping[str, Content],
    secret: Json | None,
    *,
    owned: bool,
) -> Json:
    """Return a Secret of a HiveAgent with everything in it that should be; additions by compare-and-set."""
    labels = {**hive_labels(settings), "app.kubernetes.io/instance": wish.name}
    owners = [_owner(wish)] if owned else []
    rotations = {} if "token" in contents else _rotations(wish)
    for _ in range(TRIES):
        if secret is None:
            fresh = {key: content.make() for key, content in contents.items()}
            body = secret_of(name, labels, fresh, owners, _marks(rotations, fresh))
            secret = await _create_or_read(api, body)
        _check_ours(secret, settings, wish)
        patch = _patch(secret, contents, owners, rotations)
        if patch is None:
            return secret
        try:
            return await api.patch(SECRET, name, patch)
        except ApiError as error:
            if not (error.conflict or error.not_found):
                raise
            secret = await api.find(SECRET, name)
    raise TryAgainError(f"Secret {api.namespace}/{name}: others keep changing it; tried again later", 1.0)


def _rotations(wish: AgentWish) -> dict[str, tuple[int, str]]:
    return {f"{wish.name}-{ordinal}": (ordinal, request) for ordinal, request in wish.rotate.items()}


def _marks(rotations: Mapping[str, tuple[int, str]], fresh: Mapping[str, str]) -> dict[str, str]:
    """Return the annotations that say for which requests seeds are new; seeds that are new anyway need no rotation."""
    return {
        f"{ROTATED_ANNOTATION}{ordinal}": request
        for pod, (ordinal, request) in rotations.items()
        if pod in fresh
    }


def _patch(
    secret: Json,
    contents: Mapping[str, Content],
    owners: list[Json],
    rotations: Mapping[str, tuple[int, str]],
) -> Json | None:
    """Return what a Secret lacks, as a patch for exactly this version of it; None if it lacks nothing."""
    held = data_of(secret)
    fresh = {key: content.make() for key, content in contents.items() if key not in held}
    for pod, (ordinal, request) in rotations.items():
        if (
            pod in held
            and pod not in fresh
            and annotations_of(secret).get(f"{ROTATED_ANNOTATION}{ordinal}") != request
        ):
            fresh[pod] = SEED.make()
    metadata: Json = {}
    if marks := _marks(rotations, fresh):
        metadata["annotations"] = marks
    others = [owner for owner in owners_of(secret) if owner.get("kind") != HIVE_AGENT.kind]
    if owners_of(secret) != [*others, *owners]:
        metadata["ownerReferences"] = [*others, *owners]
    if not fresh and not metadata:
        return None
    metadata["resourceVersion"] = version_of(secret)
    return {"metadata": metadata, "data": {key: encoded(value) for key, value in fresh.items()}}


def _check_ours(secret: Json, settings: AuthoritySettings, wish: AgentWish) -> None:
    labels = cast("dict[str, str]", secret["metadata"].get("labels") or {})
    name = name_of(secret)
    if (labels.get(MANAGED_BY), labels.get(HIVE_LABEL)) != (OPERATOR, settings.hive):
        raise NotOursError(
            f"Secret {settings.namespace}/{name}: expected the labels {MANAGED_BY}={OPERATOR} and {HIVE_LABEL}="
            f"{settings.hive}, came others; rename the HiveAgent {wish.name}, or, if it is a copy of ours, label it: "
            f"kubectl label secret {name} -n {settings.namespace} {MANAGED_BY}={OPERATOR} {HIVE_LABEL}={settings.hive}"
        )
    for owner in owners_of(secret):
        if owner.get("controller") and owner.get("uid") != wish.uid:
            # its seeds go with a volume that is being removed as well: the same log key over an empty volume would
            # look like a rewritten log
            raise TryAgainError(
                f"Secret {settings.namespace}/{name}: belongs to an earlier HiveAgent {wish.name}; waiting for "
                "Kubernetes to remove it",
                2.0,
            )


async def _create_or_read(api: Api, body: Json) -> Json:
    try:
        return await api.create(SECRET, body)
    except ApiError as error:
        if not error.conflict:
            raise
    return await api.get(SECRET, body["metadata"]["name"])


def hive_labels(settings: AuthoritySettings) -> dict[str, str]:
    """Return the labels of everything that the authority makes."""
    return {MANAGED_BY: OPERATOR, "app.kubernetes.io/part-of": settings.hive, HIVE_LABEL: settings.hive}


def _owner(wish: AgentWish) -> Json:
    return {
        "apiVersion": HIVE_AGENT.api_version,
        "kind": HIVE_AGENT.kind,
        "name": wish.name,
        "uid": wish.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _noise_key(seed: str) -> str:
    """Return the key of the archive's Noise key pair, which sidecar/lib/keys.js makes of the seed as it is."""
    return SigningKey.hive(bytes.fromhex(seed)).public.hex()


def _peer_id(seed: str) -> str:
    return SigningKey.mesh(bytes.fromhex(seed)).key_id
