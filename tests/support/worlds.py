"""Hypothesis strategies for histories of events: jobs of several sources, some across clock changes, some declared."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from builders import DAY, HOUR, MINUTE, accepted_event, catch_up, event, instant
from exporter.domain.events import Event, Outage
from exporter.domain.exports import Declaration, Selection, Source
from exporter.projection.fold.exports import ExportProjection
from exporter.projection.fold.sort_keys import pack_sort_key
from memory_ledger import MemoryLedger

SOURCES = {
    "shop": Source("shop", "UTC", UTC),
    "york": Source("york", "America/New_York", ZoneInfo("America/New_York")),
    "wild": Source("wild"),
}
# An ordinary day, and the evenings before both summer-time changes in New York.
BEGINNINGS = [instant("2026-06-01T00:00"), instant("2026-03-07T07:30"), instant("2026-10-31T05:30")]
FREQUENCIES = {"4h": 4 * HOUR, "8h": 8 * HOUR, "24h": DAY}
PARTNERS = ["Amazon S3", "amazon s3", "Azure"]
DECLARATIONS = [
    Declaration("nightly", Selection("york", partner="azure"), interval=DAY, grace=2 * HOUR),
    Declaration("own-words", Selection("shop", data_type="profiles")),
    Declaration("by-id", Selection("shop", request_id="11"), interval=8 * HOUR),
    Declaration("silent", Selection("shop", request_id="nobody"), interval=4 * HOUR),
    Declaration("22", Selection("wild", partner="azure", frequency="8h")),
]
DECLARED_AT = {(declaration.match.source, declaration.name): BEGINNINGS[1] for declaration in DECLARATIONS}
ENDINGS = ["completed", "completed", "completed", "failed", "running", "queued", ""]


@dataclass(frozen=True)
class World:
    """The input of a fold: events, declarations and outages."""

    events: tuple[Event, ...]
    declarations: tuple[Declaration, ...]
    outages: tuple[Outage, ...]

    def exports(self) -> ExportProjection:
        return ExportProjection(SOURCES, self.declarations, self.outages, declared_at=DECLARED_AT)

    def nows(self) -> list[float]:
        last = max((job_event.occurred_at for job_event in self.events), default=BEGINNINGS[0])
        return [last + 3 * MINUTE, last + 5 * HOUR, last + 3 * DAY]

    def folded_in_order(self) -> ExportProjection:
        """Fold all events at once in chronological order."""
        exports = self.exports()
        ledger = MemoryLedger()
        ledger.append(list(map(accepted_event, sorted(self.events, key=pack_sort_key))))
        catch_up(exports, ledger)
        return exports


@st.composite
def jobs(draw: st.DrawFn) -> list[Event]:
    """Generate the events of one recurring or one-time job, which may change its schedule."""
    frequency = draw(st.sampled_from([*FREQUENCIES, "4h", "4h", "one-time", "now and then"]))
    interval = FREQUENCIES.get(frequency, 6 * HOUR)
    begins = draw(st.sampled_from(BEGINNINGS)) + draw(st.integers(0, 8)) * 30 * MINUTE
    new_id_each_run = draw(st.booleans())
    first_id = draw(st.sampled_from([11, 22, 33, 44]))
    partner = draw(st.sampled_from(PARTNERS))
    data_type = draw(st.sampled_from(["events", "profiles"]))
    source = draw(st.sampled_from(list(SOURCES)))
    job_events: list[Event] = []
    for slot in range(draw(st.integers(1, 9))):
        start = begins + slot * interval + draw(st.integers(0, 5)) * 13 * MINUTE
        shape = draw(st.sampled_from(["run", "run", "run", "run", "twice", "startless", "missed", "changed"]))
        if shape == "missed":
            continue
        if shape == "changed":
            frequency = draw(st.sampled_from(list(FREQUENCIES)))
        notifications = [("initiated", start)] if shape != "startless" else []
        if shape == "twice":
            notifications.append(("initiated", start + 7 * MINUTE))
        if ending := draw(st.sampled_from(ENDINGS)):
            notifications.append((ending, start + draw(st.sampled_from([0, 40, 600, 2 * HOUR, 9 * HOUR]))))
        delay = draw(st.integers(-120, 700))
        job_events += [
            event(
                status,
                occurred_at,
                request_id=f"{first_id}{slot}" if new_id_each_run else str(first_id),
                partner=partner,
                data_type=data_type,
                frequency=frequency,
                source=source,
                delay=delay,
            )
            for status, occurred_at in notifications
        ]
    return job_events


@st.composite
def stray_events(draw: st.DrawFn) -> Event:
    """Generate an event of any kind at any time, with an id that a job may also have."""
    return event(
        draw(st.sampled_from(["initiated", "running", "completed", "failed", "paused"])),
        draw(st.sampled_from(BEGINNINGS)) + draw(st.integers(0, 200)) * 15 * MINUTE,
        request_id=draw(st.sampled_from(["11", "22", "33"])),
        partner=draw(st.sampled_from(PARTNERS)),
        frequency=draw(st.sampled_from(["4h", "4h", "8h", "24h", "one-time"])),
        source=draw(st.sampled_from(["shop", "shop", "york", "wild"])),
        delay=draw(st.integers(-120, 90_000)),
    )


@st.composite
def outage_lists(draw: st.DrawFn) -> tuple[Outage, ...]:
    begins = draw(st.sampled_from(BEGINNINGS))
    edges = sorted(draw(st.sets(st.integers(0, 72), max_size=4)))
    return tuple(Outage(begins + a * HOUR, begins + b * HOUR) for a, b in zip(edges[::2], edges[1::2], strict=False))


@st.composite
def worlds(draw: st.DrawFn) -> World:
    events = [job_event for job in draw(st.lists(jobs(), min_size=1, max_size=4)) for job_event in job]
    events += draw(st.lists(stray_events(), max_size=6))
    unique = {(job_event.source, job_event.digest): job_event for job_event in events}
    declared = draw(st.lists(st.sampled_from(DECLARATIONS), unique=True))
    return World(tuple(unique.values()), tuple(declared), draw(outage_lists()))


@st.composite
def crowds(draw: st.DrawFn) -> World:
    """Generate events of few ids at few times, among which coincidences are common that are rare among jobs."""
    moments = st.tuples(
        st.sampled_from(["initiated", "running", "completed", "failed"]),
        st.integers(0, 12),
        st.sampled_from(["33", "44"]),
        st.sampled_from(["4h", "4h", "4h", "8h", "one-time"]),
    )
    events = [
        event(status, BEGINNINGS[0] + hour * HOUR, request_id=request_id, frequency=frequency)
        for status, hour, request_id, frequency in draw(st.sets(moments, min_size=2, max_size=24))
    ]
    return World(tuple(events), (), draw(outage_lists()))


@st.composite
def throngs(draw: st.DrawFn) -> World:
    """Generate many events of few ids within half an interval, so that most are compacted before an id recurs.

    An id sometimes recurs through an event days before or after.
    """
    minutes = [*range(0, 11 * 60, 20), -3 * 24 * 60, 2 * 24 * 60]
    moments = st.tuples(st.sampled_from(minutes), st.sampled_from(["33", "33", "44", "55"]))
    events = [
        event(
            "initiated" if minute % 60 else "completed",
            BEGINNINGS[0] + minute * MINUTE,
            request_id=id_,
            frequency="24h",
        )
        for minute, id_ in sorted(draw(st.sets(moments, min_size=20, max_size=60)))
    ]
    return World(tuple(events), (), ())


histories = st.one_of(worlds(), crowds(), throngs())
