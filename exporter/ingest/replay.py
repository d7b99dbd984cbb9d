"""Replays bodies through the current parser: quarantined ones, JSON lines, and those of stored events.

Each body is dated as if the current parser had received it on arrival: by its original arrival time and,
on a source whose time zone is ``auto``, by the UTC offset that the events before it had settled.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from exporter.domain.errors import PayloadError
from exporter.domain.event_time import SETTLING_EVENTS, SettledOffset
from exporter.domain.events import QuarantinedBody
from exporter.ingest import json_lines
from exporter.ingest.intake import Intake, quarantined_if_too_old
from exporter.ledger.contract import AcceptedEvent, TestCallReceived
from exporter.ledger.instants import to_micros
from exporter.ledger.replay_store import PAGE_SIZE, ArrivalPosition

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Mapping

    from exporter.domain.events import Event
    from exporter.domain.exports import Source
    from exporter.ledger.contract import Entry, Ledger
    from exporter.ledger.replay_store import ReplayStore

MAX_BODY_BYTES = 1 << 24
"""A body that was accepted once is accepted again, even if the configured limit is lower now."""
MAX_CLOCK_AHEAD = 120.0
"""How many seconds an arrival time may be ahead of this machine's clock."""


@dataclass(slots=True)
class ReplayResult:
    """How many bodies ended up where.

    Attributes:
        accepted: events that are new to the ledger.
        duplicates: events that the ledger already had.
        test_calls: the vendor's test calls.
        bad_lines: JSON lines that could not be parsed.
        unchanged: events that a rebuild left as they were.
        still_quarantined: bodies that are in quarantine, by reason.
        moved_by: the number of events that a rebuild changed, by how many seconds their time moved.
        relabelled: events whose id, partner, type, status or frequency a rebuild changed.
        changed: events that a rebuild changed in any way.
    """

    accepted: int = 0
    duplicates: int = 0
    test_calls: int = 0
    bad_lines: int = 0
    unchanged: int = 0
    still_quarantined: Counter[str] = field(default_factory=Counter)
    moved_by: Counter[float] = field(default_factory=Counter)
    relabelled: int = 0
    changed: int = 0


@dataclass(frozen=True, slots=True)
class QuarantineSelection:
    """Selects the quarantined bodies of configured sources that match every given field; None matches any.

    Attributes:
        source: the slug of the source.
        reason: why they are in quarantine.
        sequence: selects a single body.
    """

    source: str | None = None
    reason: str | None = None
    sequence: int | None = None

    def matches(self, body: QuarantinedBody) -> bool:
        """Return whether a body is selected."""
        return (
            self.source in {None, body.source}
            and self.reason in {None, body.reason}
            and self.sequence in {None, body.sequence}
        )


class ReplayedBody(NamedTuple):
    """A quarantined body that was replayed.

    Attributes:
        quarantined: the body as it was in quarantine.
        entry: what the current parser makes of it: a quarantined body again if it cannot parse it.
        inserted: whether the entry is new to the ledger; True in a dry run.
    """

    quarantined: QuarantinedBody
    entry: Entry
    inserted: bool


class ReplayPage(NamedTuple):
    """A part of a replay of the quarantine.

    Attributes:
        bodies: the selected bodies, in the order of their sequences.
        next_after: the sequence after which the replay continues; None at its end.
    """

    bodies: list[ReplayedBody]
    next_after: int | None


class Replay:
    """Replays bodies into one ledger, which other processes may use at the same time.

    Args:
        ledger: the ledger to append to.
        store: the same ledger's bodies.
        sources: the configured sources, by slug.
        oldest: Unix seconds. Earlier events go to quarantine, because they may have been counted and pruned.
    """

    def __init__(
        self, ledger: Ledger, store: ReplayStore, sources: Mapping[str, Source], oldest: float = -math.inf
    ) -> None:
        self._oldest = oldest
        self._ledger = ledger
        self._store = store
        self._sources = sources
        self._intake = Intake(ledger, MAX_BODY_BYTES)
        self._offsets: dict[str, SettledOffset] = {}

    def replay_quarantine(self, selection: QuarantineSelection, *, dry_run: bool) -> Iterator[ReplayResult]:
        """Move the selected bodies that can be parsed now from quarantine to the events.

        Args:
            selection: which bodies.
            dry_run: count, and change nothing.

        Yields:
            The totals so far, after each page: the same object each time.
        """
        result = ReplayResult()
        after: int | None = 0
        while after is not None:
            page = self.replay_quarantine_page(selection, after, PAGE_SIZE, dry_run=dry_run)
            for body in page.bodies:
                count_outcome(result, body.entry, inserted=body.inserted)
            after = page.next_after
            yield result

    def replay_quarantine_page(
        self, selection: QuarantineSelection, after: int, limit: int, *, dry_run: bool
    ) -> ReplayPage:
        """Move the selected ones of the next bodies that can be parsed now from quarantine to the events.

        Args:
            selection: which bodies.
            after: the sequence after which to look.
            limit: how many bodies to look at.
            dry_run: change nothing.
        """
        if selection.sequence is not None:
            after, limit = selection.sequence - 1, 1
        page = self._ledger.quarantine(limit, selection.source, after)
        pairs = [
            (body, self.reinterpret(body)) for body in page if body.source in self._sources and selection.matches(body)
        ]
        outcomes = [True] * len(pairs) if dry_run or not pairs else self._store.resolve_quarantined(pairs)
        bodies = [
            ReplayedBody(body, entry, inserted=inserted)
            for (body, entry), inserted in zip(pairs, outcomes, strict=True)
            if inserted is not None  # another process resolved it first
        ]
        is_last = selection.sequence is not None or len(page) < limit
        return ReplayPage(bodies, None if is_last else page[-1].sequence)

    def replay_lines(
        self, lines: Iterable[bytes], source: str | None, now: float, on_bad_line: Callable[[str], object]
    ) -> Iterator[ReplayResult]:
        """Store the events of JSON lines.

        Args:
            lines: in the form of `exporter.ingest.json_lines`; empty lines are skipped.
            source: replay only the lines of this source; None for all.
            now: Unix seconds; a line that arrived more than `MAX_CLOCK_AHEAD` later is bad.
            on_bad_line: called for each bad line with its number and the problem.

        Yields:
            The totals so far, after each page: the same object each time.
        """
        result = ReplayResult()
        rest = enumerate(lines, 1)
        while numbered := list(islice(rest, PAGE_SIZE)):
            entries: list[Entry] = []
            for number, line in numbered:
                if not line.strip():
                    continue
                try:
                    entries += self._entries_of_line(line, source, now)
                except PayloadError as error:
                    result.bad_lines += 1
                    on_bad_line(f"line {number}: {error}")
            for entry, inserted in zip(entries, self._ledger.append(entries) if entries else [], strict=True):
                count_outcome(result, entry, inserted=inserted)
            yield result

    def rebuild(self, sources: Iterable[str], *, dry_run: bool) -> Iterator[ReplayResult]:
        """Parse and date every stored event again, in order of arrival.

        The last write starts a new replay generation, on which projections start over. So they show the old
        events or the new ones, never a mixture.

        Args:
            sources: slugs.
            dry_run: count, and change nothing.

        Yields:
            The totals so far, after each page: the same object each time.
        """
        result = ReplayResult()
        for slug in sources:
            source = self._sources[slug]
            after = ArrivalPosition()
            offset = SettledOffset()
            self._intake.set_offset(source, offset)
            while page := self._store.read_with_bodies(slug, after):
                after = ArrivalPosition.of_event(page[-1].event)
                changed = []
                for stored in page:
                    event = self._reinterpreted_event(source, stored)
                    offset.add(event)
                    if event == stored.event:
                        result.unchanged += 1
                        continue
                    changed.append(event)
                    result.changed += 1
                    result.moved_by[event.occurred_at - stored.event.occurred_at] += 1
                    result.relabelled += _labels(event) != _labels(stored.event)
                if changed and not dry_run:
                    self._store.amend(changed, last=False)
                yield result
        if not dry_run:
            self._store.amend([], last=True)
            yield result

    def redate(self, source: Source, began_at: float, epochs: Container[int]) -> int:
        """Parse and date the stored events of a source again that arrived in some epochs.

        Args:
            source: the source.
            began_at: when the first of the epochs began, in Unix seconds.
            epochs: their ids.

        Returns:
            How many events changed.
        """
        changed = 0
        offset = self._offset_at(source, began_at)
        after = ArrivalPosition(to_micros(began_at) - 1)
        while page := self._store.read_with_bodies(source.slug, after):
            after = ArrivalPosition.of_event(page[-1].event)
            amended = []
            for stored in page:
                event = self._reinterpreted_event(source, stored) if stored.epoch.id in epochs else stored.event
                offset.add(event)
                if event != stored.event:
                    amended.append(event)
            if amended:
                self._store.amend(amended, last=False)
                changed += len(amended)
        return changed

    def resolve_quarantined(self, sources: Iterable[str], reason: str) -> int:
        """Move bodies that should never have been quarantined to the events, and do not count them as quarantined.

        Args:
            sources: slugs.
            reason: for which they were quarantined.

        Returns:
            How many bodies left the quarantine.
        """
        resolved = 0
        for slug in sources:
            after = 0
            while page := self._ledger.quarantine(PAGE_SIZE, slug, after):
                after = page[-1].sequence
                pairs = [(body, self.reinterpret(body)) for body in page if body.reason == reason]
                pairs = [(body, entry) for body, entry in pairs if not isinstance(entry, QuarantinedBody)]
                resolved += len(pairs)
                if pairs:
                    self._store.resolve_quarantined(pairs, uncount=True)
        return resolved

    def reinterpret(self, quarantined: QuarantinedBody) -> Entry:
        """Parse a quarantined body again; it stays a quarantined body if the current parser rejects it too."""
        source = self._sources[quarantined.source]
        self._offset_at(source, quarantined.arrived_at)
        try:
            (entry,) = self._intake.prepare(source, quarantined.body, quarantined.arrived_at, epoch=quarantined.epoch)
        except PayloadError as error:
            return replace(quarantined, detail=str(error))
        return self._quarantined_if_too_old(entry)

    def _quarantined_if_too_old(self, entry: Entry) -> Entry:
        return quarantined_if_too_old(entry, self._oldest) if isinstance(entry, AcceptedEvent) else entry

    def _offset_at(self, source: Source, arrived_at: float) -> SettledOffset:
        """Date bodies of a source on ``auto`` by the events that arrived before an instant, in Unix seconds."""
        events = self._store.newest_before(source.slug, arrived_at, 4 * SETTLING_EVENTS) if source.zone is None else []
        offset = SettledOffset(events)
        self._intake.set_offset(source, offset)
        return offset

    def _entries_of_line(self, line: bytes, only_source: str | None, now: float) -> list[Entry]:
        event_line = json_lines.parse_line(line)
        source = self._sources.get(event_line.source)
        if source is None:
            slugs = ", ".join(sorted(self._sources))
            message = f"its source {event_line.source[:64]!r} is not a source; the sources are {slugs}"
            raise PayloadError(message)
        if only_source not in {None, event_line.source}:
            return []
        if event_line.arrived_at > now + MAX_CLOCK_AHEAD:
            message = "its arrived_at is in the future"
            raise PayloadError(message)
        if event_line.source not in self._offsets:
            self._offsets[event_line.source] = self._offset_at(source, event_line.arrived_at)
        entries = [
            self._quarantined_if_too_old(entry)
            for entry in self._intake.prepare(source, event_line.body, event_line.arrived_at)
        ]
        for entry in entries:
            if isinstance(entry, AcceptedEvent):
                self._offsets[event_line.source].add(entry.event)
        return entries

    def _reinterpreted_event(self, source: Source, stored: AcceptedEvent) -> Event:
        """Parse the body of a stored event again; the event stays as it is if the current parser rejects it."""
        try:
            (entry,) = self._intake.prepare(source, stored.body, stored.event.arrived_at)
        except PayloadError:
            return stored.event
        if not isinstance(entry, AcceptedEvent):
            return stored.event
        return entry.event._replace(sequence=stored.event.sequence, digest=stored.event.digest)


def oldest_acceptable(ledger: Ledger, retention: float, now: float) -> float:
    """Return when the oldest event that a replay may add happened, in Unix seconds; minus infinity without a limit.

    Once any event was pruned, older ones than the retention may have been counted and pruned.
    """
    return now - retention if ledger.checkpoints.pruning_state().revision else -math.inf


def _labels(event: Event) -> tuple[str, ...]:
    return (event.request_id, event.partner, event.data_type, event.status, event.frequency)


def count_outcome(result: ReplayResult, entry: Entry, *, inserted: bool) -> None:
    """Add what became of a body to ``result``."""
    if isinstance(entry, QuarantinedBody):
        result.still_quarantined[entry.reason] += 1
    elif isinstance(entry, TestCallReceived):
        result.test_calls += 1
    elif inserted:
        result.accepted += 1
    else:
        result.duplicates += 1
