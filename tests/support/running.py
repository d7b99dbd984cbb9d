"""The installed command as a separate process, for tests of everything between a socket and the disk."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

import requests
from prometheus_client.parser import text_string_to_metric_families

import commands
from monitoring import clean_environment
from ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

COMMAND = Path(sys.executable).with_name("dataexport-exporter")
NOT_SHIPPED = Path(__file__).with_name("not_shipped")
"""Hides libraries that structlog and mako import where they find them, which no user has, and which take long."""
PATIENT = Path(__file__).with_name("patient")
"""Raises the time limits of the exporter, which a busy machine may exceed."""
# These limits prove nothing: they only end a test that hangs, and a busy machine stays far below them.
START_SECONDS = 120
STOP_SECONDS = 120
PATIENCE_SECONDS = 120
ATTEMPTS = 10

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def wait_until(true: Callable[[], bool], what: str) -> None:
    """Wait until a condition is true, and fail after `PATIENCE_SECONDS`."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < deadline, f"{what}: not within {PATIENCE_SECONDS} s"
        time.sleep(0.02)


def assert_within(seconds: float, attempt: Callable[[], float], what: str) -> None:
    """Assert that one of `ATTEMPTS` attempts takes less than a time limit.

    A bug makes every attempt slow, but a busy machine only some of them.

    Args:
        seconds: the time limit.
        attempt: performs the operation and returns how long it took, in seconds.
        what: the name of the operation, for the message.
    """
    durations: list[float] = []
    while not durations or durations[-1] >= seconds:
        assert len(durations) < ATTEMPTS, f"{what}: never within {seconds} s, but in {durations}"
        durations.append(attempt())


def family(pid: int) -> list[int]:
    """Return the ids of a running process and all its descendants."""
    pids = [pid]
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        pids += [descendant for child in children.read_text().split() for descendant in family(int(child))]
    return pids


class Exporter:
    """`dataexport-exporter serve` on free loopback ports, in a folder of its own.

    Args:
        tmp_path: the working directory, with database, log and configuration.
        toml: the content of the configuration file; if empty, there is no file.
        environment: variables in addition to those of this process.
        before: a command prefix, such as a tracer.
        shipped_limits: whether the exporter has its own time limits rather than those of `PATIENT`.
    """

    def __init__(
        self,
        tmp_path: Path,
        toml: str = "",
        environment: Mapping[str, str] | None = None,
        before: Sequence[str] = (),
        *,
        shipped_limits: bool = False,
    ) -> None:
        self.folder = tmp_path
        self.config_path = tmp_path / "dataexport.toml"
        self.database = tmp_path / "dataexport.db"
        self.webhook_port, self.admin_port = free_port(), free_port()
        self.webhook_url = f"http://127.0.0.1:{self.webhook_port}"
        self.admin_url = f"http://127.0.0.1:{self.admin_port}"
        self.http = requests.Session()
        self.http.trust_env = False  # no proxy and no .netrc of the user
        self.http.headers["Connection"] = "close"  # a stop waits for connections that are kept alive
        self.environment = clean_environment(
            {
                "DATAEXPORT_WEBHOOK_LISTEN": f"127.0.0.1:{self.webhook_port}",
                "DATAEXPORT_ADMIN_LISTEN": f"127.0.0.1:{self.admin_port}",
                "PYTHONPATH": str(NOT_SHIPPED) if shipped_limits else f"{NOT_SHIPPED}:{PATIENT}",
                **(environment or {}),
            }
        )
        self._before = before
        self._arguments = ["--config", str(self.config_path)] if toml else []
        self._log = tmp_path / "exporter.log"
        self._process: subprocess.Popen[bytes] | None = None
        if toml:
            self.config_path.write_text(toml, "utf-8")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()
        if self._process is not None:
            self.terminate()

    @property
    def pid(self) -> int:
        """The process id of the command."""
        assert self._process is not None, "not started"
        return self._process.pid

    def start(self) -> None:
        """Start the command, and wait until it is ready."""
        self.launch()
        deadline = time.monotonic() + START_SECONDS
        while not self._ready():
            assert self._process is not None
            assert self._process.poll() is None, f"it ended unexpectedly:\n{self.log()}"
            assert time.monotonic() < deadline, f"not ready after {START_SECONDS} s:\n{self.log()}"
            time.sleep(0.02)

    def launch(self) -> None:
        """Start the command without waiting."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._before, COMMAND, "serve", *self._arguments],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def terminate(self) -> int:
        """Stop the command with SIGTERM, and return its exit code."""
        self.begin_stop()
        return self.wait()

    def begin_stop(self) -> None:
        """Send SIGTERM, as a service manager does, without waiting."""
        assert self._process is not None, "not started"
        self._process.send_signal(signal.SIGTERM)

    def interrupt(self) -> None:
        """Send SIGINT to the command and its worker, as Ctrl-C on a terminal does."""
        assert self._process is not None, "not started"
        os.killpg(self._process.pid, signal.SIGINT)

    def wait(self) -> int:
        """Wait until the command has ended, and return its exit code."""
        process, self._process = self._process, None
        assert process is not None, "not started"
        try:
            return process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise

    def send_sighup(self) -> None:
        """Send SIGHUP, which reloads the configuration."""
        assert self._process is not None, "not started"
        self._process.send_signal(signal.SIGHUP)

    def kill(self) -> None:
        """Send SIGKILL to the command and its worker, and wait until the command has ended."""
        assert self._process is not None, "not started"
        os.killpg(self._process.pid, signal.SIGKILL)
        self.wait()

    def log(self) -> str:
        """Return the log so far."""
        return self._log.read_text("utf-8", "replace")

    def post(
        self, body: object, source: str = "default", headers: Mapping[str, str] | None = None, **options: object
    ) -> requests.Response:
        """Post a body to the webhook of a source: bytes unchanged, anything else as JSON."""
        return self.http.request(
            "POST",
            f"{self.webhook_url}/webhooks/clevertap/{source}",
            data=body if isinstance(body, bytes) else json.dumps(body).encode(),
            headers=headers,
            timeout=START_SECONDS,
            **options,  # type: ignore[arg-type]
        )

    def webhook(self, method: str, path: str, **options: object) -> requests.Response:
        """Send any request to the webhook listener."""
        return self.http.request(method, self.webhook_url + path, timeout=START_SECONDS, **options)  # type: ignore[arg-type]

    def admin(self, path: str, method: str = "GET", **options: object) -> requests.Response:
        """Send a request to the admin listener."""
        return self.http.request(method, self.admin_url + path, timeout=START_SECONDS, **options)  # type: ignore[arg-type]

    def scrape(self) -> str:
        """Return the metrics in the text format."""
        answer = self.admin("/metrics")
        assert answer.status_code == 200, answer.text
        return answer.text

    def value(self, sample: str, **labels: str) -> float | None:
        """Return the value of one series in a scrape, or None if there is no such series."""
        return series(self.scrape()).get((sample, frozenset(labels.items())))

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another command of the same program, in the same folder and environment, but in this process."""
        with contextlib.chdir(self.folder):
            result = commands.run(*arguments, **self.environment)
        return subprocess.CompletedProcess(arguments, result.exit_code, result.stdout, result.stderr)

    def _ready(self) -> bool:
        try:
            # It asks often, and a request takes twenty times as much time as a connection that is refused.
            socket.create_connection(("127.0.0.1", self.admin_port)).close()
            return self.admin("/-/ready").status_code == 200
        except OSError:  # that of requests as well
            return False


def series(text: str) -> Series:
    """Return the samples of a scrape in the text format, by name and labels."""
    values: Series = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in values, f"{key} is there twice"
            values[key] = sample.value
    return values
