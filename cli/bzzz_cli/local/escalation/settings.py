"""The relay's configuration, which `bzzz local` writes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from bzzz_cli.errors import CommandError
from bzzz_operator.errors import OperatorError
from bzzz_operator.escalation.credentials import KEYS, Credentials

MAX_SECRET_BYTES = 4096


class RelaySettings(BaseModel):
    """Whom to tell, where answers come in, and whose hive it is."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True)

    hive: str
    state: Path
    """The local hive's folder: hive key, scribe's address, and what this process keeps."""
    url: Annotated[str, Field(pattern=r"^https?://[!-~]+$", max_length=500)]
    secret: Path
    """A folder with the files `token` and `hmac`, named as the keys of the Secret on Kubernetes."""
    answer_port: Annotated[int, Field(ge=0, le=65_535)]
    api_url: str
    public_url: str


def load_settings(path: Path) -> RelaySettings:
    """Read the configuration. Raises CommandError."""
    try:
        return RelaySettings.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise CommandError(f"{path}: {error}") from error


def read_secret(folder: Path) -> Credentials:
    """Read token and key. Raises OperatorError that names what is missing."""
    values: list[bytes] = []
    for key in KEYS:
        try:
            with (folder / key).open("rb") as file:
                values.append(file.read(MAX_SECRET_BYTES))
        except OSError as error:
            raise OperatorError(
                f"{folder}: expected the files {' and '.join(KEYS)}: {key}: {error.strerror}"
            ) from error
    return Credentials.of(*values, where=str(folder))
