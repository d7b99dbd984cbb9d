"""This machine's clock, as far as it can be told that it is wrong."""

from __future__ import annotations

from datetime import UTC, datetime

from exporter.domain.errors import ClockError

EARLIEST = datetime(2020, 1, 1, tzinfo=UTC).timestamp()
"""No clock that is right says less."""


def refuse_clock(now: float) -> None:
    """Refuse a clock that was never set: every deadline would be wrong, and nobody paged.

    Raises:
        ClockError: with what to do.
    """
    if now < EARLIEST:
        shown = datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        message = f"this machine's clock says {shown}, which cannot be: set it (such as by NTP), then start again"
        raise ClockError(message)
