"""The usual duration of the runs of an export: the median of those of the last 14 days. Pure."""

from __future__ import annotations

from statistics import median
from struct import Struct, unpack

from exporter.domain.frequency import DAY

WINDOW = 14 * DAY
"""How long before the newest completion a run counts, in seconds."""
MAX_RUNS = 100
"""How many runs count at most, which bounds the memory: an export every 4 hours has 84 in 14 days."""

_RUN = Struct("<II")
"""When a run completed, in Unix seconds, and its duration in milliseconds: a tenth of the memory of two floats."""
_MAX_MILLISECONDS = 2**32 - 1


def with_duration(runs: bytes, completed_at: float, duration: float) -> bytes:
    """Return the packed runs with another one, without those that no longer count.

    Args:
        runs: of the last 14 days, the newest last.
        completed_at: not before any of them, in Unix seconds.
        duration: in seconds.
    """
    first = max(0, len(runs) - (MAX_RUNS - 1) * _RUN.size)
    while first < len(runs) and _RUN.unpack_from(runs, first)[0] < completed_at - WINDOW:
        first += _RUN.size
    return runs[first:] + _RUN.pack(int(completed_at), min(round(duration * 1000), _MAX_MILLISECONDS))


def usual_duration(runs: bytes) -> float:
    """Return the median duration of packed runs, in seconds; 0 without any."""
    return median(unpack(f"<{len(runs) // 4}I", runs)[1::2]) / 1000 if runs else 0.0
