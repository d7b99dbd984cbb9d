"""The terms of a declared export, and when they changed. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Terms(NamedTuple):
    """What the configuration says about the deadlines of a declared export.

    Attributes:
        interval: seconds between two runs; None if the events give it.
        grace: allowed delay in seconds; None for the default.
    """

    interval: int | None = None
    grace: int | None = None


class TermsChange(NamedTuple):
    """From when on an exporter had terms in its configuration, in Unix seconds."""

    at: float
    terms: Terms


def in_effect(loaded: Iterable[TermsChange]) -> Sequence[TermsChange]:
    """Return when the terms of one export changed, in chronological order.

    The process that loaded a configuration last decides, whatever the clocks of earlier ones showed.

    Args:
        loaded: in the order in which they were stored; the same terms may follow each other.
    """
    changes: list[TermsChange] = []
    for change in loaded:
        while changes and changes[-1].at >= change.at:
            changes.pop()
        if not changes or changes[-1].terms != change.terms:
            changes.append(change)
    return tuple(changes)
