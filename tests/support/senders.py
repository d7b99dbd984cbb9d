"""Threads that deliver events to several exporters at once, as a relay before them would."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

import requests

from builders import body
from running import wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from running import Exporter

ANSWER_SECONDS = 10


class Senders:
    """Each sends one event after the other, and each event until some exporter has acknowledged it.

    Args:
        exporters: to be tried in turn.
        count: of the threads.

    Attributes:
        acknowledged: the request ids of the events that were answered with 200.
    """

    def __init__(self, exporters: Sequence[Exporter], count: int = 4) -> None:
        self.acknowledged: list[str] = []
        self._urls = [f"{each.webhook_url}/webhooks/clevertap/default" for each in exporters]
        self._enough = threading.Event()
        self._threads = [threading.Thread(target=self._send, args=(sender,)) for sender in range(count)]

    def __enter__(self) -> Self:
        for each in self._threads:
            each.start()
        self.more(1)
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        for each in self._threads:
            each.join()

    def more(self, count: int) -> None:
        """Wait until so many more are acknowledged."""
        wanted = len(self.acknowledged) + count
        wait_until(lambda: len(self.acknowledged) >= wanted, f"{count} more events to be acknowledged")

    def _send(self, sender: int) -> None:
        number = turn = 0
        while not self._enough.is_set():
            request_id = f"{sender}-{number}"
            turn += 1
            if self._acknowledged(self._urls[(sender + turn) % len(self._urls)], request_id):
                self.acknowledged.append(request_id)
                number += 1

    def _acknowledged(self, url: str, request_id: str) -> bool:
        with requests.Session() as session:
            session.trust_env = False
            try:
                answer = session.post(url, body(request_id=request_id), timeout=ANSWER_SECONDS)
            except requests.RequestException:
                self._enough.wait(0.02)  # until somebody listens again
                return False
        assert answer.status_code in {200, 503}, answer.text
        return answer.status_code == 200
