"""The facts that the ledger stores, as frozen values: events, quarantined bodies, counters and outages.

Events are named tuples: a frozen dataclass of fourteen fields takes seven times as long to create.

All instants are Unix seconds; 0 means never or none.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from exporter.domain.epochs import GIVEN, Epoch
from exporter.domain.frequency import Frequency, parse

if TYPE_CHECKING:
    from datetime import datetime

INITIATED = "initiated"
RUNNING = "running"
"""A run is in progress: no second start, but the first news of a run whose start was not announced."""
COMPLETED = "completed"
FAILED = "failed"

STATUS_WORDS = {
    INITIATED: ("started", "begun"),
    RUNNING: ("in progress",),
    COMPLETED: ("complete", "success", "successful", "succeeded", "done", "finished"),
    FAILED: ("failure", "error", "stopped", "cancelled", "canceled", "aborted", "expired"),
}
"""The statuses that change a run, each with its synonyms."""
_STATUS_OF_WORD = {word: status for status, synonyms in STATUS_WORDS.items() for word in (status, *synonyms)}


def canonical_status(text: str) -> str:
    """Return the status of `STATUS_WORDS` that a sender's word means; any other word in lower case."""
    word = text.lower()
    return _STATUS_OF_WORD.get(word.replace("-", " ").replace("_", " "), word)


class ParsedEvent(NamedTuple):
    """The content of one notification, before its source, arrival and event time are known.

    Attributes:
        request_id: empty if the vendor gives none.
        partner: the canonical name of a known partner, else the sender's text.
        data_type: in lower case.
        status: as `canonical_status` returns it.
        frequency: `exporter.domain.frequency.Frequency.label`.
        local_time: the sender's date and time, without a zone.
        digest: 16 bytes that are the same for every delivery of the same event.
        utc_offset: the offset that the sender's text gives, in seconds east of UTC; None if it gives none.
    """

    request_id: str
    partner: str
    data_type: str
    status: str
    frequency: str
    local_time: datetime
    digest: bytes
    utc_offset: int | None = None


class Event(NamedTuple):
    """One accepted notification: appended to the ledger and never changed.

    Attributes:
        arrived_at: when the exporter received the body.
        occurred_at: when the export started, completed or failed.
        utc_offset: the offset used to interpret ``local_time``, in seconds east of UTC.
        skewed: whether ``local_time`` was in the future, so that ``occurred_at`` is the arrival.
        offset_in_text: whether the sender's text gave ``utc_offset``, so that it is not evidence of the time zone.
        sequence: its position in the ledger; 0 until it is appended.
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
    offset_in_text: bool = False
    sequence: int = 0

    @property
    def group_key(self) -> str:
        """A text that all events of a group share, and no others of the source."""
        return group_text(self.partner, self.data_type, self.frequency)

    @property
    def schedule(self) -> Frequency:
        """The parsed frequency."""
        return parse(self.frequency)


@dataclass(frozen=True, slots=True)
class QuarantinedBody:
    """An authenticated body that could not be parsed, stored for a replay.

    Attributes:
        reason: one of a small set of words, used as a label value.
        detail: a sentence for people.
        sequence: its position in the quarantine; 0 until it is stored.
        epoch: the epoch of its arrival.
    """

    source: str
    arrived_at: float
    reason: str
    detail: str
    body: bytes
    digest: bytes
    sequence: int = 0
    epoch: Epoch = GIVEN


@dataclass(frozen=True, slots=True)
class RefusedBody:
    """What an authenticated sender posted and the webhook refused, stored so that its sender can be corrected.

    Attributes:
        status: the HTTP status of the response.
        detail: which check failed.
        size: the number of bytes that arrived; 0 if the body was not read.
        body: its beginning.
        sequence: its position among the refused bodies; 0 until it is stored.
    """

    source: str
    arrived_at: float
    status: int
    detail: str
    size: int
    body: bytes
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class DeliveryCounter:
    """How many deliveries of one kind were counted instead of stored as events.

    Attributes:
        kind: ``duplicate``, ``test_call`` or ``quarantined``.
        label: the reason if the kind is ``quarantined``, else empty.
        last_arrived_at: the newest arrival.
    """

    source: str
    kind: str
    label: str
    count: int
    last_arrived_at: float


@dataclass(frozen=True, slots=True)
class Outage:
    """A period in which no exporter was running: a gap between two heartbeats."""

    began_at: float
    ended_at: float


def group_fields(partner: str, data_type: str, frequency: str) -> tuple[str, str, str]:
    """Return what identifies a group within its source, so that case makes no difference."""
    return partner.casefold(), data_type.casefold(), frequency.casefold()


@lru_cache(maxsize=1024)  # of most events, and asked for several times of each
def group_text(partner: str, data_type: str, frequency: str) -> str:
    """Return `group_fields` as one text."""
    return "\x1f".join(group_fields(partner, data_type, frequency))
