"""The model's key: read from its file whenever it is used, since Secrets are replaced while agents run."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from bzzz_agent.models import reasoning_model
from bzzz_agent.reasoning.errors import ModelUnavailableError
from bzzz_agent.settings import ModelSettings
from tests.support.openai_server import says, scripted


class Verdict(BaseModel):
    """A verdict."""

    good: bool


async def test_a_model_is_asked_with_the_key_that_its_file_has_now(tmp_path: Path) -> None:
    key = tmp_path / "apiKey"
    with scripted(says({"good": True})) as script:
        model = reasoning_model(ModelSettings(name="openai:scripted", base_url=script.url, key_file=key))
        assert model is not None
        with pytest.raises(ModelUnavailableError, match=f"{key}: the secret cannot be read"):
            await model.ask(Verdict, "Judge.", "?")
        for text in ("the-first-key", "the-second-key"):
            key.write_text(text + "\n")
            await model.ask(Verdict, "Judge.", "?")
    assert [h["authorization"] for h in script.headers] == ["Bearer the-first-key", "Bearer the-second-key"]
