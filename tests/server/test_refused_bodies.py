"""Refused bodies are stored in the background: a bounded number at a time, and without an error for anyone else."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from structlog.testing import capture_logs

from builders import at
from exporter.domain.errors import StoreError
from exporter.domain.events import RefusedBody
from exporter.ledger.body_store import MAX_REFUSED
from exporter.server.refused_bodies import MAX_BYTES, RefusedBodies
from memory_bodies import MemoryBodyStore
from memory_ledger import MemoryLedger
from running import wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence


class CountingStore(MemoryBodyStore):
    """A store that counts its writes, fails while ``error`` is set, and waits for ``open``."""

    def __init__(self) -> None:
        super().__init__(MemoryLedger())
        self.writes: list[int] = []
        self.error = False
        self.open = threading.Event()
        self.open.set()

    def add_refused(self, bodies: Sequence[RefusedBody]) -> None:
        self.writes.append(len(bodies))
        self.open.wait()
        if self.error:
            message = "no room"
            raise StoreError(message)
        super().add_refused(bodies)


def test_the_beginning_of_a_body_is_kept_with_its_reason_and_size() -> None:
    store = CountingStore()
    refused = RefusedBodies(store, lambda: at("0:00"))
    refused.record("shop", 400, "not JSON", b"x" * (MAX_BYTES + 1))
    refused.write()
    refused.write()
    assert store.writes == [1]
    assert store.refused() == [
        RefusedBody("shop", at("0:00"), 400, "not JSON", MAX_BYTES + 1, b"x" * MAX_BYTES, sequence=1)
    ]


def test_a_flood_is_one_write_of_the_newest_of_each_source() -> None:
    store = CountingStore()
    refused = RefusedBodies(store, lambda: at("0:00"))
    for number in range(1000):
        refused.record("shop", 400, str(number), b"")
    refused.record("other", 413, "too large", b"")
    refused.write()
    assert store.writes == [MAX_REFUSED, 1]
    assert [body.detail for body in store.refused(2, "shop")] == ["999", "998"]


def test_the_thread_stores_what_is_recorded_while_the_caller_goes_on_and_a_stop_stores_the_rest() -> None:
    store = CountingStore()
    refused = RefusedBodies(store, lambda: at("0:00"))
    refused.start()
    store.open.clear()
    refused.record("shop", 400, "first", b"")
    wait_until(lambda: store.writes == [1], "the thread writes")
    for detail in ("second", "third"):  # returns although the write hangs
        refused.record("shop", 400, detail, b"")
    assert store.refused() == []
    store.open.set()
    refused.stop()
    assert [body.detail for body in store.refused()] == ["third", "second", "first"]
    assert len(store.writes) == 2


def test_a_store_that_fails_is_logged_and_the_bodies_are_dropped() -> None:
    store = CountingStore()
    refused = RefusedBodies(store, lambda: at("0:00"))
    store.error = True
    refused.record("shop", 400, "not JSON", b"")
    refused.record("other", 400, "not JSON", b"")
    with capture_logs() as logged:
        refused.write()
    assert logged == [{"event": "refused_bodies_not_stored", "log_level": "warning", "bodies": 2, "error": "no room"}]
    assert store.writes == [1]
    store.error = False
    refused.stop()
    assert store.refused() == []


class FailingAfterOne(CountingStore):
    """A store that stores the bodies of one source and then fails."""

    def add_refused(self, bodies: Sequence[RefusedBody]) -> None:
        self.error = bool(self.writes)
        super().add_refused(bodies)


def test_only_bodies_that_were_not_stored_are_logged_as_missing() -> None:
    store = FailingAfterOne()
    refused = RefusedBodies(store, lambda: at("0:00"))
    refused.record("shop", 400, "not JSON", b"")
    refused.record("other", 400, "not JSON", b"")
    with capture_logs() as logged:
        refused.write()
    assert [each["bodies"] for each in logged] == [1]
    assert [body.source for body in store.refused()] == ["shop"]


def test_four_kibibytes_of_a_body_are_kept() -> None:
    store = CountingStore()
    refused = RefusedBodies(store, lambda: at("0:00"))
    refused.record("shop", 400, "not JSON", b"x" * 5000)
    refused.write()
    assert [len(body.body) for body in store.refused()] == [4096]
