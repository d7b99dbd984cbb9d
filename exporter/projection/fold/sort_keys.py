"""Packs what a history stores of an event: a sort key in bytes, and the texts, which events share. Pure."""

from __future__ import annotations

import sys
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from exporter.domain.events import COMPLETED, INITIATED, RUNNING

if TYPE_CHECKING:
    from exporter.domain.events import Event

SORT_KEY = Struct(">QBQ16sQ")
"""Event time, rank of the status, arrival time, digest and sequence: the chronological order of events."""
EPOCH_OFFSET = 1 << 62
"""Added to instants in microseconds, so that none is negative and their bytes compare as they do."""

_STATUS_RANKS = {INITIATED: 0, RUNNING: 1, COMPLETED: 2}
_OTHER_STATUS_RANK = 3


class EventText(NamedTuple):
    """The texts of an event. Events of one export with equal texts share one object."""

    request_id: str
    partner: str
    data_type: str
    status: str
    frequency: str


def pack_sort_key(event: Event) -> bytes:
    """Return bytes that sort events chronologically, whatever order they are delivered in.

    An event that happened earlier comes first; at the same time Initiated comes before Running, then
    Completed, then any other status; then the earlier arrival. The key takes a tenth of the memory of the event.
    """
    occurred, arrived = round(event.occurred_at * 1e6), round(event.arrived_at * 1e6)
    rank = _STATUS_RANKS.get(event.status, _OTHER_STATUS_RANK)
    return SORT_KEY.pack(occurred + EPOCH_OFFSET, rank, arrived + EPOCH_OFFSET, event.digest, event.sequence)


def intern_text(request_id: str, *words: str) -> EventText:
    """Return the texts of an event; all except the request id are interned, so each is in memory once."""
    return EventText(request_id, *map(sys.intern, words))
