"""Which model an agent thinks with, here: the manifest's if there is a key for it, else the embedded one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bzzz_crds.hiveagent import ReasoningModel

EMBEDDED: Final = "embedded"
KEY_VARIABLES: Final = {"google-gla": "GEMINI_API_KEY", "google": "GEMINI_API_KEY", "google-vertex": ""}
"""Where a provider's variable is not PROVIDER_API_KEY; empty: it needs none."""


@dataclass(frozen=True)
class ModelChoice:
    """A model and how it is reached. `embedded` is served by a process of the hive."""

    name: str
    base_url: str | None
    key: str | None
    embedded: bool
    notice: str = ""


def choose_model(
    wanted: ReasoningModel | None, override: str | None, environ: Mapping[str, str] = os.environ
) -> ModelChoice | None:
    """Decide for one agent; None for an agent whose manifest names no model.

    `override` takes the place of the manifest's model, not of its absence.
    """
    if wanted is None:
        return None
    name = override or wanted.name
    base_url = None if override else wanted.base_url
    provider = name.partition(":")[0]
    if provider == EMBEDDED:
        return ModelChoice(name, None, None, embedded=True)
    variable = KEY_VARIABLES.get(provider, f"{provider.upper().replace('-', '_')}_API_KEY")
    key = environ.get(variable) if variable else None
    if key or base_url or not variable:
        return ModelChoice(name, base_url, key, embedded=False)
    notice = f"no key for {name} in {variable}: the small embedded model takes its place"
    return ModelChoice(name, None, None, embedded=True, notice=notice)
