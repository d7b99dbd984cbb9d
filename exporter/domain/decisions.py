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
KEEP = "keep"
"""Takes a retirement back."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision about one export.

    Attributes:
        kind: `MUTE`, `UNMUTE`, `RETIRE` or `KEEP`.
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


class Standing:
    """What all decisions so far amount to."""

    def __init__(self) -> None:
        self.sequence = 0
        """The last decision that is part of it."""
        self._mutes: dict[ExportKey, Decision] = {}
        self._retirements: dict[ExportKey, list[Decision]] = {}

    def take(self, decisions: Iterable[Decision]) -> set[ExportKey]:
        """Take further decisions, in the order of the log; about which exports they are."""
        touched = set()
        for each in decisions:
            touched.add(each.key)
            self.sequence = each.sequence
            retirements = self._retirements.setdefault(each.key, [])
            if each.kind == MUTE:
                self._mutes[each.key] = each
            elif each.kind == UNMUTE:
                self._mutes.pop(each.key, None)
            elif each.kind == RETIRE:
                retirements.append(each)
            elif retirements:
                retirements.pop()
        return touched

    def mutes(self, now: float) -> list[Decision]:
        """Those that hold at ``now``."""
        return [each for each in self._mutes.values() if each.until > now]

    def retirements(self) -> list[Decision]:
        """The newest of each export, whether an event has brought it back or not."""
        return [decisions[-1] for decisions in self._retirements.values() if decisions]

    def retired(self) -> dict[ExportKey, tuple[float, ...]]:
        """When each export was retired, in order."""
        return {key: tuple(each.decided_at for each in found) for key, found in self._retirements.items() if found}

    def retired_at(self, key: ExportKey) -> float:
        """When an export was last retired; 0 for never. An event that arrived later brings it back."""
        decisions = self._retirements.get(key)
        return decisions[-1].decided_at if decisions else 0.0

    def applied(self, key: ExportKey, state: ExportState, now: float) -> ExportState:
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
