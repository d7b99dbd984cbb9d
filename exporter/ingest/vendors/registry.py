"""The vendors whose webhooks are understood, by the setting ``vendor``, and the paths of their webhooks."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from exporter.ingest.vendors import clevertap

if TYPE_CHECKING:
    from exporter.domain.exports import Source
    from exporter.ingest.vendors.adapter import Adapter

VENDORS: dict[str, Adapter] = {each.name: each for each in (clevertap.ADAPTER,)}
DEFAULT = clevertap.ADAPTER.name
"""The vendor of a source that names none."""
PREFIX = "/webhooks/"
"""What the path of every webhook begins with; the vendor and the slug of a source follow."""


def adapter_of(source: Source) -> Adapter:
    """The adapter of a source."""
    return VENDORS[source.vendor or DEFAULT]


def webhook_path(vendor: str, slug: str) -> str:
    """The path of a source's webhook."""
    return f"{PREFIX}{vendor}/{slug}"


def adapter_at(url: str) -> Adapter:
    """The adapter that answers at the URL of a webhook; the default one where the path names none."""
    _, _, rest = urlsplit(url).path.rpartition(PREFIX)
    return VENDORS.get(rest.partition("/")[0], VENDORS[DEFAULT])


def canonical_partners(text: str) -> set[str]:
    """What a partner's name may mean, in lower case: the vendors' canonical spellings of it."""
    return {each.canonical_partner(text).casefold() for each in VENDORS.values()}
