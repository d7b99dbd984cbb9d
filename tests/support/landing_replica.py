"""A replica that looks for the files of runs, in the test process."""

from __future__ import annotations

import zlib
from contextlib import contextmanager
from datetime import UTC
from typing import TYPE_CHECKING

from builders import HOUR, accepted_event
from exporter.domain.export_alerts import EXPORT_ALERTS
from exporter.domain.exports import Declaration, Selection, Source
from exporter.domain.landing import Found, Landing, Landings
from exporter.ledger.clock import Clock
from exporter.metrics.gzip_parts import PartCompressor
from exporter.server.landing.checker import LandingChecker
from exporter.server.landing.object_store import find_files
from exporter.server.read_model import ProjectionConfig, ReadModel
from object_stores import ObjectStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bucket_server import BucketServer
    from clocks import FakeMachine
    from exporter.domain.landing_history import LandingState
    from exporter.domain.states import ExportState
    from memory_ledger import MemoryLedger

SOURCES = {"shop": Source("shop", "UTC", UTC)}
DECLARED = Declaration("nightly", Selection("shop", frequency="4h"), interval=4 * HOUR)
LANDING = Landing("s3://exports/{date}/", timeout=20)


class Instance:
    """A replica: a checker with a read model and a clock, on a ledger."""

    def __init__(
        self,
        ledger: MemoryLedger,
        machine: FakeMachine,
        landings: Landings,
        find: Callable[[Landing, str, float], Found] = find_files,
        declarations: tuple[Declaration, ...] = (DECLARED,),
    ) -> None:
        self.ledger = ledger
        self.clock = Clock(ledger, machine)
        self.clock.start()
        self.model = ReadModel(ledger, ProjectionConfig(SOURCES, declarations, 10, 400 * 24 * HOUR, HOUR))
        self.checker = LandingChecker(ledger, self.model, self.clock, landings, find)

    def export(self) -> ExportState:
        """Return the only export with what is known about its files."""
        [state] = self.checker.attach(self.model.list_states(self.clock.now())[0])
        return state

    def landing(self) -> LandingState:
        known = self.export().landing
        assert known is not None
        return known

    def text(self, *, openmetrics: bool) -> str:
        part = self.checker.part(openmetrics=openmetrics)
        assert part is not None
        return PartCompressor(zlib).inflate(part.deflated).decode()

    def alerts(self) -> set[str]:
        now = self.clock.now()
        return {alert.name for alert in EXPORT_ALERTS if alert.applies(self.export(), now)}


@contextmanager
def running(instance: Instance) -> Iterator[Instance]:
    instance.checker.start()
    try:
        yield instance
    finally:
        instance.checker.stop()


def add(ledger: MemoryLedger, *events: object) -> None:
    ledger.append([accepted_event(each) for each in events])  # type: ignore[arg-type] # made by `event`


def nightly(landing: Landing = LANDING) -> Landings:
    return Landings({("shop", "nightly"): landing})


def landing_in(server: BucketServer, scheme: str) -> Landing:
    return ObjectStore(scheme, server.url).landing("{date}/")
