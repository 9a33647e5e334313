"""What is counted of the talk with GitHub: "at most 12 writes an issue" is a promise (architecture §14)."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge


class GitHubMetrics:
    """The metrics of all GitHub clients of a process; make one a registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "bzzz_github_requests",
            "Requests to GitHub by method, kind of call and status (none: no answer came)",
            ("method", "kind", "status"),
            registry=registry,
        )
        self.remaining = Gauge(
            "bzzz_github_rate_remaining", "Requests left in GitHub's current hour", registry=registry
        )
