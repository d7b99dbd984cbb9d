"""Concurrent senders that record what was acknowledged and what failed."""

from __future__ import annotations

import http.client
import threading
import time
from typing import TYPE_CHECKING, Self

from builders import body
from running import PATIENCE_SECONDS, wait_until

if TYPE_CHECKING:
    from running import Exporter


class Load:
    """Concurrent senders of events. Each sends until `stop` is called or its connection breaks.

    Args:
        exporter: the exporter that receives the events.
        senders: the number of senders.
        keep_alive: whether a sender uses one connection for all its events.
        pause: the pause between two events of a sender, in seconds.

    Attributes:
        acknowledged: the request ids of the events that were acknowledged.
        refused: the status codes other than 200.
        broken: the errors that ended a sender.
        seconds: how long each request took.
    """

    def __init__(self, exporter: Exporter, senders: int, *, keep_alive: bool = True, pause: float = 0.0) -> None:
        self.acknowledged: set[str] = set()
        self.refused: list[int] = []
        self.broken: list[str] = []
        self.seconds: list[float] = []
        self._port = exporter.webhook_port
        self._keep_alive = keep_alive
        self._pause = pause
        self._stopping = threading.Event()
        self._senders = [threading.Thread(target=self._send, args=(number,)) for number in range(senders)]

    def __enter__(self) -> Self:
        for sender in self._senders:
            sender.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop each sender after its current request."""
        self._stopping.set()
        for sender in self._senders:
            sender.join()

    def wait_for(self, more: int) -> None:
        """Wait until ``more`` further events are acknowledged, or a sender has ended."""
        count = len(self.acknowledged) + more
        wait_until(lambda: len(self.acknowledged) >= count or bool(self.broken), f"{more} more are acknowledged")

    def _send(self, sender: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE_SECONDS)
        number = 0
        while not self._stopping.is_set():
            request_id = f"{sender}-{number}"
            number += 1
            started_at = time.monotonic()
            try:
                connection.request("POST", "/webhooks/clevertap/default", body(request_id=request_id))
                response = connection.getresponse()
                response.read()
            except (OSError, http.client.HTTPException) as error:
                self.broken.append(repr(error))
                break
            self.seconds.append(time.monotonic() - started_at)
            if response.status == 200:
                self.acknowledged.add(request_id)
            else:
                self.refused.append(response.status)
            if not self._keep_alive:
                connection.close()
            self._stopping.wait(self._pause)
        connection.close()
