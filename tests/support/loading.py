"""Many senders at once, each of which keeps its connection, and notes what was acknowledged and what went wrong."""

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
    """Senders of made-up events, until told to stop or the connection breaks.

    Args:
        exporter: to whom they send.
        senders: how many at once.
        keep: whether a sender keeps its connection.
        pause: seconds between two events of a sender.
    """

    def __init__(self, exporter: Exporter, senders: int, *, keep: bool = True, pause: float = 0.0) -> None:
        self.acknowledged: set[str] = set()
        self.refused: list[int] = []
        self.broken: list[str] = []
        self.seconds: list[float] = []
        self._port = exporter.webhook_port
        self._keep = keep
        self._pause = pause
        self._over = threading.Event()
        self._senders = [threading.Thread(target=self._send, args=(number,)) for number in range(senders)]

    def __enter__(self) -> Self:
        for sender in self._senders:
            sender.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Have each sender end what it has begun, and nothing more."""
        self._over.set()
        for sender in self._senders:
            sender.join()

    def wait_for(self, more: int) -> None:
        """Wait until so many more were acknowledged."""
        wanted = len(self.acknowledged) + more
        wait_until(lambda: len(self.acknowledged) >= wanted or bool(self.broken), f"{more} more are acknowledged")

    def _send(self, sender: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE_SECONDS)
        number = 0
        while not self._over.is_set():
            name = f"{sender}-{number}"
            number += 1
            began = time.monotonic()
            try:
                connection.request("POST", "/webhooks/clevertap/default", body(request_id=name))
                status = connection.getresponse()
                status.read()
            except (OSError, http.client.HTTPException) as error:
                self.broken.append(repr(error))
                break
            self.seconds.append(time.monotonic() - began)
            if status.status == 200:
                self.acknowledged.add(name)
            else:
                self.refused.append(status.status)
            if not self._keep:
                connection.close()
            self._over.wait(self._pause)
        connection.close()
