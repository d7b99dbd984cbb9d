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
from exporter.domain.event_time import EVIDENCE, SettledOffset
from exporter.domain.events import Quarantined
from exporter.ingest import json_lines
from exporter.ingest.intake import Intake, kept_or_too_old
from exporter.ledger.contract import Received, TestCalled
from exporter.ledger.replay_store import PAGE, Place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from exporter.domain.events import Event
    from exporter.domain.exports import Source
    from exporter.ledger.contract import Entry, Ledger
    from exporter.ledger.replay_store import Archive

LARGEST_BODY = 1 << 24
"""What was taken once is taken again, whatever the limit is now."""
EARLY = 120.0
"""Seconds by which an arrival may be ahead of this machine's clock."""


@dataclass(slots=True)
class Outcome:
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
    left: Counter[str] = field(default_factory=Counter)
    moved: Counter[float] = field(default_factory=Counter)
    reworded: int = 0
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
        self, ledger: Ledger, archive: Archive, sources: Mapping[str, Source], oldest: float = -math.inf
    ) -> None:
        self._oldest = oldest
        self._ledger = ledger
        self._archive = archive
        self._sources = sources
        self._intake = Intake(ledger, LARGEST_BODY)
        self._settled: dict[str, SettledOffset] = {}

    def quarantined(self, sources: Iterable[str], reason: str | None, *, dry_run: bool) -> Iterator[Outcome]:
        """Let what is understood by now leave the quarantine; yields after each page what was done so far."""
        outcome = Outcome()
        for slug in sources:
            after = 0
            while page := self._ledger.quarantine(PAGE, slug, after):
                after = page[-1].sequence
                pairs = [(each, self.again(each)) for each in page if reason in {None, each.reason}]
                answers = [True] * len(pairs) if dry_run else self._archive.resolve(pairs)
                for (_, new), fresh in zip(pairs, answers, strict=True):
                    if fresh is not None:
                        _count(outcome, new, new_to_ledger=fresh)
                yield outcome

    def lines(
        self, lines: Iterable[bytes], source: str | None, now: float, tell: Callable[[str], object]
    ) -> Iterator[Outcome]:
        """Take events from JSON lines; yields after each page what was done so far.

        Args:
            lines: as `exporter.ingest.json_lines` reads them; empty ones are passed over.
            source: only those of this source; None for all.
            now: no arrival lies after it.
            tell: told of each line that is bad, by its number.
        """
        outcome = Outcome()
        rest = enumerate(lines, 1)
        while numbered := list(islice(rest, PAGE)):
            entries: list[Entry] = []
            for number, line in numbered:
                if not line.strip():
                    continue
                try:
                    entries += self._read(line, source, now)
                except PayloadError as error:
                    outcome.bad_lines += 1
                    tell(f"line {number}: {error}")
            for entry, fresh in zip(entries, self._ledger.append(entries) if entries else [], strict=True):
                _count(outcome, entry, new_to_ledger=fresh)
            yield outcome

    def rebuild(self, sources: Iterable[str], *, dry_run: bool) -> Iterator[Outcome]:
        """Date every stored event again, in the order of arrival; yields after each page what was done so far.

        The ledger's readers are told with the last page, so that they fold the old or the new.
        """
        outcome = Outcome()
        for slug in sources:
            source = self._sources[slug]
            after = Place()
            settled = SettledOffset()
            self._intake.settle(source, settled)
            while page := self._archive.received(slug, after):
                after = Place.of(page[-1].event)
                changed = []
                for old in page:
                    new = self._meant(source, old)
                    settled.add(new.local_time, new.arrived_at)
                    if new == old.event:
                        outcome.unchanged += 1
                        continue
                    changed.append(new)
                    outcome.changed += 1
                    outcome.moved[new.occurred_at - old.event.occurred_at] += 1
                    outcome.reworded += _words(new) != _words(old.event)
                if changed and not dry_run:
                    self._archive.amend(changed, last=False)
                yield outcome
        if not dry_run:
            self._archive.amend([], last=True)
            yield outcome

    def again(self, old: Quarantined) -> Entry:
        """What a quarantined body is understood as now."""
        source = self._sources[old.source]
        self._settle(source, old.arrived_at)
        try:
            (entry,) = self._intake.prepare(source, old.body, old.arrived_at)
        except PayloadError as error:
            return replace(old, detail=str(error))
        return self._aged(entry)

    def _aged(self, entry: Entry) -> Entry:
        return kept_or_too_old(entry, self._oldest) if isinstance(entry, Received) else entry

    def _settle(self, source: Source, arrived_at: float) -> SettledOffset:
        """Date on a source on ``auto`` by what arrived before an instant."""
        known = self._archive.before(source.slug, arrived_at, 4 * EVIDENCE) if source.zone is None else []
        settled = SettledOffset((event.local_time, event.arrived_at) for event in known)
        self._intake.settle(source, settled)
        return settled

    def _read(self, line: bytes, wanted: str | None, now: float) -> list[Entry]:
        read = json_lines.read(line)
        source = self._sources.get(read.source)
        if source is None:
            message = f"its source {read.source[:64]!r} is none; the sources are {', '.join(sorted(self._sources))}"
            raise PayloadError(message)
        if wanted not in {None, read.source}:
            return []
        if read.arrived_at > now + EARLY:
            message = "its arrived_at lies in the future"
            raise PayloadError(message)
        if read.source not in self._settled:
            self._settled[read.source] = self._settle(source, read.arrived_at)
        entries = [self._aged(each) for each in self._intake.prepare(source, read.body, read.arrived_at)]
        for entry in entries:
            if isinstance(entry, Received):
                self._settled[read.source].add(entry.event.local_time, entry.event.arrived_at)
        return entries

    def _meant(self, source: Source, old: Received) -> Event:
        """What a stored event means by now; one that is not understood any more stays as it is."""
        try:
            (entry,) = self._intake.prepare(source, old.body, old.event.arrived_at)
        except PayloadError:
            return old.event
        if not isinstance(entry, Received):
            return old.event
        return replace(entry.event, sequence=old.event.sequence, digest=old.event.digest)


def _words(event: Event) -> tuple[str, ...]:
    return (event.request_id, event.partner, event.data_type, event.status, event.frequency)


def _count(outcome: Outcome, entry: Entry, *, new_to_ledger: bool) -> None:
    if isinstance(entry, Quarantined):
        outcome.left[entry.reason] += 1
    elif isinstance(entry, TestCalled):
        outcome.test_calls += 1
    elif new_to_ledger:
        outcome.accepted += 1
    else:
        outcome.duplicates += 1
