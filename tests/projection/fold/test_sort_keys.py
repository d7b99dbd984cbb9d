"""Sort keys put events into chronological order."""

from __future__ import annotations

from itertools import pairwise

from builders import at, event
from exporter.projection.fold.sort_keys import pack_sort_key


def test_the_order_is_by_event_time_then_status_then_arrival_then_digest_then_sequence() -> None:
    first = event("initiated", at("0:00"), sequence=1)
    occurred, arrived = first.occurred_at, first.arrived_at
    ordered = [
        first._replace(occurred_at=-2e9, arrived_at=-1.0),
        first._replace(occurred_at=-2e9, arrived_at=-0.5),  # clocks before 1970 are wrong, and in order all the same
        first._replace(occurred_at=-2e9, arrived_at=0.0),
        first._replace(occurred_at=-2e9, arrived_at=arrived),
        first,
        first._replace(sequence=2),
        first._replace(digest=b"\xff" * 16),
        first._replace(arrived_at=arrived + 1e-6),
        first._replace(status="running", arrived_at=arrived - 1),
        first._replace(status="completed", arrived_at=arrived - 2),
        first._replace(status="failed", arrived_at=arrived - 3),
        first._replace(occurred_at=occurred + 1e-6, arrived_at=arrived - 4),
    ]
    assert all(pack_sort_key(earlier) < pack_sort_key(later) for earlier, later in pairwise(ordered))
