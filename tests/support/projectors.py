"""Projectors over a generated history, and what they are seen to know."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from exporter.projection.fold import exports
from exporter.projection.projector import Reader
from memory_ledger import MemoryLedger
from worlds import SOURCES, World

if TYPE_CHECKING:
    from exporter.domain.events import Gap
    from exporter.domain.exports import ExportKey
    from exporter.domain.states import ExportState


class ToldOfGaps(MemoryLedger):
    """A ledger whose gaps are given."""

    def __init__(self) -> None:
        super().__init__()
        self.known_gaps: list[Gap] = []

    def gaps(self) -> list[Gap]:
        return list(self.known_gaps)


def reader_of(ledger: MemoryLedger, world: World) -> Reader:
    return Reader(ledger, SOURCES, world.declarations)


def seen(known: Reader, world: World) -> list[list[ExportState]]:
    return [known.states(now) for now in world.nows()]


def births(known: Reader) -> dict[ExportKey, int]:
    """When each export came first."""
    return {key: known.exports.birth(key) for key in known.exports.all()}


def folded_at_once(ledger: MemoryLedger, world: World) -> Reader:
    """What a reader knows that has forgotten nothing and learns of everything at the start."""
    known = reader_of(ledger, world)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exports, "MOST_IDS", 20_000)
        known.refresh()
    return known
