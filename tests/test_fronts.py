"""Both fronts of the webhook in this process, over one ledger: the same answers, the same counts."""

from __future__ import annotations

import asyncio
import json
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from builders import at, body, fields
from exporter import config
from exporter.errors import StoreError
from exporter.service import Service
from exporter.telemetry import Telemetry
from exporter.web import fast_receiver, receiver
from exporter.web.exchange import Answer, Exchange, Headers
from exporter.web.fast_receiver import ENOUGH, LARGE_BYTES, FastReceiver
from exporter.web.problems import answer_to
from exporter.web.webhook import Webhook
from memory_ledger import MemoryLedger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from exporter.group_commit import Ticket
    from exporter.ledger import Entry

SOURCES = '[{"slug": "open"}, {"slug": "shop", "tokens": ["right", "coming"]}]'
NOW = at("0:00") + 2


class HeldLedger(MemoryLedger):
    """A ledger whose commits end in a thread of their own, when the test wants, and as it wants."""

    def __init__(self) -> None:
        super().__init__()
        self.error: Exception | None = None
        self.released = threading.Event()
        self.released.set()
        self._threads = ThreadPoolExecutor(1)
        self.handed_over: list[int] = []
        self.closed = False

    def hand_over(self, tickets: Iterable[Ticket[Entry, bool]]) -> None:
        if self.closed:
            message = "the ledger is closed"
            raise StoreError(message)
        every = list(tickets)
        self.handed_over.append(len(every))
        super().hand_over(every)

    def submit(self, entries: Sequence[Entry]) -> Future[list[bool]]:
        return self._threads.submit(self._commit, entries)

    def close(self) -> None:
        self._threads.shutdown()

    def _commit(self, entries: Sequence[Entry]) -> list[bool]:
        self.released.wait()
        if self.error is not None:
            raise self.error
        return self.append(entries)


@dataclass
class Told:
    """An answer, whichever front gave it."""

    code: int
    content: bytes
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever was answered
        return json.loads(self.content)


@pytest.fixture
def ledger() -> HeldLedger:
    return HeldLedger()


@pytest.fixture
def service(ledger: HeldLedger) -> Iterator[Service]:
    configured = config.load(None, {"DATAEXPORT_SOURCES": SOURCES, "DATAEXPORT_TRUSTED_HOPS": "1"})
    made = Service(configured, lambda: configured, ledger, Telemetry(), now=lambda: NOW)
    yield made
    ledger.released.set()
    made.stop()


def ask_flask(webhook: Webhook) -> Callable[..., Told]:
    client = receiver.create_app(webhook).test_client()

    def ask(method: str, path: str, sent: bytes, headers: Mapping[str, str]) -> Told:
        answer = client.open(path, method=method, data=sent, headers=dict(headers))
        return Told(answer.status_code, answer.data, dict(answer.headers))

    return ask


def ask_fast(webhook: Webhook) -> Callable[..., Told]:
    def ask(method: str, path: str, sent: bytes, headers: Mapping[str, str]) -> Told:
        given = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        exchange = Exchange(method, path.encode(), Headers(given), "127.0.0.1", "http", 0.0, "127.0.0.1")

        async def answered() -> Answer:
            loop = asyncio.get_running_loop()
            with ThreadPoolExecutor(1) as threads:
                front = FastReceiver(webhook, loop, threads)
                begun = front.begin(exchange)
                if isinstance(begun, Answer):
                    return begun
                replied: asyncio.Future[Answer] = loop.create_future()
                try:
                    front.finish(exchange, sent, replied.set_result)
                except Exception as error:  # noqa: BLE001 - as a connection does
                    return answer_to(error)
                while not replied.done():
                    await asyncio.wait([replied], timeout=0.05)
                    front.sweep()
                return await replied

        answer = asyncio.run(answered())
        webhook.note(exchange, answer)
        return Told(answer.status, answer.body, dict(answer.headers))

    return ask


@pytest.fixture
def flask(service: Service) -> Callable[..., Told]:
    return ask_flask(Webhook(service))


@pytest.fixture(params=[ask_fast, ask_flask], ids=["async", "flask"])
def post(request: pytest.FixtureRequest, service: Service) -> Callable[..., Told]:
    ask = request.param(Webhook(service))

    def posted(
        sent: object, source: str = "open", headers: Mapping[str, str] | None = None, method: str = "POST"
    ) -> Told:
        raw = sent if isinstance(sent, bytes) else json.dumps(sent).encode()
        told: Told = ask(method, f"/webhooks/clevertap/{source}", raw, headers or {})
        return told

    return posted


def assert_problem(told: Told, code: int) -> None:
    assert told.code == code
    assert told.headers["Content-Type"] == "application/problem+json"
    assert told.json["status"] == code


def count(service: Service, code: int, source: str) -> float:
    labels = {"source": source, "code": str(code)}
    return service.telemetry.registry.get_sample_value("dataexport_webhook_requests_total", labels) or 0


def test_what_is_new_known_unclear_and_a_test_call(post: Callable[..., Told], service: Service) -> None:
    assert post(fields()).json == {"accepted": 1, "duplicates": 0, "quarantined": 0}
    assert post(fields()).json == {"accepted": 0, "duplicates": 1, "quarantined": 0}
    assert post({"Partner": "S3"}).json == {"accepted": 0, "duplicates": 0, "quarantined": 1}
    assert post({"is_test": True}).json == {"test": True}
    assert post([]).json == {"accepted": 0, "duplicates": 0, "quarantined": 0}
    assert count(service, 200, "open") == 5


def test_a_large_list_is_taken_as_a_small_one_is(post: Callable[..., Told]) -> None:
    events = [fields(request_id=number) for number in range(200)]
    assert len(json.dumps(events)) > LARGE_BYTES
    assert post(events).json["accepted"] == 200
    assert_problem(post(b"[" + b" " * LARGE_BYTES), 400)


def test_what_is_wrong_is_a_problem_of_the_same_words(post: Callable[..., Told], service: Service) -> None:
    assert_problem(post(b"{"), 400)
    assert_problem(post(b"{}", "nobody"), 404)
    assert_problem(post(b"{}", "open/more"), 404)
    assert_problem(post(b"{}", ""), 404)
    refused = post(b"", method="GET")
    assert_problem(refused, 405)
    assert refused.headers["Allow"] == "POST"
    assert (count(service, 400, "open"), count(service, 404, "unknown"), count(service, 405, "unknown")) == (1, 3, 1)


def test_a_body_over_the_limit_is_refused(flask: Callable[..., Told], service: Service) -> None:
    # Of the other front, and of this one in the running server, the connection does it.
    assert_problem(flask("POST", "/webhooks/clevertap/open", b"x" * 1_048_577, {}), 413)
    assert count(service, 413, "open") == 1


def test_any_of_two_tokens_opens_and_strangers_wait_by_the_address_that_the_proxy_saw(
    post: Callable[..., Told], service: Service
) -> None:
    stranger = {"X-Forwarded-For": "10.0.0.1, 203.0.113.7"}
    codes = [post(b"{}", "shop", stranger | {"Authorization": f"Bearer {n}"}).code for n in range(12)]
    assert codes == [401] * 10 + [429] * 2
    assert post(b"{}", "shop", {"X-Forwarded-For": "203.0.113.7, 203.0.113.8"}).code == 401
    for token in ("right", "coming"):
        assert post({"is_test": True}, "shop", stranger | {"Authorization": f"Bearer {token}"}).code == 200
    assert (count(service, 401, "shop"), count(service, 429, "shop")) == (11, 2)


def test_a_store_that_fails_is_said(post: Callable[..., Told], ledger: HeldLedger, service: Service) -> None:
    ledger.error = StoreError("the disk is on fire")
    refused = post(body())
    assert_problem(refused, 503)
    assert int(refused.headers["Retry-After"]) > 0
    ledger.error = None
    assert post(body()).json["accepted"] == 1
    assert count(service, 503, "open") == 1


def test_a_store_that_does_not_answer_is_not_waited_for_and_what_it_keeps_later_is_known_again(
    post: Callable[..., Told], ledger: HeldLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (receiver, fast_receiver):
        monkeypatch.setattr(module, "STORE_SECONDS", 0.01)
    ledger.released.clear()
    refused = post(body())
    assert_problem(refused, 503)
    assert "no commit within" in refused.json["detail"]
    ledger.released.set()
    monkeypatch.undo()
    assert post(body()).json["duplicates"] == 1


def test_what_shares_a_commit_is_answered_at_once_and_what_was_given_up_is_answered_once(
    service: Service, ledger: HeldLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answered() -> list[int]:
        loop = asyncio.get_running_loop()
        webhook = Webhook(service)
        front = FastReceiver(webhook, loop, service_threads)
        replies: list[int] = []
        ledger.released.clear()
        for number in range(3):
            monkeypatch.setattr(fast_receiver, "STORE_SECONDS", 0.0 if number == 0 else 60.0)
            path = b"/webhooks/clevertap/open"
            exchange = Exchange("POST", path, Headers(()), "127.0.0.1", "http", 0.0, "127.0.0.1")
            assert not isinstance(front.begin(exchange), Answer)
            front.finish(exchange, body(request_id=number), lambda answer: replies.append(answer.status))
        front.sweep()
        assert replies == [503]
        ledger.released.set()
        while len(replies) < 3:  # noqa: ASYNC110 - a reply is a plain call
            await asyncio.sleep(0.001)
        return replies

    with ThreadPoolExecutor(1) as service_threads:
        assert asyncio.run(answered()) == [503, 200, 200]
    assert len(ledger.read(0)) == 3


class Posting:
    """A fast front in a running loop, and the codes that it answered with."""

    def __init__(self, service: Service, threads: ThreadPoolExecutor) -> None:
        self.front = FastReceiver(Webhook(service), asyncio.get_running_loop(), threads)
        self.codes: list[int] = []
        self._number = 0

    def post(self, events: int = 1) -> None:
        """Post a list of so many new events."""
        exchange = Exchange("POST", b"/webhooks/clevertap/open", Headers(()), "127.0.0.1", "http", 0.0, "127.0.0.1")
        assert not isinstance(self.front.begin(exchange), Answer)
        sent = [fields(request_id=self._number + n) for n in range(events)]
        self._number += events
        self.front.finish(exchange, json.dumps(sent).encode(), lambda answer: self.codes.append(answer.status))

    async def answered(self, count: int) -> None:
        """Wait for so many answers."""
        while len(self.codes) < count:  # noqa: ASYNC110 - a reply is a plain call
            await asyncio.sleep(0.001)


def test_what_comes_in_one_turn_shares_a_commit_and_what_comes_meanwhile_the_next(
    service: Service, ledger: HeldLedger
) -> None:
    async def posted() -> list[int]:
        with ThreadPoolExecutor(1) as threads:
            posting = Posting(service, threads)
            ledger.released.clear()
            for _ in range(3):
                posting.post()
            await asyncio.sleep(0)
            assert ledger.handed_over == [3]
            for _ in range(5):
                posting.post()
                await asyncio.sleep(0)
            assert ledger.handed_over == [3]
            ledger.released.set()
            await posting.answered(8)
            return posting.codes

    assert asyncio.run(posted()) == [200] * 8
    assert ledger.handed_over == [3, 5]


def test_what_is_enough_for_a_commit_does_not_wait_for_the_one_under_way(service: Service, ledger: HeldLedger) -> None:
    async def posted() -> list[int]:
        with ThreadPoolExecutor(1) as threads:
            posting = Posting(service, threads)
            ledger.released.clear()
            posting.post()
            posting.post(ENOUGH - 1)
            assert ledger.handed_over == [2]
            posting.post(ENOUGH)
            assert ledger.handed_over == [2, 1]
            ledger.released.set()
            await posting.answered(3)
            posting.post()
            await posting.answered(4)
            return posting.codes

    assert asyncio.run(posted()) == [200] * 4
    assert [each for each in ledger.handed_over if each] == [2, 1, 1]


def test_a_ledger_that_is_closed_is_said_to_all_who_wait(service: Service, ledger: HeldLedger) -> None:
    async def posted() -> list[int]:
        with ThreadPoolExecutor(1) as threads:
            posting = Posting(service, threads)
            ledger.closed = True
            posting.post()
            posting.post()
            await posting.answered(2)
            ledger.closed = False
            posting.post()
            await posting.answered(3)
            return posting.codes

    assert asyncio.run(posted()) == [503, 503, 200]
