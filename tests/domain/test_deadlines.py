"""Deadlines, slots and outages, a second before and after each boundary, and on days of 23 and 25 hours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from builders import DAY, HOUR, MINUTE, at, instant
from exporter.domain import daylight_saving
from exporter.domain.daylight_saving import latest_slot_after, latest_slots_after, slot_after
from exporter.domain.deadlines import deadline_after, expectation_of, extended_past_outage, run_deadline_after
from exporter.domain.events import Outage
from exporter.domain.exports import Declaration, Expectation, Selection

NEW_YORK = ZoneInfo("America/New_York")
EVERY_4H = expectation_of(4 * HOUR, UTC)
DAILY = expectation_of(DAY, NEW_YORK)


def declared(interval: int | None = None, grace: int | None = None, max_runtime: int | None = None) -> Declaration:
    return Declaration("nightly", Selection("shop"), interval=interval, grace=grace, max_runtime=max_runtime)


@pytest.mark.parametrize(
    ("interval", "grace", "max_runtime"),
    [
        (HOUR, 30 * MINUTE, HOUR),
        (150 * MINUTE, 30 * MINUTE, 150 * MINUTE),
        (4 * HOUR, 48 * MINUTE, 4 * HOUR),
        (6 * HOUR, 72 * MINUTE, 6 * HOUR),
        (8 * HOUR, 96 * MINUTE, 6 * HOUR),
        (DAY, 288 * MINUTE, 6 * HOUR),
        (0, 0, DAY),
    ],
)
def test_grace_is_a_fifth_of_the_interval_and_at_least_half_an_hour(
    interval: int, grace: int, max_runtime: int
) -> None:
    assert expectation_of(interval, UTC) == Expectation(interval, grace, max_runtime, UTC)


def test_a_declaration_has_the_last_word() -> None:
    assert expectation_of(4 * HOUR, None, declared(DAY)) == expectation_of(DAY, None)
    assert expectation_of(0, None, declared(HOUR, 60, 120)) == Expectation(HOUR, 60, 120, None)
    assert expectation_of(DAY, None, declared(grace=0, max_runtime=90)) == Expectation(DAY, 0, 90, None)
    assert expectation_of(DAY, None, declared()) == expectation_of(DAY, None)


def test_without_an_interval_there_is_nothing_to_be_late_for() -> None:
    assert expectation_of(0, None, declared(grace=60)).grace == 0


def test_a_deadline_is_an_interval_and_grace_after() -> None:
    assert deadline_after(at("0:10"), EVERY_4H, []) == at("4:58")


@pytest.mark.parametrize(
    ("start", "count", "due"),
    [
        ("2026-03-07T02:30-05:00", 1, "2026-03-08T03:30-04:00"),  # the clock skips 2:30
        ("2026-03-07T02:30-05:00", 2, "2026-03-09T02:30-04:00"),
        ("2026-03-07T01:30-05:00", 1, "2026-03-08T01:30-05:00"),
        ("2026-03-07T12:00-05:00", 1, "2026-03-08T12:00-04:00"),  # 23 hours later
        ("2026-10-31T12:00-04:00", 1, "2026-11-01T12:00-05:00"),  # 25 hours later
        ("2026-10-31T01:30-04:00", 1, "2026-11-01T01:30-04:00"),  # the first of the two
        ("2026-11-01T01:30-05:00", 1, "2026-11-02T01:30-05:00"),
        ("2026-11-01T00:00-04:00", 1, "2026-11-02T00:00-05:00"),
        ("2026-12-31T23:59:59-05:00", 1, "2027-01-01T23:59:59-05:00"),
    ],
)
def test_a_day_is_the_same_time_on_the_clock(start: str, count: int, due: str) -> None:
    assert slot_after(instant(start), count, DAILY) == instant(due)


@pytest.mark.parametrize(
    ("interval", "zone", "due"),
    [
        (DAY, None, "2026-03-08T17:00Z"),
        (12 * HOUR, NEW_YORK, "2026-03-08T05:00Z"),
        (7 * DAY, NEW_YORK, "2026-03-14T16:00Z"),
        (7 * DAY, None, "2026-03-14T17:00Z"),
    ],
)
def test_without_a_zone_or_with_part_of_a_day_an_interval_is_so_many_seconds(
    interval: int, zone: ZoneInfo | None, due: str
) -> None:
    assert slot_after(instant("2026-03-07T12:00-05:00"), 1, expectation_of(interval, zone)) == instant(due)


OUTAGE = Outage(at("4:30"), at("6:00"))


@pytest.mark.parametrize(
    ("deadline", "holds"),
    [
        ("4:30", "4:30"),
        ("4:30:01", "6:48"),
        ("5:59:59", "6:48"),
        ("6:00", "6:48"),
        ("6:00:01", "6:00:01"),
    ],
)
def test_a_deadline_that_passed_in_blind_time_waits_one_grace_more_after_it(deadline: str, holds: str) -> None:
    assert extended_past_outage(at(deadline), EVERY_4H.grace, [OUTAGE]) == at(holds)


def test_a_deadline_may_move_from_one_blind_time_to_the_next() -> None:
    outages = [OUTAGE, Outage(at("6:30"), at("7:00")), Outage(at("9:00"), at("10:00"))]
    assert extended_past_outage(at("5:00"), EVERY_4H.grace, outages) == at("7:48")


@pytest.mark.parametrize(
    ("began", "ended", "holds"),
    [
        ("3:00", "3:59", "4:58"),  # there again before it could come
        ("3:00", "4:00", "8:58"),  # it may have come as early as 4:00, with a run of no time at all
        ("4:10", "4:30", "8:58"),
        ("4:30", "4:40", "8:58"),  # it may have come within its grace period
        ("4:57:59", "5:30", "8:58"),
        ("4:58", "5:30", "4:58"),  # it was overdue by then
        ("0:00", "0:10", "4:58"),  # over when the last one came
        ("3:00", "8:30", "12:58"),  # the run after it may have come unheard as well
    ],
)
def test_what_may_have_come_unheard_is_missed_with_the_run_after_it(began: str, ended: str, holds: str) -> None:
    outages = [Outage(at(began), at(ended))]
    assert deadline_after(at("0:10"), EVERY_4H, outages, lead=10 * 60) == at(holds)


@pytest.mark.parametrize(
    ("began", "ended", "interval", "holds"),
    [
        ("0:30", "1:00", 4 * HOUR, "4:48"),  # its end may have come unheard: the next start tells
        ("0:30", "1:00", 8 * HOUR, "9:36"),
        ("0:30", "5:00", 4 * HOUR, "8:48"),
        ("6:30", "7:00", 8 * HOUR, "6:00"),
        ("5:59:59", "7:00", 8 * HOUR, "9:36"),
        ("6:00", "7:00", 8 * HOUR, "6:00"),  # the deadline passed as the outage began
        ("-1:00", "0:00", 4 * HOUR, "4:00"),  # the outage was over as the run began
        ("-1:00", "0:00:01", 4 * HOUR, "4:48"),
        ("0:30", "1:00", 0, "24:00"),  # no next run will tell of a one-time one
    ],
)
def test_a_run_whose_end_may_have_come_unheard_is_stuck_when_the_next_does_not_start(
    began: str, ended: str, interval: int, holds: str
) -> None:
    midnight = at("0:00")
    hours, minutes = map(int, holds.split(":"))
    deadline = run_deadline_after(midnight, expectation_of(interval, UTC), [Outage(at(began), at(ended))])
    assert deadline == midnight + hours * HOUR + minutes * 60


@pytest.mark.parametrize(
    ("start", "hours", "due"),
    [
        ("2026-11-01T00:00-04:00", 4, "2026-11-01T04:00-05:00"),  # on the clock; 3:00 if it counts hours
        ("2026-11-01T19:00-05:00", 4, "2026-11-02T00:00-05:00"),  # the last one that counts hours, then midnight
        ("2026-11-01T12:00-05:00", 12, "2026-11-02T01:00-05:00"),
        ("2026-10-31T20:00-04:00", 4, "2026-11-01T00:00-04:00"),
        ("2026-11-02T00:00-05:00", 4, "2026-11-02T04:00-05:00"),
        ("2026-03-08T00:00-05:00", 4, "2026-03-08T05:00-04:00"),  # it goes forward: nothing comes later for it
        ("2026-11-01T00:00-04:00", 36, "2026-11-02T11:00-05:00"),  # no part of a day
    ],
)
def test_part_of_a_day_may_take_an_hour_more_on_the_day_on_which_the_clock_goes_back(
    start: str, hours: int, due: str
) -> None:
    assert latest_slot_after(instant(start), 1, expectation_of(hours * HOUR, NEW_YORK)) == instant(due)


@pytest.mark.parametrize("days", [1, 2, 7])
def test_whole_days_take_no_hour_more_when_the_clock_goes_back(days: int) -> None:
    start = instant("2026-11-01T00:00-04:00")
    assert latest_slot_after(start, 1, expectation_of(days * DAY, NEW_YORK)) == instant(
        f"2026-11-0{1 + days}T00:00-05:00"
    )
    assert latest_slot_after(start, 1, expectation_of(days * DAY, None)) == start + days * DAY


@pytest.mark.parametrize("zone", [NEW_YORK, UTC, None])
@pytest.mark.parametrize("minutes", [10, 25, 60, 240, 1440, 2160, 2880])
def test_many_slots_are_due_when_each_of_them_is(zone: ZoneInfo | None, minutes: int) -> None:
    start, numbers = instant("2026-10-30T22:10-04:00") + 0.5, range(3, 300)
    expectation = expectation_of(minutes * 60, zone)
    due_at = latest_slots_after(start, numbers, expectation)
    assert due_at == [latest_slot_after(start, number, expectation) for number in numbers]


def offset(at: float, zone: ZoneInfo) -> timedelta:
    offset = datetime.fromtimestamp(at, zone).utcoffset()
    assert offset is not None
    return offset


@pytest.mark.parametrize("name", ["Europe/Berlin", "America/Denver", "Australia/Melbourne", "Pacific/Auckland"])
def test_without_a_zone_it_may_take_an_hour_more_on_any_day_on_which_some_clock_goes_back(name: str) -> None:
    zone = ZoneInfo(name)
    unknown = expectation_of(4 * HOUR, None)
    hours = range(int(instant("2026-01-01T00:00Z")), int(instant("2027-01-01T00:00Z")), HOUR)
    [change] = [hour for hour in hours if offset(hour - HOUR, zone) > offset(hour, zone)]
    for before in (4 * HOUR - 1, HOUR, 1):
        start = change - before
        assert latest_slot_after(start, 1, unknown) == start + 5 * HOUR
    quiet = instant("2026-07-15T00:00Z")
    assert latest_slot_after(quiet, 1, unknown) == quiet + 4 * HOUR


def test_none_stays_none() -> None:
    assert extended_past_outage(0, EVERY_4H.grace, [OUTAGE]) == 0


def test_the_zones_that_an_unknown_zone_may_be_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def zone_info(name: str) -> ZoneInfo:
        read.append(name)
        return ZoneInfo(name)

    monkeypatch.setattr(daylight_saving, "ZoneInfo", zone_info)
    for day in range(3):  # of a year for which no other test asks
        latest_slot_after(instant("1999-01-01 00:00") + day * DAY, 1, expectation_of(4 * HOUR, None))
    assert len(read) in {0, len(daylight_saving.ZONES_WITH_SETBACK)}
