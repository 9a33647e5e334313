"""What an agent counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class AgentMetrics:
    """The agent's own metrics, in the registry that is passed in."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.log_up = Gauge("bzzz_log_up", "Whether the agent's log takes appends", registry=registry)
        self.claims = Counter("bzzz_claims_total", "Claims by how they went", ["result"], registry=registry)
        self.rounds = Counter(
            "bzzz_rounds_total", "Rounds closed, by what came next", ["next"], registry=registry
        )
        self.outcomes = Counter(
            "bzzz_outcomes_total", "Issues worked on, by outcome", ["outcome"], registry=registry
        )
        self.reviews = Counter(
            "bzzz_reviews_total", "Answers given to others' plans", ["answer"], registry=registry
        )
        self.help = Counter(
            "bzzz_help_total",
            "Help: asked, and how talks with helpers ended; offered, refused and given as a helper",
            ["event"],
            registry=registry,
        )
        self.safeguards = Counter(
            "bzzz_safeguards_total", "Safeguards that bit", ["safeguard"], registry=registry
        )
        self.dropped = Counter(
            "bzzz_messages_dropped_total", "Messages not taken in", ["reason"], registry=registry
        )
        self.phase_seconds = Histogram(
            "bzzz_phase_seconds",
            "Seconds spent in each phase of an issue",
            ["phase"],
            buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1200),
            registry=registry,
        )
