"""What a reader knows depends on the ledger alone: not on what it forgot, nor on when it learnt of a gap."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import accepted_event
from exporter.projection import projector
from exporter.projection.fold import exports
from projectors import ToldOfGaps, births, folded_at_once, reader_of, seen
from tools import thorough
from worlds import World, histories

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def short_memory() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exports, "MAX_CACHED_IDS", 2)
        patch.setattr(projector, "PAGE_SIZE", 3)
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
        ledger.append([accepted_event(each)])
        if dice.random() < 0.2:
            ledger.known_gaps = list(world.outages[: dice.randint(0, len(world.outages))])
        if dice.random() < 0.5:
            running.catch_up()
    ledger.known_gaps = list(world.outages)
    running.catch_up()
    expected = folded_at_once(ledger, world)
    assert seen(running, world) == seen(expected, world)
    assert running.exports.detected_exports() == expected.exports.detected_exports()
    assert births(running) == births(expected)
