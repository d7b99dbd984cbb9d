"""Follows the ledger: folds the events appended since the last look, and provides the resulting states."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from exporter.domain.decisions import UNRETIRE, ActiveDecisions
from exporter.domain.exports import DECLARED, DETECTED, GROUP, key_of_declaration, key_of_source
from exporter.domain.states import urgency_key
from exporter.ledger.checkpoint_store import PruningState
from exporter.projection import baselines, checkpoint_loader, serialization
from exporter.projection.crowded_groups import MAX_IDS, crowding_ids
from exporter.projection.fold.exports import ExportProjection
from exporter.projection.fold.source_stats import SourceStats

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from exporter.domain.decisions import Decision
    from exporter.domain.events import DeliveryCounter, Event, Outage
    from exporter.domain.exports import Declaration, ExportKey, Source
    from exporter.domain.states import ExportState, SourceState
    from exporter.domain.terms import TermsChange
    from exporter.ledger.contract import Ledger
    from exporter.projection.fold.history import Baseline

MAX_CACHED_STATES = 10_000
"""How many states `Projector.states_of` keeps for its next call: 20 MB. A sender can make up any number of groups."""
PAGE_SIZE = 2_000
"""How many events are read and folded at a time: as fast as 10,000, with up to 6 MB less memory."""


class Projector:
    """The states of all exports and sources as of the last `catch_up`. Not thread-safe.

    Args:
        ledger: the ledger to follow.
        sources: the configured sources by slug; events of other sources are ignored.
        declarations: the declared exports.
    """

    def __init__(self, ledger: Ledger, sources: Mapping[str, Source], declarations: Sequence[Declaration] = ()) -> None:
        self._ledger = ledger
        self._sources = sources
        self._declarations = declarations
        self._outages: list[Outage] = []
        self._counters: dict[str, list[DeliveryCounter]] = {}
        self._source_states: dict[str, SourceState] = {}
        self._export_states: dict[ExportKey, tuple[float, ExportState]] = {}
        """Some states with the time of their evaluation: valid until they change, by an event or as time passes."""
        self._declared_at: Mapping[tuple[str, str], float] = {}
        self._terms: Mapping[tuple[str, str], Sequence[TermsChange]] = {}
        self.sequence = 0
        """The sequence of the last event that was folded."""
        self._ledger_version: str | None = None
        self._was_rebuilt = False
        self.decisions_in_effect = ActiveDecisions()
        """The mutes and retirements."""
        self.exports = ExportProjection(sources, declarations)
        self.source_stats = {slug: SourceStats() for slug in sources}
        """By slug."""
        self.pruning_state = PruningState()
        """What was pruned, as of the last `catch_up`."""
        self.checkpoint_revision: int | None = None
        """The checkpoint from which only `ExportProjection.not_checkpointed` differ; None if there is none."""

    def catch_up(self) -> bool:
        """Fold the events, outages and decisions that are new in the ledger.

        Returns:
            True if everything was loaded or folded again, so that all states may have changed.

        Raises:
            StoreError: the ledger or a baseline cannot be read. The next call continues where this
                one stopped.
        """
        if self._ledger_version != self._current_ledger_version():
            self._load_checkpoint()
        outages = self._ledger.outages()
        if outages != self._outages:
            self._was_rebuilt = True
            if self.exports.set_outages(outages):
                self._outages = outages
            else:
                self._start_from_scratch()
        while self._fold_page():
            pass
        self._apply_decisions()
        declared_at, terms = self._ledger.declaration_times(), self._ledger.declared_terms()
        if (declared_at, terms) != (self._declared_at, self._terms):
            self._declared_at, self._terms = declared_at, terms
            self._source_states.clear()
            self.exports.set_declared(declared_at, terms)
        while self.exports.needs_rebuild:
            self._rebuild(min(self.exports.needs_rebuild))
        self._update_counters(self._ledger.delivery_counters())
        was_rebuilt, self._was_rebuilt = self._was_rebuilt, False
        return was_rebuilt

    @property
    def fingerprint(self) -> str:
        """Identifies everything that the fold depends on, except events and outages."""
        return serialization.fingerprint(
            self._current_ledger_version(), self._sources, self._declarations, self._declared_at, self._terms
        )

    @property
    def configured_sources(self) -> Mapping[str, Source]:
        """The configured sources by slug."""
        return self._sources

    @property
    def outages(self) -> Sequence[Outage]:
        """The outages as of the last `catch_up`."""
        return self._outages

    def _current_ledger_version(self) -> str:
        """Return a text that changes when the ledger is replaced or a replay amends its events."""
        generation = self._ledger.replay_generation()  # first, because a read is what notices a replaced ledger
        return f"{self._ledger.ledger_id()} {generation}"

    def _load_checkpoint(self) -> None:
        """Continue from the checkpoint, or start from scratch without a valid one."""
        version = self._current_ledger_version()
        self._was_rebuilt = self._was_rebuilt or self._ledger_version is not None
        self._ledger_version = None
        self._export_states.clear()
        self.decisions_in_effect = ActiveDecisions()
        self._declared_at, self._terms = self._ledger.declaration_times(), self._ledger.declared_terms()
        loaded = checkpoint_loader.load_checkpoint(self._ledger, self._sources, self._create_exports, self.fingerprint)
        if loaded is None:
            self._start_from_scratch()
        else:
            self.exports, self.source_stats, self._outages = loaded.exports, loaded.source_stats, loaded.outages
            self.sequence, self.pruning_state = loaded.sequence, loaded.pruning_state
            self.checkpoint_revision = loaded.revision
            self._source_states.clear()
        self._ledger_version = version

    def _start_from_scratch(self) -> None:
        """Forget everything, and start from the baselines of pruned events."""
        outages, pruning_state = self._ledger.outages(), self._ledger.checkpoints.pruning_state()
        export_baselines, source_stats = baselines.load_baselines(self._ledger, self._sources)
        self._outages, self.pruning_state = outages, pruning_state
        self.exports = self._create_exports(outages, export_baselines)
        self.source_stats = source_stats
        self._source_states.clear()
        self._export_states.clear()
        self.sequence, self.checkpoint_revision = 0, None

    def _create_exports(
        self, outages: Sequence[Outage], export_baselines: Mapping[ExportKey, Baseline]
    ) -> ExportProjection:
        return ExportProjection(
            self._sources, self._declarations, outages, export_baselines, self._declared_at, self._terms
        )

    def _fold_page(self) -> bool:
        """Fold the next page of events, and return whether there may be more."""
        page = self._ledger.read(self.sequence, PAGE_SIZE)
        # Checked after the read: events pruned before it may be the earlier runs of an id in this page.
        if self._pruned_too_much() or (not page and self._ledger.last_sequence() < self.sequence):
            self._was_rebuilt = True
            self._start_from_scratch()
            return True
        for source, ids in self.exports.ids_to_look_up(page).items():
            self.exports.load_ids(self._ledger.read_ids(source, ids, self.sequence))
        by_source: defaultdict[str, list[Event]] = defaultdict(list)
        for event in page:
            by_source[event.source].append(event)
        for source in by_source.keys() & self.source_stats.keys():
            self.source_stats[source].add_all(by_source[source])
            self._source_states.pop(source, None)
        self.exports.apply(page)
        if page:
            self.sequence = page[-1].sequence
        return len(page) == PAGE_SIZE

    def _pruned_too_much(self) -> bool:
        """Record what was pruned, and return whether everything has to be folded again because of it.

        ==========================================================  ==========
        since the last look                                         fold again
        ==========================================================  ==========
        nothing was pruned                                          no
        events were pruned that are not folded here yet             yes
        events were pruned of an id that is not detected here yet   yes
        only events that are folded here were pruned                no
        ==========================================================  ==========
        """
        pruning_state = self._ledger.checkpoints.pruning_state()
        if pruning_state.revision == self.pruning_state.revision:
            return False
        if pruning_state.last_sequence > self.sequence:
            return True
        new_baselines = dict(
            baselines.export_baselines(self._ledger.checkpoints.baselines(self.pruning_state.revision), self._sources)
        )
        if any(key.kind == DETECTED and key not in self.exports for key in new_baselines):
            return True  # it recurs in events not read yet, and its earlier ones are gone
        for key, baseline in new_baselines.items():
            self.exports.set_pruned_count(key, baseline.count)
        self.exports.drop_id_cache()
        self.pruning_state = pruning_state
        return False

    def _rebuild(self, key: ExportKey) -> None:
        """Fold an export again from its baseline and events; read both again if events were pruned in between."""
        store, selection = self._ledger.checkpoints, self.exports.selection(key)
        while True:
            pruning_state = store.pruning_state()
            baseline = baselines.load_baseline(self._ledger, self._sources, key) if pruning_state.revision else None
            events = list(self._ledger.select(selection, self.sequence))
            if store.pruning_state() == pruning_state:
                self.exports.rebuild(key, events, baseline)
                return

    def _apply_decisions(self) -> None:
        decisions = [
            self.follow_rename(decision) for decision in self._ledger.decisions(self.decisions_in_effect.sequence)
        ]
        affected = self.decisions_in_effect.apply(decisions)
        unretired = {decision.key for decision in decisions if decision.kind == UNRETIRE}
        self.exports.set_retirements(self.decisions_in_effect.retirement_times(), unretired)
        self.exports.mark_dirty(key for key in affected if key in self.exports)

    def follow_rename(self, decision: Decision) -> Decision:
        """Return a decision about a declared export that was renamed as one about its new name."""
        key = decision.key
        declared = {key_of_declaration(declaration): declaration for declaration in self._declarations}
        if key.kind != DECLARED or key in declared:
            return decision
        renamed = [
            new
            for new, declaration in declared.items()
            if new.source == key.source and declaration.match.text == decision.match
        ]
        return replace(decision, key=renamed[0]) if len(renamed) == 1 else decision

    def export_state(self, key: ExportKey, now: float) -> ExportState:
        """Return the state of one export at ``now``."""
        state = self.exports.state(key, now, self.decisions_in_effect.unmuted_at(key))
        return self.decisions_in_effect.with_mute(key, state, now)

    def __contains__(self, key: ExportKey) -> bool:
        """Return whether an export exists and is not retired."""
        if key not in self.exports:
            return False
        retired_at = self.decisions_in_effect.last_retired_at(key)
        return not retired_at or self.exports.last_received(key) > retired_at

    def declaration_of(self, key: ExportKey) -> Declaration | None:
        """Return the declaration of an export; None if it is not declared."""
        return next((each for each in self._declarations if key_of_declaration(each) == key), None)

    def match_of(self, key: ExportKey) -> str:
        """Return `Selection.text` of a declared export; an empty text for any other."""
        declaration = self.declaration_of(key)
        return declaration.match.text if declaration else ""

    def list_keys(self) -> list[ExportKey]:
        """Return every export that is not retired."""
        return [key for key in self.exports.all_keys() if key in self]

    def list_states(self, now: float) -> list[ExportState]:
        """Return the states of all exports that are not retired, the most urgent first."""
        return sorted(self.states_of(self.list_keys(), now), key=lambda state: urgency_key(state, now))

    def states_of(self, keys: Iterable[ExportKey], now: float) -> list[ExportState]:
        """Return the states of some exports; a state that has not changed is the one of an earlier call."""
        changed = self.exports.dirty
        return [self._cached_state(key, now, is_changed=key in changed) for key in keys]

    def take_dirty(self) -> set[ExportKey]:
        """Return the exports that changed since the last call."""
        dirty = self.exports.take_dirty()
        for key in dirty:
            self._export_states.pop(key, None)
        return dirty

    def _cached_state(self, key: ExportKey, now: float, *, is_changed: bool) -> ExportState:
        cached = None if is_changed else self._export_states.get(key)
        if cached is not None and cached[0] <= now < cached[1].changes_at:
            return cached[1]
        state = self.export_state(key, now)
        if len(self._export_states) < MAX_CACHED_STATES:
            self._export_states[key] = now, state
        return state

    def crowding_ids(self, state: ExportState) -> list[str]:
        """Return the request ids that were at work lately in a group if they are too many for one export.

        Raises:
            StoreError: the ledger cannot be read.
        """
        key = state.key
        if key is None or key.kind != GROUP or not state.recurring or state.completed <= MAX_IDS:
            return []
        newest = self._ledger.select_newest_first(self.exports.selection(key), self.sequence)
        return crowding_ids((event for event in newest if self.exports.is_event_of(key, event)), state.interval)

    def list_sources(self) -> list[SourceState]:
        """Return the states of all sources, ordered by slug."""
        for slug, source in self._sources.items():
            if slug not in self._source_states:
                self._source_states[slug] = self.source_stats[slug].state(
                    source, self._counters.get(slug, ()), self._declared_at.get(key_of_source(slug), 0)
                )
        return [self._source_states[slug] for slug in sorted(self._sources)]

    def _update_counters(self, counters: Sequence[DeliveryCounter]) -> None:
        previous, self._counters = self._counters, {}
        for counter in counters:
            self._counters.setdefault(counter.source, []).append(counter)
        for slug in previous.keys() | self._counters.keys():
            if previous.get(slug) != self._counters.get(slug):
                self._source_states.pop(slug, None)
