"""The webhook without a framework: one event loop, no thread a request, commits waited for together."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, cast

from exporter.errors import StoreError
from exporter.group_commit import Ticket
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
ENOUGH = 64
"""With so many entries a commit begins at once.

With fewer it begins when the loop has turned once more since the last one was answered, so that
whoever was answered and posts again shares it: a commit takes some 200 µs however little is in it.
With 16 connections that made 14 events a commit of 7, 130 µs of processor time a request of 170,
and a third more requests a second.
"""


class _Waiting(Ticket["Entry", bool]):
    """A request whose entries are being committed."""

    __slots__ = ("deadline", "exchange", "intake", "reply", "told")

    def __init__(  # noqa: PLR0913, PLR0917 - what a request needs until it is answered
        self,
        exchange: Exchange,
        intake: Intake,
        entries: list[Entry],
        reply: Callable[[Answer], None],
        deadline: float,
        told: Callable[[_Waiting], None],
    ) -> None:
        super().__init__(entries)
        self.exchange = exchange
        self.intake = intake
        self.reply = reply
        self.deadline = deadline
        self.told = told

    def settle(self) -> None:
        self.told(self)

    def answer(self) -> Answer:
        """What its sender is told, now that it is known; a receipt teaches the intake as well."""
        if self.error is not None:
            return answer_to(self.error)
        receipt = self.intake.receipt(source_of(self.exchange), self.items, self.answers)
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
        self._gathered: list[_Waiting] = []  # not handed over yet
        self._entries = 0  # of those
        self._committing = False  # or about to
        self._committed: deque[_Waiting] = deque()
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
        waiting = _Waiting(exchange, intake, entries, reply, self._loop.time() + STORE_SECONDS, self._hand_back)
        self._waiting[waiting] = None
        self._gathered.append(waiting)
        self._entries += len(entries)
        if self._entries >= ENOUGH:
            self._commit()
        elif not self._committing:
            self._commit_soon()

    def _commit_soon(self) -> None:
        self._committing = True
        self._loop.call_soon(self._commit)

    def _commit(self) -> None:
        """Have all that was gathered committed together."""
        gathered, self._gathered, self._entries = self._gathered, [], 0
        self._committing = bool(gathered)
        try:
            self._webhook.intake.hand_over(gathered)
        except StoreError as error:
            for waiting in gathered:
                waiting.error = error
                self._hand_back(waiting)

    def _hand_back(self, waiting: _Waiting) -> None:
        """In the thread that commits: wake the loop once for all that share a commit."""
        self._committed.append(waiting)
        if not self._woken:
            self._woken = True
            self._loop.call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        self._woken = False  # first: whoever is appended from now on wakes the loop again
        self._committing = False
        if self._gathered:
            self._commit_soon()
        while self._committed:
            waiting = self._committed.popleft()
            answer = waiting.answer()
            if waiting in self._waiting:
                del self._waiting[waiting]
                waiting.reply(answer)


def source_of(exchange: Exchange) -> Source:
    """The source of an exchange that was let in."""
    return cast("ConfiguredSource", exchange.configured).source
