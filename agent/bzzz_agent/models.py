"""The manifest's model as the agent asks it, and as its commands may; its key is read anew whenever it is used."""

from __future__ import annotations

from contextlib import AsyncExitStack

import structlog

from bzzz_agent import settings as agent
from bzzz_agent.execution.command import CommandModel
from bzzz_agent.model_proxy import open_model_proxy, upstream_of
from bzzz_agent.reasoning.errors import ModelUnavailableError
from bzzz_agent.reasoning.model import ModelSettings, ReasoningModel

log = structlog.get_logger("bzzz.agent.model")


def model_settings(chosen: agent.ModelSettings) -> ModelSettings:
    """Return the model with its key as the file has it now. Raises ModelUnavailableError when it cannot be read."""
    try:
        key = None if chosen.key_file is None else agent.read_secret(chosen.key_file)
    except agent.SettingsError as error:
        raise ModelUnavailableError(f"model {chosen.name}: {error}") from error
    return ModelSettings(name=chosen.name, base_url=chosen.base_url, key=key)


def reasoning_model(chosen: agent.ModelSettings | None) -> ReasoningModel | None:
    """Return the agent's model. Raises ModelUnavailableError for a name that is none."""
    if chosen is None:
        return None
    without_key = ModelSettings(name=chosen.name, base_url=chosen.base_url)
    return ReasoningModel(without_key, lambda: model_settings(chosen))


async def command_model(settings: agent.AgentSettings, stack: AsyncExitStack) -> CommandModel | None:
    """Open the model proxy where a command may ask the manifest's model (architecture §9).

    Raises SettingsError where limits are to be kept that nobody could keep.
    """
    execution, chosen = settings.spec.execution, settings.model
    if execution.type != "command" or chosen is None:
        return None
    try:
        upstream_of(ModelSettings(name=chosen.name, base_url=chosen.base_url))
    except ModelUnavailableError as error:
        if execution.limits.tokens is None and execution.limits.usd is None:
            log.warning("the command gets no way to the model", problem=str(error))
            return None
        raise agent.SettingsError(f"spec.execution.limits: cannot be kept for a command: {error}") from error
    proxy = await stack.enter_async_context(open_model_proxy(settings.model_proxy_port))
    return CommandModel(proxy, lambda: upstream_of(model_settings(chosen)))
