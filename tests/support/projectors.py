"""Projectors over a generated history, and what they are seen to know."""

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


class ToldOfGaps(MemoryLedger):
    """A ledger whose gaps are given."""

    def __init__(self) -> None:
        super().__init__()
        self.known_gaps: list[Outage] = []

    def outages(self) -> list[Outage]:
        return list(self.known_gaps)


def reader_of(ledger: MemoryLedger, world: World) -> Projector:
    return Projector(ledger, SOURCES, world.declarations)


def seen(known: Projector, world: World) -> list[list[ExportState]]:
    return [known.list_states(now) for now in world.nows()]


def births(known: Projector) -> dict[ExportKey, int]:
    """When each export came first."""
    return {key: known.exports.first_sequence(key) for key in known.exports.all_keys()}


def folded_at_once(ledger: MemoryLedger, world: World) -> Projector:
    """What a reader knows that has forgotten nothing and learns of everything at the start."""
    known = reader_of(ledger, world)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exports, "MAX_CACHED_IDS", 20_000)
        known.catch_up()
    return known
