"""Shows what a purge would change, by folding a ledger without the events of a window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from exporter.ledger.contract import PAGE_SIZE
from exporter.projection.projector import Projector

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from exporter.domain.events import Event
    from exporter.domain.exports import Declaration, ExportKey, Selection, Source
    from exporter.domain.purges import Window
    from exporter.domain.states import ExportState
    from exporter.ledger.contract import Ledger


@dataclass(frozen=True, slots=True)
class Changes:
    """The exports that a purge changes.

    Attributes:
        removed: those that would not be known any more, as they are.
        added: those that would be known in addition, such as the group of a request id that recurs only in the window.
        changed: the others, before and after.
    """

    removed: list[ExportState]
    added: list[ExportState]
    changed: list[tuple[ExportState, ExportState]]


class _LedgerWithoutWindow:
    """A ledger as a projector reads it, without the events of a window."""

    def __init__(self, ledger: Ledger, window: Window) -> None:
        self._ledger = ledger
        self._window = window

    def __getattr__(self, name: str) -> object:
        return getattr(self._ledger, name)

    def replay_generation(self) -> int:
        """One more, as after the purge, so that no checkpoint is used."""
        return self._ledger.replay_generation() + 1

    def read(self, after: int, limit: int = PAGE_SIZE) -> list[Event]:
        """The events after a sequence that are left; fewer than ``limit`` only at the end."""
        events: list[Event] = []
        while len(events) < limit and (page := self._ledger.read(after, limit)):
            after = page[-1].sequence
            events += self._left(page)
        return events[:limit]

    def select(self, selection: Selection, upto: int) -> Iterator[Event]:
        """The events of a selection that are left."""
        return self._left(self._ledger.select(selection, upto))

    def read_ids(self, source: str, request_ids: Iterable[str], upto: int) -> list[Event]:
        """The events of many request ids that are left."""
        return list(self._left(self._ledger.read_ids(source, request_ids, upto)))

    def _left(self, events: Iterable[Event]) -> Iterator[Event]:
        return (event for event in events if not self._window.contains(event))


def project_without(
    ledger: Ledger, window: Window, sources: Mapping[str, Source], declarations: Sequence[Declaration]
) -> Projector:
    """Return a projector that has folded all events but those of a window.

    Raises:
        StoreError: the ledger cannot be read.
    """
    projector = Projector(cast("Ledger", _LedgerWithoutWindow(ledger, window)), sources, declarations)
    projector.catch_up()
    return projector


def compare(before: Projector, after: Projector, now: float) -> Changes:
    """Compare the exports that two projectors show at ``now``, in Unix seconds; both have caught up."""
    old, new = _states(before, now), _states(after, now)
    return Changes(
        [old[key] for key in sorted(old.keys() - new.keys())],
        [new[key] for key in sorted(new.keys() - old.keys())],
        [(old[key], new[key]) for key in sorted(old.keys() & new.keys()) if old[key] != new[key]],
    )


def _states(projector: Projector, now: float) -> dict[ExportKey, ExportState]:
    return {key: projector.export_state(key, now) for key in projector.list_keys()}
