"""Makes decisions about exports: checks each against what is in effect, and appends it to the ledger."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

from exporter.domain import decision_rules
from exporter.domain.decision_rules import Subject
from exporter.domain.errors import NoSuchExportError

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.domain.decision_rules import Author, MuteEnd
    from exporter.domain.decisions import Decision
    from exporter.domain.epochs import Epoch
    from exporter.domain.exports import ExportKey
    from exporter.domain.states import ExportState
    from exporter.ledger.contract import Ledger
    from exporter.projection.projector import Projector


class Decided(NamedTuple):
    """A decision that is in the ledger.

    Attributes:
        decision: the decision.
        state: the state of its export before it.
        is_new: whether it was recorded just now; otherwise it was in effect already.
    """

    decision: Decision
    state: ExportState
    is_new: bool


class DecisionMaker:
    """Makes the decisions of one process; safe for several threads.

    Every method takes the export, and who decides and why. It may raise, in addition to what it says,
    `NoSuchExportError` and `StoreError`.

    Args:
        ledger: appends the decisions.
        read_clock: returns the time, in Unix seconds, and its epoch.
        find_subject: returns an export as it is at an instant; raises `NoSuchExportError`.
    """

    def __init__(
        self,
        ledger: Ledger,
        read_clock: Callable[[], tuple[float, Epoch]],
        find_subject: Callable[[ExportKey, float], Subject],
    ) -> None:
        self._ledger = ledger
        self._read_clock = read_clock
        self._find_subject = find_subject
        self._lock = threading.Lock()  # so that of two equal requests at a time, one finds the decision of the other

    def mute(self, key: ExportKey, end: MuteEnd, author: Author) -> Decided:
        """Mute an export until ``end``; see `decision_rules.mute`."""
        return self._decide(key, lambda subject, now: decision_rules.mute(subject, end, author, now))

    def unmute(self, key: ExportKey, author: Author) -> Decided:
        """End a mute before its time; see `decision_rules.unmute`."""
        return self._decide(key, lambda subject, now: decision_rules.unmute(subject, author, now))

    def retire(self, key: ExportKey, author: Author) -> Decided:
        """Remove an export from metrics and alerts until an event of it arrives; see `decision_rules.retire`."""
        return self._decide(key, lambda subject, now: decision_rules.retire(subject, author, now))

    def unretire(self, key: ExportKey, author: Author) -> Decided:
        """Undo a retirement; see `decision_rules.unretire`."""
        return self._decide(key, lambda subject, now: decision_rules.unretire(subject, author, now))

    def _decide(self, key: ExportKey, rule: Callable[[Subject, float], Decision]) -> Decided:
        with self._lock:
            now, epoch = self._read_clock()
            subject = self._find_subject(key, now)
            decision = rule(subject, now)
            is_new = not decision.sequence
            if is_new:
                self._ledger.append_decision(decision, epoch)
            return Decided(decision, subject.state, is_new)


def find_subject(projector: Projector, key: ExportKey, now: float) -> Subject:
    """Return an export, retired or not, as it is at ``now``.

    Raises:
        NoSuchExportError: it is neither declared nor has any event.
    """
    if key not in projector.exports:
        message = "no such export"
        raise NoSuchExportError(message)
    decisions = projector.decisions_in_effect
    return Subject(
        key,
        projector.export_state(key, now),
        is_retired=key not in projector,
        mute=decisions.active_mute(key, now),
        retirement=decisions.latest_retirement(key),
        match=projector.match_of(key),
    )
