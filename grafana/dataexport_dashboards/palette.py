"""What each colour means, the same on every dashboard.

The hues are those of Okabe and Ito (https://jfly.uni-koeln.de/color/), each so light or so dark that the white or
black that Grafana writes on it can be read, and that the colour-blind can tell them apart; a test measures both. No
colour can be read as small text on a dark and on a white page, so small text has none. A colour never stands alone:
the word is beside it.
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

FINE = "#0175C8"
BUSY = "#8FCCFD"
NEUTRAL = "#727272"
NOTE = "#F9F372"
FAILED = "#9C4891"
STUCK = "#F7BB2C"
LATE = "#CD400C"
LOST = "#F893C0"
PALETTE = frozenset({FINE, BUSY, NEUTRAL, NOTE, FAILED, STUCK, LATE, LOST})
PLAIN = "transparent"
"""The background of a value that needs nobody, whose text has Grafana's own colour."""
ABSENT = f"{NEUTRAL}33"
"""The background of a value that is missing: a tint, on which Grafana writes in its own colour."""
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

    @property
    def explained(self) -> str:
        """The word and the sentence."""
        return f"{self.word}: {self.sentence}"


NO_EXPORT = Condition(-1, "no exports", NEUTRAL, "none is declared and no event arrived, or nothing is scraped")
"""Not of an export, but if there is none."""
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


URGENT = tuple(each for each in reversed(CONDITIONS) if each.sentence)
"""Those that need someone, the most urgent first."""


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
    """The sentences of those that need someone, and of no export at all, in the colours of their words."""
    return words({each.explained: (each.explained, each.colour) for each in (NO_EXPORT, *reversed(URGENT))})


def zero_is(word: str) -> list[ValueMapping]:
    """0 means never or none in every gauge of an instant."""
    return words({"0": (word, ABSENT)})


def nothing_is(text: str) -> list[ValueMapping]:
    """What a value shows that is missing: grey, since Grafana gives ``noValue`` the colour of a threshold."""
    result = ValueMappingResult(text=text, color=ABSENT, index=0)
    return [SpecialValueMap(DashboardSpecialValueMapOptions(SpecialValueMatch.NULL_AND_NAN, result))]
