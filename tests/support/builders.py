"""Builders of events, webhook bodies and projections.

The bodies are made up, in the form that CleverTap documents. Instants are Unix seconds, on 2026-06-01 by default:
a day without a summer-time change.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING

from exporter.domain.events import Event
from exporter.domain.exports import ExportKey, Source
from exporter.ingest.intake import Intake
from exporter.ledger.contract import AcceptedEvent
from exporter.projection.fold.exports import ExportProjection
from memory_ledger import MemoryLedger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from exporter.domain.events import Outage
    from exporter.domain.exports import Declaration
    from exporter.domain.states import ExportState
    from exporter.ingest.intake import Receipt
    from exporter.ledger.contract import Ledger

SAMPLES = Path(__file__).parent.parent / "samples" / "clevertap"
MINUTE = 60
HOUR = 3600
DAY = 24 * HOUR
MIDNIGHT = datetime(2026, 6, 1, tzinfo=UTC).timestamp()
SHOP = Source("shop", "UTC", UTC)


def at(clock: str, day: int = 0) -> float:
    """Return a time of day in UTC as Unix seconds: ``at("4:50")`` on 2026-06-01, or ``day`` days later."""
    hours, minutes, seconds = (*map(int, clock.split(":")), 0)[:3]
    return MIDNIGHT + day * DAY + hours * HOUR + minutes * MINUTE + seconds


def instant(text: str) -> float:
    """Convert an ISO date and time to Unix seconds; it is in UTC if it has no offset."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def vendor_clock(occurred_at: float, zone: tzinfo = UTC) -> str:
    """Format ``Date and Time`` as CleverTap does: ``25/07/2023 4:50:52 PM``."""
    local = datetime.fromtimestamp(occurred_at, zone)
    half = "AM" if local.hour < 12 else "PM"
    return f"{local:%d/%m/%Y} {local.hour % 12 or 12}:{local:%M:%S} {half}"


def fields(
    status: str = "Initiated", when: str = "01/06/2026 12:00:00 AM", request_id: object = 1700000001, **changes: object
) -> dict[str, object]:
    """Return the six keys of a body with their values; ``changes`` replaces or adds some, with ``_`` for a space."""
    values: dict[str, object] = {
        "Export Request Id": request_id,
        "Partner": "Amazon S3",
        "Type": "Events",
        "Status": status,
        "Frequency": "Every 4 hours",
        "Date and Time": when,
    }
    return values | {key.replace("_", " "): value for key, value in changes.items()}


def body(
    status: str = "Initiated", when: str = "01/06/2026 12:00:00 AM", request_id: object = 1700000001, **changes: object
) -> bytes:
    """Return the body with these `fields`."""
    return json.dumps(fields(status, when, request_id, **changes)).encode()


def event(  # noqa: PLR0913 - one per field of an event
    status: str,
    occurred_at: float,
    *,
    request_id: str = "1700000001",
    partner: str = "Amazon S3",
    data_type: str = "events",
    frequency: str = "4h",
    source: str = "shop",
    delay: float = 2,
    sequence: int = 0,
    skewed: bool = False,
    utc_offset: int = 0,
    offset_in_text: bool = False,
) -> Event:
    """Make an event that arrives ``delay`` seconds after it happened."""
    texts = (request_id, partner, data_type, status, frequency, str(occurred_at))
    return Event(
        source=source,
        request_id=request_id,
        partner=partner,
        data_type=data_type,
        status=status,
        frequency=frequency,
        local_time=datetime.fromtimestamp(occurred_at + utc_offset, UTC).replace(tzinfo=None, microsecond=0),
        digest=hashlib.sha256("\x1f".join(texts).encode()).digest()[:16],
        arrived_at=occurred_at + delay,
        occurred_at=occurred_at,
        utc_offset=utc_offset,
        skewed=skewed,
        offset_in_text=offset_in_text,
        sequence=sequence,
    )


def accepted_event(stored: Event) -> AcceptedEvent:
    """Give an event a body of its own."""
    return AcceptedEvent(stored, f"made up for {stored.digest.hex()}".encode())


def catch_up(
    exports: ExportProjection,
    ledger: Ledger,
    after: int = 0,
    page_size: int = 1000,
    pick: Callable[[Iterable[ExportKey]], ExportKey] = min,
) -> int:
    """Fold the events after a sequence, as a projector does; return the last sequence."""
    while page := ledger.read(after, page_size):
        exports.apply(page)
        after = page[-1].sequence
    while exports.needs_rebuild:
        key = pick(exports.needs_rebuild)
        exports.rebuild(key, ledger.select(exports.selection(key), after))
    return after


def states(exports: ExportProjection, now: float) -> dict[ExportKey, ExportState]:
    """Return the state of every export at ``now``."""
    return {key: exports.state(key, now) for key in exports.all_keys()}


class Webhook:
    """One source with its intake, ledger and projection: takes bodies, and returns the exports' states."""

    def __init__(
        self,
        source: Source = SHOP,
        declarations: Sequence[Declaration] = (),
        outages: Sequence[Outage] = (),
        declared_at: float = MIDNIGHT,
    ) -> None:
        self.source = source
        self.ledger = MemoryLedger()
        self.intake = Intake(self.ledger, most_event_bytes=65_536)
        times = {(source.slug, declaration.name): declared_at for declaration in declarations}
        self.exports = ExportProjection({source.slug: source}, declarations, outages, declared_at=times)
        self._after = 0

    def deliver(
        self, status: str, occurred_at: float, request_id: object = 1700000001, *, delay: float = 2, **changes: object
    ) -> Receipt:
        """Ingest the body of an event, ``delay`` seconds after it happened."""
        when = vendor_clock(occurred_at, self.source.zone or UTC)
        return self.intake.ingest(self.source, body(status, when, request_id, **changes), occurred_at + delay)

    def states(self, now: float) -> dict[str, ExportState]:
        """Return the states at ``now`` by their ``export`` label."""
        self._after = catch_up(self.exports, self.ledger, self._after)
        return {state.export: state for state in states(self.exports, now).values()}

    def only_state(self, now: float) -> ExportState:
        """Return the state of the only export."""
        (state,) = self.states(now).values()
        return state


def bad_bodies(count: int, first: int = 0) -> Iterator[bytes]:
    """Yield different bodies of several kinds that the exporter refuses."""
    for number in range(first, first + count):
        yield (
            b"[" * (1 + number % 5_000),
            b'{"Export Request Id": ' + b"1" * (number % 4_000),
            b'{"Partner": "\xff"}' + b" " * (number % 1_000),
            b"%d" % number,
        )[number % 4]
