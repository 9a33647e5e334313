"""How many statuses a second the scribe's writer sustains: 50 discussions that all change as fast as they may be told.

The writer is the scribe's own, with its client, its watches and its bound of one write a second and object; only the
logs behind it are missing: views of one real discussion are put in ten times a second for each issue.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import trio
from prometheus_client import CollectorRegistry

from bzzz_scribe.kubernetes.client import ApiClient, Cluster
from bzzz_scribe.kubernetes.outlet import KubernetesOutlet
from bzzz_scribe.metrics import ScribeMetrics
from bzzz_scribe.state import Provenance, discussion_view
from bzzz_scribe.store import DiscussionKey, Document
from hmmm.identity import IssueIdentity
from tests.scribe.kube import ACCOUNT, from_chart
from tests.support.discussions import Claimant, Hive
from tests.support.kube_api import ApiServer
from tools.bench.rows import Context, Row

DISCUSSIONS = 50
WARM_S = 4.0
"""The first second makes the objects."""
WATCH_S = 15.0
CHANGES_A_SECOND = 10.0
REPOSITORY = "acme/widgets"


def measure_scribe(context: Context, api: ApiServer) -> Row:
    """Drive the scribe's writer and count what the API server took."""
    namespace = api.namespace()
    token = context.folder / "scribe-token"
    token.write_text(api.token_for(namespace, ACCOUNT))
    api.apply(from_chart("scribe/rbac.yaml", namespace))
    cluster = Cluster(api.url, token, api.ca_file, namespace)
    seconds = WATCH_S * max(1.0, context.scale)
    user = f"system:serviceaccount:{namespace}:{ACCOUNT}"
    written, took_s, cpu_s = trio.run(_drive, cluster, api, user, seconds)
    most = f"at most {DISCUSSIONS}: {DISCUSSIONS} discussions, one write a second each"
    note = f"{most}; {1000 * cpu_s / max(written, 1):.1f} ms of processor time a write"
    return Row("scribe: status writes it sustains", written / took_s, "writes/s", note=note)


async def _drive(cluster: Cluster, api: ApiServer, user: str, seconds: float) -> tuple[int, float, float]:
    """Return the writes in about so many seconds, the seconds, and their processor time."""
    client = ApiClient(cluster)
    metrics = ScribeMetrics(CollectorRegistry())
    outlet = KubernetesOutlet(client, "hive", timedelta(days=1), metrics, lambda: datetime.now(UTC))
    caught_up = trio.Event()
    caught_up.set()
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(outlet.run, caught_up)
            nursery.start_soon(_change, outlet)
            await trio.sleep(WARM_S)
            mark, used, began = api.mark(), time.process_time(), time.monotonic()
            await trio.sleep(seconds)
            took_s, cpu_s = time.monotonic() - began, time.process_time() - used
            writes = [w for w in api.writes(since=mark, user=user) if w.resource == "metadiscussions/status"]
            nursery.cancel_scope.cancel()
    finally:
        with trio.CancelScope(shield=True):
            await client.aclose()
    return len(writes), took_s, cpu_s


async def _change(outlet: KubernetesOutlet) -> None:
    """Tell the outlet of every discussion, each time a record further."""
    view = _view()
    at = 0
    while True:
        at += 1
        for number in range(1, DISCUSSIONS + 1):
            key = DiscussionKey(REPOSITORY, number, 1, "e" * 64)
            changed: Document = {**view, "number": number, "lastSeq": at, "logKey": "e" * 64}
            outlet.put_discussion(key, changed)
        await trio.sleep(1 / CHANGES_A_SECOND)


def _view() -> Document:
    """Return the view of a discussion amid its second round."""
    hive = Hive()
    reviewers = (hive.node("bzzz-1"), hive.node("bzzz-2"))
    chair = Claimant(hive, hive.node("bzzz-0"))
    chair.issue = IssueIdentity(repository=REPOSITORY, number=1, epoch=1)
    chair.claim()
    chair.propose()
    chair.objection(reviewers[0], "blocking", "breaks y")
    chair.no_objection(reviewers[1])
    chair.pass_time(31)
    chair.act()
    for reviewer in reviewers:
        chair.countersign(reviewer)
    chair.revise()
    words: tuple[Document, ...] = tuple(
        {"type": "objection", "nodeId": "bzzz-1", "text": "x" * 200, "seq": n} for n in range(5)
    )
    return discussion_view(chair.state, Provenance("e" * 64, 1, 2, title="mend x", last_messages=words))
