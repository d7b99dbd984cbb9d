"""Everything about one export that a person asks for: its state, why its deadline is what it is, runs and events."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from exporter.domain.errors import NoSuchExportError
from exporter.domain.events import COMPLETED
from exporter.domain.landing import RunTimes
from exporter.ledger.contract import PAGE_SIZE
from exporter.projection.decision_maker import find_subject
from exporter.projection.fold.deadline_basis import deadline_basis
from exporter.projection.fold.run_list import IN_PROGRESS, STUCK, list_runs

if TYPE_CHECKING:
    from exporter.domain.decision_rules import Subject
    from exporter.domain.events import Event
    from exporter.domain.explanation import DeadlineBasis
    from exporter.domain.exports import ExportKey
    from exporter.ledger.contract import Ledger
    from exporter.projection.fold.run_list import Run
    from exporter.projection.projector import Projector

MAX_EVENTS = 200
"""How many of the newest events of an export are read."""


class ExportDetail(NamedTuple):
    """One export at an instant.

    Attributes:
        subject: its state, and the decisions about it.
        basis: what its deadline follows from; None if it has none.
        runs: those of ``events``, the newest first.
        events: its newest events, the newest first.
    """

    subject: Subject
    basis: DeadlineBasis | None
    runs: list[Run]
    events: list[Event]


def export_detail(projector: Projector, ledger: Ledger, key: ExportKey, now: float) -> ExportDetail:
    """Return everything about an export, retired or not, at ``now``; the caller has caught up with the ledger.

    Only the newest `PAGE_SIZE` events of its selection are searched, which may belong to other exports.

    Raises:
        NoSuchExportError: it is neither declared nor has any event.
        StoreError: the ledger cannot be read.
    """
    exports = projector.exports
    history = exports.history(key)
    if history is None:
        message = "no such export"
        raise NoSuchExportError(message)
    newest = ledger.select_newest_first(exports.selection(key), projector.sequence)
    events = list(islice((each for each in islice(newest, PAGE_SIZE) if exports.is_event_of(key, each)), MAX_EVENTS))
    return ExportDetail(
        find_subject(projector, key, now),
        deadline_basis(history.runs(), history.rules, now, projector.declaration_of(key)),
        list_runs(events, history.rules, now),
        events,
    )


def newest_runs(projector: Projector, ledger: Ledger, key: ExportKey, now: float) -> list[RunTimes]:
    """Return the newest runs of an export that have completed or are in progress, the newest first.

    Raises:
        NoSuchExportError: it is neither declared nor has any event.
        StoreError: the ledger cannot be read.
    """
    return [
        RunTimes(run.request_id, run.started_at, run.ended_at)
        for run in export_detail(projector, ledger, key, now).runs
        if run.outcome in {COMPLETED, IN_PROGRESS, STUCK}
    ]
