"""What is kept of an event in a history: when it was, in bytes that sort, and what it says."""

from __future__ import annotations

import sys
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from exporter.domain.events import OTHER_RANK, RANKS

if TYPE_CHECKING:
    from exporter.domain.events import Event

MARK = Struct(">QBQ16sQ")
"""The occurrence, the rank of the status, the arrival, the digest and the sequence."""
BEFORE_1970 = 1 << 62
"""Added to the microseconds of an instant, so that none is negative, and bytes compare as instants do."""


class Said(NamedTuple):
    """What an event says but for when; events of one export that say the same share it."""

    request_id: str
    partner: str
    data_type: str
    status: str
    frequency: str


def mark_of(event: Event) -> bytes:
    """When an event was, its digest and its place in the ledger: bytes that compare as `Event.order` does.

    A tenth of what the event takes, and every export keeps its newest ones.
    """
    occurred, arrived = round(event.occurred_at * 1e6), round(event.arrived_at * 1e6)
    rank = RANKS.get(event.status, OTHER_RANK)
    return MARK.pack(occurred + BEFORE_1970, rank, arrived + BEFORE_1970, event.digest, event.sequence)


def interned(request_id: str, *words: str) -> Said:
    """Words of which each is there once in memory."""
    return Said(request_id, *map(sys.intern, words))
