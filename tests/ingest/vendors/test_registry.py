"""A second vendor, registered here, works from its webhook to the status page: a vendor is one module."""

from __future__ import annotations

import ast
import asyncio
import json
import threading
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
import requests
import uvloop

import exporter
from commands import error_output, run
from exporter.config import loader
from exporter.ingest.vendors import registry
from exporter.ledger.sql.ledger import SqlLedger
from exporter.metrics.process_metrics import ProcessMetrics
from exporter.server.http.connection import Connection
from exporter.server.listeners import Listeners
from exporter.server.service import Service
from running import PATIENCE_SECONDS, wait_until
from toy_vendor import TOY

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIGURATION = """
[[sources]]
slug = "box"
vendor = "toy"
timezone = "UTC"

[[sources]]
slug = "shop"
timezone = "UTC"

[[exports]]
name = "nightly"
source = "box"
match = { partner = "THE LAKE", frequency = "daily" }
"""


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.VENDORS, TOY.name, TOY)


@pytest.fixture
def path(in_a_folder: Path) -> Path:
    config_path = in_a_folder / "dataexport.toml"
    config_path.write_text(CONFIGURATION, "utf-8")
    return config_path


@contextmanager
def serving(path: Path) -> Iterator[tuple[str, str]]:
    """Run both listeners in this process, as the worker does; yields their URLs."""
    config = loader.load(path, {})
    service = Service(config, lambda: config, SqlLedger(config.store_url), ProcessMetrics())
    service.start()
    wait_until(lambda: not service.why_not_ready(), "the ledger is read")
    loop = uvloop.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    listeners = Listeners(config, service, loop)

    async def open_servers() -> list[asyncio.AbstractServer]:
        return [await loop.create_server(partial(Connection, pool), "127.0.0.1", 0) for pool in listeners.pools]

    async def close_servers(servers: list[asyncio.AbstractServer]) -> None:
        for server in servers:
            server.close()
        for pool in listeners.pools:
            pool.abort()

    servers = asyncio.run_coroutine_threadsafe(open_servers(), loop).result(PATIENCE_SECONDS)
    public, admin = (
        f"http://127.0.0.1:{cast('asyncio.Server', server).sockets[0].getsockname()[1]}" for server in servers
    )
    try:
        yield public, admin
    finally:
        asyncio.run_coroutine_threadsafe(close_servers(servers), loop).result(PATIENCE_SECONDS)
        listeners.close()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def get(url: str) -> requests.Response:
    return requests.get(url, timeout=PATIENCE_SECONDS)


def test_another_vendor_works_from_end_to_end(path: Path) -> None:
    assert run("check-config", str(path)).stdout.startswith(f"{path}: fine, 2 sources")
    with serving(path) as (public, admin):
        webhook_url = f"{public}{registry.webhook_path('toy', 'box')}"
        sent = ["--frequency", "Every 4 hours", "--partner", "Lake"]
        for status in ("--initiated", "--completed"):
            assert '"accepted":1' in run("send", "--url", webhook_url, status, *sent).stdout
        assert '"accepted":1' in run("send", "--url", webhook_url, "--partner", "lake", "--frequency", "daily").stdout
        assert requests.post(webhook_url, b'{"hello": true}', timeout=PATIENCE_SECONDS).json() == {"test": True}
        assert requests.post(webhook_url, b'{"phase": "flown"}', timeout=PATIENCE_SECONDS).json()["quarantined"] == 1
        for unknown in ("toy/shop", "clevertap/box", "nobody/box"):
            assert requests.post(f"{public}/webhooks/{unknown}", b"{}", timeout=PATIENCE_SECONDS).status_code == 404

        exports = get(f"{admin}/api/v1/exports").json()["exports"]
        identities = {
            (export["export"], export["partner"], export["frequency"], export["declared"]) for export in exports
        }
        assert identities == {("any", "Data Lake", "4h", False), ("nightly", "Data Lake", "24h", True)}
        [group] = [export for export in exports if export["export"] == "any"]
        assert group["state"] == "fine"
        sample = 'dataexport_webhook_quarantined_total{reason="not_a_toy",source="box"} 1.0'
        assert sample in get(f"{admin}/metrics").text
        paths = get(f"{admin}/api/v1/openapi.json").json()["paths"]
        toy_path = json.dumps(paths["/webhooks/toy/{source}"])
        assert ('"begun"' in toy_path, '"box"' in toy_path, '"shop"' in toy_path) == (True, True, False)
        assert '"box"' not in json.dumps(paths["/webhooks/clevertap/{source}"])
        page = get(admin).text
        assert "/webhooks/toy/box" in page
        assert "/webhooks/clevertap/shop" in page


def test_without_request_ids_no_export_is_detected(path: Path) -> None:
    with serving(path) as (public, admin):
        webhook_url = f"{public}{registry.webhook_path('toy', 'box')}"
        for day in range(1, 4):
            for partner in ("Lake", "Pond"):
                arguments = ["--partner", partner, "--frequency", "Every 4 hours", "--at", f"2026-01-0{day}T00:00:00"]
                assert '"accepted":1' in run("send", "--url", webhook_url, *arguments).stdout
        exports = get(f"{admin}/api/v1/exports").json()["exports"]
        assert sorted(export["export"] for export in exports) == ["any", "any", "nightly"]
        assert sorted(export["completed"] for export in exports) == [0, 3, 3]


def test_a_simulated_fleet_has_the_form_of_each_sources_vendor(path: Path) -> None:
    result = run("simulate", "--config", str(path), "--jsonl", "--exports", "2", "--days", "2")
    records = [json.loads(line) for line in result.stdout.splitlines()]
    bodies = [(record["source"], json.loads(record["body"]).keys()) for record in records if record["body"]]
    assert {"phase" in keys for source, keys in bodies if source == "box"} == {True}
    assert {"phase" in keys for source, keys in bodies if source == "shop"} == {False}


def test_a_fleet_that_is_posted_has_the_form_of_the_vendor_in_the_url(path: Path) -> None:
    with serving(path) as (public, _):
        webhook_url = f"{public}{registry.webhook_path('toy', 'box')}"
        arguments = ["--url", webhook_url, "--exports", "1", "--days", "1", "--timezone", "UTC"]
        result = run("simulate", "--config", str(path), *arguments)
        assert (result.exit_code, "events of 1 export" in result.stderr) == (0, True)


def test_send_refuses_a_test_call_for_a_vendor_that_makes_none() -> None:
    url = "http://127.0.0.1:1/webhooks/toy/box"
    assert error_output(run("send", "--url", url, "--test-call"), 1) == "error: --test-call: toy makes no such call\n"


def test_an_unknown_vendor_is_refused_with_the_known_ones(path: Path) -> None:
    path.write_text(CONFIGURATION.replace('"toy"', '"tin"'), "utf-8")
    assert "give one of clevertap, toy" in error_output(run("check-config", str(path)), 2)


def test_an_export_is_chosen_by_any_vendors_spelling_of_its_partner(path: Path) -> None:
    with serving(path) as (public, _):
        run("send", "--url", f"{public}{registry.webhook_path('toy', 'box')}", "--partner", "LAKE", "--frequency", "4")
    selector = ["--source", "box", "--frequency", "4", "--partner"]
    arguments = ["--config", str(path), "--for", "2h", "--why", "a test"]
    assert "no export matches" in error_output(run("mute", *arguments, *selector, "pond"), 1)
    assert run("mute", *arguments, *selector, "lake").exit_code == 0


@pytest.mark.parametrize("url", ["nonsense", "http://proxy.example/other/path", "http://h/webhooks/tin/box"])
def test_a_url_without_a_known_vendor_means_the_default_one(url: str) -> None:
    assert registry.adapter_at(url).name == registry.DEFAULT


def test_the_code_names_the_vendor_in_its_own_modules_only() -> None:
    """Docstrings may name it: they document what the program is for."""
    folder = Path(exporter.__file__).parent
    named = []
    for file in sorted(folder.rglob("*.py")):
        if "vendors" in file.parts:
            continue
        tree = ast.parse(file.read_text("utf-8"))
        docstrings = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        for node in ast.walk(tree):
            text = getattr(node, "value", None) if isinstance(node, ast.Constant) else getattr(node, "id", None)
            if id(node) not in docstrings and "clevertap" in str(text).lower():
                named.append((file.name, getattr(node, "lineno", 0)))
    assert named == []
