"""An intake stores events, quarantines what it cannot parse, and counts duplicates and test calls."""

from __future__ import annotations

import json
from datetime import UTC
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from builders import DAY, HOUR, MINUTE, SAMPLES, SHOP, at, body, fields, instant, vendor_clock
from exporter.domain.errors import PayloadError, PayloadTooLargeError, StoreError
from exporter.domain.exports import Source
from exporter.ingest.intake import Intake, Receipt
from exporter.ledger.sql.ledger import SqlLedger
from memory_ledger import MemoryLedger

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from exporter.domain.events import Event
    from exporter.ledger.contract import Entry

AUTO = Source("shop")
NOW = at("0:00") + 2


class BrokenLedger(MemoryLedger):
    """A ledger whose disk is full."""

    def append(self, entries: Sequence[Entry]) -> list[bool]:
        message = f"no room for {len(entries)}"
        raise StoreError(message)


class QueriedLedger(MemoryLedger):
    """A ledger that records the sources whose newest events were read."""

    def __init__(self) -> None:
        super().__init__()
        self.queried: list[str | None] = []

    def newest(
        self, source: str | None = None, limit: int = 100, after: int | None = None, before: int | None = None
    ) -> list[Event]:
        self.queried.append(source)
        return super().newest(source, limit, after, before)


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


@pytest.fixture
def intake(ledger: MemoryLedger) -> Intake:
    return Intake(ledger, most_event_bytes=65_536)


def test_an_event_is_stored_with_its_body(intake: Intake, ledger: MemoryLedger) -> None:
    raw = b"  " + body("Completed", "01/06/2026 12:10:00 AM") + b"\n"
    assert intake.ingest(SHOP, raw, at("0:10") + 3.12345678) == Receipt(accepted=1)
    (stored,) = ledger.read(0)
    assert (stored.source, stored.request_id, stored.partner, stored.data_type) == (
        "shop",
        "1700000001",
        "Amazon S3",
        "events",
    )
    assert (stored.status, stored.frequency, stored.utc_offset, stored.skewed) == ("completed", "4h", 0, False)
    assert (stored.occurred_at, stored.arrived_at) == (at("0:10"), round(at("0:10") + 3.123457, 6))
    assert ledger.body(1) == raw.strip()


def test_the_same_body_again_is_a_duplicate(intake: Intake, ledger: MemoryLedger) -> None:
    assert intake.ingest(SHOP, body(), NOW) == Receipt(accepted=1)
    assert intake.ingest(SHOP, body(), NOW + 5) == Receipt(duplicates=1)
    assert ledger.read(0)[0].arrived_at == NOW


def test_the_vendors_test_call_is_counted_and_no_event(intake: Intake, ledger: MemoryLedger) -> None:
    receipt = intake.ingest(SHOP, (SAMPLES / "webhook-created-test.json").read_bytes(), NOW)
    assert receipt == Receipt(test_calls=1)
    assert receipt.is_test
    assert ledger.read(0) == []


def test_a_body_that_cannot_be_parsed_is_quarantined_with_its_reason(intake: Intake, ledger: MemoryLedger) -> None:
    raw = body(when="31/02/2026 1:00:00 AM")
    receipt = intake.ingest(SHOP, raw, NOW)
    assert receipt == Receipt(quarantined=1)
    assert not receipt.is_test
    (quarantined,) = ledger.quarantine()
    assert (quarantined.source, quarantined.reason, quarantined.body, quarantined.arrived_at) == (
        "shop",
        "bad_date",
        raw,
        NOW,
    )
    assert "31/02/2026" in quarantined.detail
    assert intake.ingest(SHOP, raw, NOW + 5) == Receipt(duplicates=1)


def test_a_list_is_taken_as_a_whole(intake: Intake, ledger: MemoryLedger) -> None:
    first, second = fields("Initiated"), fields("Completed", "01/06/2026 12:00:01 AM")
    raw = json.dumps([first, second, first, {"Partner": "S3"}, {"is_test": True}]).encode()
    receipt = intake.ingest(SHOP, raw, NOW)
    assert receipt == Receipt(accepted=2, duplicates=1, quarantined=1, test_calls=1)
    assert not receipt.is_test
    assert [event.status for event in ledger.read(0)] == ["initiated", "completed"]
    assert ledger.body(2) == json.dumps(second).encode()


def test_a_test_call_beside_an_event_does_not_make_a_test_of_the_list(intake: Intake) -> None:
    first, second, call = fields("Initiated"), fields("Completed", "01/06/2026 12:00:01 AM"), {"is_test": True}
    assert not intake.ingest(SHOP, json.dumps([first, call]).encode(), NOW).is_test
    both = intake.ingest(SHOP, json.dumps([first, second, call]).encode(), NOW)
    assert both == Receipt(accepted=1, duplicates=1, test_calls=1)
    assert not both.is_test
    assert not intake.ingest(SHOP, json.dumps([first, call]).encode(), NOW).is_test
    unclear = intake.ingest(SHOP, json.dumps([first, {"Partner": "S3"}, call]).encode(), NOW)
    assert unclear == Receipt(duplicates=1, quarantined=1, test_calls=1)
    assert not unclear.is_test


def test_an_empty_list_touches_nothing() -> None:
    assert Intake(BrokenLedger(), 65_536).ingest(SHOP, b"[]", NOW) == Receipt()


def test_a_list_with_one_broken_object_is_refused_whole(intake: Intake, ledger: MemoryLedger) -> None:
    with pytest.raises(PayloadError):
        intake.ingest(SHOP, b"[" + body() + b", 1]", NOW)
    assert ledger.read(0) == []


def test_an_object_over_the_limit_is_refused(ledger: MemoryLedger) -> None:
    with pytest.raises(PayloadTooLargeError):
        Intake(ledger, most_event_bytes=50).ingest(SHOP, body(), NOW)
    assert ledger.read(0) == []


def test_an_event_that_could_not_be_stored_is_not_acknowledged_and_settles_no_offset() -> None:
    intake = Intake(BrokenLedger(), 65_536)
    for source in (SHOP, AUTO):
        with pytest.raises(StoreError, match="no room for 1"):
            intake.ingest(source, body(), NOW)


@pytest.mark.parametrize(
    ("when", "receipt"),
    [
        ("02/06/2026 12:00:02 AM", Receipt(accepted=1)),
        ("02/06/2026 12:00:03 AM", Receipt(quarantined=1)),
        ("25/07/9999 1:00:00 AM", Receipt(quarantined=1)),
    ],
)
def test_a_local_time_more_than_a_day_ahead_of_the_arrival_is_quarantined(
    intake: Intake, when: str, receipt: Receipt
) -> None:
    assert intake.ingest(SHOP, body(when=when), NOW) == receipt


def test_a_local_time_ahead_of_the_arrival_counts_as_the_arrival(intake: Intake, ledger: MemoryLedger) -> None:
    intake.ingest(SHOP, body(when="01/06/2026 11:00:00 AM"), NOW)
    assert (ledger.read(0)[0].occurred_at, ledger.read(0)[0].skewed) == (NOW, True)


def post(intake: Intake, occurred_at: float, late: float, offset: float, request_id: int = 1) -> None:
    """Ingest a body whose clock is ``offset`` hours ahead of UTC, delivered ``late`` minutes late."""
    text = vendor_clock(occurred_at + offset * HOUR, UTC)
    intake.ingest(AUTO, body("Initiated", text, request_id), occurred_at + late * MINUTE)


def offsets(ledger: MemoryLedger | SqlLedger) -> list[float]:
    return [event.utc_offset / HOUR for event in ledger.read(0)]


def test_five_events_settle_the_offset_that_a_late_delivery_then_keeps(intake: Intake, ledger: MemoryLedger) -> None:
    for run in range(5):
        post(intake, at("0:00") + run * 4 * HOUR, 0.1, 5.5)
    post(intake, at("20:00"), 25, 5.5)
    assert offsets(ledger) == [5.5] * 6
    assert ledger.read(5)[0].occurred_at == at("20:00")


def test_four_events_settle_nothing(intake: Intake, ledger: MemoryLedger) -> None:
    for run in range(4):
        post(intake, at("0:00") + run * 4 * HOUR, 0.1, 5.5)
    post(intake, at("16:00"), 25, 5.5)
    assert offsets(ledger) == [5.5, 5.5, 5.5, 5.5, 5.25]


def test_duplicates_do_not_settle_an_offset(intake: Intake, ledger: MemoryLedger) -> None:
    for _ in range(5):
        post(intake, at("0:00"), 0.1, 5.5)
    post(intake, at("16:00"), 25, 5.5)
    assert offsets(ledger) == [5.5, 5.25]


def test_an_event_too_old_to_tell_its_zone_is_no_evidence(intake: Intake, ledger: MemoryLedger) -> None:
    for run in range(5):
        post(intake, at("0:00") + run * HOUR, 30 * 60, 5.5, run)
    post(intake, at("16:00"), 0.1, 5.5)
    assert offsets(ledger) == [-12.0] * 5 + [5.5]


def test_each_source_settles_on_an_offset_of_its_own(intake: Intake, ledger: MemoryLedger) -> None:
    for run in range(5):
        post(intake, at("0:00") + run * 4 * HOUR, 0.1, 5.5)
    occurred_at = at("20:00")
    intake.ingest(Source("other"), body(when=vendor_clock(occurred_at)), occurred_at + 20 * MINUTE)
    assert ledger.read(5)[0].utc_offset == -0.25 * HOUR


def test_a_settled_offset_survives_a_restart(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    before = SqlLedger(url)
    intake = Intake(before, 65_536)
    for run in range(5):
        post(intake, at("0:00") + run * 4 * HOUR, 0.1, 5.5)
    before.close()
    after = SqlLedger(url)
    post(Intake(after, 65_536), at("20:00"), 25, 5.5)
    assert offsets(after) == [5.5] * 6
    after.close()


def test_a_summer_time_change_is_followed_from_its_first_event(intake: Intake, ledger: MemoryLedger) -> None:
    for run in range(5):
        post(intake, at("0:00") + run * 4 * HOUR, 0.1, -4)
    post(intake, at("20:00"), 0.1, -5)
    assert offsets(ledger) == [-4.0] * 5 + [-5.0]


def test_a_quarantined_body_is_no_evidence_of_a_zone(intake: Intake, ledger: MemoryLedger) -> None:
    intake.ingest(AUTO, b'{"Partner": "S3"}', NOW)
    post(intake, at("16:00"), 25, 5.5)
    assert offsets(ledger) == [5.25]


@pytest.mark.parametrize("source", [AUTO, SHOP, Source("shop", "Asia/Kolkata", ZoneInfo("Asia/Kolkata"))])
def test_an_offset_in_the_text_outranks_the_zone_of_the_source(
    intake: Intake, ledger: MemoryLedger, source: Source
) -> None:
    texts = ["2026-06-01T06:30:00+08:00", "2026-05-31T22:30:00Z", "2026-05-31T15:30:00-07:00", "1780266600000"]
    entries = [fields(when=text, request_id=number) for number, text in enumerate(texts)]
    entries.append(fields() | {"Date and Time": 1780266600})
    assert intake.ingest(source, json.dumps(entries).encode(), NOW).accepted == len(entries)
    assert {event.occurred_at for event in ledger.read(0)} == {at("0:00") - 90 * MINUTE}
    assert offsets(ledger) == [8, 0, -7, 0, 0]
    assert all(event.offset_in_text for event in ledger.read(0))


def test_texts_with_offsets_settle_no_offset(intake: Intake, ledger: MemoryLedger) -> None:
    for run in range(5):
        intake.ingest(AUTO, body(when=f"2026-06-01T0{run}:00:00Z"), at(f"{run}:00") + 2)
    post(intake, at("16:00"), 25, 5.5)
    assert offsets(ledger)[5] == 5.25
    assert not ledger.read(5)[0].offset_in_text


def test_the_documented_sample_is_accepted_at_its_time(intake: Intake, ledger: MemoryLedger) -> None:
    sample = (SAMPLES / "completed-one-time.json").read_bytes()
    assert intake.ingest(AUTO, sample, instant("2023-07-25T11:20:55")) == Receipt(accepted=1)
    assert ledger.read(0)[0].occurred_at == instant("2023-07-25T11:20:52")
    assert intake.ingest(AUTO, sample, instant("2023-07-25T11:20:55") + 30 * DAY) == Receipt(duplicates=1)


def test_a_loaded_offset_is_not_read_from_the_ledger_when_a_body_comes() -> None:
    ledger = QueriedLedger()
    intake = Intake(ledger, 65_536)
    on_auto = Source("on-auto")
    intake.load_offsets([SHOP, on_auto])
    assert ledger.queried == ["on-auto"]
    assert len(intake.prepare(on_auto, body(), NOW)) == 1
    assert ledger.queried == ["on-auto"]


def test_a_body_can_be_prepared_appended_and_accounted_for_in_three_steps(ledger: MemoryLedger) -> None:
    intake = Intake(ledger, 65_536)
    entries = intake.prepare(SHOP, json.dumps([fields(), fields(), {"is_test": True}]).encode(), NOW)
    inserted = ledger.append(entries)
    assert intake.receipt_for(SHOP, entries, inserted) == Receipt(accepted=1, duplicates=1, test_calls=1)
