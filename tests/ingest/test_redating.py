"""What the texts of events, and what was refused for its date, tell of a clock that may have been wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from builders import HOUR, accepted_event, at, event
from exporter.domain.event_time import CLOCK_TOLERANCE
from exporter.domain.events import QuarantinedBody
from exporter.domain.exports import Source
from exporter.ingest.redating import DATE_OUT_OF_RANGE, MIN_TEXTS, Redating
from exporter.ledger.contract import HEARTBEAT_TIMEOUT
from exporter.ledger.replay_store import PAGE_SIZE
from memory_ledger import MemoryLedger

if TYPE_CHECKING:
    from exporter.domain.epochs import Epoch, StoredEpoch

NOW = at("12:00")
KNOWN, UNKNOWN = Source("shop", "Asia/Kolkata", ZoneInfo("Asia/Kolkata")), Source("auto", "auto", None)
BOTH = {"shop": KNOWN, "auto": UNKNOWN}
STEP = CLOCK_TOLERANCE + 1


def epoch_of(ledger: MemoryLedger, boot: str = "boot") -> Epoch:
    return ledger.begin_epoch(boot, 0, round(NOW * 1e6))


def store(ledger: MemoryLedger, epoch: Epoch, *delays: float, source: str = "shop", in_text: bool = False) -> None:
    """Store events that were this late by the clock of the epoch."""
    for number, delay in enumerate(delays):
        announced = event(
            "initiated",
            NOW + HOUR + number,
            delay=delay,
            source=source,
            request_id=f"{number} {delay}",
            utc_offset=19_800,
            offset_in_text=in_text,
        )
        ledger.append([accepted_event(announced)._replace(epoch=epoch)])


def refuse(
    ledger: MemoryLedger, epoch: Epoch, number: int, reason: str = DATE_OUT_OF_RANGE, source: str = "shop"
) -> None:
    # Not the constant itself: a ledger returns a text of its own.
    text = "".join(list(reason))
    digest = f"{source} {number:9}".encode().ljust(16)
    ledger.append([QuarantinedBody(source, NOW, text, "", b"?", digest, epoch=epoch)])


def stored(ledger: MemoryLedger, epoch: Epoch) -> StoredEpoch:
    return next(each for each in ledger.epochs() if each.id == epoch.id)


@pytest.mark.parametrize(
    "delays",
    [
        [2, 2, 2],
        [2, 2, -STEP],
        [2, 2, 2, -STEP, -STEP],
    ],
)
def test_a_clock_was_right_if_most_events_arrived_nearer_to_when_they_happened_by_it(delays: list[float]) -> None:
    ledger = MemoryLedger()
    epoch = epoch_of(ledger)
    store(ledger, epoch, *delays)
    redating = Redating(ledger, BOTH)
    assert redating.was_right_before(epoch, STEP)
    assert not redating.was_right_before(epoch, CLOCK_TOLERANCE)
    assert not redating.was_right_before(epoch, -STEP)


@pytest.mark.parametrize(
    "delays",
    [
        [-STEP, -STEP, -STEP],
        [2, -STEP],
        [2, 2, -STEP, -STEP, -STEP],
        [-STEP / 2, -STEP / 2],
        [],
    ],
)
def test_a_clock_was_wrong_unless_most_events_show_that_it_was_right(delays: list[float]) -> None:
    ledger = MemoryLedger()
    epoch = epoch_of(ledger)
    store(ledger, epoch, *delays)
    assert not Redating(ledger, BOTH).was_right_before(epoch, STEP)


def test_the_usual_delay_is_the_median_of_enough_events_whose_time_is_known() -> None:
    ledger = MemoryLedger()
    epoch, other = epoch_of(ledger), epoch_of(ledger, "another boot")
    delays = [2.0] * (MIN_TEXTS - 2) + [50.0]
    store(ledger, epoch, *delays)
    store(ledger, epoch, *[900.0] * 9, source="auto")  # in an unknown time zone
    store(ledger, other, *[700.0] * 9)
    redating = Redating(ledger, BOTH)
    assert redating.usual_delay(epoch) is None
    store(ledger, epoch, 9.0, source="auto", in_text=True)
    assert redating.usual_delay(epoch) == 9.0
    assert Redating(ledger, {"auto": UNKNOWN}).usual_delay(epoch) is None
    assert redating.usual_delay(other) == 700.0


def test_an_epoch_was_behind_if_every_body_in_it_was_refused_for_its_date() -> None:
    ledger = MemoryLedger()
    epochs = [epoch_of(ledger, f"boot {number}") for number in range(5)]
    refused, mixed, wrong, foreign, quiet = epochs
    refuse(ledger, refused, 0, source="auto")
    ledger.append([accepted_event(event("initiated", NOW - HOUR))])  # before any of these epochs
    for number in range(PAGE_SIZE):  # the first page
        refuse(ledger, wrong, number, "bad_date")
    refuse(ledger, mixed, -1)
    refuse(ledger, foreign, 0, source="nobody")
    redating = Redating(ledger, BOTH)
    assert redating.epochs_behind(ledger.epochs()) == {refused.id, mixed.id}
    store(ledger, mixed, 2)
    ledger.record_heartbeat("one", NOW + HOUR + 2 - HEARTBEAT_TIMEOUT, mixed)
    assert redating.epochs_behind(ledger.epochs()) == {refused.id, mixed.id}
    ledger.record_heartbeat("one", NOW + HOUR + 2, mixed)
    assert redating.epochs_behind(ledger.epochs()) == {refused.id}
    assert redating.epochs_behind([stored(ledger, quiet)]) == set()
