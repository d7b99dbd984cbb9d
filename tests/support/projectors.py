"""Projectors over generated histories, and the states they show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from exporter.projection.fold import exports
from exporter.projection.projector import Projector
from memory_ledger import MemoryLedger
from worlds import SOURCES, World

if TYPE_CHECKING:
    from exporter.domain.events import Outage
    from exporter.domain.exports import ExportKey
    from exporter.domain.states import ExportState


class LedgerWithOutages(MemoryLedger):
    """A ledger whose outages a test sets."""

    def __init__(self) -> None:
        super().__init__()
        self.known_outages: list[Outage] = []

    def outages(self) -> list[Outage]:
        return list(self.known_outages)


def projector_of(ledger: MemoryLedger, world: World) -> Projector:
    return Projector(ledger, SOURCES, world.declarations)


def shown_states(projector: Projector, world: World) -> list[list[ExportState]]:
    return [projector.list_states(now) for now in world.nows()]


def first_sequences(projector: Projector) -> dict[ExportKey, int]:
    """Return the sequence of the first event of each export."""
    return {key: projector.exports.first_sequence(key) for key in projector.exports.all_keys()}


def assert_alike(projector: Projector, expected: Projector, world: World) -> None:
    """Assert that two projectors show the same, now and later, and detected the same exports."""
    assert shown_states(projector, world) == shown_states(expected, world)
    assert projector.list_sources() == expected.list_sources()
    assert projector.exports.detected_exports() == expected.exports.detected_exports()
    assert first_sequences(projector) == first_sequences(expected)


def folded_at_once(ledger: MemoryLedger, world: World) -> Projector:
    """Return a projector that has folded everything at once, with all request ids in its cache."""
    projector = projector_of(ledger, world)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exports, "MAX_CACHED_IDS", 20_000)
        projector.catch_up()
    return projector
