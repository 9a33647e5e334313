"""The issues of a YAML list (`--issues FILE`): `title`, `body`, `labels`, `author_association`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bzzz_cli.errors import UsageError
from bzzz_crds.errors import ManifestError
from bzzz_crds.hiveagent import AuthorAssociation
from bzzz_crds.manifests import describe
from bzzz_crds.values import LabelName
from bzzz_crds.yaml_documents import load_documents


class IssueEntry(BaseModel):
    """One issue to be opened on the local GitHub server."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    title: Annotated[str, Field(min_length=1, max_length=256)]
    body: Annotated[str, Field(max_length=65_536)] = ""
    labels: Annotated[tuple[LabelName, ...], Field(strict=False, max_length=100)] = ()
    author_association: AuthorAssociation = "OWNER"


class IssueFile(BaseModel):
    """The list."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issues: Annotated[tuple[IssueEntry, ...], Field(max_length=1000)]


def load_issues(path: Path) -> tuple[IssueEntry, ...]:
    """Read the list. Raises UsageError with a line for each field that does not fit."""
    try:
        documents = load_documents(path.read_text(encoding="utf-8"))
        return IssueFile.model_validate({"issues": documents[0] if len(documents) == 1 else None}).issues
    except OSError as error:
        raise UsageError(f"--issues {path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"--issues {path}: expected UTF-8") from error
    except ManifestError as error:
        raise UsageError("\n".join(f"--issues {path}: {line}" for line in error.problems)) from error
    except ValidationError as error:
        raise UsageError(
            "\n".join(f"--issues {path}: {line}" for line in describe(error, IssueFile))
        ) from error
