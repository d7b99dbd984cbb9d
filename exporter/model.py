"""The words of the domain as frozen values. All instants are Unix seconds; 0 means never or none."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from exporter.frequency import Frequency, of_interval, parse

if TYPE_CHECKING:
    from datetime import datetime, tzinfo

INITIATED = "initiated"
COMPLETED = "completed"
FAILURES = frozenset({"failed", "failure", "error", "stopped", "cancelled", "canceled", "aborted", "expired"})
RANKS, OTHER_RANK = {INITIATED: 0, COMPLETED: 1}, 2

ANY = "any"
"""The ``export`` label of a group."""
OBJECTIVE = 0.99
"""The share of slots that should be on time, where none is declared."""
OTHER = "other"
"""The ``export`` label of what is over the limit of exports per source."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """What one body says, before anyone knows when and from which source it came.

    Attributes:
        partner: the canonical name, or the sender's text.
        data_type: lower case.
        status: lower case.
        frequency: the label of its frequency, see `exporter.frequency`.
        local_time: the sender's text as a date and time without a zone.
        digest: 16 bytes, the same for every delivery of the same announcement.
    """

    request_id: str
    partner: str
    data_type: str
    status: str
    frequency: str
    local_time: datetime
    digest: bytes


@dataclass(frozen=True, slots=True)
class Event:
    """One accepted announcement: a fact, appended to the ledger and never changed.

    Attributes:
        arrived_at: when the body arrived here.
        occurred_at: when the export started, ended or failed.
        utc_offset: the offset at which ``local_time`` was read, in seconds east of UTC.
        skewed: whether the text lay in the future, so that the arrival stands for it.
        sequence: its place in the ledger; 0 before it is there.
    """

    source: str
    request_id: str
    partner: str
    data_type: str
    status: str
    frequency: str
    local_time: datetime
    digest: bytes
    arrived_at: float
    occurred_at: float
    utc_offset: int
    skewed: bool
    sequence: int = 0

    @property
    def order(self) -> tuple[float, int, float, bytes]:
        """The order of history: by time, Initiated before Completed, then by arrival."""
        return (self.occurred_at, RANKS.get(self.status, OTHER_RANK), self.arrived_at, self.digest)

    @property
    def group_key(self) -> str:
        """Partner, type and frequency in one text: the same for every event of a group."""
        return _group_key(self.partner, self.data_type, self.frequency)

    @property
    def schedule(self) -> Frequency:
        """The meaning of the event's frequency."""
        return parse(self.frequency)


@dataclass(frozen=True, slots=True)
class Quarantined:
    """An authentic body that was not understood, kept for a replay.

    Attributes:
        reason: one of a small set of words, fit for a label.
        detail: a sentence for people.
    """

    source: str
    arrived_at: float
    reason: str
    detail: str
    body: bytes
    digest: bytes
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class Tally:
    """How often something happened that is counted and not kept as an event.

    Attributes:
        kind: ``duplicate``, ``test_call`` or ``quarantined``.
        label: the reason of a quarantined body, else empty.
        last_at: the arrival of the newest.
    """

    source: str
    kind: str
    label: str
    count: int
    last_at: float


@dataclass(frozen=True, slots=True)
class Gap:
    """A time in which no exporter was there to listen, between two of its heartbeats."""

    began_at: float
    ended_at: float


@dataclass(frozen=True, slots=True)
class Selection:
    """Which events of a source: those that fit every field that is given; texts in any case."""

    source: str
    request_id: str | None = None
    partner: str | None = None
    data_type: str | None = None
    frequency: str | None = None

    @property
    def group_key(self) -> str | None:
        """The `Event.group_key` of all its events, where every part of it is given."""
        if self.partner is None or self.data_type is None or self.frequency is None:
            return None
        return _group_key(self.partner, self.data_type, self.frequency)

    def fits(self, event: Event) -> bool:
        """Whether ``event`` is one of them."""
        if self.source != event.source or self.request_id not in {None, event.request_id}:
            return False
        return all(
            wanted is None or wanted.casefold() == given.casefold()
            for wanted, given in (
                (self.partner, event.partner),
                (self.data_type, event.data_type),
                (self.frequency, event.frequency),
            )
        )


@dataclass(frozen=True, slots=True)
class Declaration:
    """An export that must happen even if nothing ever arrives.

    Attributes:
        match: which events are its own.
        interval, grace, max_runtime: seconds; None for the defaults of its frequency.
        first_expected: when it is first due, or 0.
        muted_until: alerts hold their tongue before this instant.
        objective: the share of slots that should be on time.
    """

    name: str
    match: Selection
    interval: int | None = None
    grace: int | None = None
    max_runtime: int | None = None
    first_expected: float = 0
    muted_until: float = 0
    objective: float = OBJECTIVE
    owner: str = ""
    runbook_url: str = ""

    @property
    def frequency(self) -> str:
        """The ``frequency`` label, which no event changes."""
        if self.match.frequency is not None:
            return self.match.frequency
        return of_interval(self.interval).label if self.interval else ""


@dataclass(frozen=True, slots=True)
class Source:
    """One webhook URL with its clock: a CleverTap project.

    Attributes:
        timezone: the setting, ``auto`` or the name of a zone.
        zone: that zone; None for ``auto``.
    """

    slug: str
    timezone: str = "auto"
    zone: tzinfo | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """What an export promises.

    Attributes:
        interval: seconds between two starts; 0 where none is known.
        grace: how many seconds late is still fine.
        max_runtime: how many seconds a run may take.
        zone: the clock on which a day is a day; None where it is not known.
    """

    interval: int
    grace: int
    max_runtime: int
    zone: tzinfo | None


class ExportKey(NamedTuple):
    """Which export: the identity behind its series. A tuple, since it is looked up a dozen times an event.

    Attributes:
        kind: ``declared``, ``recognised`` or ``group``.
        name: of a declared one its name, of a recognised one its request id, else ``any``.
        partner, data_type, frequency: of a group, in lower case; else empty.
    """

    source: str
    kind: str
    name: str
    partner: str = ""
    data_type: str = ""
    frequency: str = ""

    @property
    def id(self) -> str:
        """Sixteen hexadecimal digits that name it for good: in paths, and wherever else a key is too long."""
        return hashlib.sha256("\x1f".join(self).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class ExportState:
    """Everything known of one export at one instant, as it is shown everywhere.

    Attributes:
        key: which export; None for the exports over a limit taken together.
        changes_at: when this will differ though no event arrives; infinity for never.
        duration_buckets: runs per bucket of `exporter.runs.DURATION_BOUNDS`, not cumulative.
    """

    source: str
    export: str
    partner: str
    data_type: str
    frequency: str
    timezone: str
    declared: bool
    key: ExportKey | None = None
    owner: str = ""
    runbook_url: str = ""
    interval: float = 0
    grace: float = 0
    max_runtime: float = 0
    objective: float = OBJECTIVE
    last_initiated: float = 0
    last_completed: float = 0
    last_failed: float = 0
    last_received: float = 0
    last_duration: float = 0
    duration_buckets: tuple[int, ...] = ()
    duration_sum: float = 0
    in_progress: int = 0
    running_since: float = 0
    start_deadline: float = 0
    deadline: float = 0
    run_deadline: float = 0
    initiated: int = 0
    completed: int = 0
    failed: int = 0
    abandoned: int = 0
    slots: int = 0
    slots_late: int = 0
    slots_missed: int = 0
    slots_unknown: int = 0
    recurring: bool = False
    muted: bool = False
    muted_until: float = 0
    muted_by: str = ""
    muted_why: str = ""
    changes_at: float = float("inf")

    @property
    def id(self) -> str:
        """`ExportKey.id`; empty for the exports over a limit taken together."""
        return self.key.id if self.key else ""  # when it is asked for: no scrape shows it

    def condition(self, now: float) -> str:
        """One word for people: the most urgent thing that is true at ``now``."""
        checks = (
            ("muted", self.muted),
            ("never completed", 0 < self.deadline < now and not self.last_completed),
            ("late", 0 < self.deadline < now),
            ("stuck", 0 < self.run_deadline < now),
            ("failed", self.last_failed > self.last_completed),
            ("not started", 0 < self.start_deadline < now),
            ("running", self.in_progress > 0),
        )
        return next((word for word, true in checks if true), "fine")


@dataclass(frozen=True, slots=True)
class SourceState:
    """Everything known of one source at one instant.

    Attributes:
        events: stored events by status word, ``other`` past ten words.
        delay: arrival minus occurrence of the newest event, in seconds, signed.
        suspected_offset: the offset that its arrivals suggest; None where nothing does.
        suspect: whether that contradicts the configured zone.
    """

    slug: str
    timezone: str
    events: dict[str, int] = field(default_factory=dict)
    duplicates: int = 0
    test_calls: int = 0
    quarantined: dict[str, int] = field(default_factory=dict)
    skewed: int = 0
    unknown_frequencies: int = 0
    last_accepted: float = 0
    delay: float = 0
    suspected_offset: int | None = None
    suspect: bool = False


def _group_key(partner: str, data_type: str, frequency: str) -> str:
    return f"{partner}\x1f{data_type}\x1f{frequency}".casefold()
