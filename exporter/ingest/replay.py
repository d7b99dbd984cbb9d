"""Old bodies through the current parser: from quarantine, from lines, or where they are.

A body is dated by its original arrival, and on a source that finds its zone out by itself
(``auto``), by what the events that arrived before it show: as if it had been understood at once.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING

from exporter.domain.errors import PayloadError
from exporter.domain.event_time import SETTLING_EVENTS, SettledOffset
from exporter.domain.events import QuarantinedBody
from exporter.ingest import json_lines
from exporter.ingest.intake import Intake, quarantined_if_too_old
from exporter.ledger.contract import AcceptedEvent, TestCallReceived
from exporter.ledger.replay_store import PAGE_SIZE, ArrivalPosition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from exporter.domain.events import Event
    from exporter.domain.exports import Source
    from exporter.ledger.contract import Entry, Ledger
    from exporter.ledger.replay_store import ReplayStore

MAX_BODY_BYTES = 1 << 24
"""What was taken once is taken again, whatever the limit is now."""
MAX_CLOCK_AHEAD = 120.0
"""Seconds by which an arrival may be ahead of this machine's clock."""


@dataclass(slots=True)
class ReplayResult:
    """What became of the bodies.

    Attributes:
        left: those that stay in quarantine, by reason.
        moved: of a rebuild, by how many seconds events moved, and how many by each.
        reworded: of a rebuild, how many events are called something else.
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


class Replay:
    """Replays into one ledger; other processes may use it meanwhile.

    Args:
        ledger: where events are kept.
        archive: its bodies.
        sources: the configured ones, by slug.
        oldest: once events were removed, the instant before which nothing is taken, since it may be among them.
    """

    def __init__(
        self, ledger: Ledger, archive: ReplayStore, sources: Mapping[str, Source], oldest: float = -math.inf
    ) -> None:
        self._oldest = oldest
        self._ledger = ledger
        self._archive = archive
        self._sources = sources
        self._intake = Intake(ledger, MAX_BODY_BYTES)
        self._offsets: dict[str, SettledOffset] = {}

    def replay_quarantine(self, sources: Iterable[str], reason: str | None, *, dry_run: bool) -> Iterator[ReplayResult]:
        """Let what is understood by now leave the quarantine; yields after each page what was done so far."""
        outcome = ReplayResult()
        for slug in sources:
            after = 0
            while page := self._ledger.quarantine(PAGE_SIZE, slug, after):
                after = page[-1].sequence
                pairs = [(body, self.reinterpret(body)) for body in page if reason in {None, body.reason}]
                outcomes = [True] * len(pairs) if dry_run else self._archive.resolve_quarantined(pairs)
                for (_, new), inserted in zip(pairs, outcomes, strict=True):
                    if inserted is not None:
                        _count(outcome, new, new_to_ledger=inserted)
                yield outcome

    def replay_lines(
        self, lines: Iterable[bytes], source: str | None, now: float, on_bad_line: Callable[[str], object]
    ) -> Iterator[ReplayResult]:
        """Take events from JSON lines; yields after each page what was done so far.

        Args:
            lines: as `exporter.ingest.json_lines` reads them; empty ones are passed over.
            source: only those of this source; None for all.
            now: no arrival lies after it.
            on_bad_line: told of each line that is bad, by its number.
        """
        outcome = ReplayResult()
        rest = enumerate(lines, 1)
        while numbered := list(islice(rest, PAGE_SIZE)):
            entries: list[Entry] = []
            for number, line in numbered:
                if not line.strip():
                    continue
                try:
                    entries += self._entries_of_line(line, source, now)
                except PayloadError as error:
                    outcome.bad_lines += 1
                    on_bad_line(f"line {number}: {error}")
            for entry, inserted in zip(entries, self._ledger.append(entries) if entries else [], strict=True):
                _count(outcome, entry, new_to_ledger=inserted)
            yield outcome

    def rebuild(self, sources: Iterable[str], *, dry_run: bool) -> Iterator[ReplayResult]:
        """Date every stored event again, in the order of arrival; yields after each page what was done so far.

        The ledger's readers are told with the last page, so that they fold the old or the new.
        """
        outcome = ReplayResult()
        for slug in sources:
            source = self._sources[slug]
            after = ArrivalPosition()
            offset = SettledOffset()
            self._intake.set_offset(source, offset)
            while page := self._archive.read_with_bodies(slug, after):
                after = ArrivalPosition.of_event(page[-1].event)
                changed = []
                for old in page:
                    new = self._reinterpreted_event(source, old)
                    offset.add(new.local_time, new.arrived_at)
                    if new == old.event:
                        outcome.unchanged += 1
                        continue
                    changed.append(new)
                    outcome.changed += 1
                    outcome.moved_by[new.occurred_at - old.event.occurred_at] += 1
                    outcome.relabelled += _labels(new) != _labels(old.event)
                if changed and not dry_run:
                    self._archive.amend(changed, last=False)
                yield outcome
        if not dry_run:
            self._archive.amend([], last=True)
            yield outcome

    def reinterpret(self, old: QuarantinedBody) -> Entry:
        """What a quarantined body is understood as now."""
        source = self._sources[old.source]
        self._offset_at(source, old.arrived_at)
        try:
            (entry,) = self._intake.prepare(source, old.body, old.arrived_at)
        except PayloadError as error:
            return replace(old, detail=str(error))
        return self._quarantined_if_too_old(entry)

    def _quarantined_if_too_old(self, entry: Entry) -> Entry:
        return quarantined_if_too_old(entry, self._oldest) if isinstance(entry, AcceptedEvent) else entry

    def _offset_at(self, source: Source, arrived_at: float) -> SettledOffset:
        """Date on a source on ``auto`` by what arrived before an instant."""
        events = (
            self._archive.newest_before(source.slug, arrived_at, 4 * SETTLING_EVENTS) if source.zone is None else []
        )
        offset = SettledOffset((event.local_time, event.arrived_at) for event in events)
        self._intake.set_offset(source, offset)
        return offset

    def _entries_of_line(self, line: bytes, wanted: str | None, now: float) -> list[Entry]:
        event_line = json_lines.parse_line(line)
        source = self._sources.get(event_line.source)
        if source is None:
            message = (
                f"its source {event_line.source[:64]!r} is none; the sources are {', '.join(sorted(self._sources))}"
            )
            raise PayloadError(message)
        if wanted not in {None, event_line.source}:
            return []
        if event_line.arrived_at > now + MAX_CLOCK_AHEAD:
            message = "its arrived_at lies in the future"
            raise PayloadError(message)
        if event_line.source not in self._offsets:
            self._offsets[event_line.source] = self._offset_at(source, event_line.arrived_at)
        entries = [
            self._quarantined_if_too_old(entry)
            for entry in self._intake.prepare(source, event_line.body, event_line.arrived_at)
        ]
        for entry in entries:
            if isinstance(entry, AcceptedEvent):
                self._offsets[event_line.source].add(entry.event.local_time, entry.event.arrived_at)
        return entries

    def _reinterpreted_event(self, source: Source, old: AcceptedEvent) -> Event:
        """What a stored event means by now; one that is not understood any more stays as it is."""
        try:
            (entry,) = self._intake.prepare(source, old.body, old.event.arrived_at)
        except PayloadError:
            return old.event
        if not isinstance(entry, AcceptedEvent):
            return old.event
        return replace(entry.event, sequence=old.event.sequence, digest=old.event.digest)


def _labels(event: Event) -> tuple[str, ...]:
    return (event.request_id, event.partner, event.data_type, event.status, event.frequency)


def _count(outcome: ReplayResult, entry: Entry, *, new_to_ledger: bool) -> None:
    if isinstance(entry, QuarantinedBody):
        outcome.still_quarantined[entry.reason] += 1
    elif isinstance(entry, TestCallReceived):
        outcome.test_calls += 1
    elif new_to_ledger:
        outcome.accepted += 1
    else:
        outcome.duplicates += 1
