"""Threads that deliver events to several exporters, as a relay in front of them does."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

import requests

from builders import body
from running import wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from running import Exporter

RESPONSE_SECONDS = 10


class Senders:
    """Threads that send events one after another, and each event until an exporter has acknowledged it.

    Args:
        exporters: the exporters, tried in turn.
        count: the number of threads.

    Attributes:
        acknowledged: the request ids of the events that were acknowledged.
    """

    def __init__(self, exporters: Sequence[Exporter], count: int = 4) -> None:
        self.acknowledged: list[str] = []
        self._urls = [f"{exporter.webhook_url}/webhooks/clevertap/default" for exporter in exporters]
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._send, args=(sender,)) for sender in range(count)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        self.wait_for(1)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, more: int) -> None:
        """Wait until ``more`` further events are acknowledged."""
        count = len(self.acknowledged) + more
        wait_until(lambda: len(self.acknowledged) >= count, f"{more} more events to be acknowledged")

    def _send(self, sender: int) -> None:
        number = turn = 0
        while not self._stopping.is_set():
            request_id = f"{sender}-{number}"
            turn += 1
            if self._deliver(self._urls[(sender + turn) % len(self._urls)], request_id):
                self.acknowledged.append(request_id)
                number += 1

    def _deliver(self, url: str, request_id: str) -> bool:
        with requests.Session() as session:
            session.trust_env = False
            try:
                response = session.post(url, body(request_id=request_id), timeout=RESPONSE_SECONDS)
            except requests.RequestException:
                self._stopping.wait(0.02)  # until an exporter listens again
                return False
        assert response.status_code in {200, 503}, response.text
        return response.status_code == 200
