"""The tail: folds what came into the ledger since it last looked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.attribution import Exports
from exporter.decisions import Standing
from exporter.ledger import PAGE
from exporter.source_history import SourceHistory

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exporter.ledger import Ledger
    from exporter.model import Declaration, ExportKey, ExportState, Gap, Source, SourceState, Tally


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
        self._declared_at: Mapping[tuple[str, str], float] = {}
        self.sequence = 0
        """The place in the ledger up to which everything is known."""
        self._again = False
        self._edition: str | None = None
        self._forget()

    def _forget(self) -> None:
        self.standing = Standing()
        """What people decided."""
        self.sequence = 0
        self.exports = Exports(self._sources, self._declarations, self._gaps)
        self._histories = {slug: SourceHistory() for slug in self._sources}
        self._source_states: dict[str, SourceState] = {}

    def _look_at_edition(self) -> None:
        """Begin again where another ledger lies there, or a replay amended its events."""
        edition = f"{self._ledger.identity()} {self._ledger.epoch()}"
        if edition != self._edition:
            self._again = self._again or self._edition is not None
            self._edition = edition
            self._forget()

    def refresh(self) -> bool:
        """Fold what is new.

        Returns:
            True where everything was folded again, so that nothing known before holds.

        Raises:
            StoreError: the ledger cannot be read; the next call goes on where this one ended.
        """
        self._look_at_edition()
        gaps = self._ledger.gaps()
        if gaps != self._gaps:
            # A time in which nobody listened changes what was missed; that is rare.
            self._gaps, self._again = gaps, True
            if not self.exports.take_gaps(gaps):
                self._forget()
        while True:
            page = self._ledger.read(self.sequence, PAGE)
            for source, ids in self.exports.unfamiliar(page).items():
                self.exports.recall(self._ledger.of_ids(source, ids, self.sequence))
            for event in page:
                if event.source in self._histories:
                    self._histories[event.source].add(event)
                    self._source_states.pop(event.source, None)
            self.exports.apply(page)
            if page:
                self.sequence = page[-1].sequence
            if len(page) < PAGE:
                break
        while self.exports.stale:
            key = min(self.exports.stale)
            self.exports.rebuild(key, self._ledger.select(self.exports.selection(key), self.sequence))
        self._count(self._ledger.tallies())
        self._declared_at = self._ledger.declared()
        touched = self.standing.take(self._ledger.decisions(self.standing.sequence))
        self.exports.changed.update(key for key in touched if key in self.exports)
        again, self._again = self._again, False
        return again

    def export(self, key: ExportKey, now: float) -> ExportState:
        """The state of one export."""
        state = self.exports.state(key, now, self._declared_at.get((key.source, key.name), now))
        return self.standing.applied(key, state, now)

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
                self._source_states[slug] = self._histories[slug].state(source, self._tallies.get(slug, ()))
        return [self._source_states[slug] for slug in sorted(self._sources)]

    def _count(self, tallies: Sequence[Tally]) -> None:
        known, self._tallies = self._tallies, {}
        for tally in tallies:
            self._tallies.setdefault(tally.source, []).append(tally)
        for slug in known.keys() | self._tallies.keys():
            if known.get(slug) != self._tallies.get(slug):
                self._source_states.pop(slug, None)


_URGENCY = ("never completed", "late", "stuck", "failed", "not started", "running", "fine", "muted")


def urgency(state: ExportState, now: float) -> tuple[object, ...]:
    """A key to sort by: what is wrong first, then what is due first."""
    due = state.deadline or float("inf")
    return (_URGENCY.index(state.condition(now)), due, state.source, state.export, state.partner, state.frequency)
