"""The webhook without a framework: one event loop, no thread a request, commits waited for together."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, cast

from exporter.errors import StoreError
from exporter.intake import Receipt
from exporter.web.problems import answer_to
from exporter.web.webhook import STORE_SECONDS, acknowledgement, outcome

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from concurrent.futures import Executor, Future

    from exporter.config import ConfiguredSource
    from exporter.intake import Intake
    from exporter.ledger import Entry
    from exporter.model import Source
    from exporter.web.exchange import Answer, Exchange
    from exporter.web.webhook import Webhook

LARGE_BYTES = 32 * 1024
"""A body over this is read in a thread, so that others need not wait for it."""


class _Waiting:
    """A request whose entries are being committed."""

    __slots__ = ("deadline", "entries", "exchange", "intake", "reply")

    def __init__(
        self, exchange: Exchange, intake: Intake, entries: list[Entry], reply: Callable[[Answer], None], deadline: float
    ) -> None:
        self.exchange = exchange
        self.intake = intake
        self.entries = entries
        self.reply = reply
        self.deadline = deadline

    def answer(self, future: Future[list[bool]]) -> Answer:
        """What its sender is told, now that it is known; a receipt teaches the intake as well."""
        error = future.exception()
        if error is not None:
            return answer_to(cast("Exception", error))
        receipt = self.intake.receipt(source_of(self.exchange), self.entries, future.result())
        self.exchange.outcome = outcome(receipt)
        return acknowledgement(receipt)


class FastReceiver:
    """An `exporter.web.exchange.Front`.

    Args:
        webhook: what it does below the protocol.
        loop: in which it runs.
        threads: read large bodies.
    """

    def __init__(self, webhook: Webhook, loop: asyncio.AbstractEventLoop, threads: Executor) -> None:
        self.begin = webhook.begin
        self.note = webhook.note
        self._webhook = webhook
        self._loop = loop
        self._threads = threads
        self._waiting: dict[_Waiting, None] = {}  # the one that waits longest first
        self._committed: deque[tuple[_Waiting, Future[list[bool]]]] = deque()
        self._woken = False

    def finish(self, exchange: Exchange, body: bytes, reply: Callable[[Answer], None]) -> None:
        """Keep what the body says, and have it answered when it is on disk."""
        intake, now, source = self._webhook.intake, self._webhook.now(), source_of(exchange)
        if len(body) <= LARGE_BYTES:
            self._submit(exchange, intake, intake.prepare(source, body, now), reply)
            return
        read = self._threads.submit(intake.prepare, source, body, now)
        read.add_done_callback(
            lambda done: self._loop.call_soon_threadsafe(self._submit_read, exchange, intake, done, reply)
        )

    def sweep(self) -> None:
        """Answer those who have waited too long; what they sent may be committed yet, and is known again then."""
        now = self._loop.time()
        while self._waiting:
            waiting = next(iter(self._waiting))
            if waiting.deadline > now:
                return
            del self._waiting[waiting]
            waiting.reply(answer_to(StoreError(f"no commit within {STORE_SECONDS:g} s")))

    def _submit_read(
        self, exchange: Exchange, intake: Intake, read: Future[list[Entry]], reply: Callable[[Answer], None]
    ) -> None:
        try:
            self._submit(exchange, intake, read.result(), reply)
        except Exception as error:  # noqa: BLE001 - every error is an answer
            reply(answer_to(error))

    def _submit(
        self, exchange: Exchange, intake: Intake, entries: list[Entry], reply: Callable[[Answer], None]
    ) -> None:
        if not entries:
            reply(acknowledgement(Receipt()))
            return
        future = intake.submit(entries)
        waiting = _Waiting(exchange, intake, entries, reply, self._loop.time() + STORE_SECONDS)
        self._waiting[waiting] = None
        future.add_done_callback(lambda done: self._hand_over(waiting, done))

    def _hand_over(self, waiting: _Waiting, future: Future[list[bool]]) -> None:
        """In the thread that commits: wake the loop once for all that share a commit."""
        self._committed.append((waiting, future))
        if not self._woken:
            self._woken = True
            self._loop.call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        self._woken = False  # first: whoever is appended from now on wakes the loop again
        while self._committed:
            waiting, future = self._committed.popleft()
            answer = waiting.answer(future)
            if waiting in self._waiting:
                del self._waiting[waiting]
                waiting.reply(answer)


def source_of(exchange: Exchange) -> Source:
    """The source of an exchange that was let in."""
    return cast("ConfiguredSource", exchange.configured).source
