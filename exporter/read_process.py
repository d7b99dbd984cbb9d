"""A read model in a process of its own, so that no webhook waits while a scrape is put together.

Both would need the interpreter all the time: with 10,000 exports that change every second, scrapes
took a quarter of the webhooks away. The process is forked from the one that answers, before that
has threads, and ends with it: it reads the questions from a socket whose other end nobody else has.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import pickle
import signal
import socket
import sys
import threading
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import structlog

from exporter.errors import StoreError
from exporter.gzip_parts import Body, engine
from exporter.read_model import ReadModel, Scrape
from exporter.telemetry import Observed, kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from multiprocessing.connection import Connection

    from exporter.gzip_parts import Sum
    from exporter.ledger import Ledger
    from exporter.model import Event, ExportState, SourceState
    from exporter.read_model import Scope, Start, Upkeep
    from exporter.sql_database import Observer

END_SECONDS = 2.0
"""How long the process may take to end once nobody asks it anything more."""
SWITCH_SECONDS = 0.0005
"""After how long a thread that computes lets another one go on.

What the worker has for its webhooks costs more than it gives here, and with Python's 5 ms a scrape
beside a reload or a checkpoint would wait so long after each of some hundred steps.
"""
TOGETHER = 64
"""How many states are sent as one: half a millisecond of work to take apart."""
_IGNORED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
_ENDED = "the process that reads the ledger has ended; another one is being started"

log = structlog.get_logger()


class _Notes:
    """Gathers what is told of operations, until somebody takes it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found = Observed({}, {})

    def observe(self, operation: str, _seconds: float, failed: bool) -> None:  # noqa: FBT001 - see Observer
        with self._lock:
            self._found.failed[kind_of(operation)] = failed
            if failed:
                self._found.errors[operation] = self._found.errors.get(operation, 0) + 1

    def taken(self) -> Observed:
        with self._lock:
            found, self._found = self._found, Observed({}, {})
        return found


class _Changes(NamedTuple):
    """A scrape as what is different from the one before.

    Attributes:
        length: how many pieces its body has.
        pieces: the new ones, by their places.
    """

    length: int
    pieces: dict[int, bytes]
    sum: Sum
    series: int
    dropped: int


class _Line:
    """Questions and answers, one after the other; safe for several threads."""

    def __init__(self, connection: Connection, tell: Callable[[Observed], None]) -> None:
        self._connection = connection
        self._tell = tell
        self._lock = threading.Lock()

    def ask(self, name: str, *arguments: object) -> Any:  # noqa: ANN401 - what the method returns
        with self._lock:
            try:
                self._connection.send((name, arguments))
                answer, observed = self._connection.recv()
            except (EOFError, OSError) as error:
                raise StoreError(_ENDED) from error
            self._tell(observed)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def hang_up(self) -> None:
        """Ask nothing more; whoever waits for an answer is told that there is none."""
        with suppress(OSError), socket.socket(fileno=os.dup(self._connection.fileno())) as end:
            end.shutdown(socket.SHUT_RDWR)


class ReadProcess:
    """A `exporter.read_model.Readable` that asks a process of its own. To be made before there are threads.

    Args:
        open_ledger: opens the ledger there; given what is to be told of every operation.
        scope: what of the configuration decides about what is known.
        tell: told what happened on the ledger there.
        inherited: sockets that the process is not to keep open.
    """

    def __init__(
        self,
        open_ledger: Callable[[Observer], Ledger],
        scope: Scope,
        tell: Callable[[Observed], None],
        inherited: Iterable[socket.socket] = (),
    ) -> None:
        self.watch = uuid.uuid4().hex
        self._engine = engine()
        self._pieces: dict[bool, Sequence[bytes]] = {}
        self._scraping = threading.Lock()
        forking = multiprocessing.get_context("fork")
        own, theirs = zip(*(forking.Pipe() for _ in range(2)), strict=True)

        def work() -> None:
            for each in (*own, *inherited):
                each.close()
            _serve(theirs, open_ledger, scope, self.watch)

        self._process = forking.Process(target=work, name="reader")
        self._process.start()
        for each in theirs:
            each.close()
        self._questions, self._upkeep = (_Line(each, tell) for each in own)
        # Whatever ends this process: `multiprocessing` would wait for the other one, which waits to be hung up on.
        atexit.register(self.close)

    @property
    def pid(self) -> int:
        """The number of the process."""
        return cast("int", self._process.pid)

    @property
    def fault(self) -> str:
        """See `exporter.read_model.Readable.fault`."""
        return "" if self._process.is_alive() else "the process that reads the ledger has ended by itself"

    def catch_up(self, now: float) -> Start:
        """See `exporter.read_model.Readable.catch_up`."""
        found: Start = self._upkeep.ask("catch_up", now)
        return found

    def scrape(self, now: float, *, openmetrics: bool) -> Scrape:
        """See `exporter.read_model.Readable.scrape`; only what has changed comes from there."""
        with self._scraping:
            found: _Changes = self._questions.ask("scrape", now, openmetrics)
            known = self._pieces.get(openmetrics, ())
            pieces = list(known) if len(known) == found.length else [b""] * found.length
            for at, piece in found.pieces.items():
                pieces[at] = piece
            self._pieces[openmetrics] = pieces
        return Scrape(Body(self._engine, pieces, found.sum), found.series, found.dropped)

    def known(self, now: float) -> tuple[list[ExportState], list[SourceState]]:
        """See `exporter.read_model.Readable.known`."""
        parts, sources = self._questions.ask("known", now)
        return [state for part in parts for state in pickle.loads(part)], sources  # noqa: S301 - it is our own process

    def export(self, identity: str, now: float, most: int) -> tuple[ExportState, list[Event]] | None:
        """See `exporter.read_model.Readable.export`."""
        found: tuple[ExportState, list[Event]] | None = self._questions.ask("export", identity, now, most)
        return found

    def take(self, scope: Scope, now: float) -> None:
        """See `exporter.read_model.Readable.take`."""
        self._upkeep.ask("take", scope, now)

    def keep(self, now: float, *, leaving: bool = False) -> Upkeep:
        """See `exporter.read_model.Readable.keep`."""
        found: Upkeep = self._upkeep.ask("keep", now, leaving)
        return found

    def prune(self, now: float) -> int:
        """See `exporter.read_model.Readable.prune`."""
        found: int = self._upkeep.ask("prune", now)
        return found

    def close(self) -> None:
        """End the process, whatever it does; what it is in the middle of is as if it had not begun."""
        atexit.unregister(self.close)
        for line in (self._questions, self._upkeep):
            line.hang_up()
        self._process.join(END_SECONDS)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()


class _Scrapes:
    """Scrapes as what is different from the one before, of which nothing but the new pieces has to be sent."""

    def __init__(self, model: ReadModel) -> None:
        self._model = model
        self._sent: dict[bool, Sequence[bytes]] = {}

    def scrape(self, now: float, openmetrics: bool) -> _Changes:  # noqa: FBT001 - as it is asked
        body, series, dropped = self._model.scrape(now, openmetrics=openmetrics)
        sent, pieces = self._sent.get(openmetrics, ()), body.pieces
        if sent is pieces:
            changed = {}
        elif len(sent) == len(pieces):
            changed = {at: new for at, (old, new) in enumerate(zip(sent, pieces, strict=True)) if new is not old}
        else:
            changed = dict(enumerate(pieces))
        self._sent[openmetrics] = pieces
        return _Changes(len(pieces), changed, body.sum, series, dropped)


def _in_parts(states: Sequence[ExportState], sources: list[SourceState]) -> tuple[list[bytes], list[SourceState]]:
    """States some at a time: to take 10,000 of them apart at once would hold up everything else there."""
    parts = [pickle.dumps(states[at : at + TOGETHER]) for at in range(0, len(states), TOGETHER)]
    return parts, sources


def _serve(lines: Sequence[Connection], open_ledger: Callable[[Observer], Ledger], scope: Scope, watch: str) -> None:
    """What the process does, until nobody can ask it anything more."""
    for each in _IGNORED:
        signal.signal(each, signal.SIG_IGN)  # whoever asks is told, and says what is to be done
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    sys.setswitchinterval(SWITCH_SECONDS)
    notes = _Notes()
    try:
        ledger = open_ledger(notes.observe)
    except StoreError as error:
        log.error("the ledger cannot be read", error=str(error))
        return
    model = ReadModel(ledger, scope, watch)
    questions, upkeep = lines
    known: dict[str, Callable[..., object]] = {
        "catch_up": model.catch_up,
        "scrape": _Scrapes(model).scrape,
        "known": lambda now: _in_parts(*model.known(now)),
        "export": model.export,
        "take": model.take,
        "keep": lambda now, leaving: model.keep(now, leaving=leaving),
        "prune": model.prune,
    }
    beside = threading.Thread(target=_answer, args=(upkeep, known, notes), daemon=True, name="upkeep")
    beside.start()
    _answer(questions, known, notes)
    beside.join(END_SECONDS / 2)
    if not beside.is_alive():
        ledger.close()


def _answer(line: Connection, known: Mapping[str, Callable[..., object]], notes: _Notes) -> None:
    """Answer what is asked on a line until it is hung up."""
    with suppress(EOFError, OSError):
        while True:
            name, arguments = line.recv()
            answer: object
            try:
                answer = known[name](*arguments)
            except StoreError as error:
                answer = StoreError(str(error))
            except Exception as error:
                log.exception("what is known cannot be told", asked=name)
                answer = RuntimeError(f"{type(error).__name__} where the ledger is read")
            line.send((answer, notes.taken()))
