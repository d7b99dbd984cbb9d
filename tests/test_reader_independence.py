"""What a reader knows depends on the ledger alone: not on what it forgot, nor on when it learnt of a gap."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import received
from exporter import attribution, reader
from exporter.reader import Reader
from memory_ledger import MemoryLedger
from test_order_independence import SOURCES, World, histories
from tools import thorough

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.model import ExportKey, ExportState, Gap


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
        patch.setattr(attribution, "MOST_IDS", 20_000)
        known.refresh()
    return known


@pytest.fixture(autouse=True)
def short_memory() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attribution, "MOST_IDS", 2)
        patch.setattr(reader, "PAGE", 3)
        yield


@thorough
@given(world=histories, chance=st.integers(0, 2**32))
def test_ids_that_were_forgotten_and_gaps_that_come_later_change_nothing(world: World, chance: int) -> None:
    dice = Random(chance)
    deliveries = list(world.events)
    if dice.random() < 0.5:
        dice.shuffle(deliveries)
    ledger = ToldOfGaps()
    running = reader_of(ledger, world)
    for each in deliveries:
        ledger.append([received(each)])
        if dice.random() < 0.2:
            ledger.known_gaps = list(world.gaps[: dice.randint(0, len(world.gaps))])
        if dice.random() < 0.5:
            running.refresh()
    ledger.known_gaps = list(world.gaps)
    running.refresh()
    expected = folded_at_once(ledger, world)
    assert seen(running, world) == seen(expected, world)
    assert running.exports.recognised() == expected.exports.recognised()
    assert births(running) == births(expected)
