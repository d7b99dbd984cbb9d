"""Which export an event belongs to: a declared one, an id that came back, or its group."""

from __future__ import annotations

from datetime import UTC
from itertools import permutations
from typing import TYPE_CHECKING

import pytest

from builders import DAY, HOUR, MINUTE, SHOP, Webhook, accepted_event, at, catch_up, event
from exporter.domain.events import Outage
from exporter.domain.exports import Declaration, ExportKey, Selection, Source
from exporter.projection.fold.exports import ExportProjection
from exporter.projection.fold.history import UNCOMPACTED_EVENTS
from exporter.projection.fold.sort_keys import pack_sort_key
from memory_ledger import MemoryLedger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from exporter.domain.events import Event


def started(clock: str, request_id: str = "1700000001", partner: str = "Amazon S3", frequency: str = "4h") -> Event:
    return event("initiated", at(clock), request_id=request_id, partner=partner, frequency=frequency)


def completed(clock: str) -> Event:
    return event("completed", at(clock))


def labels(webhook: Webhook) -> set[str]:
    return set(webhook.states(at("23:00")))


@pytest.mark.parametrize(("second", "found"), [("1:59:59", {"any"}), ("2:00", {"1700000001"})])
def test_an_id_is_detected_when_it_recurs_after_half_an_interval(second: str, found: set[str]) -> None:
    webhook = Webhook()
    webhook.deliver("Initiated", at("0:00"))
    webhook.deliver("Completed", at("0:10"))
    webhook.deliver("Initiated", at(second))
    assert labels(webhook) == found


@pytest.mark.parametrize("statuses", [("Completed", "Completed"), ("Completed", "Initiated")])
def test_an_id_of_which_only_completions_are_known_comes_back_all_the_same(statuses: tuple[str, str]) -> None:
    webhook = Webhook()
    webhook.deliver(statuses[0], at("0:10"))
    assert labels(webhook) == {"any"}
    webhook.deliver(statuses[1], at("4:00"))
    assert labels(webhook) == {"1700000001"}


def test_events_without_an_id_stay_in_their_groups_however_often_they_come() -> None:
    exports = ExportProjection({"shop": SHOP})
    exports.drop_id_cache()
    runs = [started(f"{4 * n}:00", "", partner) for n in range(4) for partner in ("Amazon S3", "Azure")]
    assert exports.ids_to_look_up(runs) == {}
    exports.apply(runs)
    assert exports.detected_exports() == []
    assert sorted(exports.event_count(key) for key in exports.all_keys()) == [4, 4]


def test_ids_of_a_source_that_is_not_configured_are_not_looked_up() -> None:
    exports = ExportProjection({"shop": SHOP})
    exports.drop_id_cache()
    elsewhere = event("initiated", at("0:00"), source="closed-shop")
    assert exports.ids_to_look_up([elsewhere, started("0:00")]) == {"shop": {"1700000001"}}


def test_one_long_run_does_not_come_back() -> None:
    webhook = Webhook()
    webhook.deliver("Initiated", at("0:00"))
    webhook.deliver("Completed", at("3:59"))
    webhook.deliver("Failed", at("9:00"))
    assert labels(webhook) == {"any"}


def test_a_run_in_progress_is_a_first_start_of_an_id_and_no_second_one() -> None:
    webhook = Webhook()
    webhook.deliver("In Progress", at("0:00"))
    webhook.deliver("Running", at("5:00"))
    assert labels(webhook) == {"any"}
    webhook.deliver("Started", at("9:00"))
    assert labels(webhook) == {"1700000001"}


def test_one_time_events_of_an_id_that_the_ledger_is_asked_about_do_not_bring_it_back() -> None:
    exports = ExportProjection({"shop": SHOP})
    once = [started(clock, frequency="one-time") for clock in ("0:00", "0:05")]
    exports.apply([*once, started("0:10")])
    exports.drop_id_cache()
    again = started("1:00")
    assert exports.ids_to_look_up([again]) == {"shop": {"1700000001"}}
    exports.load_ids([*once, started("0:10")])
    exports.apply([again])
    assert exports.detected_exports() == []
    exports.apply([started("2:05")])
    assert exports.detected_exports() == []
    exports.apply([started("2:10")])
    (own,) = exports.detected_exports()
    assert exports.state(own, at("2:11")).initiated == 2


def test_once_an_id_came_back_no_late_event_takes_that_back() -> None:
    told = [started("0:00"), completed("0:30"), started("1:00"), started("2:30")]
    again = [completed("0:10"), started("4:00"), completed("4:10")]
    for events in (told, again):
        found = set()
        for order in permutations(events):
            exports = ExportProjection({"shop": SHOP})
            for each in order:
                exports.apply([each])
            found.add(tuple(exports.detected_exports()))
        assert found == {(ExportKey("shop", "detected", "1700000001"),)}


def test_a_one_time_id_that_comes_back_stays_in_its_group() -> None:
    webhook = Webhook()
    for start in ("0:00", "12:00"):
        webhook.deliver("Initiated", at(start), Frequency="One Time")
    assert labels(webhook) == {"any"}


@pytest.mark.parametrize("name", ["any", "other", "nightly"])
def test_an_id_that_would_take_another_exports_label_stays_in_its_group(name: str) -> None:
    webhook = Webhook(declarations=[Declaration("nightly", Selection("shop", request_id="none"), interval=DAY)])
    for start in ("0:00", "4:00"):
        webhook.deliver("Initiated", at(start), name)
    assert labels(webhook) == {"any", "nightly"}
    assert webhook.exports.detected_exports() == []


def test_a_declared_export_keeps_its_ids() -> None:
    webhook = Webhook(
        declarations=[
            Declaration("first", Selection("shop", partner="amazon s3")),
            Declaration("second", Selection("shop", request_id="1700000001")),
        ]
    )
    for start in ("0:00", "4:00"):
        webhook.deliver("Initiated", at(start))
    found = webhook.states(at("4:01"))
    assert {name: state.initiated for name, state in found.items()} == {"first": 2, "second": 0}


def test_the_same_id_in_two_sources_is_two_exports() -> None:
    exports = ExportProjection({slug: Source(slug, "UTC", UTC) for slug in ("shop", "other")})
    for slug in ("shop", "other"):
        exports.apply([event("initiated", at(clock), source=slug) for clock in ("0:00", "4:00")])
    assert [key.source for key in exports.detected_exports()] == ["other", "shop"]


def test_events_of_a_source_that_is_not_configured_are_passed_over() -> None:
    exports = ExportProjection({"shop": SHOP})
    exports.apply([event("initiated", at("0:00"), source="removed")])
    assert exports.all_keys() == []


def test_a_group_without_an_event_left_is_gone() -> None:
    exports = ExportProjection({"shop": SHOP})
    exports.apply([started("0:00")._replace(sequence=1)])
    (group,) = exports.all_keys()
    assert group in exports
    exports.take_dirty()
    exports.apply([started("4:00")._replace(sequence=2)])
    (own,) = exports.all_keys()
    assert group not in exports
    assert exports.take_dirty() == {group, own}


def test_an_export_is_as_old_as_its_first_event() -> None:
    exports = ExportProjection({"shop": SHOP}, [Declaration("nightly", Selection("shop", partner="azure"))])
    exports.apply([started("4:00")._replace(sequence=3), started("0:00", request_id="x")._replace(sequence=2)])
    ages = {key.kind: exports.first_sequence(key) for key in exports.all_keys()}
    assert ages == {"declared": 0, "group": 2}


def test_gaps_that_are_known_already_change_nothing_and_earlier_ones_ask_for_a_new_fold() -> None:
    outages = [Outage(at("1:00"), at("2:00")), Outage(at("5:00"), at("6:00"))]
    exports = ExportProjection({"shop": SHOP}, outages=outages[1:])
    exports.apply([started("0:00")])
    exports.take_dirty()
    assert exports.set_outages(outages[1:]) is True
    assert exports.take_dirty() == set()
    assert exports.set_outages(outages) is False
    assert exports.take_dirty() == set()
    later = Outage(at("8:00"), at("9:00"))
    assert exports.set_outages([outages[1], later]) is True
    assert exports.take_dirty() == set(exports.all_keys())


def crowded_day(*ids: str) -> list[Event]:
    """More events than stay loose, all of daily exports, in less than half an interval."""
    return [
        event("initiated", at("0:00") + n * 20 * MINUTE, request_id=ids[n % len(ids)], frequency="24h", sequence=n + 1)
        for n in range(UNCOMPACTED_EVENTS + 2 * len(ids))
    ]


@pytest.mark.parametrize("pick", [min, max])
def test_an_old_event_may_tell_late_that_an_id_came_back(pick: Callable[[Iterable[ExportKey]], ExportKey]) -> None:
    ledger = MemoryLedger()
    exports = ExportProjection({"shop": SHOP})
    ledger.append([accepted_event(each) for each in crowded_day("mine")])
    after = catch_up(exports, ledger)
    (group,) = exports.all_keys()
    ledger.append([accepted_event(event("initiated", at("0:00") - DAY, request_id="mine", frequency="24h"))])
    catch_up(exports, ledger, after, pick=pick)
    (own,) = exports.all_keys()
    assert (group.kind, own.kind) == ("group", "detected")
    assert exports.state(own, at("12:00")).initiated == 2


@pytest.mark.parametrize("pick", [min, max])
def test_what_is_settled_of_an_id_that_came_back_is_read_out_of_its_group(
    pick: Callable[[Iterable[ExportKey]], ExportKey],
) -> None:
    ledger = MemoryLedger()
    exports = ExportProjection({"shop": SHOP})
    ledger.append([accepted_event(each) for each in crowded_day("mine", "yours")])
    after = catch_up(exports, ledger)
    ledger.append([accepted_event(event("initiated", at("1:00", day=1), request_id="mine", frequency="24h"))])
    catch_up(exports, ledger, after, pick=pick)
    found = {key.kind: exports.state(key, at("2:00", day=1)) for key in exports.all_keys()}
    assert found["detected"].in_progress == 1
    assert (found["detected"].last_initiated, found["group"].last_initiated) == (at("1:00", day=1), at("0:20"))


def test_an_id_that_came_back_leaves_the_rest_of_its_group_where_it_was() -> None:
    exports = ExportProjection({"shop": SHOP})
    exports.apply([started("0:00", "mine"), started("0:01", "yours")])
    exports.apply([started("4:00", "mine")])
    found = {key.name: exports.state(key, at("4:01")) for key in exports.all_keys()}
    assert {name: state.initiated for name, state in found.items()} == {"mine": 2, "any": 1}


def test_a_stale_export_is_read_again_and_then_equals_a_fresh_one() -> None:
    webhook = Webhook()
    for run in range(3 * UNCOMPACTED_EVENTS):
        webhook.deliver("Initiated", at("0:00") + run * 4 * HOUR, f"id-{run}")
    webhook.deliver("Completed", at("0:10"), "id-0")
    webhook.exports.apply(webhook.ledger.read(0)[:-1])
    assert not webhook.exports.needs_rebuild
    webhook.exports.apply(webhook.ledger.read(3 * UNCOMPACTED_EVENTS))
    (stale,) = webhook.exports.needs_rebuild
    webhook.exports.rebuild(stale, webhook.ledger.select(webhook.exports.selection(stale), 3 * UNCOMPACTED_EVENTS + 1))
    fresh = ExportProjection({"shop": SHOP})
    fresh.apply(sorted(webhook.ledger.read(0), key=pack_sort_key))
    now = at("0:00") + 3 * UNCOMPACTED_EVENTS * 4 * HOUR
    assert webhook.exports.state(stale, now) == fresh.state(stale, now)
    assert webhook.exports.state(stale, now).completed == 1
