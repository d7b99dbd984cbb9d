"""A month of simulated exports with planted faults, and the alerts that should fire.

The fleet has 40 exports in three sources, 30 days across both summer-time changes, and 20 faults.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from exporter.cli.simulation import LATE, MISSED, STUCK, SimulatedExport, history
from exporter.domain import deadlines
from exporter.domain.frequency import DAY, HOUR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from exporter.cli.simulation import SimulatedWebhook
    from exporter.domain.exports import Expectation

SEED = 2026
SINCE = datetime(2026, 10, 3, 12, tzinfo=UTC).timestamp()
UNTIL = SINCE + 30 * DAY
MINUTE = 60
ZONES = {
    "sydney": ZoneInfo("Australia/Sydney"),  # an hour less on 4 October
    "newyork": ZoneInfo("America/New_York"),  # an hour more on 1 November
    "berlin": ZoneInfo("Europe/Berlin"),  # an hour more on 25 October; not configured: the exporter settles it
}
OUTAGE = (
    datetime(2026, 10, 20, 12, 40, tzinfo=UTC).timestamp(),
    datetime(2026, 10, 20, 13, 40, tzinfo=UTC).timestamp(),
)
NEVER_DUE = datetime(2026, 10, 13, tzinfo=UTC).timestamp()
STOPPED = "stopped"
TOLERANCE = 5 * MINUTE
PAGE, TICKET = "critical", "warning"
"""The severities that page and that open a ticket. Undeclared exports have the default, and so open a ticket first."""

Key = tuple[str, str, str, str, str]
"""Source, export, partner, type and frequency, as in the labels."""

CONFIG = """
[[sources]]
slug = "sydney"
timezone = "Australia/Sydney"
[[sources]]
slug = "newyork"
timezone = "America/New_York"
[[sources]]
slug = "berlin"

[[exports]]
name = "muted"
source = "newyork"
match = { partner = "Muted" }
interval = "24h"
muted_until = 2026-12-01T00:00:00Z
[[exports]]
name = "never-ran"
source = "berlin"
match = { partner = "Never" }
interval = "24h"
first_expected = 2026-10-13T00:00:00Z
"""


@dataclass
class Fault:
    """A planted fault: from a day on, so many runs of an export are of this kind.

    Attributes:
        dues: when these runs are due; set by `plant`, because one-time runs are due at random.
    """

    kind: str
    number: int
    day: float
    runs: int = 1
    note: str = ""
    dues: frozenset[float] = frozenset()


@dataclass
class Expected:
    """An alert that should fire, with the window in which it has to begin."""

    alert: str
    severity: str
    key: Key
    fault: str
    earliest: float
    latest: float
    ends: float
    required: bool = True
    episodes: list[Episode] = field(default_factory=list)


@dataclass
class Episode:
    """A period in which an alert fired."""

    alert: str
    severity: str
    key: Key
    begins: float
    ends: float


@dataclass
class Incident:
    """A planted fault as an SRE sees it: an export, and the period in which it is in trouble.

    Attributes:
        is_muted: nobody should be notified.
        pages: whether it should page, and not only open a ticket.
    """

    fault: str
    key: Key
    due: float
    deadline: float
    ends: float
    is_muted: bool = False
    pages: bool = False


def fleet() -> list[SimulatedExport]:
    """Return the 39 exports that run, one of them muted; the declared export that never runs comes on top."""
    hours = [4] * 10 + [8] * 6 + [12] * 4 + [24] * 14 + [0] * 4
    partners = ("Amazon S3", "Google Cloud Storage", "Microsoft Azure")
    slugs = list(ZONES)
    plans = []
    for number, interval_hours in enumerate(hours):
        slug = slugs[number % 3]
        plans.append(_plan(number, slug, partners[number // 3 % 3], interval_hours))
    plans[13] = _plan(13, "newyork", "New ids", 8, new_ids=True)
    plans[14] = _plan(14, "berlin", "New ids", 8, new_ids=True)
    plans[31] = _plan(31, "sydney", "One bucket", 24)
    plans[32] = _plan(32, "sydney", "One bucket", 24)
    plans.append(_plan(38, "newyork", "Muted", 24))
    return plans


def _plan(number: int, slug: str, partner: str, hours: int, *, new_ids: bool = False) -> SimulatedExport:
    typical = (5 + number % 4 * 2) * MINUTE
    return SimulatedExport(
        number, slug, ZONES[slug], 1_790_000_000 + 60 * number, partner, "Events", hours * HOUR, typical, new_ids
    )


FAULTS = [
    Fault(LATE, 0, 5.1),
    Fault(LATE, 10, 7.3),
    Fault(LATE, 16, 9.2),
    Fault(LATE, 20, 11.4),
    Fault(MISSED, 1, 6.7),
    Fault(MISSED, 11, 12.1),
    Fault(MISSED, 21, 13.5),
    Fault(MISSED, 2, 8.3, runs=2, note="two in a row"),
    Fault(MISSED, 22, 14.5, runs=2, note="two in a row"),
    Fault(MISSED, 25, 28.1, note="the night the clocks go back"),
    Fault(STUCK, 3, 10.4),
    Fault(STUCK, 12, 15.2),
    Fault(STUCK, 23, 18.5),
    Fault(STUCK, 14, 19.6, note="a new id each run"),
    Fault(STUCK, 35, 12.0),
    Fault(STOPPED, 4, 22.3, runs=10**6),
    Fault(STOPPED, 24, 20.5, runs=10**6),
    Fault(MISSED, 13, 21.7, note="a new id each run"),
    Fault(MISSED, 31, 23.6, note="two exports to one bucket"),
    Fault(MISSED, 38, 16.5, note="muted"),
]
"""The export that never ran, and the hour in which the exporter was down, come on top."""


def plant(plans: Sequence[SimulatedExport], seed: int) -> list[Fault]:
    """Return the faults, each with the runs that it hits: the first ones due from its day on."""
    dues: dict[int, list[float]] = defaultdict(list)

    def record_due(plan: SimulatedExport, due: float, _dice: float) -> str:
        dues[plan.number].append(due)
        return ""

    for _ in history(plans, SINCE, UNTIL, seed, record_due):
        pass
    return [
        replace(
            fault,
            dues=frozenset([due for due in dues[fault.number] if due >= SINCE + fault.day * DAY][: fault.runs]),
        )
        for fault in FAULTS
    ]


def outcomes(faults: Iterable[Fault]) -> Callable[[SimulatedExport, float, float], str]:
    """Return a function that gives the outcome of a run: the kind of a fault, or empty for a good run."""
    kinds = {
        (fault.number, due): MISSED if fault.kind == STOPPED else fault.kind for fault in faults for due in fault.dues
    }
    return lambda plan, due, _dice: kinds.get((plan.number, due), "")


def key_of(plan: SimulatedExport) -> Key:
    """Return the labels of an export's series, once it was detected."""
    if plan.partner == "Muted":
        return (plan.source, "muted", "Muted", "", "24h")
    frequency = f"{plan.interval // HOUR}h" if plan.interval else "one-time"
    name = "any" if plan.new_id_each_run or not plan.interval else str(plan.request_id)
    return (plan.source, name, plan.partner, "events", frequency)


class Truth:
    """The starts and ends of all runs, those during the outage included."""

    def __init__(
        self, plans: Iterable[SimulatedExport], faults: Iterable[Fault], webhooks: Iterable[SimulatedWebhook]
    ) -> None:
        self._faults = faults
        self.plans = {plan.number: plan for plan in plans}
        by_id = {(plan.source, str(plan.request_id)): plan.number for plan in plans}
        by_group = {(plan.source, plan.partner, plan.frequency): plan.number for plan in plans}
        self.starts: dict[int, list[float]] = defaultdict(list)
        self.ends: dict[int, list[float]] = defaultdict(list)
        for webhook in webhooks:
            if webhook.body is not None:
                values = json.loads(webhook.body)
                group = (webhook.source, values["Partner"], values["Frequency"])
                number = by_id.get((webhook.source, str(values["Export Request Id"])), by_group.get(group, -1))
                (self.starts if values["Status"] == "Initiated" else self.ends)[number].append(webhook.at)

    def expected(self) -> tuple[list[Expected], list[Incident]]:
        """Return the alerts and incidents that should follow from the planted faults."""
        alerts: list[Expected] = []
        incidents = []
        for fault in self._faults:
            plan = self.plans[fault.number]
            expectation = deadlines.expectation_of(plan.interval, plan.zone)
            name = f"{fault.kind}, {plan.frequency.lower()}{', ' if fault.note else ''}{fault.note}"
            incident = self._incident(fault, plan, expectation, name)
            incidents.append(incident)
            if not incident.is_muted:
                expected = list(self._alerts(fault, plan, expectation, incident))
                incident.pages = any(alert.severity == PAGE for alert in expected)
                alerts += expected
        never: Key = ("berlin", "never-ran", "Never", "", "24h")
        deadline = NEVER_DUE + 4.8 * HOUR
        incidents.append(Incident("never ran", never, NEVER_DUE, deadline, UNTIL, pages=True))
        alerts.append(
            Expected("ExportNeverCompleted", PAGE, never, "never ran", deadline, deadline + 4.8 * HOUR, UNTIL)
        )
        down: Key = ("", "", "", "", "")
        alerts.append(
            Expected(
                "ExportExporterDown",
                PAGE,
                down,
                "exporter down",
                OUTAGE[0] + 5 * MINUTE,
                OUTAGE[0] + 10 * MINUTE,
                OUTAGE[1],
            )
        )
        return alerts, incidents

    def _incident(self, fault: Fault, plan: SimulatedExport, expectation: Expectation, name: str) -> Incident:
        if not plan.interval:
            start = next(start for start in self.starts[plan.number] if start >= min(fault.dues))
            return Incident(name, key_of(plan), start, start + expectation.max_runtime, UNTIL)
        due = min(fault.dues)
        ends = next((end for end in self.ends[plan.number] if end > due), UNTIL)
        return Incident(name, key_of(plan), due, due + expectation.grace, ends, is_muted=fault.note == "muted")

    def _alerts(
        self, fault: Fault, plan: SimulatedExport, expectation: Expectation, incident: Incident
    ) -> Iterator[Expected]:
        key, grace = incident.key, expectation.grace
        if plan.interval:
            begins = incident.deadline
            yield Expected("ExportOverdue", TICKET, key, incident.fault, begins, begins + grace, incident.ends)
            if incident.ends > begins + grace + plan.interval:
                begins += plan.interval
                yield Expected(
                    "ExportOverdueCritical", PAGE, key, incident.fault, begins, begins + grace, incident.ends
                )
        if fault.kind == STUCK:
            start = next(start for start in self.starts[plan.number] if start >= incident.due)
            # An id that is new each run never recurs: its run is superseded an interval after the alert fires.
            stuck_for = expectation.max_runtime + plan.interval if plan.new_id_each_run else 0
            later = (other for other in self.starts[plan.number] if other > start + stuck_for)
            ends = next(later, UNTIL) if plan.interval else UNTIL
            begins = start + expectation.max_runtime
            # If a run may take as long as its interval, the next one supersedes it at about that time.
            required = begins + TOLERANCE < ends
            slack = grace or 30 * MINUTE
            yield Expected(
                "ExportRunStuck", TICKET, key, incident.fault, begins - 10, begins + slack, ends, required=required
            )
