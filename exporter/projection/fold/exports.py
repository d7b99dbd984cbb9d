"""Which export it was: every event belongs to a declared export, a recognised id, or its group.

An event belongs to the first of these that holds, within its source:

1. a declared export whose ``match`` fits;
2. a recognised request id: one with a recurring frequency that came back for another run, at
   least half an interval after the one before. Its earlier events move to it;
3. its group: partner, type and frequency.

Pure: what has to be read again from the ledger is named in `Exports.stale`.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING

from exporter.domain.deadlines import terms
from exporter.domain.exports import (
    ANY,
    DECLARED,
    GROUP,
    OTHER,
    RECOGNISED,
    ExportKey,
    Selection,
    declared_key,
    group_key,
    id_key,
)
from exporter.projection.fold.evaluation import export_state
from exporter.projection.fold.history import History
from exporter.projection.fold.recurring_ids import RequestId

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from exporter.domain.events import Event, Gap
    from exporter.domain.exports import Declaration, Source, Terms
    from exporter.domain.states import ExportState
    from exporter.projection.fold.history import Base


MOST_IDS = 20_000
"""How many request ids that did not come back are remembered; of the others the ledger is asked."""


class Exports:
    """All exports of all sources, folded from the events that were applied.

    Args:
        sources: by slug; events of any other source are passed over.
        declarations: in the order of the configuration.
        gaps: when nobody listened, in order.
        bases: what exports begin with, of whose events some are no longer in the ledger.
    """

    def __init__(
        self,
        sources: Mapping[str, Source],
        declarations: Sequence[Declaration] = (),
        gaps: Sequence[Gap] = (),
        bases: Mapping[ExportKey, Base] | None = None,
    ) -> None:
        self._sources = sources
        self._gaps = list(gaps)
        self._bases = dict(bases or {})
        self._declared = {declared_key(each): each for each in declarations}
        self._by_source: dict[str, list[tuple[ExportKey, Declaration]]] = {}
        for key, each in self._declared.items():
            self._by_source.setdefault(each.match.source, []).append((key, each))
        self._retired: dict[ExportKey, Sequence[float]] = {}
        self._promises: dict[tuple[str, ExportKey | None], Callable[[int], Terms]] = {}
        self._histories = {key: self._history(key) for key in self._declared}
        self._ids: dict[ExportKey, RequestId] = {}
        self._dormant: dict[ExportKey, int] = {}
        """Of groups that are gone, how many of their events were pruned."""
        self._remembers_all = True
        self.stale: set[ExportKey] = set()
        """Exports to be read again from the ledger, by `selection`, and given to `rebuild`."""
        self.changed: set[ExportKey] = set(self._declared)
        """Exports whose state may differ from what it was; the reader of them clears it."""
        self.unsaved: set[ExportKey] = set(self._declared)
        """Exports that differ from the checkpoint; whoever writes it clears it."""

    def all(self) -> list[ExportKey]:
        """Every export that there is, declared or with an event of its own."""
        return list(self._histories)

    def birth(self, key: ExportKey) -> int:
        """The place of an export's first event in the ledger; 0 for a declared one."""
        return 0 if key in self._declared else self._histories[key].first_sequence()

    def __contains__(self, key: ExportKey) -> bool:
        return key in self._histories

    def unfamiliar(self, events: Iterable[Event]) -> dict[str, set[str]]:
        """The request ids of further events, by source, of which the ledger may know earlier ones.

        They have to be given to `recall` before these events are applied.
        """
        found: dict[str, set[str]] = {}
        if self._remembers_all:
            return found
        for event in events:
            if event.source in self._sources and self._recurs(event):
                key = id_key(event)
                if key not in self._ids and key not in self._histories and key not in self._bases:
                    found.setdefault(event.source, set()).add(event.request_id)
        return found

    def recall(self, events: Iterable[Event]) -> None:
        """Take all applied events of ids that were `unfamiliar`, in any order."""
        found: dict[ExportKey, list[Event]] = {}
        for event in events:
            if self._recurs(event):
                found.setdefault(id_key(event), []).append(event)
        for key, own in found.items():
            entry = self._ids[key] = RequestId(self._history(key))
            for event in own:
                entry.note(event)
            entry.history.rebuild(own)

    def forget_ids(self) -> None:
        """Rely on the ledger for every id that has not come back, since it may have lost events of them."""
        self._ids.clear()
        self.stale.intersection_update(self._histories)
        self._remembers_all = False

    def take_gaps(self, gaps: Sequence[Gap]) -> bool:
        """Take the gaps as they are now.

        Returns:
            False, and nothing was done, where they are not the old ones and later ones: then all
            has to be folded again.
        """
        old = len(self._gaps)
        if gaps[:old] != self._gaps:
            return False
        if gaps[old:]:
            began = gaps[old].began_at
            self._gaps += gaps[old:]  # the list that every history has
            self.stale.update(key for key, history in self._histories.items() if history.settled_beyond(began))
            self.changed.update(self._histories)
            self.forget_ids()
        return True

    def rebase(self, key: ExportKey, count: int) -> None:
        """Take note that ``count`` events of an export are not in the ledger any more."""
        if key in self._histories:
            self._histories[key].rebase(count)
            self.unsaved.add(key)
            self._drop_if_empty(key)

    def history(self, key: ExportKey) -> History | None:
        """What is known of an export, to be stored; None where it is gone."""
        return self._histories.get(key)

    def new_history(self, key: ExportKey) -> History:
        """An export with nothing known of it, for the caller to restore."""
        made = self._histories[key] = self._history(key)
        return made

    def apply(self, events: Iterable[Event]) -> None:
        """Take further events, each once, in any order."""
        touched: dict[ExportKey, list[Event]] = {}
        for event in events:
            if event.source not in self._sources:
                continue
            key = self._declared_for(event)
            if key is None:
                key = id_key(event) if event.schedule.interval else group_key(event)
                if key.kind == RECOGNISED and key not in self._histories and key not in self._bases:
                    touched.setdefault(key, []).append(event)
                    continue
            self._add(key, event)
        for key, added in touched.items():
            self._take(key, added)
        if len(self._ids) > MOST_IDS:
            for key in list(islice(self._ids, MOST_IDS // 2)):
                del self._ids[key]
                self.stale.discard(key)
            self._remembers_all = False

    def selection(self, key: ExportKey) -> Selection:
        """Which events may belong to an export; `rebuild` passes over those that do not."""
        if key.kind == DECLARED:
            return self._declared[key].match
        if key.kind == RECOGNISED:
            return Selection(key.source, request_id=key.name)
        return Selection(key.source, partner=key.partner, data_type=key.data_type, frequency=key.frequency)

    def rebuild(self, key: ExportKey, events: Iterable[Event], base: Base | None = None) -> None:
        """Start an export again from all events of its selection, in any order, and what was before them."""
        if key in self._histories:
            self._histories[key].rebuild((event for event in events if self.key_of(event) == key), base)
        else:
            self._ids[key].history.rebuild(event for event in events if self._recurs(event))
        self._mark(key)
        self.stale.discard(key)

    def state(self, key: ExportKey, now: float, declared_at: float = 0) -> ExportState:
        """The state of an export at ``now``; ``declared_at`` is when it was first declared."""
        history = self._histories[key]
        runs = history.runs()
        return export_state(
            key,
            runs,
            history.promise(runs.interval),
            self._sources[key.source],
            now=now,
            gaps=self._gaps,
            declared=self._declared.get(key),
            declared_at=declared_at,
            retired=self._retired.get(key, ()),
        )

    def take_retirements(
        self, retired: Mapping[ExportKey, Sequence[float]], taken_back: Iterable[ExportKey] = ()
    ) -> None:
        """Take the instants at which people retired exports; what they change has to be read again.

        Args:
            retired: the instants of each export, in order.
            taken_back: exports of which one was taken back, by which what was stored may have been folded.
        """
        changed = {key for key in self._retired.keys() | retired.keys() if self._retired.get(key) != retired.get(key)}
        changed.update(taken_back)
        self._retired = dict(retired)
        for key in changed & self._histories.keys():
            self._histories[key].retired = retired.get(key, ())
            self.stale.add(key)

    def last_received(self, key: ExportKey) -> float:
        """The arrival of an export's newest event; 0 for none."""
        return self._histories[key].runs().last_received

    def owns(self, key: ExportKey, event: Event) -> bool:
        """Whether an event that was applied belongs to an export."""
        return event.source in self._sources and self.key_of(event) == key

    def follows(self, event: Event) -> bool:
        """Whether the source of an event is configured."""
        return event.source in self._sources

    def key_of(self, event: Event) -> ExportKey:
        """The export to which an applied event of a configured source belongs."""
        declared = self._declared_for(event)
        if declared is not None:
            return declared
        own = id_key(event)
        return own if event.schedule.interval and own in self._histories else group_key(event)

    def members(self, key: ExportKey) -> int:
        """How many events of the ledger belong to an export."""
        return self._histories[key].members if key in self._histories else 0

    def folded(self, key: ExportKey, base: Base | None, events: Iterable[Event]) -> Base:
        """What the next events of an export amount to, in the order of history, after a base."""
        made = History(self._promises_of(key), self._gaps, base)
        made.retired = self._retired.get(key, ())
        return made.all_folded(events)

    def recognised(self) -> list[ExportKey]:
        """The request ids that are exports of their own."""
        return sorted(key for key in self._histories if key.kind == RECOGNISED)

    def _take(self, key: ExportKey, added: Sequence[Event]) -> None:
        """Take new events of one request id that is no export yet, and recognise it where it came back."""
        entry = self._ids.get(key)
        if entry is None:
            entry = self._ids[key] = RequestId(self._history(key))
        for event in added:
            entry.note(event)
            if key not in self.stale and not entry.history.add(event):
                self.stale.add(key)
        if entry.came_back and self._may_be_a_label(key):
            self._recognise(key, entry, added)
        else:
            for event in added:
                self._add(group_key(event), event)

    def _recognise(self, key: ExportKey, entry: RequestId, added: Sequence[Event]) -> None:
        self._histories[key] = entry.history
        entry.history.members = entry.groups.total()
        entry.groups.subtract(Counter(map(group_key, added)))  # which no group has taken
        for group, count in entry.groups.items():
            if count:
                self._leave(group, key.name, count)
        del self._ids[key]
        self._mark(key)

    def _leave(self, group: ExportKey, request_id: str, count: int) -> None:
        history = self._histories[group]
        history.members -= count
        self._drop_if_empty(group)
        if group in self._histories and group not in self.stale and not history.remove(request_id, count):
            self.stale.add(group)
        self._mark(group)

    def _drop_if_empty(self, key: ExportKey) -> None:
        history = self._histories[key]
        if key.kind == GROUP and not history.members:
            # Gone, and not worth reading again.
            self.stale.discard(key)
            del self._histories[key]
            if history.based:
                self._dormant[key] = history.based
            self._mark(key)

    def _mark(self, key: ExportKey) -> None:
        self.changed.add(key)
        self.unsaved.add(key)

    def _may_be_a_label(self, key: ExportKey) -> bool:
        """Whether the id can name a series beside those that are there by declaration."""
        taken = {each.name for _, each in self._by_source.get(key.source, ())}
        return key.name not in taken | {ANY, OTHER}

    def _add(self, key: ExportKey, event: Event) -> None:
        history = self._histories.get(key)
        if history is None:
            history = self._histories[key] = self._history(key)
            if key in self._dormant:
                history.based = self._dormant.pop(key)
                self.stale.add(key)
        history.members += 1
        if key not in self.stale and not history.add(event):
            self.stale.add(key)
        self.changed.add(key)
        self.unsaved.add(key)

    def _recurs(self, event: Event) -> bool:
        """Whether an event counts for its request id."""
        return event.schedule.interval > 0 and self._declared_for(event) is None

    def _declared_for(self, event: Event) -> ExportKey | None:
        for key, each in self._by_source.get(event.source, ()):
            if each.match.fits(event):
                return key
        return None

    def _history(self, key: ExportKey) -> History:
        made = History(self._promises_of(key), self._gaps, self._bases.pop(key, None))
        made.retired = self._retired.get(key, ())
        return made

    def _promises_of(self, key: ExportKey) -> Callable[[int], Terms]:
        declared = self._declared.get(key)
        which = (key.source, key if declared else None)
        found = self._promises.get(which)
        if found is None:
            found = self._promises[which] = _promises(self._sources[key.source], declared)
        return found


def _promises(source: Source, declared: Declaration | None) -> Callable[[int], Terms]:
    """What an export promises, by the interval that its events name."""

    @lru_cache(maxsize=256)
    def promise(interval: int) -> Terms:
        return terms(interval, source.zone, declared)

    return promise
