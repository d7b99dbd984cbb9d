"""What the fold of an export depends on beside its events. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from exporter.domain.daylight_saving import slot_after

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from exporter.domain.events import Outage
    from exporter.domain.exports import Expectation


class Beginning(NamedTuple):
    """When an export is first expected to complete.

    Attributes:
        first_expected: the declared time of the first completion; 0 if none is declared.
        declared_at: when the export was first declared; infinity if it is not declared.
    """

    first_expected: float = 0
    declared_at: float = float("inf")

    @property
    def is_declared(self) -> bool:
        """Whether the export is declared."""
        return self.declared_at < float("inf")

    def of_schedule(self, event_at: float, expectation: Expectation, *, already_scheduled: bool) -> float:
        """Return when the first schedule begins, one interval before its first slot.

        Args:
            event_at: the first event with a schedule; now, before any.
            expectation: interval and zone.
            already_scheduled: whether the interval was known before that event; if not, nothing is overdue yet.
        """
        expected = slot_after(self.first_expected, -1, expectation) if self.first_expected else 0.0
        if not already_scheduled:
            return max(event_at, expected)
        return expected or min(self.declared_at, event_at)


UNDECLARED = Beginning()


class Rules(NamedTuple):
    """What the fold of an export depends on beside its events.

    Attributes:
        expectation_for: returns what is expected of the export, given the interval of its events.
        outages: in chronological order.
        retirements: when people retired the export, in order.
        beginning: when it is first expected to complete.
    """

    expectation_for: Callable[[int], Expectation]
    outages: Sequence[Outage] = ()
    retirements: Sequence[float] = ()
    beginning: Beginning = UNDECLARED
