"""The fold: the events of one export, in the order of history, become its state.

Pure: no I/O, and no clock; now is a parameter. The result depends on the set of events and not
on the order in which they were delivered. What is folded for good is compact; the newest few
events are kept beside it, so that one that comes a little late is put in its place at once.
One that is older than that asks for the export's events again.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.domain.frequency import parse
from exporter.projection.fold.runs import Runs
from exporter.projection.fold.sort_keys import MARK, Said, interned, mark_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from exporter.domain.events import Event, Gap
    from exporter.domain.exports import Terms

RECENT = 16
"""How many of the newest events stay loose before the older half is folded for good."""
MANY = 4
"""From so many loose events on what they amount to is kept as well: 0.6 kB an export, and each is folded once."""


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
        "_said",
        "_settled",
        "_settled_count",
        "_watermark",
        "based",
        "members",
        "promise",
        "retired",
    )

    def __init__(self, promises: Callable[[int], Terms], gaps: Sequence[Gap] = (), base: Base | None = None) -> None:
        self.promise = promises
        """What the export promises, by the interval of its events."""
        self._gaps = gaps
        self._settled: Runs | None = None
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
        held = self._held()
        if held is not None and mark is marks[-1]:
            self._step(held, mark, said)
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
        held = self._held()
        if held is not None:
            return held
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

    @property
    def gaps_known(self) -> int:
        """With how many gaps `runs` was folded."""
        return len(self._gaps)

    def parts(self) -> tuple[Base | None, Sequence[bytes], Sequence[Said]]:
        """What is folded for good, and the loose events after it, to be stored."""
        settled = None if self._settled is None else Base(self._settled, self._watermark, self._settled_count)
        return settled, self._marks, self._said

    def restore(self, settled: Base | None, floor: bytes, marks: list[bytes], said: list[Said]) -> None:
        """Take stored `parts` and `floor` in a new history; the settled runs and both lists are kept, not copied."""
        if settled is not None:
            self._settled, self._watermark, self._settled_count = settled.runs, settled.watermark, settled.count
        self._floor, self._marks, self._said = floor, marks, said

    def restore_runs(self, runs: Runs, gaps_known: int) -> None:
        """Take stored `runs`, so that a start need not step through the loose events."""
        self._newest, self._gaps_in_newest = runs, gaps_known

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
        return self._settled is not None and self._settled.waited_beyond(instant)

    def _held(self) -> Runs | None:
        """What was folded, unless another gap would have changed it; gaps are only ever added to."""
        known = self._gaps_in_newest
        if self._newest is not None and known < len(self._gaps):
            if self._newest.waited_beyond(self._gaps[known].began_at):
                self._newest = None
            self._gaps_in_newest = len(self._gaps)
        return self._newest

    def _begin(self, base: Base | None) -> None:
        self._settled = base.runs.copy() if base else None
        self._settled_count = base.count if base else 0
        self._watermark = self._floor = base.watermark if base else b""
        self._newest = None

    def _shared(self, event: Event) -> Said:
        said = event.request_id, event.partner, event.data_type, event.status, event.frequency
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
        runs.step(mark, said, self.promise(parse(said.frequency).interval), self._gaps, self.retired)
