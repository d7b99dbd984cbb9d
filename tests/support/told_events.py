"""A Hypothesis strategy for events that are told one after another, and declarations that some of them match."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hypothesis import strategies as st

from builders import DAY, HOUR, at, event
from exporter.domain.exports import Declaration, Selection

if TYPE_CHECKING:
    from exporter.domain.events import Event

NIGHTLY = Declaration("nightly", Selection("shop", partner="nightly"), interval=DAY, muted_until=at("12:00"))
BY_ID = Declaration("by id", Selection("shop", request_id="3"), interval=4 * HOUR, owner="somebody")


class Tell(NamedTuple):
    """An event, so many minutes after the step before."""

    minutes: int
    status: str
    request_id: int
    partner: str
    frequency: str
    source: str

    def event(self, occurred_at: float) -> Event:
        """Return the event, which happened at ``occurred_at``."""
        return event(
            self.status,
            occurred_at,
            request_id=str(self.request_id),
            partner=self.partner,
            frequency=self.frequency,
            source=self.source,
        )


told_events = st.builds(
    Tell,
    minutes=st.integers(0, 300),
    status=st.sampled_from(["initiated", "initiated", "completed", "failed"]),
    request_id=st.integers(1, 6),
    partner=st.sampled_from(["nightly", "Amazon S3", "amazon s3", "GCS"]),
    frequency=st.sampled_from(["4h", "4h", "24h", "one-time", "now and then"]),
    source=st.sampled_from(["shop", "shop", "other-shop"]),
)
