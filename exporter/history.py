"""The fold: the events of one export, in the order of history, become its state.

Pure: no I/O, and no clock; now is a parameter. The result depends on the set of events and not
on the order in which they were delivered. What is folded for good is compact; the newest few
events are kept beside it, so that one that comes a little late is put in its place at once.
One that is older than that asks for the export's events again.
"""

from __future__ import annotations

import copy
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING

from exporter import schedule
from exporter.frequency import parse
from exporter.marks import BEFORE_1970, MARK, Said, interned, mark_of
from exporter.model import COMPLETED, FAILURES, INITIATED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from exporter.model import Event, Gap, Terms

DURATION_BOUNDS = (60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0, 14400.0, 21600.0, 43200.0)
"""Upper bounds of the duration histogram, in seconds; one bucket without a bound follows."""

RECENT = 16
"""How many of the newest events stay loose before the older half is folded for good."""
MANY = 4
"""From so many loose events on what they amount to is kept as well: 0.6 kB an export, and each is folded once."""


@dataclass(slots=True)
class Runs:
    """What the events of one export amount to, as far as they were stepped through."""

    partner: str = ""
    data_type: str = ""
    frequency: str = ""
    first_sequence: int = 0
    interval: int = 0
    shortest_interval: int = 0
    first_start: float = 0
    first_completed: float = 0
    last_initiated: float = 0
    last_completed: float = 0
    last_announced: float = 0
    last_failed: float = 0
    returned: float = 0
    last_received: float = 0
    last_duration: float = 0
    durations: tuple[int, ...] = (0,) * (len(DURATION_BOUNDS) + 1)
    duration_sum: float = 0
    initiated: int = 0
    completed: int = 0
    failed: int = 0
    abandoned: int = 0
    open: dict[str, float] = field(default_factory=dict)
    anchor: float = 0
    anchor_promise: Terms | None = None
    slots: int = 0
    late: int = 0
    missed: int = 0
    unknown: int = 0

    def copy(self) -> Runs:
        """An independent copy."""
        other = copy.copy(self)
        other.open = dict(self.open)
        return other

    @property
    def came_back(self) -> bool:
        """Whether another run followed at least half an interval after the first one.

        A further event never takes this back, wherever in history its place is: what is told here
        counts every announcement, since which of them is a run of its own may change.
        """
        return came_back(
            self.shortest_interval, self.first_start, self.last_announced, self.first_completed, self.last_completed
        )

    def step(self, mark: bytes, said: Said, promise: Terms, gaps: Sequence[Gap], retired: Sequence[float]) -> None:
        """Take the next event in the order of history."""
        occurred, _, arrived, _, sequence = MARK.unpack(mark)
        occurred_at = (occurred - BEFORE_1970) / 1e6
        self._describe(said)
        if sequence < self.first_sequence or not self.first_sequence:
            self.first_sequence = sequence
        arrived_at = (arrived - BEFORE_1970) / 1e6
        self.last_received = max(self.last_received, arrived_at)
        if said.status == INITIATED:
            self._start(said.request_id, occurred_at, promise, gaps, retired)
        elif said.status == COMPLETED:
            self._complete(said.request_id, occurred_at)
        elif said.status in FAILURES:
            self.open.pop(said.request_id, None)
            self.failed += 1
            self.last_failed = occurred_at

    def _describe(self, said: Said) -> None:
        # Two spellings that differ in case only must not make the labels go to and fro.
        if said.partner != self.partner:
            self.partner = _respelled(self.partner, said.partner)
        if said.data_type != self.data_type:
            self.data_type = _respelled(self.data_type, said.data_type)
        if said.frequency != self.frequency:
            self.frequency = _respelled(self.frequency, said.frequency)
        if interval := parse(said.frequency).interval:
            # A one-time run among those of a declared export must not take its deadline away.
            self.interval = interval
            if interval < self.shortest_interval or not self.shortest_interval:
                self.shortest_interval = interval

    def _start(
        self, request_id: str, occurred_at: float, promise: Terms, gaps: Sequence[Gap], retired: Sequence[float]
    ) -> None:
        self.last_announced = occurred_at
        began = self.open.get(request_id)
        if began is not None:
            # Where no interval is known, the longest a run may take tells two runs apart.
            apart = promise.interval / 2 if promise.interval else promise.max_runtime
            if occurred_at - began < apart:
                return  # the same run, announced again
            self.abandoned += 1
        if self.open:
            self._give_up(occurred_at - promise.max_runtime - promise.interval if promise.interval else 0.0)
            self.open.pop(request_id, None)  # so that they stay in the order in which they began
        self.open[request_id] = occurred_at
        self.initiated += 1
        self.first_start = self.first_start or occurred_at
        if retired and any(self.last_initiated < each <= occurred_at for each in retired):
            self.returned = occurred_at
        self.last_initiated = occurred_at
        if promise.interval:
            self._take_slot(occurred_at, promise, gaps, retired)

    def _give_up(self, before: float) -> None:
        """Abandon runs that began before an instant, though no run of their own id followed.

        Where ids are made anew for each run, none ever will; by then it was told for a whole interval.
        """
        for request_id, _ in list(takewhile(lambda run: run[1] < before, self.open.items())):
            del self.open[request_id]
            self.abandoned += 1

    def _take_slot(self, start: float, promise: Terms, gaps: Sequence[Gap], retired: Sequence[float]) -> None:
        """Count the slots up to a start, by the schedule that held until then."""
        before, self.anchor_promise = self.anchor_promise, promise
        old = before or promise
        rescheduled = before is None or old.interval != promise.interval
        count = schedule.slots_until(self.anchor, start, old) if before else 0
        retired_at = schedule.first_after(self.anchor, retired) if retired else 0.0
        if before and 0 < retired_at <= start:
            # What it missed before is told already; in retirement nothing was due.
            rescheduled, count = True, schedule.missed_by(self.anchor, retired_at, old) + 1
        if rescheduled or count:
            self.slots += max(1, count)
            if count > 1:
                unknown = schedule.unknown_among(self.anchor, count - 1, old, gaps)
                self.unknown += unknown
                self.missed += count - 1 - unknown
            due = start if rescheduled else schedule.latest_after(self.anchor, count, promise)
            self.late += start > due + promise.grace
            self.anchor = start

    def _complete(self, request_id: str, occurred_at: float) -> None:
        self.completed += 1
        self.first_completed = self.first_completed or occurred_at
        self.last_completed = occurred_at
        began = self.open.pop(request_id, None)
        if began is None:
            return
        self.last_duration = occurred_at - began
        self.duration_sum += self.last_duration
        bucket = bisect_left(DURATION_BOUNDS, self.last_duration)
        self.durations = (*self.durations[:bucket], self.durations[bucket] + 1, *self.durations[bucket + 1 :])


@dataclass(frozen=True, slots=True)
class Base:
    """What the events amount to that are no longer in the ledger: a history begins with it.

    Attributes:
        watermark: the mark of the last of them; what belongs before it changes nothing any more.
        count: how many they were.
    """

    runs: Runs
    watermark: bytes
    count: int


class History:
    """The events of one export, as far as they are known.

    Args:
        promises: what the export promises when its events have this interval.
        gaps: when nobody listened, in order.
        base: what it begins with.
    """

    __slots__ = (
        "_floor",
        "_gaps",
        "_gaps_in_newest",
        "_marks",
        "_newest",
        "_promises",
        "_said",
        "_settled",
        "_settled_count",
        "_watermark",
        "based",
        "members",
        "retired",
    )

    def __init__(self, promises: Callable[[int], Terms], gaps: Sequence[Gap] = (), base: Base | None = None) -> None:
        self._promises = promises
        self._gaps = gaps
        self._marks: list[bytes] = []
        self._said: list[Said] = []
        self.members = 0
        """How many events of the ledger are its own, also while it has to be read again; kept by its owner."""
        self.based = base.count if base else 0
        """How many events are not in the ledger any more."""
        self.retired: Sequence[float] = ()
        """When people retired the export, in order; a change asks for `rebuild`."""
        self._newest: Runs | None = None
        """What all events amount to, with so many gaps; None where that has to be folded first."""
        self._gaps_in_newest = 0
        self._begin(base)

    def __len__(self) -> int:
        """How many events it holds."""
        return self._settled_count + len(self._marks)

    def add(self, event: Event) -> bool:
        """Put ``event`` in its place.

        Returns:
            False, and nothing was done, where it is too old for that: give all to `rebuild`.
        """
        mark = mark_of(event)
        if mark < self._watermark:
            return mark < self._floor
        marks = self._marks
        at = len(marks) if not marks or mark > marks[-1] else bisect_right(marks, mark)
        marks.insert(at, mark)
        said = self._shared(event)
        self._said.insert(at, said)
        if self._newest is not None:
            if mark is marks[-1] and self._gaps_in_newest == len(self._gaps):
                self._step(self._newest, mark, said)
            else:
                self._newest = None
        if len(marks) > RECENT:
            self._settle(RECENT // 2)
        return True

    def remove(self, request_id: str, count: int) -> bool:
        """Take the ``count`` events of a request id out, where they are all recent; else False."""
        kept = [(mark, said) for mark, said in zip(self._marks, self._said, strict=True) if said[0] != request_id]
        if len(self._marks) - len(kept) != count:
            return False
        self._marks, self._said = [mark for mark, _ in kept], [said for _, said in kept]
        self._newest = None
        return True

    def rebuild(self, events: Iterable[Event], base: Base | None = None) -> None:
        """Start again from these events, in any order, and from what was before them."""
        self._begin(base)
        if base:
            self.rebase(base.count)
        self._said = []
        found = sorted((mark_of(event), event) for event in events)
        for _, event in found:
            self._said.append(self._shared(event))
        self._marks = [mark for mark, _ in found]
        ignored = bisect_left(self._marks, self._floor)
        del self._marks[:ignored], self._said[:ignored]
        if len(self._marks) > RECENT:
            self._settle(len(self._marks) - RECENT // 2)

    def rebase(self, count: int) -> None:
        """Take note that ``count`` events are not in the ledger any more."""
        self.members -= count - self.based
        self.based = count

    def all_folded(self, events: Iterable[Event]) -> Base:
        """What a base, and nothing else, amounts to with the events after it in the order of history."""
        runs, mark, count = self.runs().copy(), self._watermark, len(self)
        for event in events:
            mark = mark_of(event)
            count += 1
            self._step(runs, mark, self._shared(event))
        return Base(runs, mark, count)

    def runs(self) -> Runs:
        """What all of its events amount to, until the next one; not to be changed."""
        if self._newest is not None and self._gaps_in_newest == len(self._gaps):
            return self._newest
        runs = self._settled.copy() if self._settled else Runs()
        for mark, said in zip(self._marks, self._said, strict=True):
            self._step(runs, mark, said)
        if len(self._marks) >= MANY:
            self._newest, self._gaps_in_newest = runs, len(self._gaps)  # gaps are only ever added to
        return runs

    @property
    def floor(self) -> bytes:
        """The mark before which an event changes nothing any more."""
        return self._floor

    def parts(self) -> tuple[Base | None, Sequence[bytes], Sequence[Said]]:
        """What is folded for good, and the loose events after it, to be stored."""
        settled = None if self._settled is None else Base(self._settled, self._watermark, self._settled_count)
        return settled, self._marks, self._said

    def fill(self, settled: Base | None, floor: bytes, recent: Iterable[tuple[bytes, Sequence[str]]]) -> None:
        """Take what was stored instead of what is known.

        Raises:
            TypeError, ValueError: it can be no such thing.
        """
        self._begin(settled)
        self._floor = floor
        said: dict[tuple[str, ...], Said] = {}
        for mark, words in recent:
            if len(mark) != MARK.size:
                message = f"a mark has {MARK.size} bytes, not {len(mark)}"
                raise ValueError(message)
            self._marks.append(mark)
            self._said.append(said.setdefault(tuple(words), interned(*words)))

    def first_sequence(self) -> int:
        """The place of its first event in the ledger; 0 where it has none."""
        if self._newest is not None:
            return self._newest.first_sequence
        found = [MARK.unpack(mark)[-1] for mark in self._marks]
        if self._settled and self._settled.first_sequence:
            found.append(self._settled.first_sequence)
        return min(found, default=0)

    def settled_beyond(self, instant: float) -> bool:
        """Whether a slot that was waited for at or after ``instant`` may be folded for good."""
        settled = self._settled
        if settled is None or settled.anchor_promise is None:
            return False
        return settled.last_announced + max(settled.anchor_promise.grace, schedule.LEAST_GRACE) > instant

    def _begin(self, base: Base | None) -> None:
        self._settled = base.runs.copy() if base else None
        self._settled_count = base.count if base else 0
        self._watermark = self._floor = base.watermark if base else b""
        self._newest = None

    def _shared(self, event: Event) -> Said:
        said = Said(event.request_id, event.partner, event.data_type, event.status, event.frequency)
        for known in self._said[:-4:-1]:
            if known == said:
                return known
        return interned(*said)

    def _settle(self, count: int) -> None:
        if self._settled is None:
            self._settled = Runs()
        for mark, said in zip(self._marks[:count], self._said, strict=False):
            self._step(self._settled, mark, said)
        self._watermark = self._marks[count - 1]
        self._settled_count += count
        del self._marks[:count], self._said[:count]

    def _step(self, runs: Runs, mark: bytes, said: Said) -> None:
        runs.step(mark, said, self._promises(parse(said.frequency).interval), self._gaps, self.retired)


def came_back(
    shortest_interval: int, first_start: float, last_start: float, first_completed: float, last_completed: float
) -> bool:
    """Whether an id ran again: two announcements lie at least half of its shortest interval apart."""
    if not shortest_interval:
        return False
    started_again = last_start - min(first_start, first_completed or first_start) if last_start else 0
    # Where only completions arrive, two of them tell the same.
    completed_again = last_completed - first_completed
    return max(started_again, completed_again) >= shortest_interval / 2


def _respelled(old: str, new: str) -> str:
    return old if old == new or old.casefold() == new.casefold() else new
