"""Which pages a month of made-up exports would have raised, beside the pages that it should have raised.

A fleet of 40 exports in three sources, 30 days over both changes of summer time, and 20 planted
faults. The ledger is filled as if it had listened, told as history, and loaded into a real
Prometheus; the shipped alerts, their recording rules written out in them, are evaluated over it
minute by minute.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import requests
import yaml
from sqlalchemy import create_engine, insert

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

from exporter import config, schedule  # noqa: E402 - as above
from exporter.backfill import FAMILIES, Backfill, Knowledge  # noqa: E402
from exporter.durations import spoken  # noqa: E402
from exporter.frequency import DAY, HOUR  # noqa: E402
from exporter.listing import table  # noqa: E402
from exporter.simulation import LATE, MISSED, STUCK, HoldingLedger, Plan, history, keep  # noqa: E402
from exporter.sources.clevertap import REASONS  # noqa: E402
from exporter.sql_schema import watches  # noqa: E402
from monitoring import answers, find_tool, free_port, stop, wait_for  # noqa: E402 - its folder is no package

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from exporter.model import Terms
    from exporter.simulation import Happening

SEED = 2026
SINCE = datetime(2026, 10, 3, 12, tzinfo=UTC).timestamp()
UNTIL = SINCE + 30 * DAY
MINUTE = 60
ZONES = {
    "sydney": ZoneInfo("Australia/Sydney"),  # an hour less on 4 October
    "newyork": ZoneInfo("America/New_York"),  # an hour more on 1 November
    "berlin": ZoneInfo("Europe/Berlin"),  # an hour more on 25 October; not configured, but found out
}
OUTAGE = (
    datetime(2026, 10, 20, 12, 40, tzinfo=UTC).timestamp(),
    datetime(2026, 10, 20, 13, 40, tzinfo=UTC).timestamp(),
)
NEVER_DUE = datetime(2026, 10, 13, tzinfo=UTC).timestamp()
ONE_TIME_DAY = 12.0
"""A day on which the one-time export has exactly one run."""
STOPPED = "stopped"
EVALUATION = 60
TOLERANCE = 5 * MINUTE

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
    """A planted fault: from an instant on, so many runs of an export are of this kind."""

    kind: str
    number: int
    day: float
    runs: int = 1
    note: str = ""

    @property
    def begins(self) -> float:
        """Its first run is the first one due from then on."""
        return SINCE + self.day * DAY


@dataclass
class Expected:
    """An alert that the truth asks for, with the window in which it has to begin."""

    alert: str
    key: Key
    fault: str
    earliest: float
    latest: float
    ends: float
    wanted: bool = True
    found: list[Episode] = field(default_factory=list)


@dataclass
class Episode:
    """A time in which an alert fired."""

    alert: str
    key: Key
    begins: float
    ends: float


@dataclass
class Incident:
    """A planted fault as an SRE sees it: an export, and from when until when it is in trouble."""

    fault: str
    key: Key
    due: float
    promised: float
    ends: float
    to_page: bool = True


def fleet() -> list[Plan]:
    """38 exports that run; a declared one that never does, and one declared only to be muted, come to it."""
    hours = [4] * 10 + [8] * 6 + [12] * 4 + [24] * 14 + [0] * 4
    partners = ("Amazon S3", "Google Cloud Storage", "Microsoft Azure")
    slugs = list(ZONES)
    plans = []
    for number, every in enumerate(hours):
        slug = slugs[number % 3]
        plans.append(_plan(number, slug, partners[number // 3 % 3], every))
    plans[13] = _plan(13, "newyork", "New ids", 8, new_ids=True)
    plans[14] = _plan(14, "berlin", "New ids", 8, new_ids=True)
    plans[31] = _plan(31, "sydney", "One bucket", 24)
    plans[32] = _plan(32, "sydney", "One bucket", 24)
    plans.append(_plan(38, "newyork", "Muted", 24))
    return plans


def _plan(number: int, slug: str, partner: str, hours: int, *, new_ids: bool = False) -> Plan:
    typical = (5 + number % 4 * 2) * MINUTE
    return Plan(
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
    Fault(STUCK, 35, ONE_TIME_DAY),
    Fault(STOPPED, 4, 22.3, runs=10**6),
    Fault(STOPPED, 24, 20.5, runs=10**6),
    Fault(MISSED, 13, 21.7, note="a new id each run"),
    Fault(MISSED, 31, 23.6, note="two exports to one bucket"),
    Fault(MISSED, 38, 16.5, note="muted"),
]
"""Beside these: the export that never ran, and the hour in which the exporter was down."""


def fate(plan: Plan, due: float, _dice: float) -> str:
    """What becomes of a run."""
    for fault in FAULTS:
        if fault.number == plan.number and fault.begins <= due < fault.begins + fault.runs * (plan.interval or DAY):
            return MISSED if fault.kind == STOPPED else fault.kind
    return ""


def key_of(plan: Plan) -> Key:
    """The labels of its series, once it came back."""
    if plan.partner == "Muted":
        return (plan.source, "muted", "Muted", "", "24h")
    frequency = f"{plan.interval // HOUR}h" if plan.interval else "one-time"
    name = "any" if plan.new_ids or not plan.interval else str(plan.request_id)
    return (plan.source, name, plan.partner, "events", frequency)


class Truth:
    """What really happened, whether or not anybody heard of it."""

    def __init__(self, plans: Iterable[Plan], happenings: Iterable[Happening]) -> None:
        self.plans = {plan.number: plan for plan in plans}
        by_id = {(plan.source, str(plan.request_id)): plan.number for plan in plans}
        by_group = {(plan.source, plan.partner, plan.frequency): plan.number for plan in plans}
        self.starts: dict[int, list[float]] = defaultdict(list)
        self.ends: dict[int, list[float]] = defaultdict(list)
        for each in happenings:
            if each.body is not None:
                said = json.loads(each.body)
                group = (each.source, said["Partner"], said["Frequency"])
                number = by_id.get((each.source, str(said["Export Request Id"])), by_group.get(group, -1))
                (self.starts if said["Status"] == "Initiated" else self.ends)[number].append(each.at)

    def expected(self) -> tuple[list[Expected], list[Incident]]:
        """The alerts and incidents that follow from the planted faults, by the words of the promise."""
        alerts: list[Expected] = []
        incidents = []
        for fault in FAULTS:
            plan = self.plans[fault.number]
            promise = schedule.terms(plan.interval, plan.zone)
            name = f"{fault.kind}, {plan.frequency.lower()}{', ' if fault.note else ''}{fault.note}"
            incident = self._incident(fault, plan, promise, name)
            incidents.append(incident)
            if incident.to_page:
                alerts += self._alerts(fault, plan, promise, incident)
        never: Key = ("berlin", "never-ran", "Never", "", "24h")
        promised = NEVER_DUE + 28.8 * HOUR
        incidents.append(Incident("never ran", never, NEVER_DUE, promised, UNTIL))
        alerts.append(Expected("ExportNeverCompleted", never, "never ran", promised, promised + 4.8 * HOUR, UNTIL))
        down: Key = ("", "", "", "", "")
        alerts.append(
            Expected(
                "ExportExporterDown", down, "exporter down", OUTAGE[0] + 5 * MINUTE, OUTAGE[0] + 10 * MINUTE, OUTAGE[1]
            )
        )
        return alerts, incidents

    def _incident(self, fault: Fault, plan: Plan, promise: Terms, name: str) -> Incident:
        if not plan.interval:
            [due] = (start for start in self.starts[plan.number] if fault.begins <= start < fault.begins + DAY)
            return Incident(name, key_of(plan), due, due + promise.max_runtime, UNTIL)
        due = next(slot for slot in _slots(plan) if slot >= fault.begins)
        ends = next((end for end in self.ends[plan.number] if end > due), UNTIL)
        return Incident(name, key_of(plan), due, due + promise.grace, ends, to_page=fault.note != "muted")

    def _alerts(self, fault: Fault, plan: Plan, promise: Terms, incident: Incident) -> Iterator[Expected]:
        key, grace = incident.key, promise.grace
        if plan.interval:
            begins = incident.promised
            yield Expected("ExportOverdue", key, incident.fault, begins, begins + grace, incident.ends)
            if incident.ends > begins + grace + plan.interval:
                begins += plan.interval
                yield Expected("ExportOverdueCritical", key, incident.fault, begins, begins + grace, incident.ends)
        if fault.kind == STUCK:
            start = next(start for start in self.starts[plan.number] if start >= incident.due)
            ends = next((each for each in self.starts[plan.number] if each > start), UNTIL) if plan.interval else UNTIL
            begins = start + promise.max_runtime
            # Where a run may take as long as its interval, the next one takes its place at about that time.
            wanted = begins + TOLERANCE < ends
            slack = grace or 30 * MINUTE
            yield Expected("ExportRunStuck", key, incident.fault, begins - 10, begins + slack, ends, wanted=wanted)


def _slots(plan: Plan) -> Iterator[float]:
    """When runs are due, by the clock on the wall of the project."""
    for day in range(40):
        midnight = datetime.fromtimestamp(SINCE, plan.zone).replace(hour=0, minute=0) + timedelta(days=day)
        for second in range(0, DAY, plan.interval):
            yield (midnight + timedelta(seconds=second)).astimezone(UTC).timestamp()


class History:
    """A real Prometheus on the history of a ledger.

    Args:
        folder: for the history, its blocks and its log.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.url = f"http://127.0.0.1:{free_port()}"

    def load(self, knowledge: Knowledge, names: set[str]) -> int:
        """Tell the metrics of these names, and whether the exporter was up, and make blocks of it."""
        told = Backfill(knowledge, SINCE, UNTIL, 300)
        for _ in told.fold():
            pass
        path = self._folder / "history.om"
        with path.open("w") as file:
            for family in FAMILIES:
                if family.sample_name in names or family.name in names:
                    file.writelines(told.text(family))
            file.write("# TYPE up gauge\n")
            for second in range(int(SINCE), int(UNTIL), MINUTE):
                file.write(f"up {int(not OUTAGE[0] < second < OUTAGE[1])} {second}\n")
            file.write("# EOF\n")
        # As few blocks as possible, since the whole file is read again for each of them.
        command: list[str | Path] = [
            find_tool("promtool") or "promtool",
            "tsdb",
            "create-blocks-from",
            "--max-block-duration=1000h",
        ]
        command += ["openmetrics", "--label=job=dataexport", "--label=instance=one", path, self._folder / "data"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        path.unlink()
        return told.samples

    def episodes(self, alert: str, expression: str, wait: float = 0) -> list[Episode]:
        """When an alert with this expression would have fired."""
        points: dict[Key, list[float]] = defaultdict(list)
        for begins in range(int(SINCE), int(UNTIL), 7 * DAY):
            ends = min(begins + 7 * DAY - EVALUATION, UNTIL)
            answer = requests.post(
                f"{self.url}/api/v1/query_range",
                {"query": expression, "start": str(begins), "end": str(ends), "step": str(EVALUATION)},
                timeout=600,
            )
            assert answer.ok, f"{alert}: {answer.text}"
            for each in answer.json()["data"]["result"]:
                labels = [each["metric"].get(name, "") for name in LABELS]
                key: Key = (labels[0], labels[1], labels[2], labels[3], labels[4])
                points[key] += [float(second) for second, _ in each["values"]]
        found = []
        for key, seconds in points.items():
            start = last = seconds[0]
            for second in [*seconds[1:], float("inf")]:
                # While the exporter is down, its own alert stands for those of the exports.
                away = OUTAGE[0] < last < OUTAGE[1] + EVALUATION and second < OUTAGE[1] + 10 * MINUTE
                if second - last > EVALUATION and not away:
                    if last - start >= wait:
                        found.append(Episode(alert, key, start + wait, last))
                    start = second
                last = second
        return sorted(found, key=lambda each: (each.begins, each.key))

    @contextmanager
    def served(self) -> Iterator[None]:
        """Prometheus runs on it."""
        config_path = self._folder / "prometheus.yaml"
        config_path.write_text("{}", "utf-8")
        with (self._folder / "prometheus.log").open("ab") as log:
            process = subprocess.Popen(
                [
                    find_tool("prometheus") or "prometheus",
                    f"--config.file={config_path}",
                    f"--storage.tsdb.path={self._folder / 'data'}",
                    "--storage.tsdb.retention.time=10y",
                    "--query.timeout=10m",
                    f"--web.listen-address={self.url.removeprefix('http://')}",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            wait_for(lambda: answers(f"{self.url}/-/ready"), "prometheus to be ready")
            yield
        finally:
            stop(process)


def names_in(expression: str) -> set[str]:
    """The metrics of ours that an expression names, without the suffixes of histograms."""
    return set(re.findall(r"dataexport[:_][a-z0-9_]+", expression))


def judged(expected: list[Expected], found: list[Episode]) -> list[Episode]:
    """Give every episode to the expectation that it meets; what is left over was raised for nothing."""
    extra = []
    for episode in found:
        for each in expected:
            same = (each.alert, each.key) == (episode.alert, episode.key)
            if same and each.earliest - EVALUATION <= episode.begins and episode.begins <= each.ends:
                each.found.append(episode)
                break
        else:
            extra.append(episode)
    return extra


def fault_of(each: Expected) -> str:
    """What is wrong with how an expectation was met; empty where it was met as it should be."""
    if not each.found:
        return "MISSING" if each.wanted else ""
    first, last = each.found[0], each.found[-1]
    if first.begins > each.latest + 2 * EVALUATION:
        return f"LATE by {spoken(first.begins - each.latest)}"
    if len(each.found) > 1:
        return f"IN {len(each.found)} PIECES"
    if abs(min(last.ends, UNTIL) - min(each.ends, UNTIL)) > TOLERANCE:
        return f"ENDS {spoken(last.ends - each.ends)} {'after' if last.ends > each.ends else 'before'} the run"
    return ""


def main() -> None:
    """Build the history, evaluate the rules over it, and print how they did."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--folder", type=Path, help="where the history is made and removed again")
    arguments.add_argument("--others", action="store_true", help="evaluate further alerts, of which none is judged")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="confusion-", dir=given.folder) as folder:
        clean = run(Path(folder), others=given.others)
    sys.exit(0 if clean else 1)


def run(folder: Path, *, others: bool) -> bool:
    """The same, with its files in a folder; whether every alert was right."""
    began = time.perf_counter()
    plans = fleet()
    happenings = list(history(plans, SINCE, UNTIL, SEED, fate))
    heard = [each for each in happenings if not OUTAGE[0] <= each.at < OUTAGE[1]]
    (folder / "dataexport.toml").write_text(CONFIG, "utf-8")
    settings = config.load(folder / "dataexport.toml", {})
    store = f"sqlite:///{folder / 'dataexport.db'}"
    rules = [
        rule
        for group in yaml.safe_load((ROOT / "alerts" / "dataexport.rules.yaml").read_text("utf-8"))["groups"]
        for rule in group["rules"]
    ]
    told = {name for family in FAMILIES for name in (family.name, family.sample_name)}
    alerts, left_out = usable(rules, told, others=others)
    with closing(HoldingLedger(store)) as ledger:
        events = keep(iter(heard), ledger, settings, (SINCE, UNTIL))
        _listen(store)
        knowledge = Knowledge(ledger, settings.plain_sources, settings.exports, 200, tuple(REASONS))
        prometheus = History(folder)
        wanted = {name for rule in alerts.values() for name in names_in(rule["expr"])}
        samples = prometheus.load(knowledge, wanted | {"dataexport_last_completed_timestamp_seconds"})
    print(f"{events} events of {len(plans) + 1} exports, {samples} samples, {time.perf_counter() - began:.0f} s")
    truth = Truth(plans, happenings)
    expected, incidents = truth.expected()
    with prometheus.served():
        found = {
            name: prometheus.episodes(name, rule["expr"], _seconds(rule.get("for", "0m")))
            for name, rule in alerts.items()
        }
        usual = {name: prometheus.episodes(name, rule) for name, rule in USUAL.items()}
    print(f"evaluated after {time.perf_counter() - began:.0f} s\n")
    clean = tell_alerts(expected, found, left_out, truth, happenings)
    tell_confusion(incidents, found, usual)
    return clean


def usable(rules: list[dict[str, Any]], told: set[str], *, others: bool) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """The alerts that can be evaluated, with recording rules written out in them, and the names of all others."""
    recorded = {rule["record"]: rule["expr"] for rule in rules if "record" in rule}

    def written_out(expression: str) -> str:
        # What was recorded once a minute is asked for once a minute.
        def inner(found: re.Match[str]) -> str:
            if found[1] not in recorded:
                return found[0]
            return f"({written_out(recorded[found[1]])})" + (f"[{found[2]}:1m]" if found[2] else "")

        # What was recorded once a minute is asked for once a minute.
        return re.sub(r"\b(dataexport:[a-z0-9_]+)(?:\[(\w+)\])?", inner, expression)

    good: dict[str, dict[str, Any]] = {}
    left_out = []
    for rule in rules:
        if "alert" not in rule:
            continue
        expression = written_out(rule["expr"])
        judged_too = others and rule["labels"]["severity"] in {"warning", "critical"}
        if names_in(expression) <= told and (rule["alert"] in CORE or judged_too):
            good[rule["alert"]] = rule | {"expr": expression}
        else:
            left_out.append(rule["alert"])
    return good, left_out


def _listen(store: str) -> None:
    """Note that somebody listened all the time but for the hour in which the exporter was down."""
    engine = create_engine(store)
    rows = [(SINCE, OUTAGE[0]), (OUTAGE[1], UNTIL)]
    with engine.begin() as connection:
        for began, seen in rows:
            row = {"watch": "listening", "began_us": int(began * 1e6), "seen_us": int(seen * 1e6)}
            connection.execute(insert(watches), [row])
    engine.dispose()


def _seconds(duration: str) -> float:
    return float(duration[:-1]) * {"s": 1, "m": MINUTE, "h": HOUR}[duration[-1]]


LABELS = ("source", "export", "partner", "data_type", "frequency")
_AGE = "time() - (dataexport_last_completed_timestamp_seconds{{{}}} > 0) > {}"
USUAL = {
    "age > 28.8 h for all": _AGE.format('frequency!="one-time"', 28.8 * HOUR),
    "age > 4.8 h for all": _AGE.format('frequency!="one-time"', 4.8 * HOUR),
    "age > 1.2 x its frequency": " or ".join(
        _AGE.format(f'frequency="{hours}h"', hours * 1.2 * HOUR) for hours in (4, 8, 12, 24)
    ),
}
"""What is usually written on the time of the last success: one threshold, or one for each frequency."""

CORE = ("ExportOverdue", "ExportOverdueCritical", "ExportNeverCompleted", "ExportRunStuck", "ExportExporterDown")
"""Alerts whose every episode follows from the planted faults."""


def tell_alerts(
    expected: list[Expected],
    found: Mapping[str, list[Episode]],
    left_out: list[str],
    truth: Truth,
    happenings: list[Happening],
) -> bool:
    """Print what each alert did; whether all were right."""
    rows, wrong, extras = [], [], []
    for alert in CORE:
        own = [each for each in expected if each.alert == alert]
        extra = judged(own, found.get(alert, []))
        faults = [(each, fault_of(each)) for each in own]
        met = [each for each in own if each.found]
        wrong += [(each, text) for each, text in faults if text]
        extras += extra
        wanted = [each for each in own if each.wanted]
        missing = sum(not each.found for each in wanted)
        slow = [each.found[0].begins - each.earliest for each in met]
        rows.append(
            (
                alert,
                str(len(wanted)),
                str(len(wanted) - missing),
                str(missing),
                str(len(extra)),
                spoken(max(slow, default=0)) if met else "",
            )
        )
    print(table(("ALERT", "EXPECTED", "RAISED", "MISSING", "EXTRA", "LONGEST AFTER ITS TIME"), rows), end="\n\n")
    for each, text in wrong:
        print(f"{each.alert} {' '.join(each.key)} ({each.fault}): {text}")
    for episode in extras:
        print(f"EXTRA {_said(episode)}: {_reason(episode, truth, happenings)}")
    for alert in found:
        if alert not in CORE:
            own_found = found[alert]
            print(f"not judged: {alert}, {len(own_found)} episodes")
            for episode in own_found[:12]:
                print(f"    {_said(episode)}")
    print(f"not evaluated: {', '.join(left_out)}\n")
    return not wrong and not extras


def _said(episode: Episode) -> str:
    begins, ends = (datetime.fromtimestamp(each, UTC) for each in (episode.begins, episode.ends))
    length = spoken(episode.ends - episode.begins)
    return f"{episode.alert} {' '.join(episode.key)} {begins:%d %b %H:%M} to {ends:%d %b %H:%M} UTC ({length})"


def _reason(episode: Episode, truth: Truth, happenings: list[Happening]) -> str:
    """What may have led to an episode that nobody planted."""
    [number] = [number for number, plan in truth.plans.items() if key_of(plan) == episode.key] or [-1]
    if number < 0:
        return "of no export in the plan"
    plan = truth.plans[number]
    lost = [each for each in happenings if each.body and OUTAGE[0] <= each.at < OUTAGE[1]]
    mine = {*truth.starts[number], *truth.ends[number]} & {each.at for each in lost}
    if mine and 0 < episode.begins - OUTAGE[1] < 2 * (plan.interval or DAY):
        return f"{len(mine)} of its webhooks were lost while the exporter was down"
    earlier, later = (datetime.fromtimestamp(episode.begins + shift, plan.zone).utcoffset() for shift in (-DAY, MINUTE))
    return "the clocks changed in the day before" if earlier != later else "no reason is known"


def tell_confusion(
    incidents: list[Incident], found: Mapping[str, list[Episode]], usual: Mapping[str, list[Episode]]
) -> None:
    """Print how many of the planted faults each set of rules told, and what it told beside them."""
    ours = [episode for alert in CORE[:4] for episode in found.get(alert, [])]
    rows = []
    for name, episodes in {"shipped alerts": ours, **usual}.items():
        troubled = [each for each in incidents if each.to_page]
        delays, false, lasting = [], Counter[str](), 0.0
        for each in troubled:
            own = [episode for episode in episodes if _tells(episode, each)]
            if own:
                delays.append(max(0.0, min(episode.begins for episode in own) - each.promised))
        for episode in episodes:
            if not any(_tells(episode, each) for each in troubled):
                false[" ".join(episode.key)] += 1
                lasting += episode.ends - episode.begins
        rows.append(
            (
                name,
                f"{len(delays)} of {len(troubled)}",
                str(len(troubled) - len(delays)),
                spoken(sorted(delays)[len(delays) // 2]) if delays else "",
                spoken(max(delays, default=0)),
                str(sum(false.values())),
                str(len(false)),
                spoken(lasting),
            )
        )
    heads = ("RULE", "FAULTS TOLD", "MISSED", "MEDIAN DELAY", "LONGEST", "FALSE PAGES", "OF EXPORTS", "FALSE FOR")
    print(table(heads, rows))


def _tells(episode: Episode, incident: Incident) -> bool:
    return episode.key == incident.key and incident.due <= episode.begins <= incident.ends


if __name__ == "__main__":
    main()
