"""What is pruned leaves the ledger and changes nothing that is known, now or after a start."""

from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pruned
from builders import DAY, HOUR, SHOP, accepted_event, at, body, event, vendor_clock
from exporter.domain.decisions import RETIRE, Decision
from exporter.domain.errors import StoreError
from exporter.domain.events import QuarantinedBody, RefusedBody
from exporter.domain.exports import Declaration, Selection
from exporter.ingest.intake import Intake, Receipt
from exporter.ingest.replay import Replay
from exporter.ledger.contract import PAGE_SIZE
from exporter.ledger.sql.ledger import SqlLedger
from exporter.projection import projector as projector_module
from exporter.projection import retention
from exporter.projection.fold import exports, history
from exporter.projection.projector import Projector
from exporter.projection.retention import RETENTION_MARGIN
from memory_ledger import MemoryLedger
from projectors import LedgerWithOutages, first_sequences, projector_of, shown_states
from pruned import LATE, RETENTION, pruned_by, pruner_of, runs, states
from tools import thorough
from worlds import World, histories

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from exporter.domain.events import Event
    from exporter.ledger.contract import Ledger

ledger = pruned.ledger


@pytest.fixture
def small_parts() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history, "UNCOMPACTED_EVENTS", 4)
        patch.setattr(retention, "UNCOMPACTED_EVENTS", 4)
        patch.setattr(retention, "MIN_EVENTS", 1)
        patch.setattr(retention, "MAX_EVENTS", 2)
        patch.setattr(retention, "PAGE_SIZE", 3)
        patch.setattr(exports, "MAX_CACHED_IDS", 2)
        patch.setattr(projector_module, "PAGE_SIZE", 3)
        yield


@pytest.mark.usefixtures("small_parts")
@thorough
@given(world=histories, chance=st.integers(0, 2**32))
def test_pruning_changes_nothing_for_who_was_there_and_for_who_starts_later(world: World, chance: int) -> None:
    dice = Random(chance)
    deliveries = sorted(world.events, key=lambda each: each.arrived_at)
    ledger, kept = LedgerWithOutages(), LedgerWithOutages()
    ledger.known_outages = kept.known_outages = list(world.outages)
    pruning_one, other, unpruned = (projector_of(each, world) for each in (ledger, ledger, kept))
    for each in deliveries:
        for one in (ledger, kept):
            one.append([accepted_event(each)])
        if dice.random() < 0.3:
            other.catch_up()
        if dice.random() < 0.2:
            pruning_one.catch_up()
            before = shown_states(pruning_one, world)
            # What happens later may be told up to 25 hours late.
            list(pruner_of(ledger, pruning_one).prune(each.arrived_at + RETENTION_MARGIN, 2 * DAY))
            pruning_one.catch_up()
            assert shown_states(pruning_one, world) == before
    unpruned.catch_up()
    started = projector_of(ledger, world)
    started.catch_up()
    expected = shown_states(started, world)
    for projector in (pruning_one, other, started):
        projector.catch_up()
        # An id that comes back after its events were pruned is a new one, but no event is uncounted.
        assert projector.list_sources() == unpruned.list_sources()
        assert shown_states(projector, world) == expected
        assert first_sequences(projector) == first_sequences(started)


# One export, its events, and what comes late


def caught_up(ledger: Ledger) -> Projector:
    projector = Projector(ledger, {"shop": SHOP})
    projector.catch_up()
    return projector


def test_events_past_their_retention_go_and_their_counts_stay(ledger: Ledger) -> None:
    ledger.append([accepted_event(each) for each in runs(range(500))])
    projector = caught_up(ledger)
    before, sources = states(projector), projector.list_sources()
    assert before[0].completed == 500
    assert pruned_by(ledger, projector) == 196
    assert len(ledger.read(0)) == 804
    assert ledger.read(0)[0].occurred_at == at("0:00", day=98)
    for reading in (projector, caught_up(ledger)):
        reading.catch_up()
        assert (states(reading), reading.list_sources()) == (before, sources)
    assert pruned_by(ledger, projector) == 0
    assert pruned_by(ledger, projector, LATE + 30 * DAY) == 60
    assert states(caught_up(ledger)) == before
    assert ledger.checkpoints.pruning_state().pruned_events == 256
    for reading in (projector, caught_up(ledger)):
        reading.catch_up()
        assert [reading.exports.event_count(key) for key in reading.exports.all_keys()] == [744]


@pytest.mark.parametrize(("later", "removed"), [(0, 40), (0.001, 41)])
def test_an_event_that_arrived_at_the_limit_of_retention_stays_a_moment_longer(
    ledger: Ledger, later: float, removed: int
) -> None:
    ledger.append([accepted_event(each) for each in runs(range(60))])
    limit = at("0:00", day=20) + 2  # when the 41st event arrived
    assert pruned_by(ledger, caught_up(ledger), limit + later + RETENTION_MARGIN + RETENTION) == removed


def test_what_pruned_events_amount_to_has_the_types_that_it_had(ledger: Ledger) -> None:
    ledger.append([accepted_event(each) for each in runs(range(500))])
    projector = caught_up(ledger)
    before = repr((states(projector), projector.list_sources()))  # in which 1 and 1.0 differ
    assert pruned_by(ledger, projector) == 196
    fresh = caught_up(ledger)
    assert repr((states(fresh), fresh.list_sources())) == before


def test_the_time_in_retirement_counts_no_missed_slots_though_the_events_around_it_are_gone(ledger: Ledger) -> None:
    ledger.append([accepted_event(each) for each in runs([*range(20), *range(60, 500)])])
    projector = caught_up(ledger)
    [key] = projector.exports.all_keys()
    ledger.append_decision(Decision(RETIRE, key, at("12:00", 19), 0, "me", "because"))
    projector.catch_up()
    before = states(projector)
    assert (before[0].completed, before[0].slots_missed) == (460, 0)
    assert pruned_by(ledger, projector) == 116
    assert states(caught_up(ledger)) == before


def test_the_newest_events_of_an_export_stay_however_old_they_are(ledger: Ledger) -> None:
    ledger.append([accepted_event(each) for each in runs(range(20))])
    projector = caught_up(ledger)
    before = states(projector)
    assert pruned_by(ledger, projector) == 24
    assert len(ledger.read(0)) == history.UNCOMPACTED_EVENTS
    assert [state.export for state in states(caught_up(ledger))] == ["one"]
    assert states(caught_up(ledger)) == before


def test_a_declared_export_keeps_its_counts_as_well(ledger: Ledger) -> None:
    def reading() -> Projector:
        made = Projector(ledger, {"shop": SHOP}, [Declaration("nightly", Selection("shop", partner="azure"))])
        made.catch_up()
        return made

    others = [event("failed", at("5:00", day), request_id="two", frequency="24h") for day in range(90)]
    ledger.append(
        [accepted_event(each) for each in others + [each._replace(partner="Azure") for each in runs(range(90))]]
    )
    projector = reading()
    before = states(projector)
    assert {state.export: (state.completed, state.failed) for state in before} == {"nightly": (90, 0), "any": (0, 90)}
    assert pruned_by(ledger, projector) == 164 + 74
    projector.catch_up()
    assert states(projector) == states(reading()) == before


def test_an_open_run_stays_open_and_what_ends_it_is_its_end(ledger: Ledger) -> None:
    start = event("initiated", at("0:00"), request_id="once", frequency="one-time")
    others = [event("failed", at("0:00", day), request_id=str(day), frequency="one-time") for day in range(40)]
    ledger.append([accepted_event(each) for each in [start, *others]])
    projector = caught_up(ledger)
    assert pruned_by(ledger, projector) == 25
    end = event("completed", at("1:00", day=50), request_id="once", frequency="one-time")
    ledger.append([accepted_event(end)])
    for reading in (projector, caught_up(ledger)):
        reading.catch_up()
        (state,) = states(reading)
        assert (state.in_progress, state.completed, state.failed) == (0, 1, 40)
        assert state.last_duration == 50 * DAY + HOUR


def test_an_event_from_before_what_was_pruned_changes_no_export(ledger: Ledger) -> None:
    ledger.append([accepted_event(each) for each in runs(range(200))])
    projector = caught_up(ledger)
    pruned_by(ledger, projector)
    before = states(projector)
    late = event("failed", at("5:00", day=3), request_id="one", frequency="24h")._replace(arrived_at=LATE)
    ledger.append([accepted_event(late)])
    projector.catch_up()
    assert states(projector) == states(caught_up(ledger)) == before
    assert projector.list_sources() == caught_up(ledger).list_sources()
    assert projector.list_sources()[0].events["failed"] == 1


def test_a_late_event_of_the_time_that_is_kept_is_put_in_its_place(ledger: Ledger) -> None:
    ledger.append([accepted_event(each) for each in runs(range(300))])
    projector = caught_up(ledger)
    pruned_by(ledger, projector)
    ledger.append([accepted_event(event("failed", at("5:00", day=250), request_id="one", frequency="24h"))])
    projector.catch_up()
    assert states(projector) == states(caught_up(ledger))
    assert (states(projector)[0].failed, states(projector)[0].completed) == (1, 300)


def test_an_id_whose_only_events_were_pruned_is_a_new_one_for_everybody(ledger: Ledger) -> None:
    first = event("initiated", at("0:00"), request_id="rare", frequency="24h")
    others = [event("completed", at("1:00", day), request_id=str(day), frequency="24h") for day in range(40)]
    ledger.append([accepted_event(each) for each in [first, *others]])
    projector = caught_up(ledger)
    pruned_by(ledger, projector)
    ledger.append([accepted_event(event("initiated", at("0:00", day=60), request_id="rare", frequency="24h"))])
    projector.catch_up()
    assert projector.exports.detected_exports() == caught_up(ledger).exports.detected_exports() == []
    assert states(projector) == states(caught_up(ledger))


def test_a_group_whose_remaining_events_leave_it_is_gone_for_everybody(ledger: Ledger) -> None:
    one_each = [event("completed", at("1:00", day), request_id=str(day), frequency="24h") for day in range(40)]
    many = [event("initiated", at("2:00", 40) + n, request_id="same", frequency="24h") for n in range(16)]
    ledger.append([accepted_event(each) for each in [*one_each, *many]])
    projector = caught_up(ledger)
    assert pruned_by(ledger, projector) == 40
    ledger.append([accepted_event(event("initiated", at("2:00", 42), request_id="same", frequency="24h"))])
    projector.catch_up()
    assert [state.export for state in states(projector)] == ["same"]
    assert states(projector) == states(caught_up(ledger))


def test_who_has_not_read_yet_what_is_pruned_begins_again() -> None:
    ledger = MemoryLedger()
    ledger.append([accepted_event(each) for each in runs(range(10))])
    behind = caught_up(ledger)
    ledger.append([accepted_event(each) for each in runs(range(10, 100))])
    quick = caught_up(ledger)
    before = states(quick)
    pruned_by(ledger, quick)
    assert behind.catch_up() is True
    assert states(behind) == before


@pytest.mark.parametrize(
    ("newcomer", "removed"),
    [
        (event("failed", at("3:00", day=2), request_id="two", frequency="24h"), 0),
        (event("initiated", at("0:00", day=501), request_id="one", frequency="24h"), 0),
        (event("initiated", at("0:00", day=501), request_id="three", frequency="24h"), 164),
        (event("failed", at("3:00", day=2), request_id="one", frequency="24h", source="elsewhere"), 164),
    ],
)
def test_what_comes_while_it_is_pruned_may_put_it_off(ledger: Ledger, newcomer: Event, removed: int) -> None:
    ledger.append([accepted_event(each) for each in runs(range(90))])
    projector = caught_up(ledger)
    select = ledger.select

    def meanwhile(*arguments: object) -> Iterator[Event]:
        found = list(select(*arguments))  # type: ignore[arg-type]
        ledger.append([accepted_event(newcomer)])
        return iter(found)

    ledger.select = meanwhile  # type: ignore[assignment,method-assign]
    assert pruned_by(ledger, projector) == removed
    ledger.select = select  # type: ignore[method-assign]
    projector.catch_up()
    assert states(projector) == states(caught_up(ledger))


def test_of_two_that_prune_at_once_one_does_it(ledger: Ledger) -> None:
    ledger.append([accepted_event(each) for each in runs(range(90))])
    projector, other = caught_up(ledger), caught_up(ledger)
    before = states(projector)
    select = ledger.select

    def meanwhile(*arguments: object) -> Iterator[Event]:
        found = list(select(*arguments))  # type: ignore[arg-type]
        ledger.select = select  # type: ignore[method-assign]
        assert pruned_by(ledger, other) == 164
        return iter(found)

    ledger.select = meanwhile  # type: ignore[assignment,method-assign]
    assert pruned_by(ledger, projector) == 0
    projector.catch_up()
    assert states(projector) == states(caught_up(ledger)) == before
    assert ledger.checkpoints.pruning_state().pruned_events == 164


@pytest.mark.parametrize("kind", ["export:", "source:"])
def test_what_pruned_events_amount_to_is_never_guessed(ledger: Ledger, kind: str) -> None:
    ledger.append([accepted_event(each) for each in runs(range(90))])
    projector = caught_up(ledger)
    pruned_by(ledger, projector)
    (row,) = (key for key, _ in ledger.checkpoints.baselines() if key.startswith(kind))
    ledger.append([accepted_event(each) for each in runs([500])])
    not_read_yet = projector.sequence + 1
    assert ledger.checkpoints.prune(
        ledger.checkpoints.pruning_state(), [not_read_yet], {row: "{"}, ledger.last_sequence(), lambda *_: False
    )
    with pytest.raises(StoreError, match="cannot be read"):
        caught_up(ledger)
    with pytest.raises(StoreError, match="cannot be read"):
        pruned_by(ledger, projector, LATE + 90 * DAY)


def test_a_batch_with_an_event_that_was_purged_enters_no_baseline(ledger: Ledger) -> None:
    ledger.append([accepted_event(each) for each in runs([1])])
    state = ledger.checkpoints.pruning_state()
    assert not ledger.checkpoints.prune(state, [1, 999], {"source:shop": "{"}, ledger.last_sequence(), lambda *_: False)
    assert (list(ledger.checkpoints.baselines()), ledger.checkpoints.pruning_state()) == ([], state)
    assert [each.sequence for each in ledger.read(0)] == [1, 2]


def test_quarantined_and_refused_bodies_go_as_well_and_their_counters_stay(ledger: Ledger) -> None:
    ledger.append(
        [
            QuarantinedBody("shop", at("0:00", day), "bad_date", "made up", b"{}", day.to_bytes(16, "big"))
            for day in range(600)
        ]
    )
    tallies = ledger.delivery_counters()
    ledger.bodies.add_refused([RefusedBody("shop", at("0:00", day), 400, "made up", 2, b"{}") for day in (0, 99, 100)])
    pruner = pruner_of(ledger, caught_up(ledger))
    assert list(pruner.prune_bodies(at("0:00", 700), 600 * DAY)) == [100, 2]
    assert list(pruner.prune_bodies(at("0:00", 1200), 600 * DAY)) == [500, 1]
    assert (ledger.quarantine(PAGE_SIZE), ledger.bodies.refused()) == ([], [])
    assert ledger.delivery_counters() == tallies


def test_an_event_that_is_older_than_what_is_kept_is_quarantined() -> None:
    ledger = MemoryLedger()
    intake = Intake(ledger, 65_536)
    intake.refuse_older_than(RETENTION)
    old, kept = (body(when=vendor_clock(at("0:00"))), body(when=vendor_clock(at("0:01"))))
    assert intake.ingest(SHOP, old, at("0:00:01") + RETENTION) == Receipt(quarantined=1)
    assert intake.ingest(SHOP, kept, at("0:01") + RETENTION) == Receipt(accepted=1)
    (quarantined,) = ledger.quarantine()
    assert quarantined.reason == "older_than_retention"
    assert quarantined.detail == (
        "it happened before store.retention began; it may have been counted, and removed since"
    )


def after_pruning(ledger: Ledger, intake: Intake) -> tuple[list[bytes], Projector]:
    """The bodies of forty daily events, of which the first 24 were pruned, and what is known then."""
    bodies = [body(when=vendor_clock(at("0:00", day)), Frequency="Daily") for day in range(40)]
    for day, each in enumerate(bodies):
        intake.ingest(SHOP, each, at("0:00", day) + 2)
    projector = caught_up(ledger)
    assert pruned_by(ledger, projector) == 24
    return bodies, projector


def test_a_pruned_event_that_is_delivered_again_is_not_counted_again(ledger: Ledger) -> None:
    intake = Intake(ledger, 65_536)
    intake.refuse_older_than(RETENTION)
    bodies, projector = after_pruning(ledger, intake)
    before = states(projector)
    for each in bodies[:24]:
        assert intake.ingest(SHOP, each, LATE) == Receipt(quarantined=1)
    projector.catch_up()
    assert states(projector) == before
    assert projector.list_sources()[0].events == {"initiated": 40, "completed": 0}


def test_a_pruned_event_that_is_replayed_is_not_counted_again(tmp_path: Path) -> None:
    ledger = SqlLedger(f"sqlite:///{tmp_path}/ledger.db")
    intake = Intake(ledger, 65_536)
    bodies, projector = after_pruning(ledger, intake)
    before = states(projector)
    work = Replay(ledger, ledger.replay_store, {"shop": SHOP}, LATE - RETENTION)
    lines = [
        json.dumps({"source": "shop", "arrived_at": at("0:00", day) + 2, "body": json.loads(each)}).encode()
        for day, each in enumerate(bodies)
    ]
    *_, outcome = work.replay_lines(lines, None, LATE, print)
    assert (outcome.accepted, outcome.duplicates, outcome.still_quarantined) == (0, 0, {"older_than_retention": 40})
    again = [work.reinterpret(each) for each in ledger.quarantine()]
    assert {each.reason for each in again if isinstance(each, QuarantinedBody)} == {"older_than_retention"}
    assert len(again) == 40
    projector.catch_up()
    assert states(projector) == before
    assert projector.list_sources()[0].events == {"initiated": 40, "completed": 0}
    ledger.close()
