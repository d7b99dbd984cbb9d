"""Every command of a runbook or how-to page works as typed, and every query with two replicas."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import time
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

import commands
from builders import body, vendor_clock
from exporter.domain.exports import DECLARED, ExportKey
from monitoring import ROOT, Monitoring
from pages import HOW_TOS, RUNBOOKS
from pages import commands as commands_of
from pages import queries as queries_of
from running import COMMAND
from running_here import LocalExporter
from tools import tool

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SOURCE = "shop-in1"
TOKEN = "a-made-up-token-of-the-source"
ADMIN_TOKEN = "a-made-up-token-of-the-admin"
TOML = f"""
[server]
admin_tokens_file = ["secrets/admin"]

[store]
url = "sqlite:///dataexport.db"

[[sources]]
slug = "{SOURCE}"
timezone = "UTC"
tokens_file = ["secrets/shop"]

[[exports]]
name = "nightly-s3"
source = "{SOURCE}"
match = {{ partner = "Amazon S3", data_type = "events", frequency = "24h" }}
"""
NOT_RUN: dict[str, str] = tomllib.loads(Path(__file__).with_name("commands_not_run.toml").read_text("utf-8"))
"""By the beginning of a command, why no test runs it."""
CHECKS = {"make image-check": "tests/image", "make chart-check": "tests/delivery"}
"""The folder of the tests that a check runs."""
MAY_EXIT_WITH_1 = "dataexport-exporter doctor"
"""It reports what it finds in the quarantine of the stand."""
ERROR_STATUS = re.compile(r'(^|^HTTP/1.1 |: |"status": )(000|[45]\d\d)\b', re.MULTILINE)
"""curl succeeds whatever the status is."""
QUERIES = list(dict.fromkeys(query for page in [*RUNBOOKS, *HOW_TOS] for query in queries_of(page)))


class Stand:
    """An exporter with tokens and events, Prometheus and Alertmanager, and another folder to type commands in."""

    def __init__(self, elsewhere: Path, exporter: LocalExporter, monitoring: Monitoring) -> None:
        self.elsewhere = elsewhere
        self.exporter = exporter
        self._names = {
            "https://YOUR-ADDRESS": exporter.webhook_url,
            "https://YOUR-HOST": exporter.webhook_url,
            "http://127.0.0.1:10047": exporter.admin_url,
            "http://127.0.0.1:9090": monitoring.prometheus_url,
            "http://127.0.0.1:9093": monitoring.alertmanager_url,
            "/etc/alertmanager/alertmanager.yml": str(ROOT / "alerts" / "alertmanager.yaml"),
            "/etc/prometheus/prometheus.yml": str(elsewhere / "monitoring" / "prometheus.yaml"),
            "/etc/dataexport/": f"{exporter.folder}/",
            "/etc/": f"{elsewhere}/etc/",
            "/var/backups/": f"{elsewhere}/",
            "/var/lib/dataexport": str(exporter.folder),
            "TOKEN_FILE": str(exporter.folder / "secrets" / "shop"),
            "SOURCE": SOURCE,
            "EXPORT_ID": ExportKey(SOURCE, DECLARED, "nightly-s3").id,
            "EXPORT": "nightly-s3",
            "STATUS": "paused",
        }
        self._pattern = re.compile("|".join(rf"(?<![$_A-Z]){re.escape(name)}(?![A-Z_])" for name in self._names))
        self.environment = {
            **exporter.environment,
            "DATAEXPORT_CONFIG": str(exporter.config_path),
            "ADMIN_TOKEN_FILE": str(exporter.folder / "secrets" / "admin"),
            "STORE_FOLDER": str(exporter.folder),
            "BACKUP_FOLDER": str(elsewhere / "backups"),
            "PATH": os.pathsep.join([str(COMMAND.parent), str(ROOT / ".tools" / "bin"), os.environ["PATH"]]),
        }

    def run(self, command: str, folder: Path) -> tuple[int, str]:
        """Run a command of a page in a folder, with the names of this stand; return its exit code and its output.

        The shell hands the arguments of our own commands back, which run in this process: one of its own
        takes a second.
        """
        arguments = self.elsewhere / "arguments"
        arguments.unlink(missing_ok=True)
        function = f"dataexport-exporter() {{ printf '%s\\0' \"$@\" > {arguments}; }}"
        done = subprocess.run(
            ["bash", "-c", f"{function}\n{self.with_names(command)}"],
            cwd=folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode or not arguments.exists():
            return done.returncode, done.stdout + done.stderr
        with contextlib.chdir(folder):
            result = commands.run(*arguments.read_text("utf-8").split("\0")[:-1], **self.environment)
        return result.exit_code, result.output

    def with_names(self, text: str) -> str:
        return self._pattern.sub(lambda match: self._names[match[0]], text)


@pytest.fixture(scope="module")
def exporter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalExporter]:
    home = tmp_path_factory.mktemp("exporter")
    for name in ("alerts", "grafana"):
        (home / name).symlink_to(ROOT / name)
    (home / "secrets").mkdir()
    for name, token in {"admin": ADMIN_TOKEN, "shop": TOKEN}.items():
        path = home / "secrets" / name
        path.write_text(f"{token}\n", "utf-8")
        path.chmod(0o600)
    with LocalExporter(home, TOML) as running:
        now = time.time()
        for sent in (
            body("Initiated", vendor_clock(now - 30), 1, Frequency="One Time"),
            body("Initiated", vendor_clock(now - 20000), 1690283492, Frequency="Every 4 hours"),
            body("Completed", vendor_clock(now - 19000), 1690283492, Frequency="Every 4 hours"),
            body("Initiated", vendor_clock(now - 5000), 1690283492, Frequency="Every 4 hours"),
            body("Completed", vendor_clock(now - 4000), 1690283492, Frequency="Every 4 hours"),
            b"{}",
        ):
            answer = running.post(sent, SOURCE, {"Authorization": f"Bearer {TOKEN}"})
            assert answer.status_code == 200, answer.text
        yield running


def test_every_command_works_as_typed(exporter: LocalExporter, tmp_path: Path) -> None:
    for name in ("prometheus", "alertmanager", "amtool", "promtool"):
        tool(name)
    for name in ("prometheus/rules", "grafana/provisioning/dashboards", "grafana/provisioning/alerting"):
        (tmp_path / "etc" / name).mkdir(parents=True)
    for name in ("monitoring", "backups"):
        (tmp_path / name).mkdir()
    ran: set[str] = set()
    wrong = []
    with Monitoring(tmp_path / "monitoring", f"127.0.0.1:{exporter.admin_port}") as monitoring:
        stand = Stand(tmp_path, exporter, monitoring)
        for page in [*RUNBOOKS, *HOW_TOS]:
            folder = tmp_path if page in RUNBOOKS else exporter.folder
            for command in commands_of(page):
                again = command in ran and not command.startswith("curl")  # a page may reload what it has changed
                if again or command.startswith(tuple(NOT_RUN)):
                    continue
                ran.add(command)
                code, output = stand.run(command, folder)
                works = code == 0 or (code == 1 and command.startswith(MAY_EXIT_WITH_1))
                if not works or (command.startswith("curl") and ERROR_STATUS.search(output)):
                    wrong.append(f"{page.name}: {command}\nexit code {code}: {output}")
    assert wrong == [], "\n\n".join(wrong)


def test_every_reason_not_to_run_a_command_is_needed() -> None:
    given = [command for page in [*RUNBOOKS, *HOW_TOS] for command in commands_of(page)]
    assert [each for each in NOT_RUN if not any(command.startswith(each) for command in given)] == []


def test_what_is_said_to_run_a_command_does() -> None:
    """A check of delivery reads the page; a folder of tests has the command."""
    wrong = []
    for page in [*RUNBOOKS, *HOW_TOS]:
        for command in commands_of(page):
            reason = next((NOT_RUN[begins] for begins in NOT_RUN if command.startswith(begins)), "")
            for runner in re.findall(r"(make \S+-check|tests/\w+) runs", reason):
                word = page.name if runner in CHECKS else command.split()[1]
                tests = (ROOT / CHECKS.get(runner, runner)).rglob("test_*.py")
                if not any(f'"{word}"' in path.read_text("utf-8") for path in tests):
                    wrong.append(f"{page.name}: {command}")
    assert wrong == []


def test_every_query_can_be_asked_with_two_replicas(exporter: LocalExporter, tmp_path: Path) -> None:
    assert len(QUERIES) > 30
    scrape = exporter.admin("/metrics", headers={"Authorization": f"Bearer {ADMIN_TOKEN}"}).text
    samples = [line for line in scrape.splitlines() if not line.startswith("#")]
    content = {
        "rule_files": [str(ROOT / "alerts" / "dataexport.rules.yaml")],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [each for replica in ("a", "b") for each in input_series(samples, replica)],
                # Nothing counts to less than 0: what fails is a query that cannot be evaluated.
                "promql_expr_test": [
                    {"expr": f"count({query.replace('EXPORT', 'nightly-s3')}) < 0", "eval_time": "5m"}
                    for query in QUERIES
                ],
            }
        ],
    }
    path = tmp_path / "queries.test.yaml"
    path.write_text(yaml.safe_dump(content), "utf-8")
    done = subprocess.run([tool("promtool"), "test", "rules", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def input_series(samples: Iterable[str], replica: str) -> Iterator[dict[str, str]]:
    """Yield the samples of a scrape as series of a rule test that do not change, with the labels of a replica."""
    for sample in ("up 1", *samples):
        name, value = sample.rsplit(" ", 1)
        labels = f'job="dataexport",instance="{replica}"'
        series = f"{name[:-1]},{labels}}}" if name.endswith("}") else f"{name}{{{labels}}}"
        yield {"series": series, "values": f"{float(value):f}x5"}
