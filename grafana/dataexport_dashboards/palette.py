"""What each colour means, the same on every dashboard.

Okabe and Ito's colours, and one of Tol's: they stay apart for the colour-blind
(https://jfly.uni-koeln.de/color/). A colour never stands alone; the word is beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from grafana_foundation_sdk.models.dashboard import (
    DashboardSpecialValueMapOptions,
    SpecialValueMap,
    SpecialValueMatch,
    ValueMap,
    ValueMapping,
    ValueMappingResult,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

FINE = "#0072B2"
BUSY = "#56B4E9"
NEUTRAL = "#999999"
NOTE = "#F0E442"
FAILED = "#AA4499"
STUCK = "#E69F00"
LATE = "#D55E00"
LOST = "#CC79A7"
PALETTE = frozenset({FINE, BUSY, NEUTRAL, NOTE, FAILED, STUCK, LATE, LOST})
TEXT = "text"
"""Grafana's colour of plain text, for a value that is neither good nor bad."""
ALARMING = frozenset({NOTE, FAILED, STUCK, LATE, LOST})


@dataclass(frozen=True)
class Condition:
    """One word for what an export is, with its place in the order of urgency.

    Attributes:
        code: its value in a query; the higher, the more urgent.
        sentence: what is wrong, for a reader who does not know the word; empty if nothing is.
        alert: the alert that fires in it, and so its runbook; empty for none.
    """

    code: int
    word: str
    colour: str
    sentence: str = ""
    alert: str = ""


MUTED = Condition(0, "muted", NEUTRAL)
IS_FINE = Condition(1, "fine", FINE)
RUNNING = Condition(2, "running", BUSY)
NO_SCHEDULE = Condition(3, "no schedule", NOTE, "no interval is known", "ExportWithoutSchedule")
NOT_STARTED = Condition(4, "not started", NOTE, "its next run did not start in time", "ExportNotStarted")
RUN_FAILED = Condition(5, "failed", FAILED, "a run failed, and none completed since", "ExportRunFailed")
IS_STUCK = Condition(6, "stuck", STUCK, "a run is over its max runtime", "ExportRunStuck")
IS_OVERDUE = Condition(7, "overdue", LATE, "no run completed by its deadline", "ExportOverdue")
NEVER_COMPLETED = Condition(8, "never completed", LOST, "past its first deadline", "ExportNeverCompleted")
CONDITIONS = (
    MUTED,
    IS_FINE,
    RUNNING,
    NO_SCHEDULE,
    NOT_STARTED,
    RUN_FAILED,
    IS_STUCK,
    IS_OVERDUE,
    NEVER_COMPLETED,
)


def words(meanings: Mapping[str, tuple[str, str | None]]) -> list[ValueMapping]:
    """Values shown as a word, in a colour or without one."""
    return [
        ValueMap(
            {
                value: ValueMappingResult(text=word, color=colour, index=index)
                for index, (value, (word, colour)) in enumerate(meanings.items())
            }
        )
    ]


def condition_words() -> list[ValueMapping]:
    """The codes of `CONDITIONS` as their words."""
    return words({str(each.code): (each.word, each.colour) for each in CONDITIONS})


def condition_sentences() -> list[ValueMapping]:
    """The codes of those that need someone, as their words, each with its sentence."""
    urgent = [each for each in CONDITIONS if each.sentence]
    return words({str(each.code): (f"{each.word}: {each.sentence}", each.colour) for each in urgent})


def zero_is(word: str) -> list[ValueMapping]:
    """0 means never or none in every gauge of an instant."""
    return words({"0": (word, NEUTRAL)})


def nothing_is(text: str) -> list[ValueMapping]:
    """What a value shows that is missing: grey, since Grafana writes ``noValue`` in a threshold's colour."""
    result = ValueMappingResult(text=text, color=NEUTRAL, index=0)
    return [SpecialValueMap(DashboardSpecialValueMapOptions(SpecialValueMatch.NULL_AND_NAN, result))]
