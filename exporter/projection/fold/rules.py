"""What the fold of an export depends on beside its events. Pure."""

from __future__ import annotations

from bisect import bisect_right
from operator import attrgetter
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


class ExpectationChange(NamedTuple):
    """From when on another expectation is configured, and `Rules.expectation_for` from then on."""

    at: float
    expectation_for: Callable[[int], Expectation]


_INSTANT = attrgetter("at")


class Rules(NamedTuple):
    """What the fold of an export depends on beside its events.

    Attributes:
        expectation_for: returns what is expected of the export before the first change, given the interval of its
            events.
        outages: in chronological order.
        retirements: when people retired the export, in order.
        beginning: when it is first expected to complete.
        changes: of the configuration, in chronological order.
    """

    expectation_for: Callable[[int], Expectation]
    outages: Sequence[Outage] = ()
    retirements: Sequence[float] = ()
    beginning: Beginning = UNDECLARED
    changes: Sequence[ExpectationChange] = ()

    def expectation_for_at(self, instant: float) -> Callable[[int], Expectation]:
        """Return `expectation_for` as of an instant."""
        number = bisect_right(self.changes, instant, key=_INSTANT)
        return self.changes[number - 1].expectation_for if number else self.expectation_for

    def changes_between(self, after: float, until: float) -> Sequence[ExpectationChange]:
        """Return the changes after one instant, up to and including another."""
        changes, key = self.changes, _INSTANT
        return changes[bisect_right(changes, after, key=key) : bisect_right(changes, until, key=key)]

    def next_change(self, instant: float) -> float:
        """Return when the configuration changes after an instant; infinity for never."""
        number = bisect_right(self.changes, instant, key=_INSTANT)
        return self.changes[number].at if number < len(self.changes) else float("inf")
