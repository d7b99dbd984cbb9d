"""Entries that the tests of ledgers append."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builders import at, event
from exporter.domain.events import QuarantinedBody
from exporter.ledger.contract import TestCallReceived

if TYPE_CHECKING:
    from exporter.domain.events import Event

FIRST = event("initiated", at("0:00"))
SECOND = event("completed", at("0:10"))
THIRD = event("initiated", at("4:00"), request_id="1700000002", partner="Azure", frequency="24h")


def a_quarantined(reason: str = "bad_date", digest: bytes = b"q" * 16, source: str = "shop") -> QuarantinedBody:
    return QuarantinedBody(source, at("0:00"), reason, "made up", b'{"not": "understood"}', digest)


def vendor_call(arrived_at: float = at("0:00")) -> TestCallReceived:
    return TestCallReceived("shop", arrived_at)


def digests(events: list[Event]) -> list[bytes]:
    return [each.digest for each in events]
