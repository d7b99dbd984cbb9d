"""Which export it was: every event belongs to a declared export, a recognised id, or its group.

An event belongs to the first of these that holds, within its source:

1. a declared export whose ``match`` fits;
2. a recognised request id: one with a recurring frequency that came back for another run, at
   least half an interval after the one before. Its earlier events move to it;
3. its group: partner, type and frequency.

Pure: what has to be read again from the ledger is named in `ExportProjection.needs_rebuild`.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING

from exporter.domain.deadlines import expectation_of
from exporter.domain.exports import (
    DECLARED,
    DETECTED,
    GROUP,
    GROUP_LABEL,
    OVERFLOW_LABEL,
    ExportKey,
    Selection,
    key_of_declaration,
    key_of_group,
    key_of_request_id,
)
from exporter.projection.fold.evaluation import evaluate
from exporter.projection.fold.history import History
from exporter.projection.fold.recurring_ids import RecurringId

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from exporter.domain.events import Event, Outage
    from exporter.domain.exports import Declaration, Expectation, Source
    from exporter.domain.states import ExportState
    from exporter.projection.fold.history import Baseline


MAX_CACHED_IDS = 20_000
"""How many request ids that did not come back are remembered; of the others the ledger is asked."""


class ExportProjection:
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
        outages: Sequence[Outage] = (),
        baselines: Mapping[ExportKey, Baseline] | None = None,
    ) -> None:
        self._sources = sources
        self._outages = list(outages)
        self._baselines = dict(baselines or {})
        self._declared = {key_of_declaration(declaration): declaration for declaration in declarations}
        self._by_source: dict[str, list[tuple[ExportKey, Declaration]]] = {}
        for key, declaration in self._declared.items():
            self._by_source.setdefault(declaration.match.source, []).append((key, declaration))
        self._retirements: dict[ExportKey, Sequence[float]] = {}
        self._expectation_for: dict[tuple[str, ExportKey | None], Callable[[int], Expectation]] = {}
        self._histories = {key: self._new_history(key) for key in self._declared}
        self._ids: dict[ExportKey, RecurringId] = {}
        self._pruned_groups: dict[ExportKey, int] = {}
        """Of groups that are gone, how many of their events were pruned."""
        self._caches_all_ids = True
        self.needs_rebuild: set[ExportKey] = set()
        """Exports to be read again from the ledger, by `selection`, and given to `rebuild`."""
        self.dirty: set[ExportKey] = set(self._declared)
        """Exports whose state may differ from what it was; the reader of them clears it."""
        self.not_checkpointed: set[ExportKey] = set(self._declared)
        """Exports that differ from the checkpoint; whoever writes it clears it."""

    def all_keys(self) -> list[ExportKey]:
        """Every export that there is, declared or with an event of its own."""
        return list(self._histories)

    def first_sequence(self, key: ExportKey) -> int:
        """The place of an export's first event in the ledger; 0 for a declared one."""
        return 0 if key in self._declared else self._histories[key].first_sequence()

    def __contains__(self, key: ExportKey) -> bool:
        return key in self._histories

    def ids_to_look_up(self, events: Iterable[Event]) -> dict[str, set[str]]:
        """The request ids of further events, by source, of which the ledger may know earlier ones.

        They have to be given to `load_ids` before these events are applied.
        """
        ids: dict[str, set[str]] = {}
        if self._caches_all_ids:
            return ids
        for event in events:
            if event.source in self._sources and self._is_recurring(event):
                key = key_of_request_id(event)
                if key not in self._ids and key not in self._histories and key not in self._baselines:
                    ids.setdefault(event.source, set()).add(event.request_id)
        return ids

    def load_ids(self, events: Iterable[Event]) -> None:
        """Take all applied events of ids that were `ids_to_look_up`, in any order."""
        events_by_id: dict[ExportKey, list[Event]] = {}
        for event in events:
            if self._is_recurring(event):
                events_by_id.setdefault(key_of_request_id(event), []).append(event)
        for key, id_events in events_by_id.items():
            entry = self._ids[key] = RecurringId(self._new_history(key))
            for event in id_events:
                entry.count(event)
            entry.history.rebuild(id_events)

    def drop_id_cache(self) -> None:
        """Rely on the ledger for every id that has not come back, since it may have lost events of them."""
        self._ids.clear()
        self.needs_rebuild.intersection_update(self._histories)
        self._caches_all_ids = False

    def set_outages(self, outages: Sequence[Outage]) -> bool:
        """Take the gaps as they are now.

        Returns:
            False, and nothing was done, where they are not the old ones and later ones: then all
            has to be folded again.
        """
        old = len(self._outages)
        if outages[:old] != self._outages:
            return False
        if outages[old:]:
            began = outages[old].began_at
            self._outages += outages[old:]  # the list that every history has
            self.needs_rebuild.update(key for key, history in self._histories.items() if history.compacted_after(began))
            self.dirty.update(self._histories)
            self.drop_id_cache()
        return True

    def set_pruned_count(self, key: ExportKey, count: int) -> None:
        """Take note that ``count`` events of an export are not in the ledger any more."""
        if key in self._histories:
            self._histories[key].set_pruned_count(count)
            self.not_checkpointed.add(key)
            self._drop_if_empty(key)

    def history(self, key: ExportKey) -> History | None:
        """What is known of an export, to be stored; None where it is gone."""
        return self._histories.get(key)

    def new_history(self, key: ExportKey) -> History:
        """An export with nothing known of it, for the caller to restore."""
        made = self._histories[key] = self._new_history(key)
        return made

    def apply(self, events: Iterable[Event]) -> None:
        """Take further events, each once, in any order."""
        touched: dict[ExportKey, list[Event]] = {}
        for event in events:
            if event.source not in self._sources:
                continue
            key = self._matching_declaration(event)
            if key is None:
                key = key_of_request_id(event) if event.schedule.interval else key_of_group(event)
                if key.kind == DETECTED and key not in self._histories and key not in self._baselines:
                    touched.setdefault(key, []).append(event)
                    continue
            self._add(key, event)
        for key, added in touched.items():
            self._add_undetected(key, added)
        if len(self._ids) > MAX_CACHED_IDS:
            for key in list(islice(self._ids, MAX_CACHED_IDS // 2)):
                del self._ids[key]
                self.needs_rebuild.discard(key)
            self._caches_all_ids = False

    def selection(self, key: ExportKey) -> Selection:
        """Which events may belong to an export; `rebuild` passes over those that do not."""
        if key.kind == DECLARED:
            return self._declared[key].match
        if key.kind == DETECTED:
            return Selection(key.source, request_id=key.name)
        return Selection(key.source, partner=key.partner, data_type=key.data_type, frequency=key.frequency)

    def rebuild(self, key: ExportKey, events: Iterable[Event], baseline: Baseline | None = None) -> None:
        """Start an export again from all events of its selection, in any order, and what was before them."""
        if key in self._histories:
            self._histories[key].rebuild((event for event in events if self.key_of(event) == key), baseline)
        else:
            self._ids[key].history.rebuild(event for event in events if self._is_recurring(event))
        self._mark_dirty(key)
        self.needs_rebuild.discard(key)

    def state(self, key: ExportKey, now: float, declared_at: float = 0) -> ExportState:
        """The state of an export at ``now``; ``declared_at`` is when it was first declared."""
        history = self._histories[key]
        runs = history.runs()
        return evaluate(
            key,
            runs,
            history.expectation(runs.interval),
            self._sources[key.source],
            now=now,
            outages=self._outages,
            declared=self._declared.get(key),
            declared_at=declared_at,
            retired=self._retirements.get(key, ()),
        )

    def set_retirements(
        self, retired: Mapping[ExportKey, Sequence[float]], unretired: Iterable[ExportKey] = ()
    ) -> None:
        """Take the instants at which people retired exports; what they change has to be read again.

        Args:
            retired: the instants of each export, in order.
            unretired: exports of which one was taken back, by which what was stored may have been folded.
        """
        changed = {
            key for key in self._retirements.keys() | retired.keys() if self._retirements.get(key) != retired.get(key)
        }
        changed.update(unretired)
        self._retirements = dict(retired)
        for key in changed & self._histories.keys():
            self._histories[key].retirements = retired.get(key, ())
            self.needs_rebuild.add(key)

    def last_received(self, key: ExportKey) -> float:
        """The arrival of an export's newest event; 0 for none."""
        return self._histories[key].runs().last_received

    def is_event_of(self, key: ExportKey, event: Event) -> bool:
        """Whether an event that was applied belongs to an export."""
        return event.source in self._sources and self.key_of(event) == key

    def is_configured(self, event: Event) -> bool:
        """Whether the source of an event is configured."""
        return event.source in self._sources

    def key_of(self, event: Event) -> ExportKey:
        """The export to which an applied event of a configured source belongs."""
        declared = self._matching_declaration(event)
        if declared is not None:
            return declared
        id_key_ = key_of_request_id(event)
        return id_key_ if event.schedule.interval and id_key_ in self._histories else key_of_group(event)

    def event_count(self, key: ExportKey) -> int:
        """How many events of the ledger belong to an export."""
        return self._histories[key].event_count if key in self._histories else 0

    def fold_onto(self, key: ExportKey, baseline: Baseline | None, events: Iterable[Event]) -> Baseline:
        """What the next events of an export amount to, in the order of history, after a base."""
        history = History(self._expectations_of(key), self._outages, baseline)
        history.retirements = self._retirements.get(key, ())
        return history.fold_onto(events)

    def detected_exports(self) -> list[ExportKey]:
        """The request ids that are exports of their own."""
        return sorted(key for key in self._histories if key.kind == DETECTED)

    def _add_undetected(self, key: ExportKey, added: Sequence[Event]) -> None:
        """Take new events of one request id that is no export yet, and recognise it where it came back."""
        entry = self._ids.get(key)
        if entry is None:
            entry = self._ids[key] = RecurringId(self._new_history(key))
        for event in added:
            entry.count(event)
            if key not in self.needs_rebuild and not entry.history.add(event):
                self.needs_rebuild.add(key)
        if entry.has_recurred and self._is_free_label(key):
            self._detect(key, entry, added)
        else:
            for event in added:
                self._add(key_of_group(event), event)

    def _detect(self, key: ExportKey, entry: RecurringId, added: Sequence[Event]) -> None:
        self._histories[key] = entry.history
        entry.history.event_count = entry.groups.total()
        entry.groups.subtract(Counter(map(key_of_group, added)))  # which no group has taken
        for group, count in entry.groups.items():
            if count:
                self._remove_from_group(group, key.name, count)
        del self._ids[key]
        self._mark_dirty(key)

    def _remove_from_group(self, group: ExportKey, request_id: str, count: int) -> None:
        history = self._histories[group]
        history.event_count -= count
        self._drop_if_empty(group)
        if group in self._histories and group not in self.needs_rebuild and not history.remove(request_id, count):
            self.needs_rebuild.add(group)
        self._mark_dirty(group)

    def _drop_if_empty(self, key: ExportKey) -> None:
        history = self._histories[key]
        if key.kind == GROUP and not history.event_count:
            # Gone, and not worth reading again.
            self.needs_rebuild.discard(key)
            del self._histories[key]
            if history.pruned_count:
                self._pruned_groups[key] = history.pruned_count
            self._mark_dirty(key)

    def _mark_dirty(self, key: ExportKey) -> None:
        self.dirty.add(key)
        self.not_checkpointed.add(key)

    def _is_free_label(self, key: ExportKey) -> bool:
        """Whether the id can name a series beside those that are there by declaration."""
        declared_names = {declaration.name for _, declaration in self._by_source.get(key.source, ())}
        return key.name not in declared_names | {GROUP_LABEL, OVERFLOW_LABEL}

    def _add(self, key: ExportKey, event: Event) -> None:
        history = self._histories.get(key)
        if history is None:
            history = self._histories[key] = self._new_history(key)
            if key in self._pruned_groups:
                history.pruned_count = self._pruned_groups.pop(key)
                self.needs_rebuild.add(key)
        history.event_count += 1
        if key not in self.needs_rebuild and not history.add(event):
            self.needs_rebuild.add(key)
        self.dirty.add(key)
        self.not_checkpointed.add(key)

    def _is_recurring(self, event: Event) -> bool:
        """Whether an event counts for its request id."""
        return event.schedule.interval > 0 and self._matching_declaration(event) is None

    def _matching_declaration(self, event: Event) -> ExportKey | None:
        for key, declaration in self._by_source.get(event.source, ()):
            if declaration.match.matches(event):
                return key
        return None

    def _new_history(self, key: ExportKey) -> History:
        history = History(self._expectations_of(key), self._outages, self._baselines.pop(key, None))
        history.retirements = self._retirements.get(key, ())
        return history

    def _expectations_of(self, key: ExportKey) -> Callable[[int], Expectation]:
        declared = self._declared.get(key)
        cache_key = (key.source, key if declared else None)
        expectation = self._expectation_for.get(cache_key)
        if expectation is None:
            expectation = self._expectation_for[cache_key] = _expectations(self._sources[key.source], declared)
        return expectation


def _expectations(source: Source, declared: Declaration | None) -> Callable[[int], Expectation]:
    """What an export promises, by the interval that its events name."""

    @lru_cache(maxsize=256)
    def expectation(interval: int) -> Expectation:
        return expectation_of(interval, source.zone, declared)

    return expectation
