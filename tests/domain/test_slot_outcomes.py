"""The last slots of an export as bytes."""

from __future__ import annotations

from builders import HOUR, at
from exporter.domain.slot_outcomes import LATE, MAX_SLOTS, MISSED, ON_TIME, UNKNOWN, SlotOutcome, unpack, with_slots


def test_packed_slots_are_the_same_when_unpacked_in_whole_seconds() -> None:
    slots = (
        SlotOutcome(ON_TIME, at("4:00"), at("3:59")),
        SlotOutcome(LATE, at("8:00"), at("9:00") + 0.7),
        SlotOutcome(MISSED, at("12:00")),
        SlotOutcome(UNKNOWN, at("16:00")),
    )
    assert unpack(with_slots(b"", slots)) == (slots[0], SlotOutcome(LATE, at("8:00"), at("9:00")), *slots[2:])


def test_only_the_last_slots_are_kept() -> None:
    packed = b""
    for number in range(MAX_SLOTS + 5):
        packed = with_slots(packed, [SlotOutcome(MISSED, number * HOUR)])
    assert [slot.due_at for slot in unpack(packed)] == [number * HOUR for number in range(5, MAX_SLOTS + 5)]
    assert len(packed) == 9 * MAX_SLOTS


def test_an_instant_that_no_event_should_have_does_no_harm() -> None:
    assert unpack(with_slots(b"", [SlotOutcome(MISSED, 1e12), SlotOutcome(MISSED, -5)])) == (
        SlotOutcome(MISSED, 2**32 - 1),
        SlotOutcome(MISSED, 0),
    )
