"""Finds groups in which more than one export is at work: a single deadline cannot watch over several. Pure."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from exporter.domain.events import COMPLETED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.domain.events import Event

INTERVALS = 5
MAX_IDS = INTERVALS + 1
"""How many request ids of one export can complete within `INTERVALS`, if each run has one of its own.

Completions of runs on time are an interval apart, give or take the delay of a single run. So a window of five
intervals contains six of them at most.
"""
MAX_EVENTS = 200


def crowding_ids(newest_first: Iterable[Event], interval: float) -> list[str]:
    """Return the request ids that completed in the last five intervals of a group if they are too many for one export.

    Args:
        newest_first: the events of the group; `MAX_EVENTS` of them are read.
        interval: of the group, in seconds.

    Returns:
        The ids, the newest first; empty if one export with an id for each run may have sent them all.
    """
    completions = [event for event in islice(newest_first, MAX_EVENTS) if event.status == COMPLETED]
    completions.sort(key=lambda event: event.occurred_at, reverse=True)
    since = completions[0].occurred_at - INTERVALS * interval if completions else 0
    ids = dict.fromkeys(event.request_id for event in completions if event.request_id and event.occurred_at > since)
    return list(ids) if len(ids) > MAX_IDS else []
