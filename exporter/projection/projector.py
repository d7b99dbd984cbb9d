"""The tail: folds what came into the ledger since it last looked."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from exporter.domain.decisions import UNRETIRE, ActiveDecisions
from exporter.domain.exports import DECLARED, DETECTED
from exporter.domain.states import urgency_key
from exporter.ledger.checkpoint_store import PruningState
from exporter.projection import baselines, checkpoint_loader, serialization
from exporter.projection.fold.exports import ExportProjection
from exporter.projection.fold.source_stats import SourceStats

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exporter.domain.events import DeliveryCounter, Event, Outage
    from exporter.domain.exports import Declaration, ExportKey, Source
    from exporter.domain.states import ExportState, SourceState
    from exporter.ledger.contract import Ledger

PAGE_SIZE = 2_000
"""How many events are folded at a time: as fast as 10,000, and 6 MB less where so many come between two scrapes."""


class Projector:
    """Everything that is known, as of the last `catch_up`. Not safe for several threads at once.

    Args:
        ledger: what to read.
        sources: the configured sources by slug; what the ledger has of others is not shown.
        declarations: the declared exports.
    """

    def __init__(self, ledger: Ledger, sources: Mapping[str, Source], declarations: Sequence[Declaration] = ()) -> None:
        self._ledger = ledger
        self._sources = sources
        self._declarations = declarations
        self._outages: list[Outage] = []
        self._counters: dict[str, list[DeliveryCounter]] = {}
        self._source_states: dict[str, SourceState] = {}
        self._declared_at: Mapping[tuple[str, str], float] = {}
        self.sequence = 0
        """The place in the ledger up to which everything is known."""
        self._ledger_version: str | None = None
        self._was_rebuilt = False
        self.decisions_in_effect = ActiveDecisions()
        """What people decided."""
        self.exports = ExportProjection(sources, declarations)
        self.source_stats = {slug: SourceStats() for slug in sources}
        """The sources by slug."""
        self.pruning_state = PruningState()
        """What was pruned, as far as it is known of."""
        self.checkpoint_revision: int | None = None
        """The revision of the checkpoint that differs in `ExportProjection.not_checkpointed` only; None for none."""

    def catch_up(self) -> bool:
        """Fold what is new.

        Returns:
            True where everything was folded again, so that nothing known before holds.

        Raises:
            StoreError: the ledger cannot be read, or what it has of pruned events; the next call
                goes on where this one ended.
        """
        if self._ledger_version != self._current_ledger_version():
            self._load_checkpoint()
        outages = self._ledger.outages()
        if outages != self._outages:
            # A time in which nobody listened changes what was missed; that is rare.
            self._was_rebuilt = True
            if self.exports.set_outages(outages):
                self._outages = outages
            else:
                self._start_from_scratch()
        while self._fold_page():
            pass
        self._apply_decisions()
        while self.exports.needs_rebuild:
            self._rebuild(min(self.exports.needs_rebuild))
        self._update_counters(self._ledger.delivery_counters())
        self._declared_at = self._ledger.declaration_times()
        again, self._was_rebuilt = self._was_rebuilt, False
        return again

    @property
    def fingerprint(self) -> str:
        """What the fold depends on beside events and gaps."""
        return serialization.fingerprint(self._current_ledger_version(), self._sources, self._declarations)

    @property
    def configured_sources(self) -> Mapping[str, Source]:
        """The configured sources by slug."""
        return self._sources

    @property
    def outages(self) -> Sequence[Outage]:
        """The gaps that are known of."""
        return self._outages

    def _current_ledger_version(self) -> str:
        """Another one where another ledger lies there, or a replay amended its events."""
        return f"{self._ledger.ledger_id()} {self._ledger.replay_generation()}"

    def _load_checkpoint(self) -> None:
        """Go on from the checkpoint, or start anew where there is none to be trusted."""
        version = self._current_ledger_version()
        self._was_rebuilt = self._was_rebuilt or self._ledger_version is not None
        self._ledger_version = None
        self.decisions_in_effect = ActiveDecisions()
        loaded = checkpoint_loader.load_checkpoint(self._ledger, self._sources, self._declarations, self.fingerprint)
        if loaded is None:
            self._start_from_scratch()
        else:
            self.exports, self.source_stats, self._outages = loaded.exports, loaded.source_stats, loaded.outages
            self.sequence, self.pruning_state, self.checkpoint_revision = (
                loaded.sequence,
                loaded.pruning_state,
                loaded.revision,
            )
            self._source_states.clear()
        self._ledger_version = version

    def _start_from_scratch(self) -> None:
        outages, pruned = self._ledger.outages(), self._ledger.checkpoints.pruning_state()
        export_baselines, source_stats = baselines.load_baselines(self._ledger, self._sources)
        self._outages, self.pruning_state = outages, pruned
        self.exports = ExportProjection(self._sources, self._declarations, outages, export_baselines)
        self.source_stats = source_stats
        self._source_states.clear()
        self.sequence, self.checkpoint_revision = 0, None

    def _fold_page(self) -> bool:
        """Fold the next events; whether there may be more."""
        page = self._ledger.read(self.sequence, PAGE_SIZE)
        # After that, so that no event is given to an id whose earlier ones are gone in the meantime.
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
        """Take note of what was pruned; whether too much for what was folded here to be of use."""
        pruned = self._ledger.checkpoints.pruning_state()
        if pruned.revision == self.pruning_state.revision:
            return False
        if pruned.last_sequence > self.sequence:
            return True
        new_baselines = dict(
            baselines.export_baselines(self._ledger.checkpoints.baselines(self.pruning_state.revision), self._sources)
        )
        if any(key.kind == DETECTED and key not in self.exports for key in new_baselines):
            return True  # it came back in what is not read yet, and what would tell so is gone
        for key, baseline in new_baselines.items():
            self.exports.set_pruned_count(key, baseline.count)
        self.exports.drop_id_cache()
        self.pruning_state = pruned
        return False

    def _rebuild(self, key: ExportKey) -> None:
        store, selection = self._ledger.checkpoints, self.exports.selection(key)
        while True:
            before = store.pruning_state()
            baseline = baselines.load_baseline(self._ledger, self._sources, key) if before.revision else None
            events = list(self._ledger.select(selection, self.sequence))
            if store.pruning_state() == before:
                self.exports.rebuild(key, events, baseline)
                return

    def _apply_decisions(self) -> None:
        decisions = self._ledger.decisions(self.decisions_in_effect.sequence)
        affected = self.decisions_in_effect.apply(decisions)
        unretired = {decision.key for decision in decisions if decision.kind == UNRETIRE}
        self.exports.set_retirements(self.decisions_in_effect.retirement_times(), unretired)
        self.exports.mark_dirty(key for key in affected if key in self.exports)

    def export_state(self, key: ExportKey, now: float) -> ExportState:
        """The state of one export."""
        declared_at = self._declared_at.get((key.source, key.name), now) if key.kind == DECLARED else 0.0
        return self.decisions_in_effect.with_mute(key, self.exports.state(key, now, declared_at), now)

    def __contains__(self, key: ExportKey) -> bool:
        """Whether an export is there, and not retired."""
        if key not in self.exports:
            return False
        retired_at = self.decisions_in_effect.last_retired_at(key)
        return not retired_at or self.exports.last_received(key) > retired_at

    def list_keys(self) -> list[ExportKey]:
        """Every export that is there and not retired."""
        return [key for key in self.exports.all_keys() if key in self]

    def list_states(self, now: float) -> list[ExportState]:
        """The states of all exports, the most urgent first."""
        states = [self.export_state(key, now) for key in self.list_keys()]
        return sorted(states, key=lambda each: urgency_key(each, now))

    def list_sources(self) -> list[SourceState]:
        """The states of all sources, by slug."""
        for slug, source in self._sources.items():
            if slug not in self._source_states:
                self._source_states[slug] = self.source_stats[slug].state(source, self._counters.get(slug, ()))
        return [self._source_states[slug] for slug in sorted(self._sources)]

    def _update_counters(self, tallies: Sequence[DeliveryCounter]) -> None:
        previous, self._counters = self._counters, {}
        for counter in tallies:
            self._counters.setdefault(counter.source, []).append(counter)
        for slug in previous.keys() | self._counters.keys():
            if previous.get(slug) != self._counters.get(slug):
                self._source_states.pop(slug, None)
