"""The mutes and retirements in the ledger, with the exports they are about and whether they are in effect."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from exporter.domain.decision_history import list_records
from exporter.domain.decisions import MUTE

if TYPE_CHECKING:
    from exporter.domain.decision_history import DecisionRecord
    from exporter.domain.decisions import Decision
    from exporter.domain.states import ExportState
    from exporter.ledger.contract import Ledger
    from exporter.projection.projector import Projector


class RecordedDecision(NamedTuple):
    """A mute or a retirement.

    Attributes:
        record: the decision, and how it ended.
        state: the state of its export; None if the export is neither declared any more nor has events.
        is_in_effect: whether it still lasts.
    """

    record: DecisionRecord
    state: ExportState | None
    is_in_effect: bool


def list_recorded(ledger: Ledger, projector: Projector, now: float) -> list[RecordedDecision]:
    """Return all mutes and retirements, the newest first.

    Args:
        ledger: has the log of decisions.
        projector: has caught up with the ledger.
        now: Unix seconds.

    Raises:
        StoreError: the ledger cannot be read.
    """
    records = list_records(map(projector.follow_rename, ledger.decisions()))
    exports = {record.decision.key for record in records} & set(projector.exports.all_keys())
    states = {key: projector.export_state(key, now) for key in exports}
    return [
        RecordedDecision(record, states.get(record.decision.key), _is_in_effect(record.decision, projector, now))
        for record in records
    ]


def _is_in_effect(decision: Decision, projector: Projector, now: float) -> bool:
    decisions = projector.decisions_in_effect
    if decision.kind == MUTE:
        current = decisions.active_mute(decision.key, now)
    else:
        is_retired = decision.key in projector.exports and decision.key not in projector
        current = decisions.latest_retirement(decision.key) if is_retired else None
    return current is not None and current.sequence == decision.sequence
