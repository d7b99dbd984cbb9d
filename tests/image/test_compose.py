"""The Compose project runs: traffic comes in, Prometheus scrapes and evaluates, Alertmanager pages the receiver.

Prometheus and Alertmanager are Debian's, in images with the layout of the official ones. Grafana is left out, because
no registry of packages has it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
import requests

from containers import ADMIN_TOKEN, TOKEN
from monitoring import ROOT
from running import PATIENCE_SECONDS, wait_until
from tools import missing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.container

STAND_IN = """
ARG PYTHON
FROM ${PYTHON}
RUN apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    prometheus prometheus-alertmanager && install -d -o nobody /prometheus /alertmanager
USER nobody
"""


class Project:
    """The Compose project under another name.

    Args:
        folder: for a file with its environment.
    """

    def __init__(self, folder: Path) -> None:
        self._environment = {
            **os.environ,
            "COMPOSE_PROJECT_NAME": "dataexport-check",
            "COMPOSE_PROFILES": "demo",
            "DATAEXPORT_IMAGE": "dataexport-exporter:check",
            "DATAEXPORT_TOKENS": TOKEN,
            "DATAEXPORT_ADMIN_TOKENS": ADMIN_TOKEN,
            "GRAFANA_PASSWORD": "unused",
            "PROMETHEUS_IMAGE": "dataexport-prometheus:check",
            "ALERTMANAGER_IMAGE": "dataexport-alertmanager:check",
        }
        self._env_file = folder / "env"
        self._env_file.touch()

    def run(self, *arguments: str) -> str:
        """Run a command of Compose, which must succeed, and return its output."""
        done = subprocess.run(
            ["docker", "compose", "--env-file", str(self._env_file), *arguments],
            cwd=ROOT / "deploy" / "compose",
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """The project with the profile demo, without Grafana, which no registry of packages has."""
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
        missing("no Docker engine answers; make image-check starts one")
    subprocess.run(["make", "image", "IMAGE=dataexport-exporter:check"], cwd=ROOT, check=True)
    [base] = re.findall(r"^ARG PYTHON=(.+)$", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    for name, program in {"prometheus": "prometheus", "alertmanager": "prometheus-alertmanager"}.items():
        context = tmp_path / name
        context.mkdir()
        (context / "Dockerfile").write_text(f'{STAND_IN}\nENTRYPOINT ["/usr/bin/{program}"]\n', "utf-8")
        build = f"docker build --quiet --tag dataexport-{name}:check --build-arg PYTHON={base} $IMAGE_OPTIONS {context}"
        subprocess.run(["sh", "-c", build], check=True)
    running = Project(tmp_path)
    try:
        running.run("up", "--detach", "--no-build", "exporter", "prometheus", "alertmanager", "traffic", "receiver")
        yield running
    finally:
        running.run("down", "--volumes", "--timeout", "10")
        shutil.rmtree(tmp_path)


def test_a_page_reaches_the_receiver(project: Project) -> None:
    def series(query: str) -> list[dict[str, object]]:
        try:
            answer = requests.get(
                "http://127.0.0.1:9090/api/v1/query", params={"query": query}, timeout=PATIENCE_SECONDS
            )
        except requests.ConnectionError:
            return []
        result: list[dict[str, object]] = answer.json()["data"]["result"]
        return result

    wait_until(lambda: bool(series('up{job="dataexport"} == 1')), "a scrape")
    wait_until(lambda: "PAGE " in project.run("logs", "receiver"), "a page")
    assert "Traceback" not in project.run("logs")
    assert "Notify for alerts failed" not in project.run("logs", "alertmanager")
    wait_until(lambda: len(series("dataexport_deadline_timestamp_seconds")) > 1, "the exports of the traffic")
