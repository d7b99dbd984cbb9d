"""The command `backfill`, and a real Prometheus that answers from it as if it had scraped."""

from __future__ import annotations

import subprocess
from contextlib import closing
from typing import TYPE_CHECKING

import requests
from click.testing import CliRunner

from backfills import NAMES_WITHOUT_HISTORY, TimeTravelLedger
from builders import HOUR, accepted_event
from exporter.cli.main import main
from exporter.domain.exports import Source
from exporter.ingest.intake import quarantine_reasons
from exporter.ledger.sql.ledger import SqlLedger
from exporter.metrics.renderer import Renderer
from exporter.projection.projector import Projector
from monitoring import prometheus_command, started
from ports import free_port
from running import series
from tools import tool

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from click.testing import Result

    from exporter.domain.events import Event
    from running import Series


def command(tmp_path: Path, *arguments: str) -> Result:
    environment = {"DATAEXPORT_STORE_URL": f"sqlite:///{tmp_path / 'demo.db'}"}
    return CliRunner(env=environment).invoke(main, list(arguments))


def test_the_command_refuses_what_it_cannot_do(tmp_path: Path) -> None:
    missing = command(tmp_path, "backfill")
    assert missing.exit_code == 1
    assert "there is no database at" in missing.stderr
    wide = command(tmp_path, "backfill", "--step", "301")
    assert wide.exit_code == 2
    assert "'301': give a whole number from 1 to 300" in wide.stderr


def test_the_command_writes_to_the_standard_output(tmp_path: Path) -> None:
    filled = command(tmp_path, "simulate", "--store", f"sqlite:///{tmp_path / 'demo.db'}", "--days", "0.5")
    assert filled.exit_code == 0, filled.output
    result = command(tmp_path, "backfill")
    assert result.exit_code == 0, result.output
    assert result.stdout.endswith("# EOF\n")
    lines = result.stdout.splitlines()
    count = sum(not line.startswith("#") for line in lines)
    assert f"{count} samples of " in result.stderr


def test_prometheus_answers_with_what_scrapes_would_have_shown(tmp_path: Path) -> None:
    promtool, _ = tool("promtool"), tool("prometheus")
    store = f"sqlite:///{tmp_path / 'demo.db'}"
    faults = ("--late", "0.1", "--missed", "0.1", "--stuck", "0.1")
    filled = command(tmp_path, "simulate", "--store", store, "--days", "1.5", "--exports", "12", *faults)
    assert filled.exit_code == 0, filled.output
    written = command(tmp_path, "backfill", "--output", str(tmp_path / "history.om"))
    assert written.exit_code == 0, written.output
    subprocess.run(
        [promtool, "tsdb", "create-blocks-from", "openmetrics", "--label=job=dataexport", "history.om", "data"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    with closing(SqlLedger(store)) as ledger:
        events = ledger.read(0)
    source = Source("default")
    ends = int(events[-1].arrived_at)
    instants = list(range(ends - ends % 300, int(events[0].arrived_at) + 300, 17 - 3 * HOUR))
    assert len(instants) > 8

    config = tmp_path / "prometheus.yaml"
    config.write_text("{}", "utf-8")
    url = f"http://127.0.0.1:{free_port()}"
    with started("prometheus", prometheus_command(config, tmp_path / "data", url), tmp_path, url):
        for now in instants:
            expected = _scrape_of(source, events, now)
            answer = _query(url, now)
            assert {key: answer.get(key) for key in expected} == expected
            # A series that is gone is answered for five minutes more.
            assert set(answer) - set(expected) <= set(_scrape_of(source, events, now - 300))


def _scrape_of(source: Source, events: Iterable[Event], now: float) -> Series:
    ledger = TimeTravelLedger(accepted_event(each) for each in events if each.arrived_at <= now)
    renderer = Renderer(Projector(ledger, {source.slug: source}), 200, quarantine_reasons())
    renderer.update(now)
    scrape = series(renderer.body(openmetrics=False).plain(b"").decode())
    # To Prometheus a label without a value is no label.
    return {
        (name, frozenset(label for label in labels if label[1])): value
        for (name, labels), value in scrape.items()
        if name not in NAMES_WITHOUT_HISTORY
    }


def _query(url: str, now: float) -> Series:
    answer = requests.get(f"{url}/api/v1/query", {"query": '{job="dataexport"}', "time": str(now)}, timeout=30)
    answer.raise_for_status()
    values: Series = {}
    for result in answer.json()["data"]["result"]:
        labels = result["metric"]
        name = labels.pop("__name__")
        del labels["job"]
        values[name, frozenset((key, value) for key, value in labels.items())] = float(result["value"][1])
    return values
