"""Where the model really is, and how a command is told where the proxy is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from bzzz_agent.model_proxy.wire import Format
from bzzz_agent.reasoning.errors import ModelUnavailableError
from bzzz_agent.reasoning.model import ModelSettings

OPENAI: Final = "https://api.openai.com/v1"
ADDRESSES: Final[dict[str, tuple[Format, str]]] = {
    "openai": ("openai", OPENAI),
    "anthropic": ("anthropic", "https://api.anthropic.com"),
    "openrouter": ("openai", "https://openrouter.ai/api/v1"),
    "groq": ("openai", "https://api.groq.com/openai/v1"),
    "deepseek": ("openai", "https://api.deepseek.com/v1"),
    "mistral": ("openai", "https://api.mistral.ai/v1"),
}
"""Providers whose wire format is one of the two, and where they serve it, as their own documentation says."""

MOUNTS: Final[dict[Format, str]] = {"openai": "/openai/v1", "anthropic": "/anthropic"}


@dataclass(frozen=True)
class Upstream:
    """The manifest's model as the proxy reaches it."""

    model: ModelSettings
    wire: Format
    url: str
    """Without a trailing slash; resources of the format go behind it."""
    key: str | None = field(default=None, repr=False)

    @property
    def official_openai(self) -> bool:
        """Whether it is OpenAI itself and not a server like it."""
        return self.url == OPENAI

    def headers(self) -> dict[str, str]:
        """Return what proves to the model's server who pays."""
        if self.key is None:
            return {}
        return (
            {"x-api-key": self.key} if self.wire == "anthropic" else {"authorization": f"Bearer {self.key}"}
        )

    def environment(self, origin: str, token: str) -> dict[str, str]:
        """Return what a command finds in its environment: the names that OpenAI's and Anthropic's clients read."""
        prefix = "ANTHROPIC" if self.wire == "anthropic" else "OPENAI"
        return {
            f"{prefix}_BASE_URL": origin + MOUNTS[self.wire],
            f"{prefix}_API_KEY": token,
            "BZZZ_MODEL": self.model.model,
        }


def upstream_of(settings: ModelSettings) -> Upstream:
    """Return where a model is reached in a format that the proxy speaks; a base URL means OpenAI's, but Anthropic's.

    Raises ModelUnavailableError for a provider that speaks neither.
    """
    wire, url = ADDRESSES.get(settings.provider, ("openai", ""))
    url = settings.base_url or url
    if not url:
        raise ModelUnavailableError(
            f"model {settings.name}: expected a provider whose format the model proxy speaks "
            f"({', '.join(ADDRESSES)}), or spec.model.baseUrl of a server with OpenAI's; "
            "a command cannot be given this model"
        )
    return Upstream(settings, wire, url.rstrip("/"), settings.key)
