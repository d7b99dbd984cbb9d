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
from typing import TYPE_CHECKING

from exporter.history import History
from exporter.model import ANY, OTHER, ExportKey, Selection
from exporter.schedule import terms
from exporter.state import DECLARED, GROUP, RECOGNISED, export_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from exporter.model import Declaration, Event, ExportState, Gap, Source, Terms


class _Id:
    """A request id with a recurring frequency: an export of its own once it came back."""

    __slots__ = ("groups", "history", "recognised")

    def __init__(self, history: History) -> None:
        self.history = history
        self.recognised = False
        self.groups: Counter[ExportKey] = Counter()
        """How many of its events stand in which group, until it is recognised."""


class Exports:
    """All exports of all sources, folded from the events that were applied.

    Args:
        sources: by slug; events of any other source are passed over.
        declarations: in the order of the configuration.
        gaps: when nobody listened, in order.
    """

    def __init__(
        self,
        sources: Mapping[str, Source],
        declarations: Sequence[Declaration] = (),
        gaps: Sequence[Gap] = (),
    ) -> None:
        self._sources = sources
        self._gaps = gaps
        self._declared = {_declared_key(each): each for each in declarations}
        self._by_source: dict[str, list[tuple[ExportKey, Declaration]]] = {}
        for key, each in self._declared.items():
            self._by_source.setdefault(each.match.source, []).append((key, each))
        self._promises: dict[tuple[str, ExportKey | None], Callable[[int], Terms]] = {}
        self._histories = {key: self._history(key) for key in self._declared}
        self._ids: dict[ExportKey, _Id] = {}
        self._members: Counter[ExportKey] = Counter()
        """How many events each declared export and group has, also while it is stale."""
        self.stale: set[ExportKey] = set()
        """Exports to be read again from the ledger, by `selection`, and given to `rebuild`."""
        self.changed: set[ExportKey] = set(self._declared)
        """Exports whose state may differ from what it was; the reader of them clears it."""

    def all(self) -> list[ExportKey]:
        """Every export that there is, declared or with an event of its own."""
        return list(self._histories)

    def birth(self, key: ExportKey) -> int:
        """The place of an export's first event in the ledger; 0 for a declared one."""
        return 0 if key in self._declared else self._histories[key].runs().first_sequence

    def __contains__(self, key: ExportKey) -> bool:
        return key in self._histories

    def apply(self, events: Iterable[Event]) -> None:
        """Take further events, each once, in any order."""
        touched: dict[ExportKey, list[Event]] = {}
        for event in events:
            if event.source not in self._sources:
                continue
            key = self._declared_for(event)
            if key is not None:
                self._add(key, event)
            elif event.schedule.interval:
                touched.setdefault(_id_key(event), []).append(event)
            else:
                self._add(_group_key(event), event)
        for key, added in touched.items():
            self._take(key, added)

    def selection(self, key: ExportKey) -> Selection:
        """Which events may belong to an export; `rebuild` passes over those that do not."""
        if key.kind == DECLARED:
            return self._declared[key].match
        if key.kind == RECOGNISED:
            return Selection(key.source, request_id=key.name)
        return Selection(key.source, partner=key.partner, data_type=key.data_type, frequency=key.frequency)

    def rebuild(self, key: ExportKey, events: Iterable[Event]) -> None:
        """Start an export again from all events of its selection, in any order."""
        own = [event for event in events if self._belongs(event, key)]
        if key.kind == RECOGNISED:
            entry = self._ids[key]
            entry.history.rebuild(own)
            if not entry.recognised and entry.history.runs().came_back and self._may_be_a_label(key):
                self._recognise(key, entry)
        else:
            self._histories[key].rebuild(own)
        self.changed.add(key)
        self.stale.discard(key)

    def state(self, key: ExportKey, now: float, declared_at: float = 0) -> ExportState:
        """The state of an export at ``now``; ``declared_at`` is when it was first declared."""
        runs = self._histories[key].runs()
        promise = self._promises_of(key)(runs.interval)
        return export_state(
            key,
            runs,
            promise,
            self._sources[key.source],
            now=now,
            gaps=self._gaps,
            declared=self._declared.get(key),
            declared_at=declared_at,
        )

    def owns(self, key: ExportKey, event: Event) -> bool:
        """Whether an event that was applied belongs to an export."""
        return event.source in self._sources and self._belongs(event, key)

    def recognised(self) -> list[ExportKey]:
        """The request ids that are exports of their own."""
        return sorted(key for key in self._histories if key.kind == RECOGNISED)

    def _take(self, key: ExportKey, added: Sequence[Event]) -> None:
        """Take new events of one request id, and recognise it where it came back."""
        entry = self._ids.get(key)
        if entry is None:
            entry = self._ids[key] = _Id(self._history(key))
        for event in added:
            if key not in self.stale and not entry.history.add(event):
                self.stale.add(key)
        if entry.recognised:
            self.changed.add(key)
        elif entry.history.runs().came_back and self._may_be_a_label(key):
            self._recognise(key, entry)
        else:
            for event in added:
                group = _group_key(event)
                entry.groups[group] += 1
                self._add(group, event)

    def _recognise(self, key: ExportKey, entry: _Id) -> None:
        entry.recognised = True
        self._histories[key] = entry.history
        for group, count in entry.groups.items():
            self._members[group] -= count
            if not self._members[group]:
                # Gone, and not worth reading again.
                self.stale.discard(group)
                del self._histories[group], self._members[group]
            elif group not in self.stale and not self._histories[group].remove(key.name, count):
                self.stale.add(group)
            self.changed.add(group)
        entry.groups.clear()
        self.changed.add(key)

    def _may_be_a_label(self, key: ExportKey) -> bool:
        """Whether the id can name a series beside those that are there by declaration."""
        taken = {each.name for _, each in self._by_source.get(key.source, ())}
        return key.name not in taken | {ANY, OTHER}

    def _add(self, key: ExportKey, event: Event) -> None:
        history = self._histories.get(key)
        if history is None:
            history = self._histories[key] = self._history(key)
        self._members[key] += 1
        if key not in self.stale and not history.add(event):
            self.stale.add(key)
        self.changed.add(key)

    def _belongs(self, event: Event, key: ExportKey) -> bool:
        declared = self._declared_for(event)
        if declared is not None or key.kind == DECLARED:
            return declared == key
        if event.schedule.interval:
            entry = self._ids.get(_id_key(event))
            recognised = entry is not None and entry.recognised
            return _id_key(event) == key if key.kind == RECOGNISED else not recognised and _group_key(event) == key
        return _group_key(event) == key

    def _declared_for(self, event: Event) -> ExportKey | None:
        for key, each in self._by_source.get(event.source, ()):
            if each.match.fits(event):
                return key
        return None

    def _history(self, key: ExportKey) -> History:
        return History(self._promises_of(key), self._gaps)

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


def _declared_key(each: Declaration) -> ExportKey:
    return ExportKey(each.match.source, DECLARED, each.name)


def _id_key(event: Event) -> ExportKey:
    return ExportKey(event.source, RECOGNISED, event.request_id)


def _group_key(event: Event) -> ExportKey:
    return ExportKey(
        event.source,
        GROUP,
        ANY,
        event.partner.casefold(),
        event.data_type.casefold(),
        event.frequency.casefold(),
    )
