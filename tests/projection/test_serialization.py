"""What is stored of the folded state has names of its own, which no rename in the code may change."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import UTC

import pytest

from exporter.domain.exports import Expectation
from exporter.projection import serialization
from exporter.projection.fold.history import Baseline
from exporter.projection.fold.runs import DURATION_BOUNDS, Runs

BUCKETS = tuple(range(len(DURATION_BOUNDS) + 1))
RUNS = Runs(
    partner="GCS",
    data_type="events",
    frequency="4h",
    first_sequence=1,
    interval=2,
    shortest_interval=3,
    first_start=4.0,
    first_completed=5.0,
    last_initiated=6.0,
    last_completed=7.0,
    last_start_seen=8.0,
    last_failed=9.0,
    last_received=11.0,
    last_duration=12.0,
    duration_buckets=BUCKETS,
    duration_sum=13.0,
    initiated=14,
    completed=15,
    failed=16,
    superseded=17,
    open_runs={"7": 18.0},
    scheduled_since=19.0,
    slot_expectation=Expectation(20, 21, 22, UTC),
    last_slot_filled=10.0,
    slots=23,
    late_slots=24,
    missed_slots=25,
    unknown_slots=26,
    recent_late_at=(28.0,),
    recent_missed_at=(29.0, 30.0),
    recent_unknown_at=(31.0,),
    last_slots=b"\x01\xff",
    outages_matter_until=32.0,
    recent_durations=b"\x00\xff",
)
STORED = {
    "partner": "GCS",
    "data_type": "events",
    "frequency": "4h",
    "first_sequence": 1,
    "interval_s": 2,
    "shortest_interval_s": 3,
    "first_started_at": 4.0,
    "first_completed_at": 5.0,
    "last_started_at": 6.0,
    "last_completed_at": 7.0,
    "last_start_seen_at": 8.0,
    "last_failed_at": 9.0,
    "last_received_at": 11.0,
    "last_duration_s": 12.0,
    "duration_buckets": list(BUCKETS),
    "duration_sum_s": 13.0,
    "started_runs": 14,
    "completed_runs": 15,
    "failed_runs": 16,
    "superseded_runs": 17,
    "open_runs": {"7": 18.0},
    "scheduled_since": 19.0,
    "slot_expectation": [20, 21, 22],
    "last_slot_filled_at": 10.0,
    "slots": 23,
    "late_slots": 24,
    "missed_slots": 25,
    "unknown_slots": 26,
    "recent_late_at": [28.0],
    "recent_missed_at": [29.0, 30.0],
    "recent_unknown_at": [31.0],
    "last_slots": "01ff",
    "outages_matter_until": 32.0,
    "recent_durations": "00ff",
}


def test_a_baseline_is_stored_under_these_names() -> None:
    baseline = Baseline(RUNS, b"\x00\xff", 27)
    text = serialization.encode_baseline(baseline)
    assert json.loads(text) == {"runs": STORED, "compacted_up_to": "00ff", "events": 27}
    assert serialization.decode_baseline(text, UTC) == baseline


def test_what_has_its_default_is_not_stored() -> None:
    text = serialization.encode_baseline(Baseline(Runs(), b"", 0))
    assert text == '{"runs":{},"compacted_up_to":"","events":0}'
    assert serialization.decode_baseline(text, None) == Baseline(Runs(), b"", 0)


def test_every_field_of_the_runs_is_stored() -> None:
    assert [attribute for _, attribute in serialization.RUN_FIELDS] == [field.name for field in fields(Runs)]


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(KeyError, match="started"):
        serialization.decode_baseline('{"runs":{"started":1},"compacted_up_to":"","events":0}', None)
