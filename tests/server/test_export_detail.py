"""Everything about one export is found, unless it is gone."""

from __future__ import annotations

import pytest

from builders import SHOP, accepted_event, at, event
from exporter.domain.errors import NoSuchExportError
from exporter.domain.exports import ExportKey
from exporter.projection.projector import Projector
from exporter.server.export_detail import export_detail
from memory_ledger import MemoryLedger


def test_an_export_has_its_events_and_runs_and_another_one_is_not_found() -> None:
    ledger = MemoryLedger()
    ledger.append(
        [accepted_event(event(status, at(clock))) for status, clock in (("initiated", "1:00"), ("completed", "1:30"))]
    )
    projector = Projector(ledger, {"shop": SHOP})
    projector.catch_up()
    [key] = projector.list_keys()
    detail = export_detail(projector, ledger, key, at("2:00"))
    assert [each.status for each in detail.events] == ["completed", "initiated"]
    assert [run.duration for run in detail.runs] == [1800]
    assert detail.subject.key == key
    with pytest.raises(NoSuchExportError, match="no such export"):
        export_detail(projector, ledger, ExportKey("shop", "detected", "7"), at("2:00"))
