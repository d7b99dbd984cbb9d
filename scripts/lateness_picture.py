"""Draws `docs/images/lateness.svg`: deadlines, slots and states of one export, computed by the exporter's own code.

Run it after a change of the rules of time; a test compares the picture with what this script draws.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from itertools import groupby, pairwise, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from exporter.domain.deadlines import expectation_of
from exporter.domain.events import COMPLETED, INITIATED, Event, Outage
from exporter.domain.exports import GROUP, ExportKey, Source
from exporter.domain.frequency import HOUR
from exporter.domain.slots import Schedule
from exporter.projection.fold.evaluation import evaluate
from exporter.projection.fold.history import History
from exporter.projection.fold.rules import Rules

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from exporter.domain.states import ExportState
    from exporter.projection.fold.runs import Runs

PICTURE = Path(__file__).parent.parent / "docs" / "images" / "lateness.svg"
MINUTE = 60
BEGIN = datetime(2026, 6, 1, tzinfo=UTC).timestamp()
HOURS = 28
RUNS = ("00:00 00:20", "04:00 04:30", "08:00 10:00", "17:40 18:10", "25:46 26:06")
"""Start and completion of each run."""
OUTAGE = "21:48 23:00"
WIDTH, HEIGHT, LEFT, PER_HOUR = 1080, 396, 124, 33.5

STYLE = """
svg { font: 12px system-ui, sans-serif }
text { fill: #1f2933 } .soft { fill: #5b6773 } .small { font-size: 11px } .row { font-weight: 600 }
.grid { stroke: #e3e7eb } .interval { stroke: #5b6773 } .end { stroke: #c2362b; stroke-width: 2 }
.paper { fill: #ffffff } .run { fill: #2a6fb0 } .good { fill: #2e7d4f } .wait { fill: #b7791f }
.bad { fill: #c2362b } .dim { fill: #8a94a0 } .grace { fill: #b7791f; opacity: 0.45 }
@media (prefers-color-scheme: dark) {
text { fill: #e6e9ed } .soft { fill: #9aa5b1 } .grid { stroke: #2b323a } .interval { stroke: #9aa5b1 }
.end { stroke: #f2837a } .paper { fill: #15191e } .run { fill: #6cb0f0 } .good { fill: #63c08a }
.wait { fill: #e0ac52 } .bad { fill: #f2837a } .dim { fill: #7c8794 } .grace { fill: #e0ac52 }
}
"""
COLOURS = {
    "on time": "good",
    "late": "wait",
    "missed": "bad",
    "unknown": "dim",
    "fine": "good",
    "running": "run",
    "not started": "wait",
    "overdue": "bad",
    "outage": "dim",
}


@dataclass(frozen=True)
class Slot:
    """One expected completion, and what became of it."""

    due_at: float
    verdict: str


@dataclass(frozen=True)
class Wait:
    """An interval and a grace period after an event, and the deadline at their end."""

    since: float
    due_at: float
    deadline: float


@dataclass(frozen=True)
class Span:
    """A time in which an export is in one state."""

    state: str
    began_at: float
    ended_at: float


def parse_time(text: str) -> float:
    """Return a time of the picture, such as ``25:46``, as Unix seconds."""
    hours, minutes = map(int, text.split(":"))
    return BEGIN + hours * HOUR + minutes * MINUTE


def format_time(instant: float) -> str:
    """Return an instant as a time of the picture."""
    minutes = round((instant - BEGIN) / MINUTE)
    return f"{minutes // 60:02}:{minutes % 60:02}"


class Story:
    """The events of the picture, folded."""

    def __init__(self) -> None:
        self.runs = [(parse_time(start), parse_time(end)) for start, end in (run.split() for run in RUNS)]
        self.outage = Outage(*map(parse_time, OUTAGE.split()))
        self._events = [
            _event(status, at) for run in self.runs for status, at in zip((INITIATED, COMPLETED), run, strict=True)
        ]
        self._rules = Rules(lambda interval: expectation_of(interval, UTC), [self.outage])
        self._expectation = self._rules.expectation_for(4 * HOUR)

    def fold(self, now: float) -> Runs:
        """Return what the events up to an instant amount to."""
        history = History(self._rules)
        history.rebuild([event for event in self._events if event.occurred_at <= now])
        return history.runs()

    def state(self, now: float) -> ExportState:
        """Return the state that the exporter would show at an instant."""
        key = ExportKey("shop", GROUP, "any")
        outages = [outage for outage in self._rules.outages if outage.ended_at <= now]
        rules = self._rules._replace(outages=outages)
        return evaluate(key, self.fold(now), rules, Source("shop", "UTC", UTC), now=now)

    def slots(self) -> Iterator[Slot]:
        """Yield every slot up to the last completion."""
        completions = [end for _, end in self.runs]
        for completion, following in pairwise(completions):
            schedule = Schedule(completion, self._expectation, self.fold(completion).last_duration, [self.outage])
            before, after = self.state(completion), self.state(following)
            filled = after.slots - before.slots
            verdict, _ = schedule.completed(following)
            for number in range(1, filled):
                yield Slot(schedule.slot(number), "missed" if verdict.missed else "unknown")
            yield Slot(schedule.slot(filled), "late" if verdict.late else "on time")

    def waits(self, kind: str) -> list[Wait]:
        """Return the deadlines of completions, or of starts, in the order of their events."""
        instants = [end if kind == "completion" else start for start, end in self.runs]
        found = []
        for since, following in zip_longest(instants, instants[1:]):
            state = self.state(following - 1 if following else since)
            deadline = state.deadline if kind == "completion" else state.start_deadline
            found.append(Wait(since, deadline - state.grace, deadline))
        return found

    def run_deadline(self) -> Wait:
        """Return the run deadline of the longest run."""
        start, _ = max(self.runs, key=lambda run: run[1] - run[0])
        deadline = self.state(start).run_deadline
        return Wait(start, deadline, deadline)

    def spans(self) -> list[Span]:
        """Return the states in order, sampled by the minute; none during the outage."""
        instants = [BEGIN + minute * MINUTE for minute in range(HOURS * 60)]
        spans = []
        for state, group in groupby(instants, key=self._state_word):
            members = [*group]
            if state != "not computed":
                spans.append(Span(state, members[0], members[-1] + MINUTE))
        return spans

    def _state_word(self, instant: float) -> str:
        now = instant + MINUTE / 2
        if self.outage.began_at < now < self.outage.ended_at:
            return "not computed"
        state = self.state(now)
        if 0 < state.deadline < now:
            return "overdue"
        if 0 < state.start_deadline < now and not state.in_progress:
            return "not started"
        return "running" if state.in_progress else "fine"


def _event(status: str, at: float) -> Event:
    local = datetime.fromtimestamp(at, UTC).replace(tzinfo=None)
    digest = hashlib.sha256(f"{status} {at}".encode()).digest()[:16]
    return Event("shop", "1", "Amazon S3", "events", status, "4h", local, digest, at, at, 0, skewed=False)


class Drawing:
    """Collects the elements of the picture."""

    def __init__(self) -> None:
        self.parts: list[str] = []

    def x(self, instant: float) -> float:
        """Return where an instant is."""
        return LEFT + (instant - BEGIN) / HOUR * PER_HOUR

    def text(self, x: float, y: float, words: str, style: str = "", anchor: str = "start") -> None:
        """Write words."""
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" class="{style}" text-anchor="{anchor}">{escape(words)}</text>'
        )

    def line(self, begin: float, end: float, y: float, style: str) -> None:
        """Draw a line from one instant to another."""
        self.parts.append(
            f'<line x1="{self.x(begin):.1f}" y1="{y:.1f}" x2="{self.x(end):.1f}" y2="{y:.1f}" class="{style}"/>'
        )

    def tick(self, instant: float, top: float, bottom: float, style: str) -> None:
        """Draw an upright line at an instant."""
        x = self.x(instant)
        self.parts.append(f'<line x1="{x:.1f}" y1="{top:.1f}" x2="{x:.1f}" y2="{bottom:.1f}" class="{style}"/>')

    def box(self, begin: float, end: float, y: float, height: float, style: str) -> None:
        """Draw a box from one instant to another."""
        width = self.x(end) - self.x(begin)
        self.parts.append(
            f'<rect x="{self.x(begin):.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" class="{style}"/>'
        )

    def row(self, y: float, name: str, note: str = "") -> None:
        """Write the name of a row."""
        self.text(12, y, name, "row")
        self.text(12, y + 14, note, "soft small")

    def wait(self, wait: Wait, y: float, words: str) -> None:
        """Draw an interval, a grace period and a deadline with its time."""
        self.tick(wait.since, y - 4, y + 4, "interval")
        self.line(wait.since, wait.due_at, y, "interval")
        self.box(wait.due_at, wait.deadline, y - 5, 10, "grace")
        self.tick(wait.deadline, y - 8, y + 8, "end")
        self.text(self.x(wait.deadline) + 4, y + 4, f"{words}{format_time(wait.deadline)}", "small")


def draw() -> str:
    """Return the picture."""
    story, drawing = Story(), Drawing()
    for hour in range(0, HOURS + 1, 2):
        at = BEGIN + hour * HOUR
        drawing.tick(at, 28, HEIGHT - 8, "grid")
        drawing.text(drawing.x(at), 20, f"{hour:02}:00", "soft small", "middle")
    _draw_runs(drawing, story)
    drawing.row(98, "Deadline", "for the completion")
    drawing.row(156, "Start deadline", "for the next start")
    for kind, y in (("completion", 96), ("start", 154)):
        for number, wait in enumerate(story.waits(kind)):
            if wait.deadline < BEGIN + HOURS * HOUR:
                drawing.wait(wait, y + 20 * (number % 2), "deadline " if kind == "completion" and not number else "")
    since, due_at = (getattr(story.waits("completion")[0], name) for name in ("since", "due_at"))
    drawing.text((drawing.x(since) + drawing.x(due_at)) / 2, 92, "interval", "soft small", "middle")
    drawing.text(drawing.x(due_at), 88, "grace", "soft small")
    drawing.row(216, "Run deadline", "start + max runtime")
    drawing.wait(story.run_deadline(), 214, "run deadline ")
    drawing.row(264, "Slots", "expected completions")
    for slot in story.slots():
        x = drawing.x(slot.due_at)
        drawing.parts.append(f'<circle cx="{x:.1f}" cy="260" r="6" class="{COLOURS[slot.verdict]}"/>')
        drawing.text(x, 282, f"{slot.verdict}", "small", "middle")
        drawing.text(x, 248, format_time(slot.due_at), "soft small", "middle")
    _draw_spans(drawing, "State", "of the export", 312, story.spans())
    _draw_spans(drawing, "Exporter", "", 358, [Span("outage", story.outage.began_at, story.outage.ended_at)])
    drawing.text(drawing.x(story.outage.ended_at) + 6, 362, OUTAGE.replace(" ", " to "), "small")
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    start = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="title">',
        '<title id="title">Deadlines, slots and states of an export that runs every four hours</title>',
        f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="6" class="paper"/>',
    ]
    return "\n".join([*start, *drawing.parts, "</svg>", ""])


def _draw_runs(drawing: Drawing, story: Story) -> None:
    drawing.row(54, "Runs", "start to completion")
    for number, (start, completion) in enumerate(story.runs):
        drawing.box(start, completion, 44, 12, "run")
        label = f"{format_time(start)} to {format_time(completion)}"
        drawing.text(drawing.x(start), 40, label if number else f"start, completion {format_time(completion)}", "small")


def _draw_spans(drawing: Drawing, name: str, note: str, y: float, spans: Sequence[Span]) -> None:
    drawing.row(y + 4, name, note)
    named: set[str] = set()
    for span in spans:
        drawing.box(span.began_at, span.ended_at, y - 8, 14, COLOURS[span.state])
        is_wide = span.ended_at - span.began_at > 40 * MINUTE
        if is_wide and span.state not in named & {"fine", "running"}:
            drawing.text(drawing.x(span.began_at), y + 20, span.state, "small")
            named.add(span.state)


if __name__ == "__main__":
    PICTURE.write_text(draw(), "utf-8")
