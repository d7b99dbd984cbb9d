"""A start from a checkpoint and the rest of the events knows what a fold of all events knows."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

import checkpoints
from builders import accepted_event
from checkpoints import NOW, writer_of
from projectors import LedgerWithOutages, assert_alike, folded_at_once, projector_of
from tools import thorough
from worlds import World, histories

short_memory = checkpoints.short_memory


@thorough
@given(world=histories, chance=st.integers(0, 2**32))
def test_a_checkpoint_of_some_events_and_the_rest_are_all_events(world: World, chance: int) -> None:
    dice = Random(chance)
    deliveries = list(world.events)
    if dice.random() < 0.7:
        dice.shuffle(deliveries)
    ledger = LedgerWithOutages()
    running = projector_of(ledger, world)
    for each in deliveries:
        ledger.append([accepted_event(each)])
        if dice.random() < 0.1:
            ledger.known_outages = list(world.outages[: dice.randint(len(ledger.known_outages), len(world.outages))])
        if dice.random() < 0.3:
            running.catch_up()
            if dice.random() < 0.5:
                assert writer_of(ledger, running).write(NOW)
            if dice.random() < 0.5:
                saved = running.checkpoint_revision
                running = projector_of(ledger, world)
                running.catch_up()
                assert running.checkpoint_revision == saved
    ledger.known_outages = list(world.outages)
    running.catch_up()
    assert_alike(running, folded_at_once(without_checkpoint(ledger), world), world)


def without_checkpoint(ledger: LedgerWithOutages) -> LedgerWithOutages:
    other = LedgerWithOutages()
    other.append([accepted_event(each) for each in ledger.read(0, 10_000)])
    other.known_outages = ledger.known_outages
    return other
