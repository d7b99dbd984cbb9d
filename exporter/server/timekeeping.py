"""Notices when the clock was wrong, and dates again what was stamped by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from exporter.domain.epochs import bracketed_offsets, offsets_not_ahead
from exporter.ledger.instants import to_micros

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.ingest.redating import Redating
    from exporter.ledger.clock import Clock
    from exporter.ledger.contract import Ledger

log = structlog.get_logger()


class Timekeeper:
    """Corrects the epochs of a ledger by the clock of this process.

    Args:
        ledger: has the epochs.
        clock: the clock of this process.
        redating: returns what dates events again, by the configuration in effect.
    """

    def __init__(self, ledger: Ledger, clock: Clock, redating: Callable[[], Redating]) -> None:
        self._ledger = ledger
        self._clock = clock
        self._redating = redating

    def enter(self) -> None:
        """Enter the epoch of this boot, and correct it and the epochs before it by the clock as it is now.

        Raises:
            StoreError: the ledger cannot be read or written.
        """
        self._clock.start()
        if not self.check():
            self._correct_others()

    def check(self) -> bool:
        """Return whether the clock has taken a step, and correct the epochs if it has.

        Raises:
            StoreError: the ledger cannot be read or written.
        """
        step = self._clock.check()
        if step is None:
            return False
        paused = self._redating().was_right_before(self._clock.epoch, step.seconds)
        log.warning("clock_changed", seconds=round(step.seconds, 3), paused=paused)
        if paused:
            self._clock.begin_epoch(step.offset_us)
        else:
            self._clock.correct(step.offset_us)
        self._correct_others()
        return True

    def redate(self) -> None:
        """Date the events again whose epochs were corrected.

        Raises:
            StoreError: the ledger cannot be read or written.
        """
        changed = self._redating().redate()
        if changed:
            log.warning("events_redated", changed=changed)

    def _correct_others(self) -> None:
        """Move the epochs that cannot have been when they are dated."""
        epochs, live_id = self._ledger.epochs(), self._clock.epoch.id
        if self._ledger.reference_time() is None:
            offsets = bracketed_offsets(epochs, live_id, self._redating().epochs_behind(epochs))
        else:
            offsets = offsets_not_ahead(epochs, live_id, to_micros(self._clock.now()))
        current = {epoch.id: epoch.offset_us for epoch in epochs}
        changed = {number: offset_us for number, offset_us in offsets.items() if offset_us != current[number]}
        if changed:
            log.warning("earlier_clock_wrong", epochs=sorted(changed))
            self._ledger.correct_epochs(changed)
