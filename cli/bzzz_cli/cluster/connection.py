"""The API server as a person's kubeconfig names it, and what its refusals mean."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, cast

import urllib3.exceptions
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException

from bzzz_cli.errors import CommandError, MissingComponentError
from hmmm.errors import excerpt

GROUP: Final = "bzzz.dev"
VERSION: Final = "v1alpha1"
FIELD_MANAGER: Final = "bzzz-cli"
TIMEOUT_S: Final = 15.0

Json = dict[str, Any]


class NotFoundError(CommandError):
    """The API server has no such object."""


@dataclass(frozen=True)
class Cluster:
    """One namespace of a cluster. Every method raises CommandError with what to do."""

    namespace: str
    api: client.ApiClient

    def agent(self, name: str) -> Json:
        """Return a HiveAgent. Raises NotFoundError."""
        with refusals(f"HiveAgent {self.namespace}/{name}", "get hiveagents"):
            objects = client.CustomObjectsApi(self.api)
            return cast(
                "Json",
                objects.get_namespaced_custom_object(
                    GROUP, VERSION, self.namespace, "hiveagents", name, _request_timeout=TIMEOUT_S
                ),
            )

    def agents(self) -> list[str]:
        """Return the names of the namespace's HiveAgents."""
        with refusals(f"HiveAgents of {self.namespace}", "list hiveagents"):
            objects = client.CustomObjectsApi(self.api)
            found = cast(
                "Json",
                objects.list_namespaced_custom_object(
                    GROUP, VERSION, self.namespace, "hiveagents", limit=500, _request_timeout=TIMEOUT_S
                ),
            )
        return sorted(str(item["metadata"]["name"]) for item in found["items"])

    def annotate(self, agent: Json, key: str, value: str) -> None:
        """Annotate a HiveAgent, if it is still the one that was read."""
        name = str(agent["metadata"]["name"])
        body = {"metadata": {"uid": agent["metadata"]["uid"], "annotations": {key: value}}}
        with refusals(f"HiveAgent {self.namespace}/{name}", "patch hiveagents"):
            objects = client.CustomObjectsApi(self.api)
            objects.patch_namespaced_custom_object(
                GROUP,
                VERSION,
                self.namespace,
                "hiveagents",
                name,
                body,
                field_manager=FIELD_MANAGER,
                _request_timeout=TIMEOUT_S,
            )

    def discussions(self) -> list[Json]:
        """Return the namespace's MetaDiscussions, at most 500."""
        with refusals(f"MetaDiscussions of {self.namespace}", "list metadiscussions"):
            objects = client.CustomObjectsApi(self.api)
            found = cast(
                "Json",
                objects.list_namespaced_custom_object(
                    GROUP, VERSION, self.namespace, "metadiscussions", limit=500, _request_timeout=TIMEOUT_S
                ),
            )
        return list(found["items"])

    def discussion(self, name: str) -> Json:
        """Return a MetaDiscussion. Raises NotFoundError."""
        with refusals(f"MetaDiscussion {self.namespace}/{name}", "get metadiscussions"):
            objects = client.CustomObjectsApi(self.api)
            return cast(
                "Json",
                objects.get_namespaced_custom_object(
                    GROUP, VERSION, self.namespace, "metadiscussions", name, _request_timeout=TIMEOUT_S
                ),
            )

    def resolve(self, discussion: Json, resolution: Json) -> Json:
        """Put a verdict into a MetaDiscussion's spec, if it is still the one that was read; return it as it is then."""
        name = str(discussion["metadata"]["name"])
        body = {"metadata": {"uid": discussion["metadata"]["uid"]}, "spec": {"resolution": resolution}}
        with refusals(f"MetaDiscussion {self.namespace}/{name}", "patch metadiscussions"):
            objects = client.CustomObjectsApi(self.api)
            return cast(
                "Json",
                objects.patch_namespaced_custom_object(
                    GROUP,
                    VERSION,
                    self.namespace,
                    "metadiscussions",
                    name,
                    body,
                    field_manager=FIELD_MANAGER,
                    _request_timeout=TIMEOUT_S,
                ),
            )

    def config_maps(self, labels: str) -> list[tuple[str, dict[str, str]]]:
        """Return name and data of the ConfigMaps with these labels."""
        with refusals(f"ConfigMaps of {self.namespace}", "list configmaps"):
            found = client.CoreV1Api(self.api).list_namespaced_config_map(
                self.namespace, label_selector=labels, limit=50, _request_timeout=TIMEOUT_S
            )
        items = cast("list[Any]", found.items)
        return [(str(item.metadata.name), dict(item.data or {})) for item in items]


def connect(context: str | None, namespace: str | None) -> Cluster:
    """Log in by the kubeconfig (KUBECONFIG, else ~/.kube/config), into the context's namespace unless one is named.

    Raises CommandError.
    """
    kubeconfig = cast("Any", config)  # without types
    file = os.environ.get("KUBECONFIG") or None
    try:
        api = cast("client.ApiClient", kubeconfig.new_client_from_config(config_file=file, context=context))
        contexts, current = cast("tuple[list[Json], Json]", kubeconfig.list_kube_config_contexts(file))
    except (ConfigException, OSError) as error:
        raise CommandError(
            f"kubeconfig: expected one that names a cluster{f' and a context {context}' if context else ''}, came: "
            f"{excerpt(str(error))}; set KUBECONFIG, or see kubectl config get-contexts"
        ) from error
    chosen = next((c for c in contexts if c["name"] == context), current) if context else current
    return Cluster(namespace or str(chosen.get("context", {}).get("namespace") or "default"), api)


@contextmanager
def refusals(what: str, right: str) -> Generator[None]:
    """Turn what the client raises into a CommandError that says what to do; `right` is `verb resource`."""
    try:
        yield
    except ApiException as error:
        raise _refusal(error, what, right) from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise CommandError(
            f"{what}: expected the API server to answer, came {excerpt(str(error))}; check the cluster with: "
            "kubectl cluster-info"
        ) from error


def _refusal(error: Any, what: str, right: str) -> CommandError:  # the client's errors have no types
    body = str(error.body or error.reason or "")
    if error.status == 404 and '"details"' in body and '"name"' in body:
        return NotFoundError(f"{what}: not found")
    if error.status == 404:
        return MissingComponentError(
            "expected the custom resources of bzzz.dev/v1alpha1 in the cluster, came none; install them with: "
            "kubectl apply --server-side -f crds/"
        )
    if error.status == 401:
        return CommandError(f"{what}: the API server does not know you (401); log in anew")
    if error.status == 403:
        verb, resource = right.split()
        return CommandError(
            f"{what}: you may not {right} here (403); ask for that right, and check it with: "
            f"kubectl auth can-i {verb} {resource}"
        )
    return CommandError(f"{what}: {error.status} {excerpt(body)}; try again")
