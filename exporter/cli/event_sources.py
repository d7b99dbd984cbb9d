"""Sources of which an exporter has something, whether or not they are configured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.cli.exporter_access import ExporterAccess
    from exporter.config.loader import Config
    from exporter.ledger.contract import Ledger


def require_source(slug: str | None, config: Config, ledger: Ledger) -> None:
    """Refuse a source that is neither configured nor has events or quarantined bodies; None means all sources.

    Raises:
        UsageError: lists the sources.
    """
    _require(slug, {*config.sources, *ledger.event_sources(), *ledger.quarantine_counts()})


def require_known_source(slug: str | None, exporter: ExporterAccess) -> None:
    """Refuse a source that an exporter does not list; None means all sources.

    Raises:
        UsageError: lists the sources.
    """
    if slug is not None:
        _require(slug, exporter.known_slugs())


def require_configured_source(slug: str | None, exporter: ExporterAccess) -> None:
    """Refuse a source that is not configured; None means all sources.

    Raises:
        UsageError: lists the sources.
    """
    if slug is not None:
        _require(slug, {source["slug"] for source in exporter.list_sources() if source["configured"]})


def _require(slug: str | None, sources: Iterable[str]) -> None:
    if slug is not None and slug not in sources:
        message = f"--source: {slug!r} is not a source; the sources are {', '.join(sorted(sources))}"
        raise click.UsageError(message)
