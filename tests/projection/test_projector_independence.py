"""What a projector shows depends on the ledger alone: not on its cache, nor on when it learns of an outage."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import accepted_event
from exporter.projection import projector as projector_module
from exporter.projection.fold import exports
from projectors import LedgerWithOutages, assert_alike, folded_at_once, projector_of
from tools import thorough
from worlds import World, histories

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def short_memory() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exports, "MAX_CACHED_IDS", 2)
        patch.setattr(projector_module, "PAGE_SIZE", 3)
        yield


@thorough
@given(world=histories, chance=st.integers(0, 2**32))
def test_ids_that_were_forgotten_and_gaps_that_come_later_change_nothing(world: World, chance: int) -> None:
    dice = Random(chance)
    deliveries = list(world.events)
    if dice.random() < 0.5:
        dice.shuffle(deliveries)
    ledger = LedgerWithOutages()
    running = projector_of(ledger, world)
    for each in deliveries:
        ledger.append([accepted_event(each)])
        if dice.random() < 0.2:
            ledger.known_outages = list(world.outages[: dice.randint(0, len(world.outages))])
        if dice.random() < 0.5:
            running.catch_up()
    ledger.known_outages = list(world.outages)
    running.catch_up()
    assert_alike(running, folded_at_once(ledger, world), world)
