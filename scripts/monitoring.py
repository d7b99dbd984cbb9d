"""Runs a real Prometheus and Alertmanager with the shipped rules and routes, and a receiver of their notifications.

The demo and the end-to-end tests use it. `started` starts any server for a while.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import requests
import yaml

from ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

ROOT = Path(__file__).parent.parent
PATIENCE_SECONDS = 120
STOP_SECONDS = 20
RESEND_DELAY_SECONDS = 10
"""How often Prometheus repeats an alert to Alertmanager; a minute by default, which is as long as a test waits."""


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the content of a YAML file. If PyYAML has libyaml, it takes a tenth of the time of `yaml.safe_load`."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    content: dict[str, Any] = yaml.load(path.read_text("utf-8"), loader)  # noqa: S506 - both are safe
    return content


def find_tool(name: str) -> str | None:
    """Return the path of a tool in ``.tools/bin`` of the checkout, or else in PATH; None if it is in neither."""
    return shutil.which(name, path=os.pathsep.join([str(ROOT / ".tools" / "bin"), os.environ.get("PATH", "")]))


@dataclass
class Receiver:
    """A small HTTP server that records the notifications of Alertmanager.

    Attributes:
        posts: the path and the body of each notification.
        on_notification: called with the path and the body of each.
    """

    posts: list[tuple[str, Any]] = field(default_factory=list)
    on_notification: Callable[[str, Any], object] = lambda *_: None

    def __enter__(self) -> Self:
        posts, on_notification = self.posts, self.on_notification

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                posts.append((self.path, json.loads(body)))
                on_notification(*posts[-1])
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"ok")  # as a chat service answers

            def log_message(self, *_: object) -> None:
                """Log nothing: `posts` has every request."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def address(self) -> str:
        """The host and port on which it listens."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    def of(self, path: str, status: str) -> list[Any]:
        """Return the notifications that came to ``path`` with this status, in order."""
        return [body for posted_to, body in self.posts if posted_to == path and body.get("status") == status]


class Monitoring:
    """Prometheus scraping an exporter every second, and Alertmanager notifying a `Receiver`.

    The rules, routes, inhibitions and templates are the shipped ones; only the addresses and the waiting times differ.

    Args:
        folder: where to write data, configuration and logs.
        target: the address of the exporter's admin listener.
        on_notification: called with the path and the body of every notification.
        token: the credential of that listener; empty if it needs none.
        group_interval_seconds: how soon Alertmanager notifies of a change in a group of alerts. Prometheus repeats
            each resolved alert for 15 minutes, every `RESEND_DELAY_SECONDS`. If the group interval is shorter than
            that, a group with two resolved alerts sees them in turn and notifies of each again and again.
    """

    def __init__(
        self,
        folder: Path,
        target: str,
        on_notification: Callable[[str, Any], object] = lambda *_: None,
        token: str = "",
        group_interval_seconds: int = 2,
    ) -> None:
        self._folder = folder
        self._group_interval = f"{group_interval_seconds}s"
        self._authorization = {"authorization": {"credentials": token}} if token else {}
        self._target = target
        self._stack = ExitStack()
        self.receiver = Receiver(on_notification=on_notification)
        self.prometheus_url = f"http://127.0.0.1:{free_port()}"
        self.alertmanager_url = f"http://127.0.0.1:{free_port()}"

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self.receiver)
            for name, command, url in (
                ("alertmanager", self._alertmanager(), self.alertmanager_url),
                ("prometheus", self._prometheus(), self.prometheus_url),
            ):
                stack.enter_context(started(name, command, self._folder, url))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def query(self, expression: str) -> list[Any]:
        """Return the result of an instant query."""
        response = requests.get(f"{self.prometheus_url}/api/v1/query", {"query": expression}, timeout=PATIENCE_SECONDS)
        response.raise_for_status()
        result: list[Any] = response.json()["data"]["result"]
        return result

    def _alertmanager(self) -> list[str]:
        config = read_yaml(ROOT / "alerts" / "alertmanager.yaml")
        text = yaml.safe_dump(config).replace("127.0.0.1:10049", self.receiver.address)
        config = yaml.safe_load(text)
        config["route"] |= {"group_wait": "1s", "group_interval": self._group_interval}
        config["templates"] = [str(ROOT / "alerts" / "templates" / "*.tmpl")]
        path = self._folder / "alertmanager.yaml"
        path.write_text(yaml.safe_dump(config), "utf-8")
        return [
            find_tool("alertmanager") or "alertmanager",
            f"--config.file={path}",
            f"--storage.path={self._folder / 'alertmanager'}",
            f"--web.listen-address={self.alertmanager_url.removeprefix('http://')}",
            "--cluster.listen-address=",
        ]

    def _prometheus(self) -> list[str]:
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(ROOT / "alerts" / "*.rules.yaml")],
            "alerting": {
                "alertmanagers": [{"static_configs": [{"targets": [self.alertmanager_url.removeprefix("http://")]}]}]
            },
            "scrape_configs": [
                {"job_name": "dataexport", "static_configs": [{"targets": [self._target]}], **self._authorization}
            ],
        }
        path = self._folder / "prometheus.yaml"
        path.write_text(yaml.safe_dump(config), "utf-8")
        return [
            *prometheus_command(path, self._folder / "prometheus", self.prometheus_url),
            f"--rules.alert.resend-delay={RESEND_DELAY_SECONDS}s",
        ]


def prometheus_command(config: Path, data: Path, url: str) -> list[str]:
    """Return the command that starts Prometheus on its data, with a retention that removes nothing."""
    return [
        find_tool("prometheus") or "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={data}",
        "--storage.tsdb.retention.time=10y",
        f"--web.listen-address={url.removeprefix('http://')}",
    ]


@contextmanager
def started(
    name: str, command: Sequence[str], folder: Path, url: str, variables: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Start a server, wait until it is ready, and stop it at the end.

    Args:
        name: the name of its log file, without the suffix.
        command: the command that starts it.
        folder: its working folder, with its log.
        url: its base URL; it is ready if ``/-/ready`` below that responds with success.
        variables: its variables of the exporter; it inherits none from this process.

    Raises:
        RuntimeError: the server ended.
        TimeoutError: the server was not ready within `PATIENCE_SECONDS`.
    """
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=clean_environment(variables or {}),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # Ctrl-C does not reach a session of its own; this process stops the server in order.
            start_new_session=True,
        )

    def ready() -> bool:
        if process.poll() is not None:
            message = f"{name} ended unexpectedly: see {log.name}"
            raise RuntimeError(message)
        return responds(f"{url}/-/ready")

    try:
        wait_for(ready, f"{name} to be ready")
        yield
    finally:
        stop(process)


def clean_environment(changes: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment without the exporter's variables, with ``changes`` added."""
    return {name: value for name, value in os.environ.items() if not name.startswith("DATAEXPORT_")} | dict(changes)


def wait_for(condition: Callable[[], object], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until ``condition`` is true.

    Raises:
        TimeoutError: it was not within ``seconds``.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            message = f"waited {seconds} s for {what}"
            raise TimeoutError(message)
        time.sleep(0.1)


def responds(url: str) -> bool:
    """Return True if ``url`` responds with success."""
    try:
        return requests.get(url, timeout=PATIENCE_SECONDS).ok
    except requests.ConnectionError:
        return False


def stop(process: subprocess.Popen[bytes]) -> None:
    """Stop a process with SIGTERM, or with SIGKILL after `STOP_SECONDS`."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
