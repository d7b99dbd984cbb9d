"""What people decided about exports, and what it amounts to: which are muted, and which are retired. Pure.

Decisions are facts like events: appended, never changed. The newest about an export holds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.domain.exports import ExportKey
    from exporter.domain.states import ExportState

MUTE = "mute"
UNMUTE = "unmute"
RETIRE = "retire"
UNRETIRE = "keep"
"""Takes a retirement back."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision about one export.

    Attributes:
        kind: `MUTE`, `UNMUTE`, `RETIRE` or `UNRETIRE`.
        key: about which export.
        decided_at: when.
        until: of a mute, when it ends; else 0.
        by: who decided.
        why: in their words.
        sequence: its place in the log; 0 before it is there.
    """

    kind: str
    key: ExportKey
    decided_at: float
    until: float
    by: str
    why: str
    sequence: int = 0


class ActiveDecisions:
    """What all decisions so far amount to."""

    def __init__(self) -> None:
        self.sequence = 0
        """The last decision that is part of it."""
        self._mutes: dict[ExportKey, Decision] = {}
        self._retirements: dict[ExportKey, list[Decision]] = {}

    def apply(self, decisions: Iterable[Decision]) -> set[ExportKey]:
        """Take further decisions, in the order of the log; about which exports they are."""
        affected = set()
        for decision in decisions:
            affected.add(decision.key)
            self.sequence = decision.sequence
            retirements = self._retirements.setdefault(decision.key, [])
            if decision.kind == MUTE:
                self._mutes[decision.key] = decision
            elif decision.kind == UNMUTE:
                self._mutes.pop(decision.key, None)
            elif decision.kind == RETIRE:
                retirements.append(decision)
            elif retirements:
                retirements.pop()
        return affected

    def active_mutes(self, now: float) -> list[Decision]:
        """Those that hold at ``now``."""
        return [decision for decision in self._mutes.values() if decision.until > now]

    def latest_retirements(self) -> list[Decision]:
        """The newest of each export, whether an event has brought it back or not."""
        return [decisions[-1] for decisions in self._retirements.values() if decisions]

    def retirement_times(self) -> dict[ExportKey, tuple[float, ...]]:
        """When each export was retired, in order."""
        return {
            key: tuple(each.decided_at for each in decisions)
            for key, decisions in self._retirements.items()
            if decisions
        }

    def last_retired_at(self, key: ExportKey) -> float:
        """When an export was last retired; 0 for never. An event that arrived later brings it back."""
        decisions = self._retirements.get(key)
        return decisions[-1].decided_at if decisions else 0.0

    def with_mute(self, key: ExportKey, state: ExportState, now: float) -> ExportState:
        """The state of an export with what was decided about it."""
        mute = self._mutes.get(key)
        if mute is None or mute.until <= max(now, state.muted_until):
            return state
        return replace(
            state,
            muted=True,
            muted_until=mute.until,
            muted_by=mute.by,
            muted_why=mute.why,
            changes_at=min(state.changes_at, mute.until),
        )
