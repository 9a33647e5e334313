"""`crds-apply`: bring the cluster's definitions of HiveAgent and MetaDiscussion to this version's.

Helm installs a chart's `crds/` once and never again; this command is what the chart's hook runs before each install
and upgrade. Server-side apply under a manager of its own, then it waits until the API server serves them.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import structlog

from bzzz_crds.definitions import definitions
from bzzz_operator.api import Api
from bzzz_operator.connection import connect
from bzzz_operator.errors import ApiError, OperatorError
from bzzz_operator.kinds import CUSTOM_RESOURCE
from bzzz_operator.objects import items, name_of

log = structlog.get_logger()

CRD_MANAGER: Final = "bzzz-crds"
PATIENCE_S: Final = 60.0
PAUSE_S: Final = 0.2


async def apply_definitions() -> int:
    """Apply all and wait until they are established; return the exit code. Raises OperatorError."""
    api = connect("default")
    try:
        for body in definitions().values():
            answer = await _apply(api, body)
            await _wait(api, name_of(answer))
            log.info("definition is established", name=name_of(answer))
    finally:
        await api.close()
    return 0


async def _apply(api: Api, body: dict[str, Any]) -> dict[str, Any]:
    """Apply one by force: whoever else wrote into a definition of ours was an older install."""
    pause_s = PAUSE_S
    deadline = asyncio.get_running_loop().time() + PATIENCE_S
    while True:
        try:
            return await api.apply(CUSTOM_RESOURCE, body, force=True, manager=CRD_MANAGER)
        except ApiError as error:
            last = asyncio.get_running_loop().time() + pause_s > deadline
            if last or not (error.unreachable or error.conflict or error.status >= 500):
                raise
            log.info("not applied yet", name=name_of(body), error=str(error))
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, 5.0)


async def _wait(api: Api, name: str) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            found = await api.get(CUSTOM_RESOURCE, name)
            states = {c["type"]: c for c in items(found, "status", "conditions")}
            refused = states.get("NamesAccepted", {})
            if refused.get("status") == "False":
                raise OperatorError(
                    f"{name}: the API server does not accept its names: {refused.get('message')}"
                )
            if states.get("Established", {}).get("status") == "True":
                return
            await asyncio.sleep(PAUSE_S)
