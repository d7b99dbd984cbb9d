"""Containers of the image, whose listeners are published on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

import requests

from monitoring import ROOT
from ports import free_port
from running import PATIENCE_SECONDS, wait_until

if TYPE_CHECKING:
    from pathlib import Path

IMAGE = "dataexport-exporter:check"
TOKEN = "a-made-up-token-of-the-source"
ADMIN_TOKEN = "a-made-up-token-of-the-admin"
TOKENS = ("-e", f"DATAEXPORT_TOKENS={TOKEN}", "-e", f"DATAEXPORT_ADMIN_TOKENS={ADMIN_TOKEN}")
HARDENED = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges")


def docker(*arguments: str, check: bool = True) -> str:
    """Run docker, and return its output with what it wrote to standard error."""
    done = subprocess.run(
        ["docker", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert not check or done.returncode == 0, done.stdout
    return done.stdout


def copy_checkout(folder: Path) -> None:
    """Copy the files that git tracks, and the new ones that it does not ignore, with their links."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    names = [name for name in listed if name and os.path.lexists(ROOT / name)]
    folder.mkdir(exist_ok=True)
    subprocess.run(["cp", "-a", "--parents", f"--target-directory={folder}", *names], cwd=ROOT, check=True)


class Container:
    """A container with both listeners published on loopback.

    Args:
        options: of `docker run`.
        command: the arguments of the exporter.
    """

    def __init__(self, *options: str, command: tuple[str, ...] = ()) -> None:
        self.webhook_port, self.admin_port = free_port(), free_port()
        published = ("-p", f"127.0.0.1:{self.webhook_port}:8080", "-p", f"127.0.0.1:{self.admin_port}:10047")
        self.id = docker("run", "-d", *published, *options, IMAGE, *command).splitlines()[-1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        docker("rm", "--force", "--volumes", self.id, check=False)

    def state(self) -> dict[str, Any]:
        """Return what the engine reports about its process."""
        state: dict[str, Any] = json.loads(docker("inspect", "--format", "{{json .State}}", self.id))
        return state

    def log(self) -> str:
        """Return its log so far."""
        return docker("logs", self.id)

    def wait_until_ready(self) -> None:
        """Wait until its admin listener answers that it is ready."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self._answers("/-/ready"):
            assert self.state()["Running"], self.log()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.1)

    def wait_until_ended(self) -> int:
        """Wait until it has ended, and return its exit code."""
        wait_until(lambda: not self.state()["Running"], "the end of the container")
        return int(self.state()["ExitCode"])

    def exec(self, *command: str, check: bool = True) -> str:
        """Run a command of the exporter in it."""
        return docker("exec", self.id, "dataexport-exporter", *command, check=check)

    def post(self, body: object, source: str = "default") -> requests.Response:
        """Post a body to the webhook of a source."""
        return requests.post(
            f"http://127.0.0.1:{self.webhook_port}/webhooks/clevertap/{source}",
            json=body,
            headers={"Authorization": f"Bearer {TOKEN}"},
            timeout=PATIENCE_SECONDS,
        )

    def scrape(self) -> str:
        """Return its metrics."""
        response = requests.get(
            f"http://127.0.0.1:{self.admin_port}/metrics",
            headers={"Authorization": f"Bearer {ADMIN_TOKEN}"},
            timeout=PATIENCE_SECONDS,
        )
        assert response.status_code == 200, response.text
        return response.text

    def _answers(self, path: str) -> bool:
        with suppress(requests.ConnectionError):
            return requests.get(f"http://127.0.0.1:{self.admin_port}{path}", timeout=PATIENCE_SECONDS).ok
        return False
