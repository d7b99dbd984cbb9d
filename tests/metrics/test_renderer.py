"""A scrape renders again what changed, by an event or by the time alone, and nothing else."""

from __future__ import annotations

import gzip
from datetime import UTC
from typing import TYPE_CHECKING

from builders import HOUR, MINUTE, accepted_event, at, event
from exporter.domain.exports import Declaration, Selection, Source
from exporter.ingest.vendors.clevertap import REASONS
from exporter.metrics import renderer
from exporter.metrics.renderer import Renderer
from exporter.projection.projector import Projector
from memory_ledger import MemoryLedger
from running import series

if TYPE_CHECKING:
    import pytest

    from exporter.domain.events import Event
    from exporter.metrics.gzip_parts import CompressedBody

SHOP = Source("shop", "UTC", UTC)
OTHER_SHOP = Source("other-shop", "UTC", UTC)
LABELS = {"source": "shop", "data_type": "events", "frequency": "4h", "partner": "Amazon S3"}


class World:
    """A renderer over a ledger that can be written to."""

    def __init__(self, *declarations: Declaration, exports_per_source: int = 200) -> None:
        self.ledger = MemoryLedger()
        self.ledger.record_declarations([(each.match.source, each.name) for each in declarations], at("0:00"))
        sources = {source.slug: source for source in (SHOP, OTHER_SHOP)}
        self.renderer = Renderer(Projector(self.ledger, sources, declarations), exports_per_source, REASONS)

    def append(self, *events: Event) -> None:
        self.ledger.append([accepted_event(each) for each in events])

    def body(self, clock: str, *, openmetrics: bool = False) -> CompressedBody:
        self.renderer.update(at(clock))
        return self.renderer.body(openmetrics=openmetrics)

    def text(self, clock: str, *, openmetrics: bool = False) -> bytes:
        return self.body(clock, openmetrics=openmetrics).plain(b"")

    def value(self, clock: str, name: str, **labels: str) -> float | None:
        found = series(self.text(clock).decode())
        return found.get((f"dataexport_{name}", frozenset(labels.items())))


def test_where_nothing_is_new_the_same_object_is_shown_again() -> None:
    world = World()
    world.append(event("initiated", at("0:00")))
    for openmetrics in (False, True):
        shown = world.body("0:10", openmetrics=openmetrics)
        assert gzip.decompress(shown.gzip(b"and more")) == world.text("0:10", openmetrics=openmetrics) + b"and more"
        assert world.body("0:20", openmetrics=openmetrics) is shown


def test_an_event_changes_the_text_in_both_formats_and_its_compressed_form() -> None:
    world = World()
    world.append(event("initiated", at("0:00")))
    old = [world.text("0:10", openmetrics=openmetrics) for openmetrics in (False, True)]
    before = world.body("0:10")
    world.append(event("completed", at("0:10")))
    new = [world.text("0:11", openmetrics=openmetrics) for openmetrics in (False, True)]
    assert world.value("0:11", "completed_total", **LABELS, export="any") == 1
    assert all(before != after for before, after in zip(old, new, strict=True))
    assert gzip.decompress(before.gzip(b"")) == old[0]  # whoever still sends it sends what it was
    assert gzip.decompress(world.body("0:11").gzip(b"")) == new[0]


def test_an_event_renders_no_more_than_what_it_changes() -> None:
    world = World(exports_per_source=1000)
    world.append(*(event("initiated", at("0:00"), partner=f"partner {n}", request_id=f"{n}") for n in range(1000)))
    before = world.body("0:10").pieces
    world.append(event("completed", at("0:10"), partner="partner 7", request_id="7"))
    changed = [old for old, new in zip(before, world.body("0:11").pieces, strict=True) if old is not new]
    # Of one block of exports ten families, the shared histogram, and of the source its events and the newest arrival.
    assert len(changed) == 10 + 1 + 2
    assert len(before) > 100


def test_what_is_counted_beside_events_changes_the_text_as_well() -> None:
    world = World()
    world.append(event("initiated", at("0:00")))
    assert world.value("0:10", "webhook_duplicates_total", source="shop") == 0
    world.append(event("initiated", at("0:00")))
    assert world.value("0:10", "webhook_duplicates_total", source="shop") == 1


def test_a_missed_slot_appears_by_the_time_alone() -> None:
    world = World()
    world.append(event("initiated", at("0:00")), event("completed", at("0:10")))
    labels = LABELS | {"export": "any"}
    shown = world.body("8:09")
    assert world.value("8:09", "slots_missed", **labels) == 0
    assert world.body("8:09:59") is shown
    assert world.value("8:10", "slots_missed", **labels) == 1
    assert world.value("12:09", "slots_missed", **labels) == 1
    assert world.value("12:10", "slots_missed", **labels) == 2
    assert world.value("23:59", "slots_missed", **labels) == 4  # several at one scrape


def test_a_time_at_which_an_event_has_changed_the_schedule_since_renders_nothing() -> None:
    world = World()
    world.append(event("initiated", at("0:00")), event("completed", at("0:10")))
    world.body("1:00")
    world.append(event("completed", at("4:10"), request_id="another"))
    shown = world.body("4:11")
    assert world.body("8:11") is shown  # a slot would have been missed at 8:10


def test_what_was_missed_by_a_clock_that_was_ahead_is_gone_once_the_clock_is_right() -> None:
    world = World(exports_per_source=1)
    events = [
        event(status, at(clock), partner=partner, request_id=partner)
        for status, clock in (("initiated", "0:00"), ("completed", "0:10"))
        for partner in ("Amazon S3", "Microsoft Azure")
    ]
    world.append(*events)
    right = world.text("4:09")
    assert world.value("23:59", "slots_missed", **LABELS, export="any") == 4
    assert world.text("4:09") == right


def test_threads_that_wait_for_each_other_render_nothing_again() -> None:
    world = World()
    world.append(event("initiated", at("0:00")), event("completed", at("0:10")))
    assert world.value("8:10", "slots_missed", **LABELS, export="any") == 1
    shown = world.renderer.body(openmetrics=False)
    world.renderer.update(at("8:10") - 0.9)
    assert world.renderer.body(openmetrics=False) is shown


def test_a_mute_ends_by_the_time_alone() -> None:
    match = Selection("shop", partner="Amazon S3")
    world = World(Declaration("nightly", match, interval=4 * HOUR, muted_until=at("2:00")))
    labels = {"source": "shop", "export": "nightly", "partner": "Amazon S3", "data_type": "", "frequency": "4h"}
    assert world.value("1:59", "muted", **labels) == 1
    assert world.value("2:00", "muted", **labels) == 0


def test_an_id_that_comes_back_moves_from_its_group_to_series_of_its_own() -> None:
    world = World()
    world.append(event("initiated", at("0:00"), request_id="7"))
    assert world.value("0:10", "initiated_total", **LABELS, export="any") == 1
    world.append(event("initiated", at("4:00"), request_id="7"))
    assert world.value("4:10", "initiated_total", **LABELS, export="any") is None
    assert world.value("4:10", "initiated_total", **LABELS, export="7") == 2


def test_an_id_that_goes_elsewhere_takes_its_series_along() -> None:
    world = World()
    for clock in ("0:00", "4:00"):
        world.append(event("initiated", at(clock), request_id="7"))
    assert world.value("4:10", "initiated_total", **LABELS, export="7") == 2
    world.append(event("initiated", at("8:00"), request_id="7", partner="GCS"))
    assert world.value("8:10", "initiated_total", **LABELS, export="7") is None
    assert world.value("8:10", "initiated_total", **LABELS | {"partner": "GCS"}, export="7") == 3


def test_many_exports_at_once_are_settled_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    world.append(*(one_of(f"partner {number}", "1:00") for number in range(50)))
    at_once = world.text("9:00")
    monkeypatch.setattr(renderer, "MAX_PENDING_ROWS", 3)
    in_batches = World()
    in_batches.append(*(one_of(f"partner {number}", "1:00") for number in range(50)))
    assert in_batches.text("9:00") == at_once


def test_groups_of_a_source_share_one_histogram() -> None:
    world = World()
    for frequency, minutes in (("4h", 10), ("one-time", 30), ("now and then", 30)):
        start = at("0:00")
        world.append(event("initiated", start, frequency=frequency, request_id=frequency))
        world.append(event("completed", start + minutes * MINUTE, frequency=frequency, request_id=frequency))
    name = "run_duration_seconds"
    assert world.value("1:00", f"{name}_count", source="shop", export="any") == 3
    assert world.value("1:00", f"{name}_sum", source="shop", export="any") == 70 * MINUTE
    assert world.value("1:00", f"{name}_bucket", source="shop", export="any", le="600.0") == 1
    assert world.value("1:00", f"{name}_bucket", source="shop", export="any", le="1200.0") == 1
    assert world.value("1:00", f"{name}_bucket", source="shop", export="any", le="1800.0") == 3
    assert world.value("1:00", f"{name}_bucket", source="shop", export="any", le="+Inf") == 3


def one_of(partner: str, clock: str, *, status: str = "initiated", source: str = "shop") -> Event:
    return event(status, at(clock), partner=partner, request_id=partner, frequency="one-time", source=source)


OVERFLOW = {"source": "shop", "export": "other", "partner": "", "data_type": "", "frequency": ""}
INFO = {"timezone": "UTC", "declared": "false", "owner": "", "runbook_url": ""}


def test_exports_over_the_limit_of_a_source_are_shown_together_as_other() -> None:
    world = World(exports_per_source=2)
    world.append(one_of("first", "1:00"), one_of("second", "2:00"))
    assert world.value("9:00", "initiated_total", **OVERFLOW) is None
    before = world.renderer.series
    world.append(
        one_of("third", "3:00"),
        one_of("fourth", "4:00"),
        one_of("fifth", "5:00"),
        one_of("far", "1:00", source="other-shop"),
    )
    world.append(one_of("third", "3:10", status="completed"), one_of("second", "2:30", status="completed"))
    assert world.value("9:00", "initiated_total", **OVERFLOW) == 3
    assert world.value("9:00", "completed_total", **OVERFLOW) == 1
    assert world.value("9:00", "runs_in_progress", **OVERFLOW) == 2
    assert world.value("9:00", "running_since_timestamp_seconds", **OVERFLOW) == at("4:00")
    assert world.value("9:00", "last_initiated_timestamp_seconds", **OVERFLOW) == at("5:00")
    assert world.value("9:00", "last_completed_timestamp_seconds", **OVERFLOW) == at("3:10")
    assert world.value("9:00", "deadline_timestamp_seconds", **OVERFLOW) == 0
    assert world.value("9:00", "run_duration_seconds_sum", source="shop", export="other") == 10 * MINUTE
    # Who came first keeps its series, and another source has a limit of its own.
    text = world.text("9:00").decode()
    assert 'partner="first"' in text
    assert 'partner="second"' in text
    assert 'partner="third"' not in text
    assert 'partner="far"' in text
    assert world.renderer.series > before


def test_what_is_over_the_limit_is_overdue_as_soon_as_any_of_it_is_and_as_grave_as_the_gravest() -> None:
    declarations = [
        Declaration("a", Selection("shop", partner="a"), interval=HOUR),
        Declaration("b", Selection("shop", partner="b"), interval=HOUR, muted_until=at("3:00")),
        Declaration("c", Selection("shop", partner="c"), interval=2 * HOUR, severity="info"),
    ]
    world = World(*declarations, exports_per_source=1)
    assert world.value("1:00", "deadline_timestamp_seconds", **OVERFLOW) == at("2:30")
    assert world.value("1:00", "export_info", **OVERFLOW, **INFO, severity="info") == 1
    assert world.value("3:00", "deadline_timestamp_seconds", **OVERFLOW) == at("1:30")
    assert world.value("3:00", "export_info", **OVERFLOW, **INFO, severity="critical") == 1
    assert world.value("3:00", "export_info", **OVERFLOW, **INFO, severity="info") is None
    world.append(event("completed", at("3:00"), partner="b"))
    assert world.value("3:01", "deadline_timestamp_seconds", **OVERFLOW) == at("2:30")


def test_nothing_running_over_the_limit_is_running_since_never() -> None:
    world = World(exports_per_source=1)
    world.append(one_of("first", "1:00"), one_of("second", "2:00", status="completed"))
    assert world.value("9:00", "running_since_timestamp_seconds", **OVERFLOW) == 0


def test_a_declared_export_keeps_its_series_whoever_came_before() -> None:
    world = World(Declaration("nightly", Selection("shop", partner="late"), interval=HOUR), exports_per_source=1)
    world.append(one_of("first", "1:00"))
    world.append(one_of("late", "2:00"))
    text = world.text("9:00").decode()
    assert 'export="nightly"' in text
    assert 'partner="first"' not in text


def test_a_dropped_series_is_counted_once() -> None:
    world = World(exports_per_source=1)
    world.append(one_of("first", "1:00"))
    world.text("9:00")
    assert world.renderer.dropped == 0
    world.append(one_of("second", "2:00"))
    world.text("9:00")
    each = world.renderer.dropped
    assert each > 0
    world.append(one_of("second", "2:10", status="completed"))
    world.text("9:00")
    world.text("9:00", openmetrics=True)
    assert world.renderer.dropped == each
    world.append(one_of("third", "3:00"))
    world.text("9:00")
    assert world.renderer.dropped == 2 * each


def test_what_is_shown_again_is_not_counted_as_dropped_until_it_falls_again() -> None:
    world = World(exports_per_source=2)
    for partner in ("Amazon S3", "GCS"):  # two groups of one id, which leaves both when it comes back
        world.append(event("initiated", at("0:00"), request_id="7", partner=partner))
    world.append(one_of("third", "1:00"))
    assert b'partner="third"' not in world.text("2:00")
    each = world.renderer.dropped
    world.append(event("initiated", at("4:00"), request_id="7"))
    assert b'partner="third"' in world.text("5:00")
    assert world.value("5:00", "initiated_total", **OVERFLOW) is None
    assert world.renderer.dropped == each
    world.append(event("initiated", at("4:00"), request_id="8"))
    world.append(event("initiated", at("8:00"), request_id="8"))
    world.text("9:00")
    assert world.renderer.dropped == each + 28  # a recurring export has seven series more than another


def test_what_is_over_the_limit_before_and_after_is_not_counted_for_the_moment_between() -> None:
    world = World(exports_per_source=1)
    world.append(event("initiated", at("0:00"), request_id="z"))
    world.append(one_of("second", "1:00"))
    world.text("2:00")
    each = world.renderer.dropped
    world.append(event("initiated", at("4:00"), request_id="z"))  # its group goes, and it comes in its place
    text = world.text("5:00")
    assert b'export="z"' in text
    assert b'partner="second"' not in text
    assert world.renderer.dropped == each


def test_what_falls_rises_and_falls_again_between_two_scrapes_is_counted_once() -> None:
    plain = World(exports_per_source=2)
    plain.append(*(one_of(partner, "1:00") for partner in ("first", "second", "third")))
    plain.text("9:00")
    each = plain.renderer.dropped
    assert each > 0
    world = World(exports_per_source=2)
    world.append(event("initiated", at("0:00"), request_id="1"), event("initiated", at("0:01"), request_id="zz"))
    world.append(one_of("third", "1:00"))
    assert b'partner="third"' in world.text("2:00")
    # In the order of the text, "1" comes first, then their group goes, and then "zz" comes.
    world.append(event("initiated", at("4:00"), request_id="1"), event("initiated", at("4:01"), request_id="zz"))
    assert b'partner="third"' not in world.text("5:00")
    assert world.renderer.dropped == each


def test_however_many_names_there_are_the_scrape_has_no_more_series() -> None:
    world = World(exports_per_source=5)
    for number in range(6):
        world.append(one_of(f"partner {number}", "1:00"))
    world.text("9:00")
    most = world.renderer.series
    world.append(*(one_of(f"partner {number}", "1:00") for number in range(6, 300)))
    world.text("9:00")
    assert world.renderer.series == most
    assert world.value("9:00", "initiated_total", **OVERFLOW) == 295


def test_a_gap_between_heartbeats_changes_what_was_missed() -> None:
    world = World()
    labels = LABELS | {"export": "any"}
    world.ledger.record_heartbeat("first watch", at("0:00"))
    world.append(event("initiated", at("0:00")), event("completed", at("0:10")))
    assert world.value("9:00", "slots_missed", **labels) == 1
    assert world.value("9:00", "slots_unknown", **labels) == 0
    world.ledger.record_heartbeat("second watch", at("9:00"))  # nobody listened in between
    assert world.value("9:00", "slots_missed", **labels) == 0
    assert world.value("9:00", "slots_unknown", **labels) == 1
    assert world.value("9:00", "initiated_total", **labels) == 1
    assert world.value("9:00", "deadline_timestamp_seconds", **labels) == at("12:58")
