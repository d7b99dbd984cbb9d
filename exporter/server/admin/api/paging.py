"""Pages of the API's lists: each has a relative link to the next one, so that a path prefix does no harm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Item = TypeVar("Item")
NEXT_SCHEMA = {
    "type": ["string", "null"],
    "description": "Link to the next page, relative to the URL of this one; null on the last page.",
}
TOTAL_SCHEMA = {"type": "integer", "minimum": 0, "description": "Number of all that match, on whichever page."}


def page_by_offset(
    items: Sequence[Item], query: Mapping[str, Any], given: Mapping[str, str]
) -> tuple[Sequence[Item], dict[str, object]]:
    """Return one page of a list that is complete, and the members ``total`` and ``next`` of its document.

    Args:
        items: all that match.
        query: the parsed parameters, among them ``limit`` and ``offset``.
        given: the parameters as they were given.
    """
    end = query["offset"] + query["limit"]
    link = _link(given, offset=end) if end < len(items) else None
    return items[query["offset"] : end], {"total": len(items), "next": link}


def next_by_sequence(sequences: Sequence[int], query: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, object]:
    """Return the member ``next`` of the document of a page that continues after or before a sequence.

    A page that follows new items (``after``) always has a next one, so that a client can keep following.

    Args:
        sequences: those on the page, in its order.
        query: the parsed parameters, among them ``limit``.
        given: the parameters as they were given.
    """
    if query.get("after") is not None:
        return {"next": _link(given, after=sequences[-1] if sequences else query["after"])}
    return {"next": _link(given, before=sequences[-1]) if len(sequences) == query["limit"] else None}


def _link(given: Mapping[str, str], **changed: int) -> str:
    return "?" + urlencode(dict(given) | changed)
