"""Which cluster is taken, and that one that is there already is kept only if it is the one wanted."""

import pytest

from tools.cluster import Choice, ClusterError, MissingToolError
from tools.cluster.backend import Record
from tools.cluster.choice import Machine, choose, from_variable
from tools.cluster.cluster import fits

NOTHING = Machine(docker=False, kind=False, root=False)
ROOT = Machine(docker=False, kind=False, root=True)
DOCKER = Machine(docker=True, kind=True, root=True)


def test_kind_is_taken_where_docker_runs() -> None:
    assert choose(None, DOCKER) == Choice("kind")


def test_the_built_in_cluster_is_taken_by_root_where_docker_does_not_run() -> None:
    assert choose(None, ROOT) == Choice("builtin")
    assert choose(None, Machine(docker=True, kind=False, root=True)) == Choice("builtin")
    assert choose(None, Machine(docker=False, kind=True, root=True)) == Choice("builtin")


def test_where_nothing_can_be_started_the_ways_out_are_named() -> None:
    with pytest.raises(MissingToolError, match=r"Docker with kind.*sudo.*--context"):
        choose(None, NOTHING)


@pytest.mark.parametrize("asked", [Choice("builtin"), Choice("kind"), Choice("context", "prod")])
def test_what_is_asked_for_wins(asked: Choice) -> None:
    assert choose(asked, DOCKER) == asked


def test_kind_without_docker_is_refused_with_the_remedy() -> None:
    with pytest.raises(MissingToolError, match="docker info"):
        choose(Choice("kind"), ROOT)
    with pytest.raises(MissingToolError, match="go install"):
        choose(Choice("kind"), Machine(docker=True, kind=False, root=True))


@pytest.mark.parametrize(
    ("value", "choice"),
    [
        (None, None),
        ("", None),
        ("current", Choice("context")),
        ("builtin", Choice("builtin")),
        ("kind", Choice("kind")),
        ("context:prod", Choice("context", "prod")),
    ],
)
def test_the_variable_names_a_cluster(value: str | None, choice: Choice | None) -> None:
    assert from_variable(value) == choice


@pytest.mark.parametrize("value", ["minikube", "context:", "Current"])
def test_another_value_of_the_variable_is_refused(value: str) -> None:
    with pytest.raises(ClusterError, match="expected current, kind, builtin or context:NAME"):
        from_variable(value)


def test_a_cluster_that_is_there_is_kept_if_it_is_the_one_wanted() -> None:
    record = Record(kind="builtin", nodes=2, identity="bzzz-0")
    assert fits(record, Choice("builtin"), 2)
    assert not fits(record, Choice("builtin"), 3)
    assert not fits(record, Choice("kind"), 2)
    assert not fits(None, Choice("builtin"), 2)


def test_a_context_is_kept_whatever_its_number_of_nodes() -> None:
    record = Record(kind="context", nodes=1, identity="bzzz-0", context="prod")
    assert fits(record, Choice("context", "prod"), 2)
    assert not fits(record, Choice("context", "test"), 2)
