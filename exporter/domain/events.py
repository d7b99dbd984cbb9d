"""What happened, as frozen values: events, and what was not understood.

All instants are Unix seconds; 0 means never or none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.domain.frequency import Frequency, parse

if TYPE_CHECKING:
    from datetime import datetime

INITIATED = "initiated"
COMPLETED = "completed"
FAILED_STATUSES = frozenset({"failed", "failure", "error", "stopped", "cancelled", "canceled", "aborted", "expired"})
STATUS_RANKS, OTHER_STATUS_RANK = {INITIATED: 0, COMPLETED: 1}, 2


@dataclass(frozen=True, slots=True)
class ParsedEvent:
    """What one body says, before anyone knows when and from which source it came.

    Attributes:
        partner: the canonical name, or the sender's text.
        data_type: lower case.
        status: lower case.
        frequency: the label of its frequency, see `exporter.domain.frequency`.
        local_time: the sender's text as a date and time without a zone.
        digest: 16 bytes, the same for every delivery of the same announcement.
    """

    request_id: str
    partner: str
    data_type: str
    status: str
    frequency: str
    local_time: datetime
    digest: bytes


@dataclass(frozen=True, slots=True)
class Event:
    """One accepted announcement: a fact, appended to the ledger and never changed.

    Attributes:
        arrived_at: when the body arrived here.
        occurred_at: when the export started, ended or failed.
        utc_offset: the offset at which ``local_time`` was read, in seconds east of UTC.
        skewed: whether the text lay in the future, so that the arrival stands for it.
        sequence: its place in the ledger; 0 before it is there.
    """

    source: str
    request_id: str
    partner: str
    data_type: str
    status: str
    frequency: str
    local_time: datetime
    digest: bytes
    arrived_at: float
    occurred_at: float
    utc_offset: int
    skewed: bool
    sequence: int = 0

    @property
    def chronological_key(self) -> tuple[float, int, float, bytes]:
        """The order of history: by time, Initiated before Completed, then by arrival."""
        return (self.occurred_at, STATUS_RANKS.get(self.status, OTHER_STATUS_RANK), self.arrived_at, self.digest)

    @property
    def group_key(self) -> str:
        """Partner, type and frequency in one text: the same for every event of a group."""
        return group_text(self.partner, self.data_type, self.frequency)

    @property
    def schedule(self) -> Frequency:
        """The meaning of the event's frequency."""
        return parse(self.frequency)


@dataclass(frozen=True, slots=True)
class QuarantinedBody:
    """An authentic body that was not understood, kept for a replay.

    Attributes:
        reason: one of a small set of words, fit for a label.
        detail: a sentence for people.
    """

    source: str
    arrived_at: float
    reason: str
    detail: str
    body: bytes
    digest: bytes
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class DeliveryCounter:
    """How often something happened that is counted and not kept as an event.

    Attributes:
        kind: ``duplicate``, ``test_call`` or ``quarantined``.
        label: the reason of a quarantined body, else empty.
        last_at: the arrival of the newest.
    """

    source: str
    kind: str
    label: str
    count: int
    last_arrived_at: float


@dataclass(frozen=True, slots=True)
class Outage:
    """A time in which no exporter was there to listen, between two of its heartbeats."""

    began_at: float
    ended_at: float


def group_text(partner: str, data_type: str, frequency: str) -> str:
    """Partner, type and frequency in one text, in any case the same."""
    return f"{partner}\x1f{data_type}\x1f{frequency}".casefold()
