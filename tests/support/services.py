"""A service in the test process, whose ledger fails when a test wants it to."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from builders import at
from clocks import FakeMachine
from exporter.config import loader
from exporter.domain.epochs import GIVEN
from exporter.domain.errors import StoreError
from exporter.ledger.contract import PAGE_SIZE
from exporter.metrics.process_metrics import ProcessMetrics
from exporter.server import background
from exporter.server.background import STEADY_SECONDS
from exporter.server.service import Service
from memory_ledger import MemoryLedger
from running import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.domain.epochs import Epoch
    from exporter.domain.events import Event

ON_FIRE = StoreError("the disk is on fire")


class FailingLedger(MemoryLedger):
    """A ledger that counts its operations, and fails those in ``failing``."""

    def __init__(self) -> None:
        super().__init__()
        self.failing: dict[str, Exception] = {}
        self.tried: Counter[str] = Counter()

    def read(self, after: int, limit: int = PAGE_SIZE) -> list[Event]:
        self._try("read")
        return super().read(after, limit)

    def record_heartbeat(self, instance_id: str, now: float, epoch: Epoch = GIVEN) -> None:
        self._try("record_heartbeat")
        super().record_heartbeat(instance_id, now, epoch)

    def last_sequence(self) -> int:
        self._try("last_sequence")
        return super().last_sequence()

    def _try(self, operation: str) -> None:
        self.tried[operation] += 1
        if operation in self.failing:
            raise self.failing[operation]


@pytest.fixture
def ledger() -> FailingLedger:
    return FailingLedger()


@pytest.fixture
def service(ledger: FailingLedger, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.setattr(background, "HEARTBEAT_SECONDS", 0.001)
    monkeypatch.setattr(background, "RETRY_SECONDS", 0.001)
    config = loader.load(None, {})
    machine = FakeMachine(at("12:00"))
    service = Service(config, lambda: config, ledger, ProcessMetrics(), machine=machine)
    machine.pass_time(STEADY_SECONDS)
    yield service
    service.stop()


def scraped(service: Service) -> bytes:
    return service.scrape(openmetrics=False).plain(b"")


def start(service: Service) -> None:
    service.start()
    wait_until(lambda: not service.why_not_ready(), "it has read the ledger")
