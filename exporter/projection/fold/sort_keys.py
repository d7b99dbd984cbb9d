"""What is kept of an event in a history: when it was, in bytes that sort, and what it says."""

from __future__ import annotations

import sys
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from exporter.domain.events import OTHER_STATUS_RANK, STATUS_RANKS

if TYPE_CHECKING:
    from exporter.domain.events import Event

SORT_KEY = Struct(">QBQ16sQ")
"""The occurrence, the rank of the status, the arrival, the digest and the sequence."""
EPOCH_OFFSET = 1 << 62
"""Added to the microseconds of an instant, so that none is negative, and bytes compare as instants do."""


class EventText(NamedTuple):
    """What an event says but for when; events of one export that say the same share it."""

    request_id: str
    partner: str
    data_type: str
    status: str
    frequency: str


def pack_sort_key(event: Event) -> bytes:
    """When an event was, its digest and its place in the ledger: bytes that compare as `Event.chronological_key` does.

    A tenth of what the event takes, and every export keeps its newest ones.
    """
    occurred, arrived = round(event.occurred_at * 1e6), round(event.arrived_at * 1e6)
    rank = STATUS_RANKS.get(event.status, OTHER_STATUS_RANK)
    return SORT_KEY.pack(occurred + EPOCH_OFFSET, rank, arrived + EPOCH_OFFSET, event.digest, event.sequence)


def intern_text(request_id: str, *words: str) -> EventText:
    """Words of which each is there once in memory."""
    return EventText(request_id, *map(sys.intern, words))
