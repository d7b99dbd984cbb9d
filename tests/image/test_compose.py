"""The Compose project runs as its page says, in every profile.

Images of other projects are replaced by stand-ins with Debian's programs, and that of Grafana by one that does
nothing.
"""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING

import pytest
import requests

import stand_ins
from builders import fields, vendor_clock
from containers import copy_checkout, docker
from monitoring import ROOT
from pages import commands
from ports import free_port
from running import PATIENCE_SECONDS, wait_until
from tools import missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.container

PAGE = ROOT / "docs" / "how-to" / "install-compose.md"
NETWORK = """
services:
  exporter: {build: {network: host}}
  replica: {build: {network: host}}
  traffic: {build: {network: host}}
  receiver: {build: {network: host}}
"""
"""The private engine has no way out of its own network."""
EVENT = fields("Completed", vendor_clock(1_790_000_000))


class Project:
    """The Compose project in a checkout, with an environment for its commands."""

    def __init__(self, checkout: Path, environment: dict[str, str]) -> None:
        self.folder = checkout / "deploy" / "compose"
        self._environment = {**os.environ, **environment, "COMPOSE_PROJECT_NAME": "dataexport-check"}
        (self.folder / "network.yaml").write_text(NETWORK, "utf-8")
        self.use("compose.yaml")

    def use(self, *names: str) -> None:
        """Name the files of the project, as ``COMPOSE_FILE`` in ``.env`` does."""
        self._environment["COMPOSE_FILE"] = ":".join([*names, "network.yaml"])

    def start(self, command: str, folder: Path) -> subprocess.Popen[str]:
        """Start a shell command, with what it writes in one pipe."""
        return subprocess.Popen(
            ["timeout", str(5 * PATIENCE_SECONDS), "bash", "-ec", command],
            cwd=folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, command: str, folder: Path | None = None) -> str:
        """Run a shell command, which must succeed, and return its output."""
        with self.start(command, folder or self.folder) as process:
            output, _ = process.communicate()
        assert process.returncode == 0, output
        return output

    def secret(self, name: str) -> str:
        """Return the value of a variable in ``.env``."""
        return self.run(f'. ./.env && echo "${name}"').strip()

    def series(self, query: str) -> list[dict[str, object]]:
        """Return what Prometheus answers to a query."""
        try:
            answer = requests.get(
                "http://127.0.0.1:9090/api/v1/query", params={"query": query}, timeout=PATIENCE_SECONDS
            )
        except requests.ConnectionError:
            return []
        if not answer.ok:  # it starts
            return []
        result: list[dict[str, object]] = answer.json()["data"]["result"]
        return result


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The variables that name the images."""
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
        missing("no Docker engine answers; make image-check starts one")
    return {"DATAEXPORT_IMAGE": "dataexport-exporter:compose", **stand_ins.build(tmp_path_factory.mktemp("stand-ins"))}


@pytest.fixture
def project(images: dict[str, str], tmp_path: Path) -> Iterator[Project]:
    """The project in a checkout of its own."""
    copy_checkout(tmp_path)
    running = Project(tmp_path, images)
    try:
        yield running
    finally:
        running.run("docker compose --profile '*' down --volumes --timeout 10")


@contextmanager
def repeating(action: Callable[[], str]) -> Iterator[list[str]]:
    """Do something again and again in a thread, and append each result to the list."""
    results: list[str] = []
    ended = Event()

    def repeat() -> None:
        while not ended.is_set():
            results.append(action())

    with ThreadPoolExecutor(1) as thread:
        repetition = thread.submit(repeat)
        try:
            yield results
        finally:
            ended.set()
            repetition.result()


def wait_for_more(results: list[str]) -> None:
    """Wait for twenty more results."""
    enough = len(results) + 20
    wait_until(lambda: len(results) >= enough, "answers")


def test_as_the_page_says_a_page_reaches_the_receiver(project: Project, tmp_path: Path) -> None:
    start, up, follow, *_ = commands(PAGE)
    project.run(start, tmp_path)
    project.run(up)
    with project.start(follow, project.folder) as following:
        assert following.stdout is not None
        title = next(line for line in following.stdout if "PAGE " in line)
        following.terminate()
    assert "nightly-s3" in title
    wait_until(lambda: bool(project.series('up{job="dataexport"} == 1')), "a scrape")
    wait_until(lambda: len(project.series("dataexport_deadline_timestamp_seconds")) > 1, "the exports of the traffic")
    log = project.run("docker compose --profile demo logs")
    assert "Traceback" not in log
    assert "Notify for alerts failed" not in log


def test_two_replicas_behind_tls_share_a_database_and_show_no_secret(project: Project, tmp_path: Path) -> None:
    start, _, _, secret_files, up = commands(PAGE)
    port = free_port()
    project.run(start, tmp_path)
    with (project.folder / ".env").open("a") as env:
        env.write(
            "COMPOSE_PROFILES=tls,postgres\nDATAEXPORT_HOST=localhost\nDATAEXPORT_TRUSTED_HOPS=1\n"
            f"TLS_PUBLISH=127.0.0.1:{port}\nPOSTGRES_PASSWORD=made-up-password\n"
            "DATAEXPORT_STORE_URL=postgresql+psycopg://dataexport:made-up-password@postgres/dataexport\n"
        )
    project.run(secret_files)
    assert "COMPOSE_FILE=compose.yaml:compose.secrets.yaml\n" in (project.folder / ".env").read_text("utf-8")
    project.use("compose.yaml", "compose.secrets.yaml")
    project.run("docker compose build exporter")
    project.run(up)
    wait_until(lambda: len(project.series('up{job="dataexport"} == 1')) == 2, "scrapes of both replicas")

    root = tmp_path / "root.crt"
    authority = "caddy:/data/caddy/pki/authorities/local/root.crt"

    def has_certificate() -> bool:
        with project.start(f"docker compose cp {authority} {root}", project.folder) as copying:
            copying.communicate()
        return root.exists()

    wait_until(has_certificate, "a certificate")

    token = project.secret("DATAEXPORT_TOKENS")

    def post() -> str:
        answer = requests.post(
            f"https://localhost:{port}/webhooks/clevertap/default",
            json=EVENT,
            headers={"Authorization": f"Bearer {token}"},
            verify=str(root),
            timeout=PATIENCE_SECONDS,
        )
        return f"{answer.status_code} {answer.text.strip()}"

    assert post() == '200 {"accepted":1,"duplicates":0,"quarantined":0}'
    with repeating(post) as answers:
        for replica in ("exporter", "replica"):
            project.run(f"docker compose stop {replica}")
            wait_for_more(answers)
            project.run(f"docker compose up --detach --wait {replica}")
            wait_for_more(answers)
    duplicate = '200 {"accepted":0,"duplicates":1,"quarantined":0}'
    assert Counter(answers) == {duplicate: len(answers)}, project.run("docker compose logs caddy")
    metrics = requests.get(f"https://localhost:{port}/metrics", verify=str(root), timeout=PATIENCE_SECONDS)
    assert metrics.status_code == 404

    inspected = docker("inspect", *project.run("docker compose ps --all --quiet").split())
    for name in ("DATAEXPORT_TOKENS", "DATAEXPORT_ADMIN_TOKENS", "GRAFANA_PASSWORD", "POSTGRES_PASSWORD"):
        assert project.secret(name) not in inspected, name
