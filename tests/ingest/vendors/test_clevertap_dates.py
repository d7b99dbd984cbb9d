"""The CleverTap adapter reads each unambiguous form of a date, and gives a reason for every other text."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clevertap_bodies import DATE, LATEST, parse_event, reason, with_value


@pytest.mark.parametrize(
    ("text", "local_time"),
    [
        ("25/07/2023 4:50:52 PM", "2023-07-25T16:50:52"),
        ("25/07/2023 04:50:52 pm", "2023-07-25T16:50:52"),
        ("25/07/2023, 4:50:52 p.m.", "2023-07-25T16:50:52"),
        ("25/07/2023 4:50:52\u202fPM", "2023-07-25T16:50:52"),
        ("25/07/2023 4:50:52PM", "2023-07-25T16:50:52"),
        ("25/07/2023 4:50 PM", "2023-07-25T16:50:00"),
        ("5/7/2023 12:00:00 AM", "2023-07-05T00:00:00"),
        ("5/7/2023 12:59:59 AM", "2023-07-05T00:59:59"),
        ("5/7/2023 12:00:00 PM", "2023-07-05T12:00:00"),
        ("5/7/2023 1:00:00 AM", "2023-07-05T01:00:00"),
        ("5/7/2023 11:59:59 PM", "2023-07-05T23:59:59"),
        ("29/02/2024 1:00:00 AM", "2024-02-29T01:00:00"),
        ("01/01/2000 12:00:00 AM", "2000-01-01T00:00:00"),
        ("02/06/2026 12:00:00 AM", "2026-06-02T00:00:00"),
    ],
)
def test_the_vendors_form_is_day_first_on_a_twelve_hour_clock(text: str, local_time: str) -> None:
    assert parse_event(with_value(DATE, text)).local_time == datetime.fromisoformat(local_time)


@pytest.mark.parametrize(
    "text",
    [
        "31/02/2026 4:50:52 PM",
        "29/02/2023 4:50:52 PM",
        "00/07/2023 4:50:52 PM",
        "25/13/2023 4:50:52 PM",
        "25/00/2023 4:50:52 PM",
        "07/25/2023 4:50:52 PM",
        "25/07/0000 4:50:52 PM",
        "25/07/2023 0:50:52 AM",
        "25/07/2023 13:50:52 PM",
        "25/07/2023 4:60:52 PM",
        "25/07/2023 4:50:60 PM",
        "25/07/2023 24:00:00",
        "25/07/23",
        "07/25/23 16:50:52",
        "25/07/123 16:50:52",
        "2023-07-25",
        "2023-25-07T16:50:52",
        "2023-7-25T16:50:52",
        "2023-07-25T16:50:52 IST",
        "2023-07-25T16:50:52+05:60",
        "2023-07-25T16:50:52+14:15",
        "2023-07-25T16:50:52-12:15",
        "2023-07-25T16:50:52Z+01:00",
        "2023-W30-2T16:50:52",
        "25-07-2023 16:50:52",
        "07-25-2023 16:50:52",
        "2023/07/25 16:50:52",
        "Jul 25 2023 16:50:52",
        "\u0662\u0665/07/2023 4:50:52 PM",
        "169028349",
        "16902834920",
        "169028349200",
        "16902834920000",
        "-1690283492",
        "1690283492.5",
        "yesterday",
    ],
)
def test_an_impossible_date_is_unrecognised(text: str) -> None:
    assert reason(with_value(DATE, text)) == "bad_date"


@pytest.mark.parametrize(
    "text", ["31/12/1999 11:59:59 PM", "25/07/9999 4:50:52 PM", "02/06/2026 12:00:01 AM", "25/07/0001 4:50:52 PM"]
)
def test_a_date_before_2000_or_more_than_a_day_ahead_is_out_of_range(text: str) -> None:
    assert reason(with_value(DATE, text)) == "date_out_of_range"


def at_offset(minutes: int) -> timedelta:
    return timedelta(minutes=minutes)


INDIA = at_offset(330)


SAMPLE_FORMS: dict[timedelta | None, list[str | int]] = {
    None: [
        "25/07/2023 16:50:52",
        "25/7/2023, 16:50:52",
        "25/07/23 16:50:52",
        "25/07/23 4:50:52 PM",
        "2023-07-25T16:50:52",
        "2023-07-25 16:50:52",
        "2023-07-25t16:50:52.999",
        "2023-07-25T16:50:52,123456789",
        "20230725T165052",
    ],
    INDIA: [
        "2023-07-25T16:50:52+05:30",
        "2023-07-25T16:50:52.5+0530",
        "2023-07-25 16:50:52 +05:30",
        "20230725T165052+0530",
        "25/07/2023 4:50:52 PM +05:30",
        "25/07/2023 4:50:52 PM GMT+5:30",
        "25/07/23 16:50:52 UTC+05:30",
    ],
    at_offset(0): [
        "2023-07-25T11:20:52Z",
        "2023-07-25T11:20:52z",
        "2023-07-25 11:20:52 UTC",
        "2023-07-25T11:20:52+00:00",
        "2023-07-25T11:20:52-00:00",
        "20230725T112052Z",
        "25/07/2023 11:20:52 AM GMT",
        "1690284052",
        1690284052,
        "1690284052123",
        1690284052999,
    ],
    at_offset(-12 * 60): ["2023-07-24T23:20:52-12"],
    at_offset(14 * 60): ["2023-07-26T01:20:52+14:00"],
}
"""Other texts of the instant at which the documented sample happened, by the offset in the text."""


@pytest.mark.parametrize(
    ("offset", "text"), [(offset, text) for offset, texts in SAMPLE_FORMS.items() for text in texts]
)
def test_every_unambiguous_form_of_a_date_is_read(offset: timedelta | None, text: object) -> None:
    parsed = parse_event(with_value(DATE, text))
    assert parsed.utc_offset == (None if offset is None else offset.total_seconds())
    in_india = parsed.local_time if offset is None else parsed.local_time - offset + INDIA
    assert in_india == datetime(2023, 7, 25, 16, 50, 52)  # noqa: DTZ001 - as above


def test_seconds_may_be_left_out_of_any_form() -> None:
    expected = datetime(2023, 7, 25, 16, 50)  # noqa: DTZ001 - as above
    for text in ("25/07/2023 16:50", "25/07/23 4:50 PM", "2023-07-25T16:50", "20230725T1650"):
        assert parse_event(with_value(DATE, text)).local_time == expected


def test_a_date_with_an_offset_is_out_of_range_by_its_instant() -> None:
    assert parse_event(with_value(DATE, "2026-06-02T14:00:00+14:00")).utc_offset == 14 * 3600
    assert reason(with_value(DATE, "2026-06-02T14:00:01+14:00")) == "date_out_of_range"
    assert parse_event(with_value(DATE, 1780358400)).local_time == LATEST
    assert reason(with_value(DATE, 1780358401)) == "date_out_of_range"
    assert reason(with_value(DATE, 9999999999999)) == "date_out_of_range"


@given(st.datetimes(datetime(2001, 9, 10), LATEST - timedelta(1)), st.integers(-48, 56))  # noqa: DTZ001 - as above
def test_every_form_of_an_instant_is_the_same_instant(moment: datetime, quarters: int) -> None:
    moment = moment.replace(microsecond=0)
    offset = timedelta(minutes=15 * quarters)
    half, hour = ("AM", moment.hour) if moment.hour < 12 else ("PM", moment.hour - 12)
    clocks = [f"{hour or 12}:{moment:%M:%S} {half}", f"{moment:%H:%M:%S}"]
    texts = [f"{moment:{date}} {clock}" for date in ("%d/%m/%Y", "%d/%m/%y", "%Y-%m-%d") for clock in clocks]
    for text in [*texts, moment.isoformat(), moment.isoformat(" "), f"{moment:%Y%m%dT%H%M%S}"]:
        without = parse_event(with_value(DATE, text))
        assert (without.local_time, without.utc_offset) == (moment, None)
        zone = moment.replace(tzinfo=timezone(offset)).isoformat()[19:]
        with_offset = parse_event(with_value(DATE, text + zone))
        assert (with_offset.local_time, with_offset.utc_offset) == (moment, offset.total_seconds())
    epoch = int(moment.replace(tzinfo=timezone(offset)).timestamp())
    for number in (epoch, str(epoch), epoch * 1000, str(epoch * 1000 + 999)):
        parsed = parse_event(with_value(DATE, number))
        assert (parsed.local_time, parsed.utc_offset) == (moment - offset, 0)
