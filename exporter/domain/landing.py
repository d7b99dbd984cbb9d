"""Decides whether the files of a run have landed in the bucket, and when to look for them. Pure.

Instants are Unix seconds, 0 for never; durations are seconds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from exporter.domain.daylight_saving import slot_after
from exporter.domain.exports import DECLARED, DETECTED, Expectation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import tzinfo

    from exporter.domain.exports import ExportKey
    from exporter.domain.states import ExportState

LANDED = "landed"
NOTHING = "nothing"
SMALL = "small"
ERROR = "error"
RESULTS = (LANDED, NOTHING, SMALL, ERROR)
"""What a check finds: enough files, none, too few or too small ones, or no answer."""

DATE = "%Y-%m-%d"
CLOCK_TOLERANCE = 300
"""Seconds by which the clock of a store may differ from that of the sender."""
FIRST_PAUSE, LONGEST_PAUSE = 60, 3600
"""Seconds between two checks of a run: each pause is twice the one before."""
MIN_LEAD = 300
"""Seconds; the first check without a Completed event is at least that long before the deadline."""

_PLACEHOLDER = re.compile(r"\{(date|request_id)(?::([^{}]*))?\}")
_DATE_FORMAT = re.compile(r"(?:%[YmdHMyj]|[^%{}])+")
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class Landing:
    """The place to which the files of an export go, and how many are enough.

    Attributes:
        url: the prefix of their names, with ``{date}``, ``{date:%Y/%m/%d}`` and ``{request_id}`` to be filled in.
        min_objects, min_bytes: how many files and bytes are enough.
        within: by when after Completed they must be there.
        timeout: how long a check may take.
        max_objects: how many objects a check may list.
        options: options of the store that are not secret, by name.
        secrets: options of the store that are secret.
    """

    url: str
    min_objects: int = 1
    min_bytes: int = 1
    within: int = 1800
    timeout: int = 30
    max_objects: int = 100_000
    options: tuple[tuple[str, str], ...] = ()
    secrets: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @property
    def bucket(self) -> str:
        """The bucket or container in the URL."""
        return self.url.split("/")[2]

    @property
    def placeholders(self) -> frozenset[str]:
        """The placeholders in the URL: ``date``, ``request_id``."""
        return frozenset(match[1] for match in _PLACEHOLDER.finditer(self.url))

    def url_of(self, target: Target, zone: tzinfo | None) -> str:
        """Return the URL for a run, whose date is the day of its start in ``zone``.

        Raises:
            ValueError: the request id has a character that may change the meaning of the URL.
        """
        if "request_id" in self.placeholders and not _REQUEST_ID.fullmatch(target.request_id):
            message = f"the request id {target.request_id!r} does not fit into landing.url"
            raise ValueError(message)
        started = datetime.fromtimestamp(target.started_at, zone or UTC)
        return _PLACEHOLDER.sub(
            lambda match: target.request_id if match[1] == "request_id" else started.strftime(match[2] or DATE),
            self.url,
        )


@dataclass(frozen=True, slots=True)
class Landings:
    """The configured places to which the files of exports go.

    Attributes:
        by_export: by source and name of a declared export.
        by_source: the default for the other exports of a source, by slug.
    """

    by_export: Mapping[tuple[str, str], Landing] = field(default_factory=dict)
    by_source: Mapping[str, Landing] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Return whether there are any."""
        return bool(self.by_export or self.by_source)

    def of(self, key: ExportKey) -> Landing | None:
        """Return where the files of an export land; None if that is not configured."""
        declared = self.by_export.get((key.source, key.name)) if key.kind == DECLARED else None
        return declared or self.by_source.get(key.source)


def template_problem(url: str) -> str | None:
    """Return what is wrong with the placeholders of a URL; None if nothing is."""
    rest = _PLACEHOLDER.sub("", url)
    if "{" in rest or "}" in rest:
        return "the placeholders are {date}, {date:%Y/%m/%d} and {request_id}"
    for match in _PLACEHOLDER.finditer(url):
        if match[2] is not None and (match[1] != "date" or not _DATE_FORMAT.fullmatch(match[2])):
            return "a placeholder has its format after a colon, of %Y, %m, %d, %H, %M, %y and %j: {date:%Y/%m/%d}"
    return None


class RunTimes(NamedTuple):
    """A run of an export: its request id, its start or 0 if that is unknown, and its completion or 0."""

    request_id: str
    started_at: float
    completed_at: float


class RunKey(NamedTuple):
    """Identifies the run that a check was for: its completion, 0 if no event reported it, and its start."""

    completed_at: float
    started_at: float


@dataclass(frozen=True, slots=True)
class Target:
    """A run whose files to look for.

    Attributes:
        completed_at: when it completed; 0 if no event reported that.
        started_at: when it started, or was expected to.
        since: files that were modified before belong to earlier runs.
        first_check: when to look first.
        due_at: by when the files must be there.
    """

    completed_at: float
    started_at: float
    since: float
    request_id: str
    first_check: float
    due_at: float

    @property
    def key(self) -> RunKey:
        """Identifies the run."""
        return RunKey(self.completed_at, self.started_at)


class Found(NamedTuple):
    """The files found: how many, their size in bytes, and the newest modification."""

    objects: int
    size: int
    newest: float


@dataclass(frozen=True, slots=True)
class LandingCheck:
    """A fact of the store: what a check has found.

    Attributes:
        export_id: `ExportKey.id`.
        run: the run that it was for.
        due_at: by when the files of that run had to be there.
        result: one of `RESULTS`.
        objects, size, newest: `Found`; 0 after an error.
        detail: where it has looked, and why that failed, for people.
        total: how many checks of the export had this result, with this one.
        sequence: its position among the checks; 0 until it is stored.
    """

    source: str
    export_id: str
    run: RunKey
    due_at: float
    checked_at: float
    result: str
    objects: int = 0
    size: int = 0
    newest: float = 0
    detail: str = ""
    total: int = 0
    sequence: int = 0


def judge(landing: Landing, found: Found) -> str:
    """Return which of `RESULTS` the files found amount to."""
    if not found.objects:
        return NOTHING
    return LANDED if found.objects >= landing.min_objects and found.size >= landing.min_bytes else SMALL


def choose_target(
    state: ExportState, landing: Landing, zone: tzinfo | None, runs: Sequence[RunTimes], now: float
) -> Target | None:
    """Return the run whose files to look for now, or next; None if there is none.

    From shortly before a deadline on, that is the run that the deadline is for. Otherwise it is the newest completed
    one.

    Args:
        state: the export at ``now``.
        landing: where its files land.
        zone: the time zone of its source, if that is configured.
        runs: its newest runs, the newest first.
        now: the time.
    """
    expected = _expected(state, landing, zone, runs, now)
    if expected is not None and now >= expected.first_check:
        return expected
    return _completed(state, landing, runs) or expected


def _completed(state: ExportState, landing: Landing, runs: Sequence[RunTimes]) -> Target | None:
    completed_at = state.last_completed
    if not completed_at:
        return None
    run = next((run for run in runs if run.completed_at == completed_at), RunTimes("", 0, completed_at))
    may_take = min(state.max_runtime, state.interval / 2) if state.interval else state.max_runtime
    return Target(
        completed_at,
        run.started_at or completed_at - min(state.usual_duration, may_take),
        (run.started_at or completed_at - may_take) - CLOCK_TOLERANCE,
        _request_id(state, run.request_id),
        completed_at,
        completed_at + landing.within,
    )


def _expected(
    state: ExportState, landing: Landing, zone: tzinfo | None, runs: Sequence[RunTimes], now: float
) -> Target | None:
    if not state.deadline or not state.interval:
        return None
    expectation = Expectation(int(state.interval), int(state.grace), int(state.max_runtime), zone)
    lead = max(min(landing.within, state.grace / 2), MIN_LEAD)
    number = max(int((now + lead - state.deadline) // state.interval), 0)
    # Days have 23 to 25 hours, so that the number may be one too high or too low.
    if slot_after(state.deadline, number + 1, expectation) - lead <= now:
        number += 1
    elif number and slot_after(state.deadline, number, expectation) - lead > now:
        number -= 1
    due_at = slot_after(state.deadline, number, expectation)
    running = next((run for run in runs if not run.completed_at and run.started_at > state.last_completed), None)
    newest_id = runs[0].request_id if runs else ""
    if running is not None and not number:
        since = max(state.last_completed, running.started_at - CLOCK_TOLERANCE)
        return Target(0, running.started_at, since, running.request_id, due_at - lead, due_at)
    first_start = state.deadline - state.grace - min(state.max_runtime, state.interval / 2)
    if running is not None:
        first_start = running.started_at
    elif state.last_initiated and state.start_deadline:
        first_start = min(state.start_deadline - state.grace, state.deadline - state.grace)
    started_at = float(round(slot_after(first_start, number, expectation)))
    since = max(state.last_completed, started_at - state.interval / 2)
    return Target(0, started_at, since, _request_id(state, newest_id), due_at - lead, due_at)


def _request_id(state: ExportState, known: str) -> str:
    return known or (state.key.name if state.key and state.key.kind == DETECTED else "")


@dataclass(slots=True)
class RunChecks:
    """The checks of one run: how many, the last one, and the last one that was no error."""

    number: int = 0
    last: LandingCheck | None = None
    answered: LandingCheck | None = None

    def add(self, check: LandingCheck) -> None:
        """Add the next check."""
        self.number += 1
        self.last = check
        if check.result != ERROR:
            self.answered = check


def next_check(target: Target, checks: RunChecks | None, configured_at: float = 0.0) -> float:
    """Return when to look again for the files of a run; infinity for never.

    Args:
        target: the run.
        checks: those of the run; None without any.
        configured_at: since when the configuration is in effect. It may have corrected what an earlier check found.
    """
    if checks is None or checks.last is None:
        return target.first_check
    checked_at = checks.last.checked_at
    is_early = checked_at < target.due_at
    if checks.last.result == LANDED:
        return target.due_at if is_early else float("inf")  # more of them may come until then
    if checked_at < configured_at:
        return configured_at
    pause = float(min(FIRST_PAUSE << min(checks.number - 1, 10), LONGEST_PAUSE))
    return min(checked_at + pause, target.due_at) if is_early else checked_at + pause
