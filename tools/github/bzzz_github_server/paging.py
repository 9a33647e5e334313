"""GitHub's pages: `page` and `per_page` in, a slice and its `Link` header out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar
from urllib.parse import urlencode

from bzzz_github_server.wire import Request, Response, reply

T = TypeVar("T")

PER_PAGE = 30
MOST_PER_PAGE = 100


def bounds(request: Request) -> tuple[int, int]:
    """Page number (from 1) and page size asked for, brought within GitHub's limits."""
    return max(1, _number(request, "page", 1)), min(
        MOST_PER_PAGE, max(1, _number(request, "per_page", PER_PAGE))
    )


def _number(request: Request, name: str, default: int) -> int:
    text = request.query.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else default


def paged(request: Request, items: Sequence[object], origin: str) -> Response:
    """Answer with the page asked for."""
    page, size = bounds(request)
    shown = list(items[(page - 1) * size : page * size])
    return reply(shown, headers=links(request, origin, page, last=max(1, -(-len(items) // size))))


def links(request: Request, origin: str, page: int, last: int) -> dict[str, str]:
    """The `Link` header, with this server's own origin; none when there is one page."""
    targets: dict[str, int] = {}
    if page > 1:
        targets["prev"] = min(page - 1, last)
    if page < last:
        targets |= {"next": page + 1, "last": last}
    if page > 1:
        targets["first"] = 1
    if not targets:
        return {}
    parts = [
        f'<{origin}{request.path}?{urlencode({**request.query, "page": number})}>; rel="{name}"'
        for name, number in targets.items()
    ]
    return {"Link": ", ".join(parts)}
