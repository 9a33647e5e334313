"""The hive's ledger as far as the command line shows it: which nodes there are, and what became of requests."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from bzzz_cli.cluster.connection import Cluster
from bzzz_cli.errors import CommandError
from hmmm.base import first_problem

LABELS: Final = "app.kubernetes.io/managed-by=bzzz-operator,bzzz.dev/hive"


class Node(BaseModel):
    """A node's entry (`bzzz_operator.authority.book.Entry` writes it)."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel)

    hive_agent: str = ""
    serial: int | None = None
    last_serial: int = 0
    not_after: datetime | None = None
    revoked: bool = False
    revoke_request: str | None = None
    rotated: str | None = None


class Ledger(BaseModel):
    """The nodes by name."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    nodes: Annotated[dict[str, Node], Field(max_length=8192)] = Field(default_factory=dict[str, Node])


def read_ledger(cluster: Cluster) -> tuple[str, Ledger]:
    """Return the hive's name and its ledger. Raises CommandError."""
    found = [(name, data) for name, data in cluster.config_maps(LABELS) if "ledger.json" in data]
    if not found:
        raise CommandError(
            f"namespace {cluster.namespace}: expected a hive's ledger (ConfigMap HIVE-members), came none; is the "
            f"operator running? kubectl get deployments -n {cluster.namespace}"
        )
    name, data = found[0]
    try:
        return name.removesuffix("-members"), Ledger.model_validate_json(data["ledger.json"])
    except ValidationError as error:
        raise CommandError(
            f"ConfigMap {cluster.namespace}/{name}, key ledger.json: {first_problem(error)}; the operator says what "
            f"to do: kubectl logs -n {cluster.namespace} deployment/{name.removesuffix('-members')}-operator"
        ) from error
