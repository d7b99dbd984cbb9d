"""The mutes and retirements that people decided on, those that have ended too. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from exporter.domain.decisions import MUTE, PURGE, RETIRE, UNMUTE, Decision

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.domain.exports import ExportKey


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """A mute or a retirement, and how it ended.

    Attributes:
        decision: of the kind `MUTE` or `RETIRE`.
        ended_by: the decision that ended it: an unmute, another mute, or what undid a retirement. None if a mute lasted
            until its time, or lasts; and if a retirement lasts, or an event has ended it.
    """

    decision: Decision
    ended_by: Decision | None = None

    @property
    def ended_at(self) -> float:
        """When it ended or will end, in Unix seconds; 0 for a retirement that nobody has undone."""
        return self.ended_by.decided_at if self.ended_by else self.decision.until


def list_records(decisions: Iterable[Decision]) -> list[DecisionRecord]:
    """Return the mutes and retirements of a log of decisions, the newest first.

    A mute ends an earlier one of the same export. Another retirement does not end the one before it.
    """
    records: list[DecisionRecord] = []
    open_mutes: dict[ExportKey, int] = {}
    open_retirements: dict[ExportKey, list[int]] = {}
    for decision in decisions:
        if decision.kind == PURGE:
            continue
        ended: int | None = None
        if decision.kind in {MUTE, UNMUTE}:
            ended = open_mutes.pop(decision.key, None)
            if ended is not None and records[ended].decision.until <= decision.decided_at:
                ended = None
        elif decision.kind != RETIRE and open_retirements.get(decision.key):
            ended = open_retirements[decision.key].pop()
        if ended is not None:
            records[ended] = replace(records[ended], ended_by=decision)
        if decision.kind == MUTE:
            open_mutes[decision.key] = len(records)
        elif decision.kind == RETIRE:
            open_retirements.setdefault(decision.key, []).append(len(records))
        if decision.kind in {MUTE, RETIRE}:
            records.append(DecisionRecord(decision))
    return records[::-1]
