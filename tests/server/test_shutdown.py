"""A stop by signals: what it answers, what it cuts, and that a second signal does not spoil it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from typing import TYPE_CHECKING

import pytest
import uvloop

from exporter.server import shutdown
from exporter.server.http import connection
from exporter.server.http.acceptor import Acceptor
from exporter.server.http.connection_pool import ConnectionPool
from exporter.server.http.messages import HttpResponse
from exporter.server.shutdown import Shutdown
from running import PATIENCE_SECONDS
from serving_here import HEAD, MAX_REQUEST_BYTES, EchoHandler

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

HELD = b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n"


async def until(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110 - connections have no event for it
        await asyncio.sleep(0.001)


class Stopping:
    """A listener that serves until a signal stops it, with a request in progress that the test replies to."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.handler = EchoHandler()
        self.pool = ConnectionPool(self.handler, 100, loop, lambda: MAX_REQUEST_BYTES, lambda: PATIENCE_SECONDS)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(0)
        self._acceptor = Acceptor(self.listener, self.pool, None)
        self._shutdown = Shutdown(loop)
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self) -> None:
        await self._shutdown.wait(PATIENCE_SECONDS)
        assert self._shutdown.is_requested
        await self._shutdown.close([self._acceptor], [self.pool], lambda: None)

    async def send(self, request: bytes) -> asyncio.StreamReader:
        reader, writer = await asyncio.open_connection(*self.listener.getsockname())
        self.writers.append(writer)
        writer.write(request)
        return reader

    def reply(self) -> None:
        self.handler.held.pop()(HttpResponse(200, b"held", ()))


def run(scenario: Callable[[Stopping], Coroutine[object, object, None]]) -> None:
    """Serve, run the scenario, and wait until the stop has ended."""

    async def main() -> None:
        stopping = Stopping(asyncio.get_running_loop())
        try:
            await asyncio.wait_for(asyncio.gather(stopping.serve(), scenario(stopping)), PATIENCE_SECONDS)
        finally:
            for writer in stopping.writers:
                writer.close()
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
                asyncio.get_running_loop().remove_signal_handler(number)
        assert len(stopping.pool) == 0

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutdown, "STOP_SECONDS", PATIENCE_SECONDS)


async def begin(stopping: Stopping, *requests: bytes) -> list[asyncio.StreamReader]:
    """Send requests of which the first is held, and stop once they are there and nobody can connect any more."""
    readers = [await stopping.send(request) for request in (HELD, *requests)]
    await until(lambda: stopping.handler.held and len(stopping.pool) == len(readers))
    os.kill(os.getpid(), signal.SIGTERM)
    await until(lambda: stopping.listener.fileno() == -1)
    return readers


def test_a_request_in_progress_is_answered_and_the_time_limits_apply_also_after_a_second_sigterm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.2)

    async def scenario(stopping: Stopping) -> None:
        held, slow = await begin(stopping, HEAD)
        os.kill(os.getpid(), signal.SIGTERM)
        assert (await slow.read()).startswith(b"HTTP/1.1 408 ")
        stopping.reply()
        answer = await held.read()
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"\r\nConnection: close\r\n" in answer

    run(scenario)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_an_interrupt_during_a_graceful_stop_cuts_what_is_in_progress(number: signal.Signals) -> None:
    async def scenario(stopping: Stopping) -> None:
        [held] = await begin(stopping)
        os.kill(os.getpid(), number)
        assert await held.read() == b""

    run(scenario)


def test_what_is_in_progress_for_too_long_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutdown, "STOP_SECONDS", 0.1)

    async def scenario(stopping: Stopping) -> None:
        [held] = await begin(stopping)
        assert await held.read() == b""

    run(scenario)
