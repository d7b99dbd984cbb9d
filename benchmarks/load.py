"""The load generator: wrk where it is installed, else processes of this interpreter."""

from __future__ import annotations

import http.client
import json
import resource
import shutil
import statistics
import subprocess
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import made_up

if TYPE_CHECKING:
    from processes import Server

_PROCESSES = 4

Kind = Literal["event", "list", "push"]


@dataclass(frozen=True, slots=True)
class Job:
    """What to send.

    Attributes:
        kind: one event, a list of events, or a push.
        first: the number of the first event or push.
        spread: over how many exports or groups.
        many: events of a list, or samples of a push.
        since: when the first run of every export began.
        prefix: put before the path.
        connections: how many, kept open.
    """

    kind: Kind
    first: int = 0
    spread: int = 1000
    many: int = 1
    since: int = 0
    prefix: str = ""
    connections: int = 16

    @property
    def step(self) -> int:
        """By how much one request moves the number on."""
        return self.many if self.kind == "list" else 1

    def request(self, number: int) -> tuple[str, str, bytes]:
        """Method, path and body of the request with this number."""
        if self.kind == "push":
            return "PUT", self.prefix + made_up.group(number, self.spread), made_up.push(number, self.many)
        if self.kind == "event":
            return "POST", self.prefix + made_up.WEBHOOK, made_up.event(number, self.spread, self.since)
        numbers = range(number, number + self.many)
        return "POST", self.prefix + made_up.WEBHOOK, made_up.events(numbers, self.spread, self.since)


@dataclass(frozen=True, slots=True)
class Load:
    """What came of it.

    Attributes:
        refused: answers with a code of 400 or more.
        broken: connections that failed, and answers that did not come.
        busy: processor seconds of the generator for each second; one thread can have 1.
        server_busy: processor seconds of the server for each second.
    """

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    refused: int
    broken: int
    busy: float = 0
    server_busy: float = 0

    @property
    def per_second(self) -> float:
        """Answered requests for each second."""
        return self.requests / self.seconds


def generator() -> str:
    """Which generator `send` uses."""
    return "wrk, 1 thread" if shutil.which("wrk") else f"Python, {_PROCESSES} processes"


def send(server: Server, job: Job, seconds: float) -> Load:
    """Send one request after another on connections that are kept open."""
    own, others = _processor_seconds(), server.processor_seconds()
    done = _wrk(server.port, job, seconds) if shutil.which("wrk") else _processes(server.port, job, seconds)
    own, others = _processor_seconds() - own, server.processor_seconds() - others
    return replace(done, busy=own / done.seconds, server_busy=others / done.seconds)


def _wrk(port: int, job: Job, seconds: float) -> Load:
    script = Path(__file__).with_name("load.lua")
    command = ["wrk", "-t1", f"-c{job.connections}", f"-d{seconds:.0f}s", "--timeout=10s", f"-s{script}"]
    numbers = [str(each) for each in (job.first, job.spread, job.many, job.since)]
    command += [f"http://127.0.0.1:{port}", "--", job.kind, job.prefix, *numbers]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=seconds + 60)
    return Load(**json.loads(done.stdout.rpartition("RESULT ")[2]))


def _processes(port: int, job: Job, seconds: float) -> Load:
    began = time.perf_counter()
    with ProcessPoolExecutor(_PROCESSES) as pool:
        parts = list(pool.map(_one_process, *zip(*((port, job, seconds, n) for n in range(_PROCESSES)), strict=True)))
    latencies = sorted(each for part, _ in parts for each in part)
    hundredths = statistics.quantiles(latencies, n=100)
    return Load(
        requests=len(latencies),
        seconds=min(time.perf_counter() - began, seconds),
        p50_ms=hundredths[49] * 1000,
        p99_ms=hundredths[98] * 1000,
        refused=sum(refused for _, refused in parts),
        broken=0,
    )


def _one_process(port: int, job: Job, seconds: float, share: int) -> tuple[list[float], int]:
    latencies: list[float] = []
    refusals: list[int] = []
    until = time.perf_counter() + seconds
    connections = job.connections // _PROCESSES

    def work(place: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        number = job.first + place * job.step
        while time.perf_counter() < until:
            method, path, body = job.request(number)
            began = time.perf_counter()
            connection.request(method, path, body)
            response = connection.getresponse()
            response.read()
            latencies.append(time.perf_counter() - began)
            if response.status >= http.HTTPStatus.BAD_REQUEST:
                refusals.append(response.status)
            number += job.connections * job.step
        connection.close()

    threads = [threading.Thread(target=work, args=(share * connections + each,)) for each in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return latencies, len(refusals)


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
