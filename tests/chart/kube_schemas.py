"""JSON schemas of Kubernetes' own kinds and of ours, in the layout that kubeconform reads; made from a real API server.

`/openapi/v3` says what the very version knows that the tests run, so nothing is downloaded. "Strict": an object takes
the properties it lists and no others, so that a misspelt field is found.
"""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx

from tests.support.kube_api import ApiServer
from tests.support.processes import eventually

Json = dict[str, Any]

LOCATION = "{{ .ResourceKind }}{{ .KindSuffix }}.json"
"""kubeconform's template: `deployment-apps-v1.json`, `service-v1.json`."""
OURS = {"HiveAgent", "MetaDiscussion"}


def write_schemas(api: ApiServer, folder: Path) -> Path:
    """Write a file a kind that the API server serves; return kubeconform's `-schema-location`."""
    for description in _groups(api):
        components = description["components"]["schemas"]
        strict = json.dumps({"schemas": {name: _strict(schema) for name, schema in components.items()}})
        for name, schema in components.items():
            kinds = schema.get("x-kubernetes-group-version-kind", [])
            if len(kinds) != 1:
                continue  # DeleteOptions and its like are of every group, and in no manifest
            group, version = kinds[0]["group"].split(".")[0], kinds[0]["version"]
            suffix = "-".join(part for part in (group, version) if part)
            target = folder / f"{kinds[0]['kind'].lower()}-{suffix}.json"
            target.write_text(f'{{"$ref": "#/components/schemas/{name}", "components": {strict}}}')
    return f"{folder}/{LOCATION}"


def _groups(api: ApiServer) -> list[Json]:
    """Return the description of each group and version, once both of our kinds are described."""
    trusted = ssl.create_default_context(cafile=str(api.ca_file))
    headers = {"Authorization": f"Bearer {api.admin_token}"}
    with httpx.Client(base_url=api.url, headers=headers, verify=trusted, timeout=60) as client:

        def described() -> list[Json] | None:
            # A description is made some time after a definition is accepted: until then the index names the one
            # before, whose address answers with a redirect.
            index = client.get("/openapi/v3").raise_for_status().json()
            answers = [
                client.get(place["serverRelativeURL"])
                for path, place in index["paths"].items()
                if re.fullmatch(r"api/[^/]+|apis/[^/]+/[^/]+", path)
            ]
            if any(answer.is_redirect for answer in answers):
                return None
            found = [answer.raise_for_status().json() for answer in answers]
            return found if set(_kinds(found)) >= OURS else None

        found = eventually(described, within=60, what=f"the API server describes {OURS}")
        assert found is not None
        return found


def _kinds(descriptions: Iterable[Json]) -> Iterator[str]:
    """Yield the kinds described."""
    for description in descriptions:
        for schema in description["components"]["schemas"].values():
            yield from (each["kind"] for each in schema.get("x-kubernetes-group-version-kind", []))


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
