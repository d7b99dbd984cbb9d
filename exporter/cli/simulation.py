"""A made-up fleet of exports and the webhooks that it sends, with faults whose truth is known.

`history` is pure: the same plans, times and seed give the same history. Runs begin at midnight of
the project's time zone and every interval after, as on a wall clock, and the bodies are in the
form of the vendor of each source.
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
"""Hours between two runs, export by export; 0 is a one-time export."""
PARTNERS = ("Amazon S3", "Google Cloud Storage", "Microsoft Azure")
TYPES = ("Events", "Events", "Profiles")
ONE_TIME_A_DAY = 0.4
"""The chance that a one-time export is asked for on a day."""

BATCH = 1000
LIST = 100
"""Bodies in one request: few enough for the sender's three seconds."""


@dataclass(frozen=True, slots=True)
class SimulatedExport:
    """One made-up export.

    Attributes:
        number: tells it from all others of its fleet, and seeds its own dice.
        zone: the clock of its project.
        request_id: of all its runs; a one-time export has a new one for each run, as has one
            with ``new_ids``.
        vendor: in whose form its bodies are.
        interval: seconds from one run to the next; 0 for a one-time export.
        typical: how many seconds a run usually takes.
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
        """As the body has it."""
        return f"Every {self.interval // HOUR} hours" if self.interval else "One Time"


@dataclass(frozen=True, slots=True)
class Fault:
    """What went wrong on purpose.

    Attributes:
        kind: ``late``, ``missed`` or ``stuck``.
        due_at: the slot of the run that it befell.
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
    """A webhook that arrives, or one that should have.

    Attributes:
        at: its arrival; for a missed run its slot.
        body: as it is posted; None for a missed run.
        fault: what is wrong with its run.
    """

    at: float
    source: str
    body: str | None
    fault: Fault | None

    def record(self) -> dict[str, object]:
        """For JSON; the body as it is posted, so that it can be posted again."""
        return {
            "arrived_at": self.at if self.body else None,
            "source": self.source,
            "body": self.body,
            "fault": asdict(self.fault) if self.fault else None,
        }


def outcome_by_shares(late: float, missed: float, stuck: float) -> Callable[[SimulatedExport, float, float], str]:
    """What becomes of a run, by a throw of the dice between 0 and 1, at these shares."""

    def fate(plan: SimulatedExport, _due: float, dice: float) -> str:
        if late + missed <= dice < late + missed + stuck:
            return STUCK
        if dice < late + missed and plan.interval:
            return LATE if dice < late else MISSED
        return ""

    return fate


def fleet(
    exports: int,
    sources: Sequence[tuple[str, tzinfo]],
    since: float,
    seed: int,
    vendors: Mapping[str, str] = MappingProxyType({}),
) -> list[SimulatedExport]:
    """A fleet of so many exports, spread over sources with their clocks; ids lie before ``since``.

    ``vendors`` names those of the sources whose vendor is not the default one.
    """
    plans = []
    for number in range(exports):
        dice = _random(seed, "plan", number)
        slug, zone = sources[number % len(sources)]
        plans.append(
            SimulatedExport(
                number=number,
                source=slug,
                zone=zone,
                request_id=int(since) - 2 * HOUR * number - dice.randrange(2 * HOUR),
                partner=dice.choice(PARTNERS),
                data_type=dice.choice(TYPES),
                interval=HOURS[number // len(sources) % len(HOURS)] * HOUR,
                typical_runtime=dice.uniform(4 * 60, 40 * 60),
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
    """Everything that arrives between two instants, in that order.

    Args:
        plans: the exports.
        since: Unix seconds; no run is due before.
        until: nothing arrives after it.
        seed: other dice, another history.
        outcome_of: what becomes of a run, from its export, its slot and a number between 0 and 1:
            ``late``, ``missed``, ``stuck``, or empty.
    """
    waiting: list[tuple[float, int, SimulatedWebhook]] = []
    places = count()
    for due, _, plan in heapq.merge(*(_slots(plan, since, until, seed) for plan in plans)):
        while waiting and waiting[0][0] < due:
            yield heapq.heappop(waiting)[2]
        for each in _run(plan, due, _random(seed, plan.number, due), outcome_of):
            if each.at <= until:
                heapq.heappush(waiting, (each.at, next(places), each))
    while waiting:
        yield heapq.heappop(waiting)[2]


def import_history(
    webhooks: Iterable[SimulatedWebhook], ledger: BatchingLedger, settings: Config, span: tuple[float, float]
) -> int:
    """Put a history into a ledger as if an exporter had listened all the time; how many bodies that were.

    What lies before the first heartbeat is taken as given, so that the one at the end is enough.

    Args:
        webhooks: in order.
        ledger: a new one.
        settings: the sources, and the declared exports, which are declared from the beginning.
        span: the beginning and the end in Unix seconds.

    Raises:
        ExporterError: the ledger holds events already.
    """
    if ledger.last_sequence():
        message = "--store: there are events in it already, and made-up ones would mix with them; give a new database"
        raise ExporterError(message)
    ledger.record_declarations([(each.match.source, each.name) for each in settings.exports], span[0])
    sources = settings.sources_without_credentials
    intake = Intake(ledger, settings.limits.event_bytes)
    kept = 0
    for each in webhooks:
        if each.body is not None:
            kept += intake.ingest(sources[each.source], each.body.encode(), each.at).accepted
    ledger.flush()
    ledger.record_heartbeat("simulated", span[1])
    return kept


def post(
    webhooks: Iterable[SimulatedWebhook], send: Callable[[str], object], speed: float, sleep: Callable[[float], object]
) -> int:
    """Post a history in lists; how many bodies that were.

    Args:
        webhooks: in order.
        send: posts one list.
        speed: how many times faster than it happened; 0 for as fast as it goes.
        sleep: waits for so many seconds.
    """
    posted = 0
    waiting: list[str] = []
    last: float | None = None
    for each in webhooks:
        if each.body is None:
            continue
        pause = (each.at - last) / speed if speed and last is not None else 0.0
        if waiting and (pause or len(waiting) >= LIST):
            send(f"[{','.join(waiting)}]")
            waiting = []
        if pause:
            sleep(pause)
        waiting.append(each.body)
        last = each.at
        posted += 1
    if waiting:
        send(f"[{','.join(waiting)}]")
    return posted


class BatchingLedger(SqlLedger):
    """A ledger that commits a thousand entries at a time: it acknowledges what is not yet on disk."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._buffered: list[Entry] = []

    def append(self, entries: Sequence[Entry]) -> list[bool]:
        """Hold ``entries``; all of them are taken to be new."""
        self._buffered += entries
        if len(self._buffered) >= BATCH:
            self.flush()
        return [True] * len(entries)

    def flush(self) -> None:
        """Keep what is held."""
        held, self._buffered = self._buffered, []
        super().append(held)


def _run(
    plan: SimulatedExport, due: float, dice: random.Random, outcome_of: Callable[[SimulatedExport, float, float], str]
) -> Iterator[SimulatedWebhook]:
    # Every run throws the same dice in the same order, so that other faults leave the rest as it was.
    kind = outcome_of(plan, due, dice.random())
    jitter, delay, stretch = dice.uniform(1, 120), dice.uniform(0.3, 0.7), dice.lognormvariate(0, 0.3)
    travels = dice.uniform(0.5, 8), dice.uniform(0.5, 8)
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
    for status, at, travel in ((INITIATED, start, travels[0]), (COMPLETED, end, travels[1])):
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
        yield SimulatedWebhook(round(at + travel, 6), plan.source, body, fault)


def _slots(
    plan: SimulatedExport, since: float, until: float, seed: int
) -> Iterator[tuple[float, int, SimulatedExport]]:
    """When runs are due, in order; the number breaks ties, as plans have no order."""
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
        walls = [midnight + timedelta(seconds=offset) for offset in range(0, DAY, plan.interval)]
        # By way of UTC: a time of day that the clock skips is the hour after.
        return [wall.astimezone(UTC).timestamp() for wall in walls]
    dice = _random(seed, plan.number, day)
    asked = dice.random() < ONE_TIME_A_DAY
    second = dice.randrange(DAY - HOUR)
    return [midnight.timestamp() + second] if asked else []


def _random(*what: object) -> random.Random:
    # Seeded by a text, which every version and platform reads in the same way.
    return random.Random(" ".join(map(str, what)))  # noqa: S311 - made-up data, not a secret
