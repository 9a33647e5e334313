"""JSON schemas of Kubernetes' own kinds and of ours, in the layout that kubeconform reads; made from a real API server.

`/openapi/v3` says what the very version knows that the tests run, so nothing is downloaded. "Strict": an object takes
the properties it lists and no others, so that a misspelt field is found.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.kube_api import ApiServer

Json = dict[str, Any]

LOCATION = "{{ .ResourceKind }}{{ .KindSuffix }}.json"
"""kubeconform's template: `deployment-apps-v1.json`, `service-v1.json`."""


def write_schemas(api: ApiServer, folder: Path) -> Path:
    """Write a file a kind that the API server serves; return kubeconform's `-schema-location`."""
    for path, documents in _groups(api):
        del path
        components = documents["components"]["schemas"]
        strict = {name: _strict(schema) for name, schema in components.items()}
        for name, schema in components.items():
            for kind in schema.get("x-kubernetes-group-version-kind", []):
                suffix = "-".join(part for part in (kind["group"].split(".")[0], kind["version"]) if part)
                target = folder / f"{kind['kind'].lower()}-{suffix}.json"
                target.write_text(
                    json.dumps({"$ref": f"#/components/schemas/{name}", "components": {"schemas": strict}})
                )
    return f"{folder}/{LOCATION}"


def _groups(api: ApiServer) -> Iterator[tuple[str, Json]]:
    """Yield the description of each group and version."""
    index = json.loads(api.kubectl("get", "--raw", "/openapi/v3").stdout)
    for path, place in index["paths"].items():
        if path.startswith(("api/", "apis/")) and path.count("/") == (1 if path.startswith("api/") else 2):
            yield path, json.loads(api.kubectl("get", "--raw", place["serverRelativeURL"]).stdout)


def _strict(schema: Any) -> Any:
    """Return the schema with its objects closed, except where Kubernetes itself leaves them open."""
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found: Json = {key: _strict(value) for key, value in schema.items() if key != "default"}
    properties = found.get("properties")
    if (
        isinstance(properties, dict)
        and "additionalProperties" not in found
        and not found.get("x-kubernetes-preserve-unknown-fields")
    ):
        found["additionalProperties"] = False
    return found
