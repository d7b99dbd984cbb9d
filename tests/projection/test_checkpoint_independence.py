"""A start from a checkpoint and the rest of the events knows what a fold of all events knows."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

import checkpoints
from builders import received
from checkpoints import NOW, keeper_of
from projectors import ToldOfGaps, births, folded_at_once, reader_of, seen
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
    ledger = ToldOfGaps()
    running = reader_of(ledger, world)
    for each in deliveries:
        ledger.append([received(each)])
        if dice.random() < 0.1:
            ledger.known_gaps = list(world.gaps[: dice.randint(len(ledger.known_gaps), len(world.gaps))])
        if dice.random() < 0.3:
            running.refresh()
            if dice.random() < 0.5:
                assert keeper_of(ledger, running).write(NOW)
            if dice.random() < 0.5:
                saved = running.saved
                running = reader_of(ledger, world)
                running.refresh()
                assert running.saved == saved
    ledger.known_gaps = list(world.gaps)
    running.refresh()
    expected = folded_at_once(without_folds(ledger), world)
    assert seen(running, world) == seen(expected, world)
    assert running.sources() == expected.sources()
    assert running.exports.recognised() == expected.exports.recognised()
    assert births(running) == births(expected)


def without_folds(ledger: ToldOfGaps) -> ToldOfGaps:
    other = ToldOfGaps()
    other.append([received(each) for each in ledger.read(0, 10_000)])
    other.known_gaps = ledger.known_gaps
    return other
