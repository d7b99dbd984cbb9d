"""Sources that have events and are not in the configuration, so that nothing is folded of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.domain.states import SourceState

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from exporter.domain.events import Event
    from exporter.ledger.contract import Ledger


def newest_of_unconfigured_sources(ledger: Ledger, configured: Container[str]) -> Mapping[str, Event]:
    """Return the newest event of each source that has events but is not configured."""
    slugs = [slug for slug in ledger.event_sources() if slug not in configured]
    return {slug: event for slug in slugs for event in ledger.newest(slug, 1)}


def unconfigured_states(ledger: Ledger, configured: Container[str]) -> list[SourceState]:
    """Return a state of each of them, of which only slug and last arrival are known."""
    newest = newest_of_unconfigured_sources(ledger, configured)
    return [SourceState(slug, "", last_accepted=event.arrived_at) for slug, event in newest.items()]
