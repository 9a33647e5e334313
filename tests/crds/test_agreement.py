"""Whatever is sent, server and models agree: both refuse it, or both take it and read the same from it."""

from __future__ import annotations

from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from bzzz_crds import HiveAgent
from tests.crds.posting import refused_fields, send
from tests.crds.test_admission import refused_by_the_model
from tests.support.kube_api import ApiServer

durations = st.one_of(
    st.sampled_from(
        ["30s", "1m", "6s", "15m", "1h", "2h", "24h", "0s", "1h30m", "100ms", "99ms", "1d", "", "5"]
    ),
    st.from_regex(r"\A([0-9]{1,3}(ms|s|m|h)){1,2}\Z"),
)
words = st.lists(st.text(max_size=8), min_size=1, max_size=3)
urls = st.one_of(
    st.sampled_from(
        ["https://api.github.com", "http://github:8000", "http://a.svc/x", "http://a.example", "x"]
    ),
    st.from_regex(r"\Ahttps?://[a-z0-9.:@\[\]-]{1,20}(/[a-z@?#%]{0,5})?\Z"),
)
counts = st.integers(min_value=-1, max_value=34)


def part(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Return an object with any of the fields; null stands for a field now and then."""
    return st.fixed_dictionaries(
        {}, optional={name: st.one_of(each, st.none()) for name, each in fields.items()}
    )


discussions = part(
    window=durations,
    ttl=durations,
    messageTTL=durations,
    reviewers=counts,
    minReviewers=st.integers(min_value=0, max_value=4),
    participants=counts,
    rounds=st.integers(min_value=1, max_value=11),
    closeEarly=st.booleans(),
    requireHuman=st.sampled_from(["never", "always", "onObjection", "Never"]),
)
limits = part(
    tokens=st.integers(min_value=0, max_value=10**10),
    usd=st.sampled_from(["2.00", "0.5", "0.50", "12", "1.234"]),
    patchBytes=st.integers(min_value=0, max_value=2**25),
    protectedPaths=st.lists(st.text(alphabet="a/*.\\ü", max_size=5), max_size=3),
)
executions = st.builds(
    lambda required, optional: {**required, **optional},
    st.fixed_dictionaries({"type": st.sampled_from(["command", "command", "command", "builtin"])}),
    part(
        plan=st.sampled_from(["model", "command", "dryRun"]),
        command=words,
        planCommand=words,
        test=words,
        timeout=durations,
        limits=limits,
    ),
)
specs = st.builds(
    lambda required, optional: {**required, **optional},
    st.fixed_dictionaries(
        {
            "github": st.builds(
                lambda repositories, others: {"repositories": repositories, **others},
                st.lists(st.sampled_from(["a/b", "A/b", "acme/x.y", "c/d"]), min_size=1, max_size=3),
                part(apiUrl=urls, issues=part(labels=st.lists(st.text(max_size=4), max_size=2))),
            ),
            "execution": executions,
        }
    ),
    part(
        replicas=st.integers(min_value=-1, max_value=300),
        model=st.fixed_dictionaries({"name": st.sampled_from(["anthropic:claude", "embedded:gemma-3-270m"])}),
        capabilities=part(tools=st.lists(st.sampled_from(["ruff", "c++", "Go"]), max_size=2)),
        discussion=discussions,
        escalation=part(timeout=durations),
        storage=part(size=st.sampled_from(["1Gi", "500Mi", "0", "01Gi", "1G"]), retain=st.booleans()),
        suspend=st.booleans(),
    ),
)


fitting = st.fixed_dictionaries(
    {
        "github": st.just({"repositories": ["a/b"]}),
        "execution": st.builds(
            lambda timeout, limits, others: {
                "type": "command",
                "command": ["x"],
                "timeout": timeout,
                "limits": limits,
                **others,
            },
            st.from_regex(r"\A([1-9]m)?[1-9][0-9]?s([0-9]{1,3}ms)?\Z"),
            part(
                tokens=st.integers(min_value=1, max_value=10**9),
                usd=st.from_regex(r"\A[1-9][0-9]?\.[0-9]{2}\Z"),
            ),
            st.sampled_from(
                [{"plan": "model"}, {}, {"plan": "dryRun"}, {"plan": "command", "planCommand": ["p"]}]
            ),
        ),
        "model": part(baseUrl=st.sampled_from(["http://m:1/v1", "https://m.example/v1/"])).map(
            lambda fields: {"name": "openai:any", **fields}
        ),
    },
    optional={
        "replicas": st.integers(min_value=0, max_value=256),
        "capabilities": part(
            languages=st.lists(st.from_regex(r"\A[a-z0-9][a-z0-9+.#_-]{0,8}\Z"), max_size=3)
        ),
        "discussion": part(
            window=st.from_regex(r"\A[1-9][0-9]?s\Z"),
            ttl=st.integers(min_value=2, max_value=1440).map(lambda minutes: f"{minutes}m"),
            reviewers=st.integers(min_value=0, max_value=5),
            hops=st.integers(min_value=1, max_value=16),
        ),
        "storage": part(size=st.from_regex(r"\A[1-9][0-9]{0,3}(Mi|Gi)\Z"), retain=st.booleans()),
        "suspend": st.booleans(),
    },
)


@settings(max_examples=60, deadline=None)
@given(st.one_of(specs, fitting, fitting))
def test_server_and_model_agree_on_any_spec(api: ApiServer, spec: dict[str, Any]) -> None:
    document = {
        "apiVersion": "bzzz.dev/v1alpha1",
        "kind": "HiveAgent",
        "metadata": {"name": "any"},
        "spec": spec,
    }
    answer = send(api, document)
    by_server, by_model = refused_fields(answer), refused_by_the_model(document)
    event("refused" if by_server else "taken")
    assert bool(by_server) == bool(by_model), (by_server, by_model)
    if not by_server:
        stored = {**document, "spec": answer["spec"]}
        assert HiveAgent.model_validate(stored) == HiveAgent.model_validate(document)
