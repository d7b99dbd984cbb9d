"""Each folded value appears in the state under its own name."""

from __future__ import annotations

from datetime import UTC

from builders import HOUR, MINUTE, at
from exporter.domain.events import Outage
from exporter.domain.exports import DECLARED, Declaration, Expectation, ExportKey, Selection, Source
from exporter.projection.fold.evaluation import evaluate
from exporter.projection.fold.rules import Rules
from exporter.projection.fold.runs import DURATION_BOUNDS, Runs
from exporter.projection.fold.usual_duration import with_duration

SHOP = Source("shop", "Etc/UTC", UTC)
EXPECTATION = Expectation(4 * HOUR, 48 * MINUTE, 3 * HOUR, UTC)
RUNS = Runs(
    partner="GCS",
    data_type="events",
    frequency="4h",
    last_initiated=at("4:00"),
    last_completed=at("0:30"),
    last_start_seen=at("4:00"),
    last_failed=at("0:40"),
    last_received=at("4:01"),
    last_duration=30.0 * MINUTE,
    duration_buckets=tuple(range(len(DURATION_BOUNDS) + 1)),
    duration_sum=31.0 * MINUTE,
    initiated=101,
    completed=102,
    failed=103,
    superseded=104,
    open_runs={"7": at("3:50"), "8": at("4:00")},
    scheduled_since=at("0:30"),
    slot_expectation=EXPECTATION,
    last_slot_filled=at("0:30"),
    slots=200,
    late_slots=201,
    missed_slots=202,
    unknown_slots=203,
    recent_late_at=(at("0:10"),),
    recent_durations=with_duration(with_duration(b"", at("0:10"), 10 * MINUTE), at("0:30"), 30 * MINUTE),
)
SAME = (
    "last_initiated",
    "last_completed",
    "last_failed",
    "last_received",
    "last_duration",
    "duration_sum",
    "initiated",
    "completed",
    "failed",
    "partner",
    "data_type",
    "frequency",
)


def test_what_was_folded_is_told_under_its_own_name() -> None:
    key = ExportKey("shop", "group", "any", "gcs", "events", "4h")
    blind = [Outage(at("9:00"), at("9:10"))]
    state = evaluate(key, RUNS, Rules(lambda _: EXPECTATION, blind), SHOP, now=at("16:30"))
    assert {name: getattr(state, name) for name in SAME} == {name: getattr(RUNS, name) for name in SAME}
    assert (state.source, state.export, state.timezone, state.key, state.id) == ("shop", "any", "Etc/UTC", key, key.id)
    assert (state.interval, state.grace, state.max_runtime) == (
        EXPECTATION.interval,
        EXPECTATION.grace,
        EXPECTATION.max_runtime,
    )
    assert (state.abandoned, state.duration_buckets) == (RUNS.superseded, RUNS.duration_buckets)
    assert (state.in_progress, state.running_since) == (2, at("3:50"))
    assert (state.start_deadline, state.deadline, state.run_deadline) == (at("8:48"), at("5:18"), at("6:50"))
    # Slots were due at 4:30, 8:30 and 12:30; the next was due at 16:30. An outage hides the second.
    assert (state.slots, state.slots_late, state.slots_missed, state.slots_unknown) == (203, 201, 204, 204)
    assert (state.slots_missed_1d, state.slots_unknown_1d, state.slots_over_objective_7d) == (2, 1, 3)
    assert state.usual_duration == 20 * MINUTE
    assert (state.recurring, state.declared, state.objective) == (True, False, 0.99)
    assert (state.severity, state.owner, state.runbook_url) == ("warning", "", "")
    assert (state.muted, state.muted_until, state.muted_by, state.muted_why) == (False, 0, "", "")
    assert state.changes_at == at("20:30")


def test_what_was_declared_is_told_under_its_own_name() -> None:
    declared = Declaration(
        "nightly",
        Selection("shop", partner="Azure", data_type="profiles", frequency="24h"),
        muted_until=at("18:00"),
        objective=0.5,
        severity="info",
        owner="somebody",
        runbook_url="https://example.org",
    )
    key = ExportKey("shop", DECLARED, "nightly")
    state = evaluate(key, RUNS, Rules(lambda _: EXPECTATION), SHOP, now=at("16:30"), declared=declared)
    assert (state.export, state.partner, state.data_type, state.frequency) == ("nightly", "Azure", "profiles", "24h")
    assert (state.declared, state.objective) == (True, 0.5)
    assert (state.severity, state.owner, state.runbook_url) == ("info", "somebody", "https://example.org")
    assert (state.muted, state.muted_until, state.muted_by) == (True, at("18:00"), "the configuration")
    assert state.muted_why == ""
    assert state.changes_at == at("18:00")
