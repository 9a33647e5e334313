"""The API server that tests share is a real one: rights hold, writes are counted, a crash loses nothing."""

from __future__ import annotations

import json

import psutil

from tests.crds.tables import SMALLEST
from tests.support.kube_api import ApiServer
from tests.support.processes import eventually

READER = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader}
rules: [{apiGroups: [bzzz.dev], resources: [hiveagents], verbs: [get, list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: reader}]
"""


def test_an_account_has_the_rights_it_was_given_and_no_more(api: ApiServer) -> None:
    space = api.namespace()
    api.apply(READER, "-n", space)
    token = api.token_for(space, "reader")
    assert "No resources found" in api.kubectl("get", "hiveagents", "-n", space, token=token).stderr
    refused = api.kubectl("delete", "hiveagent", "any", "-n", space, token=token, check=False)
    assert "Forbidden" in refused.stderr


def test_writes_are_counted_by_who_made_them_and_reads_are_not(api: ApiServer) -> None:
    space = api.namespace()
    here = api.mark()
    api.apply(SMALLEST, "-n", space)
    api.kubectl("get", "hiveagents", "-n", space)
    eventually(lambda: api.writes(since=here), what="the write is in the audit log")
    (write,) = api.writes(since=here)
    assert (write.user, write.verb, write.resource, write.namespace) == (
        "admin",
        "patch",
        "hiveagents",
        space,
    )
    assert api.writes(since=here, agent="kubectl") == [write]
    assert api.writes(since=here, user="somebody") == []


def test_a_refused_write_is_counted_only_when_asked(api: ApiServer) -> None:
    here = api.mark()
    api.kubectl("apply", "--server-side", "-f", "-", input=SMALLEST.replace("dryRun", "guess"), check=False)
    eventually(lambda: api.writes(since=here, refused=True), what="the refused write is in the audit log")
    assert api.writes(since=here) == []


def test_a_crash_loses_no_object_and_the_end_leaves_no_process() -> None:
    with ApiServer.start(users={"ada": ["reviewers"]}) as api:
        api.kubectl("create", "configmap", "kept", "--from-literal=a=b")
        before = api.pid
        api.restart()
        assert api.pid != before
        assert json.loads(api.kubectl("get", "configmap", "kept", "-o", "json").stdout)["data"] == {"a": "b"}
        whoami = json.loads(api.kubectl("auth", "whoami", "-o", "json", token=api.tokens["ada"]).stdout)
        assert "reviewers" in whoami["status"]["userInfo"]["groups"]
        folder = str(api.folder)
        assert len(started_in(folder)) == 2
    assert started_in(folder) == []
    assert not api.folder.exists()


def started_in(folder: str) -> list[int]:
    return [
        p.pid
        for p in psutil.process_iter(["cmdline"])
        if any(folder in part for part in p.info["cmdline"] or [])
    ]
