"""Text, arrival and zone give an instant: by the zone where it is set, else by the arrival."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import HOUR, MINUTE, event, instant
from exporter.domain.event_time import (
    EARLIEST_OFFSET,
    LATEST_OFFSET,
    InterpretedTime,
    SettledOffset,
    interpret_local_time,
    load_zone,
    offset_by_arrival,
    suspected_offset,
    zone_offset,
)
from exporter.domain.frequency import QUARTER_HOUR
from exporter.domain.humanize import format_offset

if TYPE_CHECKING:
    from exporter.domain.events import Event

SAMPLE = datetime(2023, 7, 25, 16, 50, 52)  # noqa: DTZ001 - the sender's text has no zone
INDIA = 5 * HOUR + 30 * MINUTE
NEW_YORK = ZoneInfo("America/New_York")

local_times = st.datetimes(datetime(2000, 1, 2), datetime(2100, 1, 1))  # noqa: DTZ001 - as above
offsets = st.integers(EARLIEST_OFFSET // QUARTER_HOUR, LATEST_OFFSET // QUARTER_HOUR).map(
    lambda quarters: quarters * QUARTER_HOUR
)
zones = st.sampled_from(["UTC", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Kiritimati"])


def local(text: str) -> datetime:
    return datetime.fromisoformat(text)


def unix(moment: datetime, offset: float = 0) -> float:
    return moment.replace(tzinfo=UTC).timestamp() - offset


def test_a_fresh_event_tells_its_offset() -> None:
    assert interpret_local_time(SAMPLE, unix(SAMPLE, INDIA) + 3, None, None) == InterpretedTime(
        unix(SAMPLE, INDIA), INDIA, skewed=False
    )


@pytest.mark.parametrize(
    ("late", "offset"),
    [(-120, 0), (-121, QUARTER_HOUR), (0, 0), (779, 0), (780, -QUARTER_HOUR), (20 * MINUTE, -QUARTER_HOUR)],
)
def test_the_offset_is_the_one_that_puts_the_event_closest_before_the_arrival(late: int, offset: int) -> None:
    assert interpret_local_time(SAMPLE, unix(SAMPLE) + late, None, None).utc_offset == offset


@given(local_times, offsets, st.floats(-119, 13 * MINUTE - 1))
def test_a_delivery_less_than_thirteen_minutes_late_is_read_exactly(text: datetime, offset: int, late: float) -> None:
    happened = unix(text, offset)
    assert interpret_local_time(text, happened + late, None, None) == InterpretedTime(happened, offset, skewed=False)


@given(local_times, st.floats(-4 * 86400, 4 * 86400), zones, st.one_of(st.none(), offsets))
def test_an_event_never_lies_in_the_future(text: datetime, late: float, name: str, settled: int | None) -> None:
    arrived_at = unix(text) + late
    for zone in (None, ZoneInfo(name)):
        reading = interpret_local_time(text, arrived_at, zone, settled)
        assert reading.occurred_at <= arrived_at + 120
        assert reading.skewed == (unix(text, reading.utc_offset) > arrived_at + 120)


def test_two_minutes_ahead_are_a_clock_that_disagrees_and_more_is_skewed() -> None:
    arrived_at = unix(SAMPLE) - 120
    assert interpret_local_time(SAMPLE, arrived_at, UTC, None) == InterpretedTime(unix(SAMPLE), 0, skewed=False)
    assert interpret_local_time(SAMPLE, arrived_at - 1, UTC, None) == InterpretedTime(arrived_at - 1, 0, skewed=True)


def test_what_no_zone_explains_is_skewed_even_without_a_zone() -> None:
    arrived_at = unix(SAMPLE) - 15 * HOUR
    assert interpret_local_time(SAMPLE, arrived_at, None, None) == InterpretedTime(
        arrived_at, LATEST_OFFSET, skewed=True
    )


def test_an_event_older_than_any_zone_explains_is_no_evidence() -> None:
    arrived_at = unix(SAMPLE) + 20 * HOUR
    assert offset_by_arrival(SAMPLE, arrived_at) == (EARLIEST_OFFSET, False)
    assert interpret_local_time(SAMPLE, arrived_at, None, None).occurred_at == unix(SAMPLE, EARLIEST_OFFSET)


def test_an_old_event_of_a_settled_source_is_read_at_its_offset() -> None:
    assert interpret_local_time(SAMPLE, unix(SAMPLE) + 20 * HOUR, None, 3600).utc_offset == 3600
    assert interpret_local_time(SAMPLE, unix(SAMPLE) + 20 * HOUR, None, EARLIEST_OFFSET).utc_offset == EARLIEST_OFFSET


@pytest.mark.parametrize(("late", "offset"), [(20, 5.5), (40, 5.5), (57, 5.5), (58.1, 4.5), (3 * 60, 2.5)])
def test_a_delivery_late_by_less_than_an_hour_does_not_shake_a_settled_offset(late: float, offset: float) -> None:
    reading = interpret_local_time(SAMPLE, unix(SAMPLE, INDIA) + late * MINUTE, None, INDIA)
    assert reading.utc_offset == offset * HOUR


@pytest.mark.parametrize("change", [HOUR, -HOUR, 15 * MINUTE, 30 * MINUTE])
def test_a_change_that_lateness_does_not_explain_is_taken_at_once(change: int) -> None:
    happened = unix(SAMPLE, INDIA + change)
    assert interpret_local_time(SAMPLE, happened + 3, None, INDIA) == InterpretedTime(
        happened, INDIA + change, skewed=False
    )


def seen(offset: int, count: int = 1, *, late: float = 3, offset_in_text: bool = False) -> list[Event]:
    """Events of a clock with this offset that arrive ``late`` seconds afterwards."""
    occurred_at = unix(SAMPLE, offset)
    return [event("completed", occurred_at, utc_offset=offset, delay=late, offset_in_text=offset_in_text)] * count


def test_an_offset_is_settled_after_five_arrivals_that_agree() -> None:
    assert SettledOffset(seen(HOUR, 4)).offset is None
    assert SettledOffset(seen(HOUR, 5)).offset == HOUR
    assert SettledOffset(seen(0, 1) + seen(HOUR, 5)).offset == HOUR


def test_a_settled_offset_stands_until_five_arrivals_agree_on_another() -> None:
    settled = SettledOffset(seen(2 * HOUR, 5) + seen(2 * HOUR - 15 * MINUTE, 4))
    assert settled.offset == 2 * HOUR
    for sighting in seen(2 * HOUR, 1) + seen(HOUR + 30 * MINUTE, 4):
        settled.add(sighting)
    assert settled.offset == 2 * HOUR
    settled.add(seen(HOUR + 30 * MINUTE)[0])
    assert settled.offset == HOUR + 30 * MINUTE


def test_an_old_event_is_no_evidence_of_an_offset() -> None:
    assert SettledOffset(seen(-12 * HOUR, 5, late=2 * HOUR)).offset is None


def test_a_text_with_an_offset_outranks_the_zone_and_the_settled_offset() -> None:
    arrived_at = unix(SAMPLE, INDIA) + 3 * HOUR
    expected = InterpretedTime(unix(SAMPLE, INDIA), INDIA, skewed=False)
    assert interpret_local_time(SAMPLE, arrived_at, NEW_YORK, None, INDIA) == expected
    assert interpret_local_time(SAMPLE, arrived_at, None, HOUR, INDIA) == expected
    assert interpret_local_time(SAMPLE, arrived_at, UTC, None, 0).utc_offset == 0


def test_a_text_with_an_offset_may_still_lie_in_the_future() -> None:
    arrived_at = unix(SAMPLE, INDIA) - HOUR
    expected = InterpretedTime(arrived_at, INDIA, skewed=True)
    assert interpret_local_time(SAMPLE, arrived_at, NEW_YORK, None, INDIA) == expected


def test_an_event_whose_text_has_an_offset_is_no_evidence_of_the_zone() -> None:
    assert SettledOffset(seen(0, 5, offset_in_text=True)).offset is None
    assert SettledOffset(seen(HOUR, 5) + seen(0, 5, offset_in_text=True)).offset == HOUR


@pytest.mark.parametrize(
    ("text", "arrived", "happened"),
    [
        ("2026-03-08T01:59:59", "2026-03-08T07:00", "2026-03-08T06:59:59"),
        ("2026-03-08T02:00:00", "2026-03-08T08:00", "2026-03-08T07:00:00"),
        ("2026-03-08T02:30:00", "2026-03-08T08:00", "2026-03-08T07:30:00"),
        ("2026-03-08T03:00:00", "2026-03-08T08:00", "2026-03-08T07:00:00"),
    ],
)
def test_an_hour_that_the_clock_skips_counts_as_the_hour_after(text: str, arrived: str, happened: str) -> None:
    assert interpret_local_time(local(text), instant(arrived), NEW_YORK, None) == InterpretedTime(
        instant(happened), zone_offset(local(text), instant(arrived), NEW_YORK), skewed=False
    )


@pytest.mark.parametrize(
    ("arrived", "happened"),
    [
        ("2026-11-01T05:30:03", "2026-11-01T05:30"),  # the first 1:30, told at once
        ("2026-11-01T06:27:59", "2026-11-01T05:30"),
        ("2026-11-01T06:28:00", "2026-11-01T06:30"),  # two minutes ahead are allowed
        ("2026-11-01T06:30:03", "2026-11-01T06:30"),  # the second 1:30, told at once
        ("2026-11-02T06:30:03", "2026-11-01T06:30"),
        ("2026-11-01T05:28:00", "2026-11-01T05:30"),
    ],
)
def test_of_an_hour_shown_twice_the_reading_nearer_before_the_arrival_holds(arrived: str, happened: str) -> None:
    reading = interpret_local_time(local("2026-11-01T01:30"), instant(arrived), NEW_YORK, None)
    assert reading == InterpretedTime(instant(happened), reading.utc_offset, skewed=False)


def test_without_a_zone_a_summer_time_change_is_followed_at_once() -> None:
    before, after = instant("2026-11-01T05:59:00"), instant("2026-11-01T06:01:00")
    assert interpret_local_time(local("2026-11-01T01:59:00"), before + 2, None, -4 * HOUR).occurred_at == before
    assert interpret_local_time(local("2026-11-01T01:01:00"), after + 2, None, -4 * HOUR).occurred_at == after
    spring = instant("2026-03-08T07:01:00")
    assert interpret_local_time(local("2026-03-08T03:01:00"), spring + 2, None, -5 * HOUR).occurred_at == spring


@given(local_times, offsets)
def test_a_zone_of_one_offset_is_read_at_that_offset(text: datetime, offset: int) -> None:
    zone = timezone(timedelta(seconds=offset))
    assert interpret_local_time(text, unix(text, offset) + 86400, zone, None) == InterpretedTime(
        unix(text, offset), offset, skewed=False
    )


def test_the_suspected_offset_is_what_most_arrivals_say() -> None:
    fresh = (SAMPLE, unix(SAMPLE, INDIA) + 3)
    late = (SAMPLE, unix(SAMPLE, INDIA) + 40 * MINUTE)
    assert suspected_offset([late, fresh, fresh]) == INDIA
    assert suspected_offset([(SAMPLE, unix(SAMPLE) + 30 * HOUR)]) is None
    assert suspected_offset([]) is None


def test_a_zone_is_loaded_by_its_name_and_auto_is_none() -> None:
    assert load_zone("auto") is None
    assert load_zone("Asia/Kolkata") == ZoneInfo("Asia/Kolkata")


@pytest.mark.parametrize("name", ["Asia/Nowhere", "", "../etc/passwd", "/etc/passwd", "Asia", "a\0b"])
def test_a_zone_that_does_not_exist_is_told_with_what_would_be_right(name: str) -> None:
    with pytest.raises(ValueError, match='give "auto" or a name'):
        load_zone(name)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("Asia/Kolkatta", '"Asia/Kolkata"'),
        ("asia/kolkata", '"Asia/Kolkata"'),
        ("Kolkata", '"Asia/Kolkata"'),
        ("New York", '"America/New_York"'),
    ],
)
def test_a_misspelt_zone_gets_its_nearest_names(name: str, nearest: str) -> None:
    with pytest.raises(ValueError, match=f"^no time zone '{name}'; did you mean {nearest}\\?$"):
        load_zone(name)


def test_a_long_text_is_not_compared_with_the_names_of_zones() -> None:
    with pytest.raises(ValueError, match='give "auto" or a name'):
        load_zone("Europe/Berlin" * 10)


@pytest.mark.parametrize(
    ("seconds", "text"), [(19800, "+05:30"), (0, "+00:00"), (-34200, "-09:30"), (50400, "+14:00"), (-900, "-00:15")]
)
def test_an_offset_is_written_as_people_write_it(seconds: int, text: str) -> None:
    assert format_offset(seconds) == text
