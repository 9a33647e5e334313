"""YAML from a stranger's file, read with less than YAML can do.

Anchors and aliases are refused (a few lines of them expand to gigabytes), so are duplicate keys (the last would win
unseen), deep nesting, oversize and every tag. Dates stay text. Everything else is what `kubectl` accepts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, cast

import yaml

from bzzz_crds.errors import ManifestError

MAX_BYTES: Final = 1024 * 1024
"""As large as an object may be in the cluster's own store."""
MAX_DEPTH: Final = 24
MAX_DOCUMENTS: Final = 64

_TIMESTAMP: Final = "tag:yaml.org,2002:timestamp"
_MERGE: Final = "tag:yaml.org,2002:merge"


class _PlainLoader(yaml.SafeLoader):
    """Safe loader without dates, merge keys and duplicate keys."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - a class attribute of PyYAML's
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in {_TIMESTAMP, _MERGE}]
        for first, resolvers in cast(
            "dict[str, list[tuple[str, Any]]]",
            yaml.SafeLoader.yaml_implicit_resolvers,  # pyright: ignore[reportUnknownMemberType]
        ).items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: ARG002
        """Build a mapping. Raises ConstructorError for a key that comes twice or is no text."""
        seen: set[str] = set()
        for key, _ in cast("list[tuple[yaml.Node, yaml.Node]]", node.value):
            if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                raise yaml.constructor.ConstructorError(None, None, "expected text as a key", key.start_mark)
            name = str(key.value)
            if name in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"expected each key once, came {name[:60]!r} again", key.start_mark
                )
            seen.add(name)
        return super().construct_mapping(node, deep=True)


def load_documents(text: str) -> list[object]:
    """Return the documents of a YAML text as plain data, empty ones left out.

    Raises ManifestError.
    """
    size = len(text.encode(errors="surrogatepass"))
    if size > MAX_BYTES:
        raise ManifestError([f"file: expected at most {MAX_BYTES} bytes, came {size}"])
    try:
        _refuse_tricks(text)
        documents = list(cast("list[object]", yaml.load_all(text, Loader=_PlainLoader)))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ManifestError([f"file: expected YAML, came {_say(error)}"]) from error
    present = [document for document in documents if document is not None]
    if len(present) > MAX_DOCUMENTS:
        raise ManifestError([f"file: expected at most {MAX_DOCUMENTS} documents, came {len(present)}"])
    return present


def _refuse_tricks(text: str) -> None:
    """Walk the parser's events, which cost memory in proportion to the text, before anything is built."""
    depth = 0
    events = cast("Iterator[yaml.Event]", yaml.parse(text, Loader=yaml.SafeLoader))  # pyright: ignore[reportUnknownMemberType]
    for event in events:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise ManifestError(
                [f"line {line}: expected no anchors or aliases (& and *), came one; write it out"]
            )
        if getattr(event, "tag", None) is not None:
            raise ManifestError([f"line {line}: expected no tags (!), came one"])
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise ManifestError([f"line {line}: expected at most {MAX_DEPTH} levels of nesting, came more"])


def _say(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"at line {error.problem_mark.line + 1}: {error.problem}"
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
