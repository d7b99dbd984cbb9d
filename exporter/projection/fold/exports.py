"""Folds the events of all sources into exports. Pure: `ExportProjection.needs_rebuild` asks for ledger reads."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import lru_cache, partial
from itertools import islice
from typing import TYPE_CHECKING

from exporter.domain.deadlines import expectation_of
from exporter.domain.exports import DETECTED, GROUP, key_of_group, key_of_request_id
from exporter.domain.terms import TermsChange
from exporter.projection.fold.attribution import Attribution
from exporter.projection.fold.evaluation import evaluate
from exporter.projection.fold.history import History
from exporter.projection.fold.recurring_ids import RecurringId
from exporter.projection.fold.rules import UNDECLARED, Beginning, ExpectationChange, Rules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from exporter.domain.events import Event, Outage
    from exporter.domain.exports import Declaration, Expectation, ExportKey, Selection, Source
    from exporter.domain.states import ExportState
    from exporter.projection.fold.history import Baseline


MAX_CACHED_IDS = 20_000
"""How many undetected request ids are cached; the others are looked up in the ledger."""


class ExportProjection:
    """All exports of all sources, folded from the events that were applied.

    Args:
        sources: the configured sources by slug; events of other sources are ignored.
        declarations: in the order of the configuration.
        outages: in chronological order.
        baselines: what the pruned events of exports amount to.
        declared_at: when each export was first declared, by source and name.
        terms: when the terms of each declared export changed, by source and name; without any, those of its
            declaration have always been in effect.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - everything that the fold depends on
        self,
        sources: Mapping[str, Source],
        declarations: Sequence[Declaration] = (),
        outages: Sequence[Outage] = (),
        baselines: Mapping[ExportKey, Baseline] | None = None,
        declared_at: Mapping[tuple[str, str], float] | None = None,
        terms: Mapping[tuple[str, str], Sequence[TermsChange]] | None = None,
    ) -> None:
        self._sources = sources
        self._outages = list(outages)
        self._baselines = dict(baselines or {})
        detected = [key for key in self._baselines if key.kind == DETECTED]
        self._attribution = Attribution(declarations, detected)
        self._retirements: dict[ExportKey, Sequence[float]] = {}
        self._declared_at = dict(declared_at or {})
        self._terms = dict(terms or {})
        self._shared_rules: dict[str, Rules] = {}
        declared = self._attribution.declared
        self._histories = {key: self._create_history(key) for key in declared}
        self._undetected: dict[ExportKey, RecurringId] = {}
        self._caches_all_ids = True
        self._pruned_counts: dict[ExportKey, int] = {}
        """How many events were pruned of each group that has none left."""
        self._needs_rebuild: set[ExportKey] = set()
        self._dirty: set[ExportKey] = set(declared)
        self._not_checkpointed: set[ExportKey] = set(declared)

    def __contains__(self, key: ExportKey) -> bool:
        return key in self._histories

    def all_keys(self) -> list[ExportKey]:
        """Return every export that is declared or has an event."""
        return list(self._histories)

    def detected_exports(self) -> list[ExportKey]:
        """Return the detected exports, sorted."""
        return sorted(key for key in self._histories if key.kind == DETECTED)

    def first_sequence(self, key: ExportKey) -> int:
        """Return the sequence of an export's first event; 0 for a declared export."""
        return 0 if key in self._attribution.declared else self._histories[key].first_sequence()

    def last_received(self, key: ExportKey) -> float:
        """Return the arrival of an export's newest event; 0 if it has none."""
        return self._histories[key].runs().last_received

    def event_count(self, key: ExportKey) -> int:
        """Return how many events in the ledger belong to an export."""
        return self._histories[key].event_count if key in self._histories else 0

    def state(self, key: ExportKey, now: float, unmuted_at: float = 0) -> ExportState:
        """Return the state of an export at ``now``; ``unmuted_at`` is when a mute of it last ended."""
        history = self._histories[key]
        return evaluate(
            key,
            history.runs(),
            history.rules,
            self._sources[key.source],
            now=now,
            declared=self._attribution.declared.get(key),
            unmuted_at=unmuted_at,
        )

    # Which events belong to which export.

    def is_configured(self, event: Event) -> bool:
        """Return whether the source of an event is configured."""
        return event.source in self._sources

    def key_of(self, event: Event) -> ExportKey:
        """Return the export that an applied event of a configured source belongs to."""
        return self._attribution.key_of(event)

    def is_event_of(self, key: ExportKey, event: Event) -> bool:
        """Return whether an applied event belongs to an export."""
        return self.is_configured(event) and self.key_of(event) == key

    def selection(self, key: ExportKey) -> Selection:
        """Return a selection of all events of an export; `rebuild` ignores those of other exports."""
        return self._attribution.selection(key)

    # Applying events.

    def ids_to_look_up(self, events: Iterable[Event]) -> dict[str, set[str]]:
        """Return the request ids, by source, whose earlier events have to be passed to `load_ids` before `apply`."""
        ids: dict[str, set[str]] = {}
        if self._caches_all_ids:
            return ids
        for event in events:
            if self.is_configured(event):
                candidate = self._attribution.candidate(event)
                if candidate not in self._undetected and not self._attribution.is_existing(candidate):
                    ids.setdefault(event.source, set()).add(event.request_id)
        return ids

    def load_ids(self, events: Iterable[Event]) -> None:
        """Cache request ids from all of their applied events, in any order."""
        events_by_id: dict[ExportKey, list[Event]] = {}
        for event in events:
            if self._attribution.may_recur(event):
                events_by_id.setdefault(key_of_request_id(event), []).append(event)
        for key, id_events in events_by_id.items():
            recurring_id = self._undetected[key] = RecurringId(self._create_history(key))
            for event in id_events:
                recurring_id.count(event)
            recurring_id.history.rebuild(id_events)

    def drop_id_cache(self) -> None:
        """Forget all undetected request ids; they are looked up in the ledger, which may have lost events of them."""
        self._undetected.clear()
        self._needs_rebuild.intersection_update(self._histories)
        self._caches_all_ids = False

    def apply(self, events: Iterable[Event]) -> None:
        """Fold further events, each once, in any order."""
        attribution = self._attribution
        undetected: dict[ExportKey, list[Event]] = {}
        for event in events:
            if event.source not in self._sources:
                continue
            candidate = attribution.candidate(event)
            if attribution.is_existing(candidate):
                self._add(candidate, event)
            else:
                undetected.setdefault(candidate, []).append(event)
        for key, id_events in undetected.items():
            self._add_undetected(key, id_events)
        if len(self._undetected) > MAX_CACHED_IDS:
            for key in list(islice(self._undetected, MAX_CACHED_IDS // 2)):
                del self._undetected[key]
                self._needs_rebuild.discard(key)
            self._caches_all_ids = False

    def _add(self, key: ExportKey, event: Event) -> None:
        history = self._histories.get(key)
        if history is None:
            history = self._histories[key] = self._create_history(key)
            if key in self._pruned_counts:
                history.pruned_count = self._pruned_counts.pop(key)
                self._needs_rebuild.add(key)
        history.event_count += 1
        self._add_to_history(key, history, event)
        self._mark_changed(key)

    def _add_undetected(self, key: ExportKey, events: Sequence[Event]) -> None:
        """Add new events of one undetected request id, and detect the id if it recurred."""
        recurring_id = self._undetected.get(key)
        if recurring_id is None:
            recurring_id = self._undetected[key] = RecurringId(self._create_history(key))
        for event in events:
            recurring_id.count(event)
            self._add_to_history(key, recurring_id.history, event)
        if recurring_id.has_recurred and self._attribution.is_label_free(key):
            self._detect(key, recurring_id, events)
        else:
            for event in events:
                self._add(key_of_group(event), event)

    def _add_to_history(self, key: ExportKey, history: History, event: Event) -> None:
        if key not in self._needs_rebuild and not history.add(event):
            self._needs_rebuild.add(key)

    def _detect(self, key: ExportKey, recurring_id: RecurringId, new_events: Sequence[Event]) -> None:
        """Make a request id an export, and move its earlier events out of their groups."""
        self._attribution.detect(key)
        self._histories[key] = recurring_id.history
        recurring_id.history.event_count = recurring_id.groups.total()
        recurring_id.groups.subtract(Counter(map(key_of_group, new_events)))  # these were not added to a group
        for group, count in recurring_id.groups.items():
            if count:
                self._remove_from_group(group, key.name, count)
        del self._undetected[key]
        self._mark_changed(key)

    def _remove_from_group(self, group: ExportKey, request_id: str, count: int) -> None:
        history = self._histories[group]
        history.event_count -= count
        self._drop_if_empty(group)
        if group in self._histories and group not in self._needs_rebuild and not history.remove(request_id, count):
            self._needs_rebuild.add(group)
        self._mark_changed(group)

    def _drop_if_empty(self, key: ExportKey) -> None:
        """Drop a group without events; it needs no rebuild any more."""
        history = self._histories[key]
        if key.kind == GROUP and not history.event_count:
            self._needs_rebuild.discard(key)
            del self._histories[key]
            if history.pruned_count:
                self._pruned_counts[key] = history.pruned_count
            self._mark_changed(key)

    # Outages, retirements and pruning.

    def set_outages(self, outages: Sequence[Outage]) -> bool:
        """Apply the outages known now.

        Returns:
            False if they are not the previous ones with later ones appended. Then nothing was
            changed, and the caller has to fold all events again.
        """
        known = len(self._outages)
        if outages[:known] != self._outages:
            return False
        if outages[known:]:
            began_at = outages[known].began_at
            self._outages += outages[known:]  # in place: all histories share the list
            self._needs_rebuild.update(
                key for key, history in self._histories.items() if history.compacted_after(began_at)
            )
            self._dirty.update(self._histories)
            self.drop_id_cache()
        return True

    def set_retirements(
        self, retired: Mapping[ExportKey, Sequence[float]], unretired: Iterable[ExportKey] = ()
    ) -> None:
        """Apply the retirements known now; exports with different ones need a rebuild.

        Args:
            retired: when each export was retired, in order.
            unretired: exports with a reverted retirement, which the checkpoint may still include.
        """
        changed = {
            key for key in self._retirements.keys() | retired.keys() if self._retirements.get(key) != retired.get(key)
        }
        changed.update(unretired)
        self._retirements = dict(retired)
        for key in changed & self._histories.keys():
            self._histories[key].rules = self._rules_of(key)
            self._needs_rebuild.add(key)

    def set_declared(
        self, declared_at: Mapping[tuple[str, str], float], terms: Mapping[tuple[str, str], Sequence[TermsChange]]
    ) -> None:
        """Apply when exports were first declared, and on what terms; exports with different ones need a rebuild."""
        previous_times, self._declared_at = self._declared_at, dict(declared_at)
        previous_terms, self._terms = self._terms, dict(terms)
        for key in self._attribution.declared:
            name = key.source, key.name
            if (previous_times.get(name), previous_terms.get(name)) != (declared_at.get(name), terms.get(name)):
                self._histories[key].rules = self._rules_of(key)
                self._needs_rebuild.add(key)

    def set_pruned_count(self, key: ExportKey, count: int) -> None:
        """Record that ``count`` events of an export were pruned in total."""
        if key in self._histories:
            self._histories[key].set_pruned_count(count)
            self._not_checkpointed.add(key)
            self._drop_if_empty(key)

    def fold_onto(self, key: ExportKey, baseline: Baseline | None, events: Iterable[Event]) -> Baseline:
        """Return a baseline extended by the next events of an export, which are in chronological order."""
        return History(self._rules_of(key), baseline).fold_onto(events)

    # Rebuilding, publishing and checkpointing.

    @property
    def needs_rebuild(self) -> AbstractSet[ExportKey]:
        """Exports to rebuild: pass the events of their `selection` in the ledger to `rebuild`."""
        return self._needs_rebuild

    def rebuild(self, key: ExportKey, events: Iterable[Event], baseline: Baseline | None = None) -> None:
        """Fold an export again from all events of its `selection`, in any order, and its baseline."""
        if key in self._histories:
            self._histories[key].rebuild((event for event in events if self.key_of(event) == key), baseline)
        else:
            self._undetected[key].history.rebuild(event for event in events if self._attribution.may_recur(event))
        self._mark_changed(key)
        self._needs_rebuild.discard(key)

    def mark_dirty(self, keys: Iterable[ExportKey]) -> None:
        """Include exports in the next `take_dirty`."""
        self._dirty.update(keys)

    @property
    def dirty(self) -> AbstractSet[ExportKey]:
        """The exports that changed since the last `take_dirty`."""
        return self._dirty

    def take_dirty(self) -> set[ExportKey]:
        """Return the exports whose state may have changed since the last call; they may be gone."""
        dirty, self._dirty = self._dirty, set()
        return dirty

    @property
    def not_checkpointed(self) -> AbstractSet[ExportKey]:
        """Exports that differ from the checkpoint; they may be gone."""
        return self._not_checkpointed

    def mark_not_checkpointed(self, keys: Iterable[ExportKey]) -> None:
        """Include exports in the next `take_not_checkpointed`."""
        self._not_checkpointed.update(keys)

    def mark_none_checkpointed(self) -> None:
        """Make `not_checkpointed` all exports that exist, to write a checkpoint from scratch."""
        self._not_checkpointed = set(self._histories)

    def take_not_checkpointed(self, count: int) -> list[ExportKey]:
        """Remove and return up to ``count`` exports from `not_checkpointed`."""
        return [self._not_checkpointed.pop() for _ in range(min(count, len(self._not_checkpointed)))]

    def history(self, key: ExportKey) -> History | None:
        """Return the history of an export to write into a checkpoint; None if the export is gone."""
        return self._histories.get(key)

    def new_history(self, key: ExportKey) -> History:
        """Add an export, and return its empty history to be restored from a checkpoint."""
        if key.kind == DETECTED:
            self._attribution.detect(key)
        history = self._histories[key] = self._create_history(key)
        return history

    def finish_restore(self) -> None:
        """Mark all exports as restored from a checkpoint: all may have changed, none differs from it."""
        self.drop_id_cache()
        self._dirty.update(self._histories)
        self._not_checkpointed.clear()

    def _mark_changed(self, key: ExportKey) -> None:
        self._dirty.add(key)
        self._not_checkpointed.add(key)

    def _create_history(self, key: ExportKey) -> History:
        return History(self._rules_of(key), self._baselines.pop(key, None))

    def _rules_of(self, key: ExportKey) -> Rules:
        """Return the rules of an export; the undeclared exports of a source share them unless they were retired."""
        declared, retirements = self._attribution.declared.get(key), self._retirements.get(key, ())
        if declared is None:
            rules = self._shared_rules.get(key.source)
            if rules is None:
                rules = self._shared_rules[key.source] = Rules(self._expectation_for(key.source), self._outages)
            return rules._replace(retirements=retirements) if retirements else rules
        name = key.source, key.name
        first, *changes = (
            ExpectationChange(
                each.at,
                self._expectation_for(
                    key.source, replace(declared, interval=each.terms.interval, grace=each.terms.grace)
                ),
            )
            for each in self._terms.get(name) or (TermsChange(0, declared.terms),)
        )
        beginning = Beginning(declared.first_expected, self._declared_at.get(name, UNDECLARED.declared_at))
        return Rules(first.expectation_for, self._outages, retirements, beginning, changes)

    def _expectation_for(self, source: str, declared: Declaration | None = None) -> Callable[[int], Expectation]:
        """Return a function from the interval of events to what is expected."""
        return lru_cache(maxsize=256)(partial(expectation_of, zone=self._sources[source].zone, declared=declared))
