"""How hard the properties are tried: BZZZ_EXAMPLES examples each (default 40), the same ones every time in CI."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "bzzz",
    deadline=None,  # two shared cores: an example's time says nothing
    max_examples=int(os.environ.get("BZZZ_EXAMPLES", "40")),
    derandomize=os.environ.get("CI") == "true",
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("bzzz")
