"""Starts the exporter and Pushgateway as a user does, on free ports of loopback."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import made_up

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))

from ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

START_SECONDS = 180.0
STOP_SECONDS = 60.0
POLL_SECONDS = 0.01
POLL_SHARE = 0.05
"""A server is asked again whether it is ready after this share of the time that it has taken so far. Each answer takes
the exporter several milliseconds, as long as it loads its checkpoint; asked every 10 ms, a start took a quarter longer.
"""
NOT_INHERITED = ("DATAEXPORT_", "PYTHONDONTWRITEBYTECODE")
"""Prefixes of variables that the servers do not inherit; pip has compiled the bytecode of what is installed."""


class Server:
    """A running server.

    Attributes:
        port: the port for events or pushes.
        admin_port: the port for metrics and readiness.
        ready_after: seconds from its start until it was ready.
    """

    def __init__(
        self,
        command: list[str],
        environment: dict[str, str],
        ports: tuple[int, int],
        log: Path,
        patience: float = START_SECONDS,
    ) -> None:
        self.port, self.admin_port = ports
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(NOT_INHERITED)}
        started_at = time.perf_counter()
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command, env=inherited | environment, stdout=output, stderr=output, stdin=subprocess.DEVNULL
            )
        while not _is_ready(self.admin_port):
            if self._process.poll() is not None or time.perf_counter() - started_at > patience:
                self.stop()
                message = f"{command[0]} did not start:\n{log.read_text('utf-8', 'replace')[-2000:]}"
                raise RuntimeError(message)
            time.sleep(max(POLL_SECONDS, POLL_SHARE * (time.perf_counter() - started_at)))
        self.ready_after = time.perf_counter() - started_at

    def memory(self) -> tuple[float, float]:
        """Return the resident and the proportional memory of all its processes, in bytes.

        Resident memory counts shared pages once per process, proportional memory once in total.
        """
        resident = proportional = 0
        for pid in _family(self._process.pid):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines():
                name, _, rest = line.partition(":")
                resident += int(rest.split()[0]) * 1024 if name == "Rss" else 0
                proportional += int(rest.split()[0]) * 1024 if name == "Pss" else 0
        return float(resident), float(proportional)

    def processor_seconds(self) -> float:
        """Return the processor time of all its processes, in seconds."""
        ticks = 0
        for pid in _family(self._process.pid):
            fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def open_files(self) -> int:
        """Return the number of open file descriptors of all its processes."""
        return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in _family(self._process.pid))

    def stop(self) -> None:
        """Stop it as a service manager does."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _installed(name: str) -> Path:
    """Return the command from the environment that `make bench` makes with the packages of the image, or else ours.

    Other packages may slow it down: structlog imports `rich` if that is installed.
    """
    lean = Path(sys.prefix) / "bench" / "bin" / name
    return lean if lean.exists() else Path(sys.executable).with_name(name)


@contextlib.contextmanager
def exporter(
    ledger: Path,
    exports: int = 200,
    more: dict[str, str] | None = None,
    *,
    patience: float = START_SECONDS,
    storing: bool = True,
) -> Iterator[Server]:
    """Start an exporter with one source in UTC, without a credential, and default settings otherwise.

    Args:
        ledger: its database.
        exports: its limit of exports, at least 200.
        more: further environment variables.
        patience: seconds within which it has to be ready.
        storing: False for one that acknowledges events without storing them.
    """
    webhook, admin = free_port(), free_port()
    environment = {
        "DATAEXPORT_WEBHOOK_LISTEN": f"127.0.0.1:{webhook}",
        "DATAEXPORT_ADMIN_LISTEN": f"127.0.0.1:{admin}",
        "DATAEXPORT_STORE_URL": f"sqlite:///{ledger}",
        "DATAEXPORT_STORE_RETENTION": "36500d",  # nothing is pruned during a measurement
        "DATAEXPORT_EXPORTS_PER_SOURCE": str(max(200, exports)),
        "DATAEXPORT_EVENTS_PER_MINUTE": "1000000000",  # as fast as the machine can
        "DATAEXPORT_NEW_EXPORTS_PER_DAY": "1000000000",
        "DATAEXPORT_SOURCES": json.dumps([{"slug": made_up.SOURCE.slug, "timezone": made_up.SOURCE.timezone}]),
        **(more or {}),
    }
    if storing:
        command = [str(_installed("dataexport-exporter")), "serve"]
    else:
        command = [str(_installed("python")), str(Path(__file__).with_name("without_storing.py")), "serve"]
    server = Server(command, environment, (webhook, admin), ledger.with_suffix(".log"), patience)
    try:
        yield server
    finally:
        server.stop()


def sync(path: Path) -> None:
    """Sync a file, so that the kernel does not write it during a measurement."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def pushgateway_binary() -> str | None:
    """Return the path of Pushgateway, which Debian calls prometheus-pushgateway; None if it is not installed."""
    return shutil.which("prometheus-pushgateway") or shutil.which("pushgateway")


@contextlib.contextmanager
def pushgateway(persistence: Path, *, checked: bool) -> Iterator[Server]:
    """Start a Pushgateway with default settings, except for its address and its file.

    Args:
        persistence: its file.
        checked: False for ``--push.disable-consistency-check``.
    """
    port = free_port()
    command = [
        pushgateway_binary() or "",
        f"--web.listen-address=127.0.0.1:{port}",
        f"--persistence.file={persistence}",
    ]
    if not checked:
        command.append("--push.disable-consistency-check")
    server = Server(command, {}, (port, port), persistence.with_suffix(".log"))
    try:
        yield server
    finally:
        server.stop()


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/-/ready")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _family(pid: int) -> list[int]:
    """Return the ids of a process and all its descendants."""
    children = [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text("ascii").split()
    ]
    return [pid, *(descendant for child in children for descendant in _family(child))]


@contextlib.contextmanager
def repeating(work: Callable[[], object], seconds: float) -> Iterator[None]:
    """Call ``work`` in another thread, so many seconds after its last call, until the block ends."""
    stopping = threading.Event()

    def repeat() -> None:
        while not stopping.wait(seconds):
            work()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()
