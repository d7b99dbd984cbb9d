"""Small builders: events, made-up bodies, and exports that follow a ledger.

Every body that `body` makes is made up, in the form of the one that CleverTap documents. Instants
are Unix seconds; unless a test says otherwise they lie on 2026-06-01, a day like any other.
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
    """``at("4:50")`` is 4:50 UTC of the usual day; ``day`` counts from it."""
    hours, minutes, seconds = (*map(int, clock.split(":")), 0)[:3]
    return MIDNIGHT + day * DAY + hours * HOUR + minutes * MINUTE + seconds


def instant(text: str) -> float:
    """An ISO date and time as Unix seconds; UTC where it names no offset."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def vendor_clock(occurred_at: float, zone: tzinfo = UTC) -> str:
    """``Date and Time`` as CleverTap writes it: ``25/07/2023 4:50:52 PM``."""
    local = datetime.fromtimestamp(occurred_at, zone)
    half = "AM" if local.hour < 12 else "PM"
    return f"{local:%d/%m/%Y} {local.hour % 12 or 12}:{local:%M:%S} {half}"


def fields(
    status: str = "Initiated", when: str = "01/06/2026 12:00:00 AM", request_id: object = 1700000001, **changes: object
) -> dict[str, object]:
    """The six keys of a made-up body; ``changes`` by key, with ``_`` for a space."""
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
    """A made-up body of these `fields`."""
    return json.dumps(fields(status, when, request_id, **changes)).encode()


def event(  # noqa: PLR0913 - as many as an event has fields
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
) -> Event:
    """An event that arrived ``delay`` seconds after it happened."""
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
        sequence=sequence,
    )


def accepted_event(each: Event) -> AcceptedEvent:
    """An event with a made-up body."""
    return AcceptedEvent(each, f"made up for {each.digest.hex()}".encode())


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


def states(exports: ExportProjection, now: float, declared_at: float = 0) -> dict[ExportKey, ExportState]:
    """The state of every export at ``now``."""
    return {key: exports.state(key, now, declared_at) for key in exports.all_keys()}


class Webhook:
    """One source with intake, ledger and projection: bodies go in, states come out."""

    def __init__(
        self, source: Source = SHOP, declarations: Sequence[Declaration] = (), outages: Sequence[Outage] = ()
    ) -> None:
        self.source = source
        self.ledger = MemoryLedger()
        self.intake = Intake(self.ledger, most_event_bytes=65_536)
        self.exports = ExportProjection({source.slug: source}, declarations, outages)
        self._after = 0

    def deliver(
        self, status: str, occurred_at: float, request_id: object = 1700000001, *, delay: float = 2, **changes: object
    ) -> Receipt:
        """Ingest a made-up body of an event, ``delay`` seconds after it happened."""
        when = vendor_clock(occurred_at, self.source.zone or UTC)
        return self.intake.ingest(self.source, body(status, when, request_id, **changes), occurred_at + delay)

    def states(self, now: float) -> dict[str, ExportState]:
        """The states at ``now``, by their ``export`` label."""
        self._after = catch_up(self.exports, self.ledger, self._after)
        return {state.export: state for state in states(self.exports, now).values()}

    def only_state(self, now: float) -> ExportState:
        """The state of the one export that there is."""
        (state,) = self.states(now).values()
        return state


def bad_bodies(count: int, first: int = 0) -> Iterator[bytes]:
    """Bodies that are refused, of several kinds and all different."""
    for number in range(first, first + count):
        yield (
            b"[" * (1 + number % 5_000),
            b'{"Export Request Id": ' + b"1" * (number % 4_000),
            b'{"Partner": "\xff"}' + b" " * (number % 1_000),
            b"%d" % number,
        )[number % 4]
