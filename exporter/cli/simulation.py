"""Simulates a fleet of exports and the webhooks that it sends, with faults that are known in advance.

`history` is pure: the same plans, times and seed give the same history. Runs are due at midnight
in the source's time zone and every interval after that, by the wall clock. Each body has the
format of its source's vendor.
"""

from __future__ import annotations

import heapq
import random
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from types import MappingProxyType
from typing import TYPE_CHECKING

from exporter.domain import deadlines
from exporter.domain.errors import ExporterError
from exporter.domain.events import COMPLETED, INITIATED
from exporter.domain.frequency import DAY, HOUR
from exporter.ingest.intake import Intake
from exporter.ingest.vendors import registry
from exporter.ledger.sql.ledger import SqlLedger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import date, tzinfo

    from exporter.config.loader import Config
    from exporter.ledger.contract import Entry

LATE = "late"
MISSED = "missed"
STUCK = "stuck"

HOURS = (24, 4, 8, 24, 12, 0, 4, 24)
"""Hours between two runs, for one export after the other; 0 is a one-time export."""
PARTNERS = ("Amazon S3", "Google Cloud Storage", "Microsoft Azure")
TYPES = ("Events", "Events", "Profiles")
ONE_TIME_A_DAY = 0.4
"""The probability that a one-time export runs on a given day."""

ENTRIES_PER_COMMIT = 1000
BODIES_PER_REQUEST = 100
"""Few enough for a response within the vendor's timeout of three seconds."""


@dataclass(frozen=True, slots=True)
class SimulatedExport:
    """One simulated export.

    Attributes:
        number: unique in the fleet; seeds the random numbers of this export.
        zone: the time zone of the source.
        request_id: the id of all runs, unless each run has a new one.
        interval: seconds between two runs; 0 for a one-time export.
        typical_runtime: the median duration of a run in seconds.
        new_id_each_run: whether each run has a new request id; one-time exports always do.
        vendor: determines the format of the bodies.
    """

    number: int
    source: str
    zone: tzinfo
    request_id: int
    partner: str
    data_type: str
    interval: int
    typical_runtime: float
    new_id_each_run: bool = False
    vendor: str = registry.DEFAULT

    @property
    def frequency(self) -> str:
        """Return the frequency as a body spells it."""
        return f"Every {self.interval // HOUR} hours" if self.interval else "One Time"


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that the simulation injected into one run.

    Attributes:
        kind: `LATE`, `MISSED` or `STUCK`.
        due_at: the slot of the run, in Unix seconds.
    """

    kind: str
    source: str
    request_id: str
    partner: str
    data_type: str
    frequency: str
    due_at: float


@dataclass(frozen=True, slots=True)
class SimulatedWebhook:
    """A webhook that arrives, or the absence of all webhooks of a missed run.

    Attributes:
        at: the arrival in Unix seconds; for a missed run, its slot.
        body: the JSON text to post; None for a missed run.
        fault: the fault of the run, if it has one.
    """

    at: float
    source: str
    body: str | None
    fault: Fault | None

    def record(self) -> dict[str, object]:
        """Return the webhook for JSON output, with the body as text so that it can be posted unchanged."""
        return {
            "arrived_at": self.at if self.body else None,
            "source": self.source,
            "body": self.body,
            "fault": asdict(self.fault) if self.fault else None,
        }


def outcome_by_shares(late: float, missed: float, stuck: float) -> Callable[[SimulatedExport, float, float], str]:
    """Return an ``outcome_of`` for `history` that gives runs these shares of faults.

    The shares divide the random numbers between 0 and 1; a one-time export is never late or missed:

        0 ──── late ──── late + missed ──── late + missed + stuck ──── 1
          LATE     MISSED               STUCK                    no fault
    """

    def outcome_of(plan: SimulatedExport, _due: float, draw: float) -> str:
        if late + missed <= draw < late + missed + stuck:
            return STUCK
        if draw < late + missed and plan.interval:
            return LATE if draw < late else MISSED
        return ""

    return outcome_of


def fleet(
    exports: int,
    sources: Sequence[tuple[str, tzinfo]],
    since: float,
    seed: int,
    vendors: Mapping[str, str] = MappingProxyType({}),
) -> list[SimulatedExport]:
    """Return a fleet spread evenly over the sources.

    Args:
        exports: how many exports.
        sources: slugs with time zones.
        since: Unix seconds; the request ids, which are timestamps, lie before it.
        seed: the same seed gives the same fleet.
        vendors: by slug, for sources whose vendor is not the default.
    """
    plans = []
    for number in range(exports):
        rng = _random(seed, "plan", number)
        slug, zone = sources[number % len(sources)]
        plans.append(
            SimulatedExport(
                number=number,
                source=slug,
                zone=zone,
                request_id=int(since) - 2 * HOUR * number - rng.randrange(2 * HOUR),
                partner=rng.choice(PARTNERS),
                data_type=rng.choice(TYPES),
                interval=HOURS[number // len(sources) % len(HOURS)] * HOUR,
                typical_runtime=rng.uniform(4 * 60, 40 * 60),
                vendor=vendors.get(slug, registry.DEFAULT),
            )
        )
    return plans


def history(
    plans: Iterable[SimulatedExport],
    since: float,
    until: float,
    seed: int,
    outcome_of: Callable[[SimulatedExport, float, float], str],
) -> Iterator[SimulatedWebhook]:
    """Yield the webhooks that arrive between two instants, in order of arrival.

    Args:
        plans: the exports.
        since: Unix seconds; no run is due earlier.
        until: Unix seconds; nothing arrives later.
        seed: the same seed gives the same history.
        outcome_of: called with an export, a slot and a random number between 0 and 1; returns the
            fault of that run, `LATE`, `MISSED` or `STUCK`, or an empty text for none.
    """
    pending: list[tuple[float, int, SimulatedWebhook]] = []
    tie_breaker = count()
    for due, _, plan in heapq.merge(*(_slots(plan, since, until, seed) for plan in plans)):
        while pending and pending[0][0] < due:
            yield heapq.heappop(pending)[2]
        for webhook in _run(plan, due, _random(seed, plan.number, due), outcome_of):
            if webhook.at <= until:
                heapq.heappush(pending, (webhook.at, next(tie_breaker), webhook))
    while pending:
        yield heapq.heappop(pending)[2]


def import_history(
    webhooks: Iterable[SimulatedWebhook], ledger: BatchingLedger, settings: Config, span: tuple[float, float]
) -> int:
    """Fill a ledger as if an exporter had received the history as it happened.

    One heartbeat at the end is enough to show no outage: the time before a ledger's first
    heartbeat never counts as one.

    Args:
        webhooks: in order of arrival.
        ledger: an empty ledger.
        settings: the sources and the declared exports, which are recorded as declared from the start.
        span: the start and the end of the history in Unix seconds.

    Returns:
        How many events were accepted.

    Raises:
        ExporterError: the ledger already has events.
    """
    if ledger.last_sequence():
        message = "--store: it already contains events, and simulated ones would mix with them; give a new database"
        raise ExporterError(message)
    ledger.record_declarations([(export.match.source, export.name) for export in settings.exports], span[0])
    sources = settings.sources_without_credentials
    intake = Intake(ledger, settings.limits.event_bytes)
    accepted = 0
    for webhook in webhooks:
        if webhook.body is not None:
            accepted += intake.ingest(sources[webhook.source], webhook.body.encode(), webhook.at).accepted
    ledger.flush()
    ledger.record_heartbeat("simulated", span[1])
    return accepted


def post(
    webhooks: Iterable[SimulatedWebhook], send: Callable[[str], object], speed: float, sleep: Callable[[float], object]
) -> int:
    """Post a history, several bodies as one JSON list, and return how many bodies were posted.

    Args:
        webhooks: in order of arrival.
        send: posts one list.
        speed: how many times faster than it happened; 0 for no pauses.
        sleep: pauses for a number of seconds.
    """
    posted = 0
    bodies: list[str] = []
    last_at: float | None = None
    for webhook in webhooks:
        if webhook.body is None:
            continue
        pause = (webhook.at - last_at) / speed if speed and last_at is not None else 0.0
        if bodies and (pause or len(bodies) >= BODIES_PER_REQUEST):
            send(f"[{','.join(bodies)}]")
            bodies = []
        if pause:
            sleep(pause)
        bodies.append(webhook.body)
        last_at = webhook.at
        posted += 1
    if bodies:
        send(f"[{','.join(bodies)}]")
    return posted


class BatchingLedger(SqlLedger):
    """A ledger that commits many entries at a time: it acknowledges entries that are not on disk yet."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._buffered: list[Entry] = []

    def submit(self, entries: Sequence[Entry]) -> Callable[[], list[bool]]:
        """Buffer entries, and assume that none is a duplicate."""
        self._buffered += entries
        if len(self._buffered) >= ENTRIES_PER_COMMIT:
            self.flush()
        return lambda: [True] * len(entries)

    def flush(self) -> None:
        """Commit the buffered entries."""
        entries, self._buffered = self._buffered, []
        super().submit(entries)()


def _run(
    plan: SimulatedExport, due: float, rng: random.Random, outcome_of: Callable[[SimulatedExport, float, float], str]
) -> Iterator[SimulatedWebhook]:
    # Every run draws the same numbers in the same order, so that a fault does not change other runs.
    kind = outcome_of(plan, due, rng.random())
    jitter, delay, stretch = rng.uniform(1, 120), rng.uniform(0.3, 0.7), rng.lognormvariate(0, 0.3)
    start_delay, end_delay = rng.uniform(0.5, 8), rng.uniform(0.5, 8)
    expectation = deadlines.expectation_of(plan.interval, plan.zone)
    request_id = plan.request_id
    if plan.new_id_each_run or not plan.interval:
        request_id = int(due) - 300 - plan.number
    fault = None
    if kind:
        fault = Fault(
            kind, plan.source, str(request_id), plan.partner, plan.data_type.lower(), plan.frequency, due_at=due
        )
    if kind == MISSED:
        yield SimulatedWebhook(due, plan.source, None, fault)
        return
    start = float(int(due + jitter))
    if kind == LATE:
        start += int(expectation.grace + delay * (plan.interval - expectation.grace))
    end = start + int(min(plan.typical_runtime * stretch, expectation.max_runtime / 2))
    for status, at, webhook_delay in ((INITIATED, start, start_delay), (COMPLETED, end, end_delay)):
        if status == COMPLETED and kind == STUCK:
            return
        body = registry.VENDORS[plan.vendor].sample_body(
            status=status,
            partner=plan.partner,
            data_type=plan.data_type,
            frequency=plan.frequency,
            request_id=str(request_id),
            local_time=datetime.fromtimestamp(at, plan.zone).replace(tzinfo=None),
        )
        yield SimulatedWebhook(round(at + webhook_delay, 6), plan.source, body, fault)


def _slots(
    plan: SimulatedExport, since: float, until: float, seed: int
) -> Iterator[tuple[float, int, SimulatedExport]]:
    """Yield the slots of an export in order; the number breaks ties, because plans cannot be compared."""
    day = datetime.fromtimestamp(since, plan.zone).date()
    while True:
        for due in _slots_of(plan, day, seed):
            if due > until:
                return
            if due >= since:
                yield due, plan.number, plan
        day += timedelta(days=1)


def _slots_of(plan: SimulatedExport, day: date, seed: int) -> list[float]:
    midnight = datetime(day.year, day.month, day.day, tzinfo=plan.zone)
    if plan.interval:
        local_times = [midnight + timedelta(seconds=offset) for offset in range(0, DAY, plan.interval)]
        # Converted through UTC, so that a time of day that the clock skips becomes one an hour later.
        return [local_time.astimezone(UTC).timestamp() for local_time in local_times]
    rng = _random(seed, plan.number, day)
    runs_today = rng.random() < ONE_TIME_A_DAY
    second = rng.randrange(DAY - HOUR)
    return [midnight.timestamp() + second] if runs_today else []


def _random(*seeds: object) -> random.Random:
    # Seeding by text gives the same numbers with every Python version and platform.
    return random.Random(" ".join(map(str, seeds)))  # noqa: S311 - made-up data, not a secret
