"""Folds made-up events of one export, for tests of what the fold makes of them."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

from builders import SHOP, at, event
from exporter.domain.deadlines import expectation_of
from exporter.domain.exports import ExportKey
from exporter.projection.fold.exports import ExportProjection
from exporter.projection.fold.history import History
from exporter.projection.fold.rules import Rules

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from exporter.domain.events import Event, Outage
    from exporter.domain.exports import Declaration, Expectation
    from exporter.domain.states import ExportState
    from exporter.projection.fold.runs import Runs


def expectation(interval: int) -> Expectation:
    return expectation_of(interval, UTC)


def folded(*events: Event, outages: Sequence[Outage] = ()) -> Runs:
    history = History(Rules(expectation, outages))
    history.rebuild(events)
    return history.runs()


def started(clock: str, request_id: str = "1700000001", partner: str = "Amazon S3", frequency: str = "4h") -> Event:
    return event("initiated", at(clock), request_id=request_id, partner=partner, frequency=frequency)


def completed(clock: str, request_id: str = "1700000001") -> Event:
    return event("completed", at(clock), request_id=request_id)


def declared_state(
    declaration: Declaration, events: Iterable[Event], now: float, declared_at: float | None = None
) -> ExportState:
    times = {} if declared_at is None else {("shop", declaration.name): declared_at}
    exports = ExportProjection({"shop": SHOP}, [declaration], declared_at=times)
    exports.apply(events)
    return exports.state(ExportKey("shop", "declared", declaration.name), now)
