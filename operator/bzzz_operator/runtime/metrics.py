"""The operator's metrics, on a registry of their own."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class Metrics:
    """Everything that is counted."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        registry = self.registry
        self.reconciles = Counter(
            "bzzz_operator_reconciles",
            "Reconciles by kind of key and result",
            ["kind", "result"],
            registry=registry,
        )
        self.seconds = Histogram(
            "bzzz_operator_reconcile_seconds",
            "Duration of a reconcile",
            ["kind"],
            buckets=(0.001, 0.005, 0.02, 0.1, 0.5, 2, 10),
            registry=registry,
        )
        self.depth = Gauge("bzzz_operator_queue_depth", "Keys that wait for a worker", registry=registry)
        self.writes = Counter(
            "bzzz_operator_api_writes", "Writes that the API server took", ["kind", "verb"], registry=registry
        )
        self.conditions = Gauge(
            "bzzz_operator_condition",
            "Conditions of the HiveAgents: 1 for the one that holds",
            ["hiveagent", "type", "reason"],
            registry=registry,
        )
        self.escalations = Counter(
            "bzzz_operator_escalation_deliveries",
            "Attempts to deliver an escalation to the webhook, by result",
            ["result"],
            registry=registry,
        )
        self.answers = Counter(
            "bzzz_operator_answers",
            "Requests to the answer endpoint, by result: taken, no_effect or the HTTP status of a refusal",
            ["result"],
            registry=registry,
        )
        self.leading = Gauge("bzzz_operator_leading", "Whether this operator acts", registry=registry)
        self.archive_up = Gauge(
            "bzzz_operator_archive_up",
            "Whether the archive has the list of logs that it should",
            registry=registry,
        )

    def watch_depth(self, depth: Callable[[], float]) -> None:
        """Have the queue's depth read whenever somebody asks."""
        self.depth.set_function(depth)
