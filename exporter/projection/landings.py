"""What the checks in a ledger say about the files of exports."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from exporter.domain.landing_history import LandingHistory

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import tzinfo

    from exporter.domain.exports import ExportKey
    from exporter.domain.landing import Landing, Landings
    from exporter.domain.landing_history import LandingState
    from exporter.domain.states import ExportState
    from exporter.ledger.contract import Ledger
    from exporter.projection.projector import Projector

NEWEST_CHECKS = 100
"""How many checks of each export are read at the start: those of the runs that its usual size follows from."""


class ExportWithLanding(NamedTuple):
    """An export whose files are looked for, at one instant.

    Attributes:
        zone: the time zone of its source; None if that is not configured.
    """

    key: ExportKey
    state: ExportState
    landing: Landing
    zone: tzinfo | None


class LandingHistories:
    """The checks in a ledger, by export, as of the last `catch_up`. Not thread-safe.

    Args:
        ledger: the ledger to follow.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._histories: defaultdict[str, LandingHistory] = defaultdict(LandingHistory)
        self._ledger_id = ""
        self._read_up_to = 0

    def catch_up(self) -> None:
        """Read the checks that are new; all of them if another ledger has replaced this one.

        Raises:
            StoreError: the ledger cannot be read.
        """
        store = self._ledger.landings
        if self._ledger_id != self._ledger.ledger_id():
            checks = store.read_newest(NEWEST_CHECKS)
            self._ledger_id, self._read_up_to = self._ledger.ledger_id(), 0
            self._histories.clear()
        else:
            checks = store.read(self._read_up_to)
        for check in checks:
            self._histories[check.export_id].add(check)
            self._read_up_to = check.sequence

    def of(self, export_id: str) -> LandingHistory:
        """Return the checks of an export."""
        return self._histories.get(export_id) or LandingHistory()

    def state(self, export: ExportWithLanding, now: float) -> LandingState:
        """Return what is known about the files of an export at ``now``."""
        return self.of(export.state.id).state(export.state, export.landing, now)


def attach_landings(states: Iterable[ExportState], known: Mapping[str, LandingState]) -> list[ExportState]:
    """Return states with what is known about their files, by `ExportKey.id`."""
    return [state._replace(landing=known[state.id]) if state.id in known else state for state in states]


def exports_with_landing(
    projector: Projector, landings: Landings, limit: int, now: float
) -> Iterator[ExportWithLanding]:
    """Yield the exports whose files are looked for.

    They are among those that have series of their own: of each source, the first ``limit`` by their first event.
    """
    by_source: defaultdict[str, list[ExportKey]] = defaultdict(list)
    for key in projector.list_keys():
        by_source[key.source].append(key)
    for slug, keys in by_source.items():
        if len(keys) > limit:
            keys.sort(key=lambda key: (projector.exports.first_sequence(key), key))
        found = [(key, landing) for key in keys[:limit] if (landing := landings.of(key)) is not None]
        states = projector.states_of([key for key, _ in found], now)
        zone = projector.configured_sources[slug].zone
        for (key, landing), state in zip(found, states, strict=True):
            yield ExportWithLanding(key, state, landing, zone)
