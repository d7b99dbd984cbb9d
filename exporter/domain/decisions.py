"""Mutes, retirements and purges: the decisions that people log, and which of them are in effect. Pure.

Decisions are facts, like events: appended and never changed. The newest one about an export is in effect.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.domain.exports import ExportKey
    from exporter.domain.states import ExportState

MUTE = "mute"
UNMUTE = "unmute"
RETIRE = "retire"
UNRETIRE = "unretire"
"""Reverts the last retirement."""
PURGE = "purge"
"""What a source received in a window was removed, see `exporter.domain.purges`; the key names only the source."""

ACTIVE = "active"
PAST = "past"
LEFT_BEHIND = "left behind"
"""A mute in effect whose export is neither declared any more nor has events."""
DECISION_STATES = (ACTIVE, PAST, LEFT_BEHIND)
"""What has become of a mute or a retirement."""

DECISION = "decision"
CONFIGURATION = "configuration"
"""The origin of a mute: a decision that somebody made, or ``muted_until`` of a declared export."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision about one export, or in a purge about one source.

    Attributes:
        kind: `MUTE`, `UNMUTE`, `RETIRE`, `UNRETIRE` or `PURGE`.
        key: the export.
        decided_at: when it was decided.
        until: when a mute ends; 0 for the other kinds.
        lasts: for how many seconds a mute was given; 0 if its end was. A mute for two hours ends two hours after it
            was decided, also when it turns out that the clock was wrong then.
        by: who decided.
        why: the reason given.
        sequence: its position in the log; 0 until it is appended.
        match: `Selection.text` of a declared export when it was decided, by which it is found if it is renamed;
            empty for other exports. Of a purge, its window.
    """

    kind: str
    key: ExportKey
    decided_at: float
    until: float
    by: str
    why: str
    sequence: int = 0
    lasts: float = 0.0
    match: str = ""


class ActiveDecisions:
    """The decisions in effect."""

    def __init__(self) -> None:
        self.sequence = 0
        """The sequence of the last decision that was applied."""
        self._mutes: dict[ExportKey, Decision] = {}
        self._mutes_ended_at: dict[ExportKey, float] = {}
        """When the last mute of each export ends, or was ended by a person."""
        self._retirements: dict[ExportKey, list[Decision]] = {}
        self.purges: list[Decision] = []
        """Every purge, in order. What it removed is not in the ledger any more, so that no state depends on it."""

    def apply(self, decisions: Iterable[Decision]) -> set[ExportKey]:
        """Apply further decisions, in the order of the log, and return the exports they are about."""
        affected = set()
        for decision in decisions:
            self.sequence = decision.sequence
            if decision.kind == PURGE:
                self.purges.append(decision)
                continue
            affected.add(decision.key)
            retirements = self._retirements.setdefault(decision.key, [])
            if decision.kind == MUTE:
                self._mutes[decision.key] = decision
                self._mutes_ended_at[decision.key] = decision.until
            elif decision.kind == UNMUTE:
                self._mutes.pop(decision.key, None)
                previous_end = self._mutes_ended_at.get(decision.key, decision.decided_at)
                self._mutes_ended_at[decision.key] = min(previous_end, decision.decided_at)
            elif decision.kind == RETIRE:
                retirements.append(decision)
            elif retirements:
                retirements.pop()
        return affected

    def active_mutes(self, now: float) -> list[Decision]:
        """Return the mutes that are in effect at ``now``."""
        return [decision for decision in self._mutes.values() if decision.until > now]

    def active_mute(self, key: ExportKey, now: float) -> Decision | None:
        """Return the mute of an export that is in effect at ``now``; None if there is none."""
        mute = self._mutes.get(key)
        return mute if mute is not None and mute.until > now else None

    def latest_retirement(self, key: ExportKey) -> Decision | None:
        """Return the newest retirement of an export, even if a later event has ended it; None if there is none."""
        return next(reversed(self._retirements.get(key, [])), None)

    def unmuted_at(self, key: ExportKey) -> float:
        """Return when the last mute of an export ended or will end; 0 for never."""
        return self._mutes_ended_at.get(key, 0.0)

    def latest_retirements(self) -> list[Decision]:
        """Return the newest retirement of each export, even if a later event has ended it."""
        return [decisions[-1] for decisions in self._retirements.values() if decisions]

    def retirement_times(self) -> dict[ExportKey, tuple[float, ...]]:
        """Return when each export was retired, in order."""
        return {
            key: tuple(decision.decided_at for decision in decisions)
            for key, decisions in self._retirements.items()
            if decisions
        }

    def last_retired_at(self, key: ExportKey) -> float:
        """Return when an export was last retired, 0 for never. An event that arrives later ends the retirement."""
        retirement = self.latest_retirement(key)
        return retirement.decided_at if retirement else 0.0

    def with_mute(self, key: ExportKey, state: ExportState, now: float) -> ExportState:
        """Return the state of an export with the mute that is in effect, if it lasts longer than a configured one."""
        mute = self._mutes.get(key)
        if mute is None or mute.until <= max(now, state.muted_until):
            return state
        return state._replace(
            muted=True,
            muted_until=mute.until,
            muted_by=mute.by,
            muted_why=mute.why,
            changes_at=min(state.changes_at, mute.until),
        )
