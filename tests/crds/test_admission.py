"""The API server and the models take the same manifests and refuse the same fields."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from bzzz_crds import HiveAgent, MetaDiscussion
from bzzz_crds.manifests import describe
from tests.crds.edges import DISCUSSION, DISCUSSION_EDGES, EDGES, edited
from tests.crds.posting import refused_fields, send
from tests.crds.tables import BAD, GOOD, SMALLEST, changed
from tests.support.kube_api import ApiServer

ANOTHER_ENDPOINT = {"another kind", "another version"}
"""Refused by the address that they would be sent to."""
KINDS: dict[str, type[HiveAgent] | type[MetaDiscussion]] = {
    "HiveAgent": HiveAgent,
    "MetaDiscussion": MetaDiscussion,
}


def refused_by_the_model(document: dict[str, Any]) -> list[str]:
    model = KINDS[document["kind"]]
    try:
        model.model_validate(document)
    except ValidationError as error:
        return [line.split(": ", 1)[0] for line in describe(error, model)]
    return []


@pytest.mark.parametrize("case", [case for case in BAD if case not in ANOTHER_ENDPOINT])
def test_the_server_refuses_the_field_that_the_model_refuses(api: ApiServer, case: str) -> None:
    answer = send(api, yaml.safe_load(changed(case)))
    assert BAD[case][2].split(": ")[0] in refused_fields(answer), answer["message"]


@pytest.mark.parametrize("case", EDGES)
def test_an_edge_is_judged_alike_by_server_and_model(api: ApiServer, case: str) -> None:
    changes, refused = EDGES[case]
    judge(api, edited(changes), refused)


@pytest.mark.parametrize("case", DISCUSSION_EDGES)
def test_a_discussion_is_judged_alike_by_server_and_model(api: ApiServer, case: str) -> None:
    changes, refused = DISCUSSION_EDGES[case]
    judge(api, edited(changes, DISCUSSION), refused)


def judge(api: ApiServer, document: dict[str, Any], refused: str | None) -> None:
    answer = send(api, document)
    by_server, by_model = refused_fields(answer), refused_by_the_model(document)
    if refused is None:
        assert (by_server, by_model) == ([], []), answer.get("message")
    else:
        assert refused in by_server, answer.get("message")
        assert any(path == refused or path.startswith(f"{refused}.") for path in by_model), by_model


@pytest.mark.parametrize("text", [GOOD, SMALLEST, DISCUSSION])
def test_what_is_left_out_gets_the_same_defaults(api: ApiServer, text: str) -> None:
    document = yaml.safe_load(text)
    model = KINDS[document["kind"]]
    stored = send(api, document)
    assert model.model_validate({**document, "spec": stored["spec"]}) == model.model_validate(document)
