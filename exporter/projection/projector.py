"""The tail: folds what came into the ledger since it last looked."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from exporter.domain.decisions import KEEP, Standing
from exporter.domain.exports import DECLARED, RECOGNISED
from exporter.domain.states import urgency
from exporter.ledger.checkpoint_store import Pruned
from exporter.projection import baselines, checkpoint_loader, serialization
from exporter.projection.fold.exports import Exports
from exporter.projection.fold.source_stats import SourceHistory

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exporter.domain.events import Event, Gap, Tally
    from exporter.domain.exports import Declaration, ExportKey, Source
    from exporter.domain.states import ExportState, SourceState
    from exporter.ledger.contract import Ledger

PAGE = 2_000
"""How many events are folded at a time: as fast as 10,000, and 6 MB less where so many come between two scrapes."""


class Reader:
    """Everything that is known, as of the last `refresh`. Not safe for several threads at once.

    Args:
        ledger: what to read.
        sources: the configured sources by slug; what the ledger has of others is not shown.
        declarations: the declared exports.
    """

    def __init__(self, ledger: Ledger, sources: Mapping[str, Source], declarations: Sequence[Declaration] = ()) -> None:
        self._ledger = ledger
        self._sources = sources
        self._declarations = declarations
        self._gaps: list[Gap] = []
        self._tallies: dict[str, list[Tally]] = {}
        self._source_states: dict[str, SourceState] = {}
        self._declared_at: Mapping[tuple[str, str], float] = {}
        self.sequence = 0
        """The place in the ledger up to which everything is known."""
        self._edition: str | None = None
        self._again = False
        self.standing = Standing()
        """What people decided."""
        self.exports = Exports(sources, declarations)
        self.histories = {slug: SourceHistory() for slug in sources}
        """The sources by slug."""
        self.pruned = Pruned()
        """What was pruned, as far as it is known of."""
        self.saved: int | None = None
        """The revision of the checkpoint that differs in `Exports.unsaved` only; None for none."""

    def refresh(self) -> bool:
        """Fold what is new.

        Returns:
            True where everything was folded again, so that nothing known before holds.

        Raises:
            StoreError: the ledger cannot be read, or what it has of pruned events; the next call
                goes on where this one ended.
        """
        if self._edition != self._edition_now():
            self._begin()
        gaps = self._ledger.gaps()
        if gaps != self._gaps:
            # A time in which nobody listened changes what was missed; that is rare.
            self._again = True
            if self.exports.take_gaps(gaps):
                self._gaps = gaps
            else:
                self._start_anew()
        while self._take_page():
            pass
        self._take_decisions()
        while self.exports.stale:
            self._rebuild(min(self.exports.stale))
        self._count(self._ledger.tallies())
        self._declared_at = self._ledger.declared()
        again, self._again = self._again, False
        return again

    @property
    def fingerprint(self) -> str:
        """What the fold depends on beside events and gaps."""
        return serialization.fingerprint(self._edition_now(), self._sources, self._declarations)

    @property
    def known_sources(self) -> Mapping[str, Source]:
        """The configured sources by slug."""
        return self._sources

    @property
    def gaps(self) -> Sequence[Gap]:
        """The gaps that are known of."""
        return self._gaps

    def _edition_now(self) -> str:
        """Another one where another ledger lies there, or a replay amended its events."""
        return f"{self._ledger.identity()} {self._ledger.epoch()}"

    def _begin(self) -> None:
        """Go on from the checkpoint, or start anew where there is none to be trusted."""
        edition = self._edition_now()
        self._again = self._again or self._edition is not None
        self._edition = None
        self.standing = Standing()
        found = checkpoint_loader.load(self._ledger, self._sources, self._declarations, self.fingerprint)
        if found is None:
            self._start_anew()
        else:
            self.exports, self.histories, self._gaps = found.exports, found.histories, found.gaps
            self.sequence, self.pruned, self.saved = found.sequence, found.pruned, found.revision
            self._source_states.clear()
        self._edition = edition

    def _start_anew(self) -> None:
        gaps, pruned = self._ledger.gaps(), self._ledger.folds.pruned()
        bases, histories = baselines.bases(self._ledger, self._sources)
        self._gaps, self.pruned = gaps, pruned
        self.exports = Exports(self._sources, self._declarations, gaps, bases)
        self.histories = histories
        self._source_states.clear()
        self.sequence, self.saved = 0, None

    def _take_page(self) -> bool:
        """Fold the next events; whether there may be more."""
        page = self._ledger.read(self.sequence, PAGE)
        # After that, so that no event is given to an id whose earlier ones are gone in the meantime.
        if self._lost_events() or (not page and self._ledger.last_sequence() < self.sequence):
            self._again = True
            self._start_anew()
            return True
        for source, ids in self.exports.unfamiliar(page).items():
            self.exports.recall(self._ledger.of_ids(source, ids, self.sequence))
        by_source: defaultdict[str, list[Event]] = defaultdict(list)
        for event in page:
            by_source[event.source].append(event)
        for source in by_source.keys() & self.histories.keys():
            self.histories[source].add_all(by_source[source])
            self._source_states.pop(source, None)
        self.exports.apply(page)
        if page:
            self.sequence = page[-1].sequence
        return len(page) == PAGE

    def _lost_events(self) -> bool:
        """Take note of what was pruned; whether too much for what was folded here to be of use."""
        pruned = self._ledger.folds.pruned()
        if pruned.revision == self.pruned.revision:
            return False
        if pruned.last_sequence > self.sequence:
            return True
        bases = dict(baselines.exports_of(self._ledger.folds.bases(self.pruned.revision), self._sources))
        if any(key.kind == RECOGNISED and key not in self.exports for key in bases):
            return True  # it came back in what is not read yet, and what would tell so is gone
        for key, base in bases.items():
            self.exports.rebase(key, base.count)
        self.exports.forget_ids()
        self.pruned = pruned
        return False

    def _rebuild(self, key: ExportKey) -> None:
        folds, selection = self._ledger.folds, self.exports.selection(key)
        while True:
            before = folds.pruned()
            base = baselines.base_of(self._ledger, self._sources, key) if before.revision else None
            events = list(self._ledger.select(selection, self.sequence))
            if folds.pruned() == before:
                self.exports.rebuild(key, events, base)
                return

    def _take_decisions(self) -> None:
        decisions = self._ledger.decisions(self.standing.sequence)
        touched = self.standing.take(decisions)
        taken_back = {each.key for each in decisions if each.kind == KEEP}
        self.exports.take_retirements(self.standing.retired(), taken_back)
        self.exports.changed.update(key for key in touched if key in self.exports)

    def export(self, key: ExportKey, now: float) -> ExportState:
        """The state of one export."""
        declared_at = self._declared_at.get((key.source, key.name), now) if key.kind == DECLARED else 0.0
        return self.standing.applied(key, self.exports.state(key, now, declared_at), now)

    def __contains__(self, key: ExportKey) -> bool:
        """Whether an export is there, and not retired."""
        if key not in self.exports:
            return False
        retired_at = self.standing.retired_at(key)
        return not retired_at or self.exports.last_received(key) > retired_at

    def shown(self) -> list[ExportKey]:
        """Every export that is there and not retired."""
        return [key for key in self.exports.all() if key in self]

    def states(self, now: float) -> list[ExportState]:
        """The states of all exports, the most urgent first."""
        states = [self.export(key, now) for key in self.shown()]
        return sorted(states, key=lambda each: urgency(each, now))

    def sources(self) -> list[SourceState]:
        """The states of all sources, by slug."""
        for slug, source in self._sources.items():
            if slug not in self._source_states:
                self._source_states[slug] = self.histories[slug].state(source, self._tallies.get(slug, ()))
        return [self._source_states[slug] for slug in sorted(self._sources)]

    def _count(self, tallies: Sequence[Tally]) -> None:
        known, self._tallies = self._tallies, {}
        for tally in tallies:
            self._tallies.setdefault(tally.source, []).append(tally)
        for slug in known.keys() | self._tallies.keys():
            if known.get(slug) != self._tallies.get(slug):
                self._source_states.pop(slug, None)
