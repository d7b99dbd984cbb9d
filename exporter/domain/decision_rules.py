"""Decides whether an export can be muted, unmuted, retired or restored, and whether that is decided already. Pure.

A decision that repeats the one in effect is not recorded again: a request that was sent twice, because its answer
was lost or a button was clicked twice, has the effect of one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from exporter.domain.decisions import MUTE, RETIRE, UNMUTE, UNRETIRE, Decision
from exporter.domain.errors import DecisionRefusedError, NothingToUndoError
from exporter.domain.exports import DECLARED
from exporter.domain.humanize import format_instant

if TYPE_CHECKING:
    from exporter.domain.exports import ExportKey
    from exporter.domain.states import ExportState

MAX_TEXT = 512
"""How many characters the name of who decides, and the reason, may have."""
REPEAT_SECONDS = 60.0
"""A mute by the same person for the same reason whose end differs by less is the same mute, sent again."""
LATEST_END = 253402300799.0
"""The last second of the year 9999."""


class MuteEnd(NamedTuple):
    """When a mute ends.

    Attributes:
        at: Unix seconds.
        lasts: the seconds until then if a duration was given; 0 if a point in time was.
    """

    at: float
    lasts: float = 0.0


class Author(NamedTuple):
    """Who decides, and why."""

    by: str
    why: str


@dataclass(frozen=True, slots=True)
class Subject:
    """The export that a decision is about.

    Attributes:
        key: the export.
        state: its state.
        is_retired: whether it is retired, and no event has arrived since.
        mute: the mute in effect that a person decided; None if there is none.
        retirement: its last retirement, in effect or not; None if there is none.
        match: `Selection.text` of a declared export; empty for other exports.
    """

    key: ExportKey
    state: ExportState
    is_retired: bool = False
    mute: Decision | None = None
    retirement: Decision | None = None
    match: str = ""


def parse_text(text: str) -> str:
    """Return one line of printable text without the spaces around it.

    Raises:
        ValueError: it is empty, too long, or has characters that cannot be printed.
    """
    stripped = text.strip()
    if not stripped.isprintable() or not 1 <= len(stripped) <= MAX_TEXT:
        message = f"give 1 to {MAX_TEXT} printable characters"
        raise ValueError(message)
    return stripped


def mute_end(lasts: float | None, until: float | None, now: float) -> MuteEnd:
    """Return when a mute ends.

    Args:
        lasts: for how many seconds from ``now``; None if its end is given.
        until: its end, in Unix seconds; None if its duration is given.
        now: Unix seconds.

    Raises:
        ValueError: not exactly one is given, or the end is not in the future.
    """
    if (lasts is None) == (until is None):
        message = "give either for how long, such as 8h, or until when, such as 2026-12-31T16:50Z"
        raise ValueError(message)
    end = MuteEnd(now + min(lasts, LATEST_END), lasts) if lasts is not None else MuteEnd(until or 0)
    if end.at <= now:
        message = f"the mute would end at {format_instant(end.at)}, which is in the past; give a later time"
        raise ValueError(message)
    if end.at > LATEST_END:
        message = "the mute would end after the year 9999; give an earlier time, or a shorter duration"
        raise ValueError(message)
    return end


def mute(subject: Subject, end: MuteEnd, author: Author, now: float) -> Decision:
    """Return the decision to mute an export until ``end``: a new one, or the one in effect if it is the same.

    Raises:
        DecisionRefusedError: the export is retired.
    """
    if subject.is_retired:
        message = "the export is retired, so it has no alerts: undo the retirement before you mute it"
        raise DecisionRefusedError(message)
    until = now + end.lasts if end.lasts else end.at
    current = subject.mute
    if (
        current is not None
        and (current.by, current.why) == author
        and bool(current.lasts) == bool(end.lasts)
        and abs(current.until - until) < REPEAT_SECONDS
    ):
        return current
    return Decision(MUTE, subject.key, now, until, *author, lasts=end.lasts, match=subject.match)


def unmute(subject: Subject, author: Author, now: float) -> Decision:
    """Return the decision to end a mute before its time.

    Raises:
        NothingToUndoError: the export is not muted.
        DecisionRefusedError: the configuration mutes it.
    """
    if subject.mute is None:
        if not subject.state.muted:
            message = "not muted"
            raise NothingToUndoError(message)
        until = format_instant(subject.state.muted_until)
        message = f"muted until {until} by muted_until in the configuration: change it there"
        raise DecisionRefusedError(message)
    return Decision(UNMUTE, subject.key, now, 0.0, *author, match=subject.match)


def retire(subject: Subject, author: Author, now: float) -> Decision:
    """Return the decision to retire an export: a new one, or the one in effect.

    Raises:
        DecisionRefusedError: the export is declared.
    """
    if subject.key.kind == DECLARED:
        message = (
            f"{subject.key.name!r} is declared in the configuration, where it would be missed: remove it from there, "
            "and retire what is left of it after a reload"
        )
        raise DecisionRefusedError(message)
    if subject.is_retired and subject.retirement is not None:
        return subject.retirement
    return Decision(RETIRE, subject.key, now, 0.0, *author)


def unretire(subject: Subject, author: Author, now: float) -> Decision:
    """Return the decision to undo a retirement, as if it had never happened.

    Raises:
        NothingToUndoError: the export is not retired.
    """
    if not subject.is_retired:
        message = "not retired"
        raise NothingToUndoError(message)
    return Decision(UNRETIRE, subject.key, now, 0.0, *author)
