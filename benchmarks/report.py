"""The results of a measurement, as Markdown tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured.

    Attributes:
        seconds: how long a load lasts.
        rounds: how often everything is repeated; results are medians.
        exports: numbers of exports to scrape.
        stored: numbers of stored events of 1,000 exports, in ascending order.
        started: numbers of exports and of stored events for the start.
        fleet: a number of exports whose scrape takes minutes to measure.
    """

    seconds: float
    rounds: int
    exports: tuple[int, ...]
    stored: tuple[int, ...]
    started: tuple[int, int]
    fleet: int


@dataclass(frozen=True, slots=True)
class Row:
    """The figures of one server in one case."""

    case: str
    server: str
    figures: dict[str, float]


@dataclass(frozen=True, slots=True)
class Finding:
    """A ratio or a figure, which may have a goal.

    Attributes:
        goal: its lower or upper bound; None for none.
        more_is_better: True if the goal is a lower bound.
    """

    what: str
    value: float
    unit: str = "x"
    goal: float | None = None
    more_is_better: bool = True

    @property
    def verdict(self) -> str:
        """The goal, and ``met`` or ``missed``; empty without a goal."""
        if self.goal is None:
            return ""
        return f"{self.goal_text}: {'met' if self.met else 'missed'}"

    @property
    def goal_text(self) -> str:
        """The goal alone; empty without one."""
        sign = ">" if self.more_is_better else "<"
        return "" if self.goal is None else f"{sign} {number(self.goal)} {self.unit}"

    @property
    def met(self) -> bool:
        """True if the goal was met."""
        goal = self.goal or 0
        return self.value > goal if self.more_is_better else self.value < goal


@dataclass(slots=True)
class Result:
    """Everything that one measurement found."""

    title: str
    rows: list[Row] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def text(self) -> str:
        """Return its tables and notes in Markdown."""
        columns = list(dict.fromkeys(name for row in self.rows for name in row.figures))
        cells = [
            [row.case, row.server, *(number(row.figures[name]) if name in row.figures else "" for name in columns)]
            for row in self.rows
        ]
        parts = [f"## {self.title}", "", *_table(["case", "server", *columns], cells)]
        if self.findings:
            lines = [
                [finding.what, f"{number(finding.value)} {finding.unit}", finding.verdict] for finding in self.findings
            ]
            parts += ["", *_table(["ratio or goal", "measured", "goal"], lines)]
        if self.notes:
            parts += ["", *(f"- {note}" for note in self.notes)]
        return "\n".join(parts) + "\n"


def goals(results: Mapping[str, Any]) -> str:
    """Return a table of every goal in saved results, with its verdict and the date of its measurement."""
    rows = []
    for name, result in results.items():
        for fields in result["findings"]:
            finding = Finding(**fields)
            if finding.goal is not None:
                met = "met" if finding.met else "missed"
                measured = f"{number(finding.value)} {finding.unit}"
                rows.append([finding.what, measured, finding.goal_text, met, name, result["machine"]["at"]])
    missed = sum(row[3] == "missed" for row in rows)
    head = ["what", "measured", "goal", "", "measure", "at"]
    return "\n".join(["## Goals", "", *_table(head, rows), "", f"{len(rows) - missed} met, {missed} missed."])


def number(value: float) -> str:
    """Format a figure with three significant digits."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}"


def _table(header: list[str], rows: Iterable[list[str]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(cells) + " |" for cells in lines]
