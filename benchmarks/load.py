"""Generates load, with wrk if it is installed, or else with processes of this interpreter."""

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
        spread: the number of exports or groups.
        many: the number of events in a list, or of samples in a push.
        since: when the first run of every export began, in Unix seconds.
        prefix: what to put before the path.
        connections: the number of connections, which stay open.
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
        """By how much the number grows with each request."""
        return self.many if self.kind == "list" else 1

    def request(self, number: int) -> tuple[str, str, bytes]:
        """Return the method, path and body of the request with this number."""
        if self.kind == "push":
            return "PUT", self.prefix + made_up.group(number, self.spread), made_up.push(number, self.many)
        if self.kind == "event":
            return "POST", self.prefix + made_up.WEBHOOK, made_up.event(number, self.spread, self.since)
        numbers = range(number, number + self.many)
        return "POST", self.prefix + made_up.WEBHOOK, made_up.events(numbers, self.spread, self.since)


@dataclass(frozen=True, slots=True)
class Load:
    """The result of a load.

    Attributes:
        refused: responses with a status of 400 or more.
        broken: connections that failed, and responses that did not arrive.
        busy: the generator's processor seconds per second; one thread can use 1.
        server_busy: the server's processor seconds per second.
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
        """Requests with a response, per second."""
        return self.requests / self.seconds


def generator() -> str:
    """Return the name of the generator that `send` uses."""
    return "wrk, 1 thread" if shutil.which("wrk") else f"Python, {_PROCESSES} processes"


def send(server: Server, job: Job, seconds: float) -> Load:
    """Send one request after another on connections that stay open."""
    used, server_used = _processor_seconds(), server.processor_seconds()
    done = _wrk(server.port, job, seconds) if shutil.which("wrk") else _processes(server.port, job, seconds)
    used, server_used = _processor_seconds() - used, server.processor_seconds() - server_used
    return replace(done, busy=used / done.seconds, server_busy=server_used / done.seconds)


def _wrk(port: int, job: Job, seconds: float) -> Load:
    script = Path(__file__).with_name("load.lua")
    command = ["wrk", "-t1", f"-c{job.connections}", f"-d{seconds:.0f}s", "--timeout=10s", f"-s{script}"]
    numbers = [str(number) for number in (job.first, job.spread, job.many, job.since)]
    command += [f"http://127.0.0.1:{port}", "--", job.kind, job.prefix, *numbers]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=seconds + 60)
    return Load(**json.loads(done.stdout.rpartition("RESULT ")[2]))


def _processes(port: int, job: Job, seconds: float) -> Load:
    began = time.perf_counter()
    with ProcessPoolExecutor(_PROCESSES) as pool:
        parts = list(pool.map(_one_process, *zip(*((port, job, seconds, n) for n in range(_PROCESSES)), strict=True)))
    latencies = sorted(latency for part, _ in parts for latency in part)
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

    threads = [threading.Thread(target=work, args=(share * connections + place,)) for place in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return latencies, len(refusals)


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
