"""What a scribe counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge


class ScribeMetrics:
    """The scribe's own metrics, in the registry that is passed in."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.archive_up = Gauge(
            "bzzz_scribe_archive_up", "Whether the archive answers (1) or is away (0)", registry=registry
        )
        self.blocks = Counter(
            "bzzz_scribe_blocks_total",
            "Log blocks taken in, by whether they meant something",
            ["result"],
            registry=registry,
        )
        self.lag = Gauge(
            "bzzz_scribe_lag_blocks",
            "Blocks that the archive holds and this scribe has not folded",
            registry=registry,
        )
        self.messages = Counter(
            "bzzz_scribe_messages_total", "Messages heard on the mesh, by type", ["type"], registry=registry
        )
        self.dropped = Counter(
            "bzzz_scribe_messages_dropped_total", "Messages not taken in", ["reason"], registry=registry
        )
        self.discussions = Gauge(
            "bzzz_scribe_discussions", "Discussions known, by phase", ["phase"], registry=registry
        )
        self.store_writes = Counter(
            "bzzz_scribe_store_writes_total", "Writes to the state store", ["result"], registry=registry
        )
        self.viewers = Gauge("bzzz_scribe_viewers", "Clients of /api/events", registry=registry)
        self.viewers_dropped = Counter(
            "bzzz_scribe_viewers_dropped_total",
            "Clients of /api/events dropped for reading too slowly",
            registry=registry,
        )
        self.requests = Counter(
            "bzzz_scribe_requests_total", "HTTP requests answered", ["route", "status"], registry=registry
        )
        self.api_writes = Counter(
            "bzzz_scribe_api_writes_total",
            "Writes to the Kubernetes API: done, refused, or not answered (away)",
            ["kind", "verb", "result"],
            registry=registry,
        )
        self.api_up = Gauge(
            "bzzz_scribe_api_up",
            "Whether the Kubernetes API took the last write (1) or not (0)",
            registry=registry,
        )
        self.api_pending = Gauge(
            "bzzz_scribe_api_pending", "Objects whose status is still to be looked at", registry=registry
        )
        self.verdicts_relayed = Counter(
            "bzzz_scribe_verdicts_relayed_total", "Times that a human's verdict was said", registry=registry
        )
