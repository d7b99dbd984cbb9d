"""The registered vendors by their names, which the setting ``vendor`` takes, and the paths of their webhooks."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from exporter.ingest.vendors import clevertap

if TYPE_CHECKING:
    from exporter.domain.exports import Source
    from exporter.ingest.vendors.adapter import Adapter

VENDORS: dict[str, Adapter] = {adapter.name: adapter for adapter in (clevertap.ADAPTER,)}
DEFAULT = clevertap.ADAPTER.name
"""The vendor of a source without the setting ``vendor``."""
PREFIX = "/webhooks/"
"""Every webhook's path begins with this; the vendor's name and the source's slug follow."""


def adapter_of(source: Source) -> Adapter:
    """Return the adapter of a source's vendor."""
    return VENDORS[source.vendor or DEFAULT]


def webhook_path(vendor: str, slug: str) -> str:
    """Return the path of a source's webhook."""
    return f"{PREFIX}{vendor}/{slug}"


def adapter_at(url: str) -> Adapter:
    """Return the adapter of the vendor in a webhook's URL, or the default one if the URL has no known vendor."""
    _, _, rest = urlsplit(url).path.rpartition(PREFIX)
    return VENDORS.get(rest.partition("/")[0], VENDORS[DEFAULT])


def canonical_partners(text: str) -> set[str]:
    """Return every vendor's canonical spelling of a partner's name, in lower case."""
    return {adapter.canonical_partner(text).casefold() for adapter in VENDORS.values()}
