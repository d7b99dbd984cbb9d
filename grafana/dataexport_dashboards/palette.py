"""What each colour means, the same on every dashboard.

Okabe and Ito's colours, and one of Tol's: they stay apart for the colour-blind
(https://jfly.uni-koeln.de/color/). A colour never stands alone; the word is beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

from grafana_foundation_sdk.models.dashboard import ValueMap, ValueMapping, ValueMappingResult

FINE = "#0072B2"
BUSY = "#56B4E9"
NEUTRAL = "#999999"
NOTE = "#F0E442"
FAILED = "#AA4499"
STUCK = "#E69F00"
LATE = "#D55E00"
LOST = "#CC79A7"
PALETTE = frozenset({FINE, BUSY, NEUTRAL, NOTE, FAILED, STUCK, LATE, LOST})


@dataclass(frozen=True)
class Condition:
    """One word for what an export is, with its place in the order of urgency.

    Attributes:
        code: the value that stands for it in a query; the higher, the more urgent.
        alert: the alert that fires in it, and so its runbook; empty for none.
    """

    code: int
    word: str
    colour: str
    alert: str = ""


MUTED = Condition(0, "muted", NEUTRAL)
IS_FINE = Condition(1, "fine", FINE)
RUNNING = Condition(2, "running", BUSY)
NO_SCHEDULE = Condition(3, "no schedule", NOTE, "ExportWithoutSchedule")
NOT_STARTED = Condition(4, "not started", NOTE, "ExportNotStarted")
RUN_FAILED = Condition(5, "failed", FAILED, "ExportRunFailed")
IS_STUCK = Condition(6, "stuck", STUCK, "ExportRunStuck")
NEVER_COMPLETED = Condition(7, "never completed", LOST, "ExportNeverCompleted")
IS_OVERDUE = Condition(8, "overdue", LATE, "ExportOverdue")
CONDITIONS = (
    MUTED,
    IS_FINE,
    RUNNING,
    NO_SCHEDULE,
    NOT_STARTED,
    RUN_FAILED,
    IS_STUCK,
    NEVER_COMPLETED,
    IS_OVERDUE,
)


def words(meanings: dict[str, tuple[str, str | None]]) -> list[ValueMapping]:
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


def zero_is(word: str) -> list[ValueMapping]:
    """0 means never or none in every gauge of an instant."""
    return words({"0": (word, NEUTRAL)})
