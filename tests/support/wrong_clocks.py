"""A day in the life of exporters whose clocks are set, and of one whose clock never is."""

from __future__ import annotations

from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from builders import HOUR, at, body, vendor_clock
from configurations import NIGHTLY
from exporter.config import loader
from exporter.domain.decisions import MUTE, Decision
from exporter.domain.exports import DECLARED, ExportKey
from exporter.ledger.sql.ledger import SqlLedger
from exporter.metrics.process_metrics import ProcessMetrics
from exporter.server.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from clocks import FakeMachine

CONFIGURATION = f"""
[[sources]]
slug = "shop"
timezone = "Asia/Kolkata"

[[sources]]
slug = "found-out"
{NIGHTLY}
[[exports]]
name = "silent"
source = "found-out"
match = {{ request_id = "nobody" }}
interval = "4h"
"""
ZONE = ZoneInfo("Asia/Kolkata")
HEARTBEAT = HOUR / 4
BEGINS = at("0:00")
ENDS = BEGINS + 26 * HOUR


class Replica:
    """One exporter, whose background work a test does step by step.

    Args:
        folder: for the configuration.
        url: the store.
        machine: has the clocks.
    """

    def __init__(self, folder: Path, url: str, machine: FakeMachine) -> None:
        self._path = folder / "dataexport.toml"
        self._path.write_text(CONFIGURATION, "utf-8")
        self._url = url
        self.machine = machine
        self.start()

    def start(self) -> None:
        config = loader.load(self._path, {})
        self.ledger = SqlLedger(self._url)
        self.service = Service(config, lambda: config, self.ledger, ProcessMetrics(), machine=self.machine)
        self.service.start()

    def stop(self) -> None:
        self.service.stop()

    def restart(self) -> None:
        self.stop()
        self.start()

    def heartbeat(self) -> None:
        self.service._background._heartbeat()  # noqa: SLF001 - as its thread does
        self.service._background._redate()  # noqa: SLF001 - as the other one does

    def receive(self, source: str, sent: bytes) -> None:
        config = self.service.config.sources_without_credentials[source]
        arrived_at, epoch = self.service.clock.read()
        self.service.intake.ingest(config, sent, arrived_at, epoch=epoch)

    def mute(self) -> None:
        now, epoch = self.service.clock.read()
        key = ExportKey("found-out", DECLARED, "silent")
        decision = Decision(MUTE, key, now, now + 6 * HOUR, "me", "it moves", lasts=6 * HOUR)
        self.ledger.append_decision(decision, epoch)

    def series(self, now: float) -> str:
        """Return the series of exports and sources."""
        model = self.service._model  # noqa: SLF001 - at an instant that the test chooses
        text = model.scrape(now, openmetrics=False).body.plain(b"").decode()
        assert "dataexport_deadline_timestamp_seconds{" in text
        return text


def deliveries() -> Iterator[tuple[float, str, bytes]]:
    """Yield what is sent in a day and an hour: when it arrives, to which source, and the body."""
    for hour in range(26):
        began = BEGINS + hour * HOUR + 60
        for source in ("shop", "found-out"):
            if hour % 4 == 0:
                yield began + 2, source, body("Initiated", vendor_clock(began, ZONE))
                yield began + 603, source, body("Completed", vendor_clock(began + 600, ZONE))
            if hour % 6 == 3:
                yield began + 4, source, body("Completed", vendor_clock(began, ZONE), hour, Frequency="One Time")
                yield began + 9, source, body("Completed", vendor_clock(began, ZONE), hour, Frequency="One Time")
                yield began + 10, source, b'{"is_test": true}'
            if hour in {13, 22}:
                yield began + 5, source, b'{"Partner": "unclear %d"}' % hour
                late = vendor_clock(began + 8 * HOUR, ZONE)
                yield began + 5, source, body("Initiated", late, 7, Frequency="Daily")
    yield BEGINS + HOUR, "shop", body("Completed", vendor_clock(BEGINS + HOUR - 2, ZONE), 9, Partner="Azure")


def live(
    replicas: list[Replica], incidents: dict[float, Callable[[], object]], clocks: Sequence[FakeMachine] = ()
) -> None:
    """Let a day and two hours pass: webhooks arrive at the replicas in turn, each of which sends heartbeats.

    Args:
        replicas: the exporters.
        incidents: what happens, by the hour at which it does.
        clocks: other machines for which time passes.
    """
    happenings = [(BEGINS + hour * HOUR, happens) for hour, happens in incidents.items()]
    happenings.append((BEGINS + 14.4 * HOUR, replicas[0].mute))
    for number, (arrival, source, sent) in enumerate(sorted(deliveries())):
        happenings.append((arrival, partial(replicas[number % len(replicas)].receive, source, sent)))
    for number in range(1, int(26 * HOUR / HEARTBEAT)):
        happenings += [(BEGINS + number * HEARTBEAT, replica.heartbeat) for replica in replicas]
    happenings += [(ENDS - 60, replica.heartbeat) for replica in replicas]
    clock = BEGINS
    machines = [*(replica.machine for replica in replicas), *clocks]
    for instant, happens in sorted(happenings, key=itemgetter(0)):
        for machine in machines:
            machine.pass_time(instant - clock)
        clock = instant
        happens()
