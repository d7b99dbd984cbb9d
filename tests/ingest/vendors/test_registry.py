"""A vendor is one module: another one, registered here, works from its webhook to the status page."""

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
from commands import run, said
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
    written = in_a_folder / "dataexport.toml"
    written.write_text(CONFIGURATION, "utf-8")
    return written


@contextmanager
def serving(path: Path) -> Iterator[tuple[str, str]]:
    """Both listeners as the worker has them, in this process; their URLs."""
    config = loader.load(path, {})
    made = Service(config, lambda: config, SqlLedger(config.store_url), ProcessMetrics())
    made.start()
    wait_until(lambda: not made.why_not_ready(), "the ledger is read")
    loop = uvloop.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    listening = Listeners(config, made, loop)

    async def begin() -> list[asyncio.AbstractServer]:
        return [await loop.create_server(partial(Connection, each), "127.0.0.1", 0) for each in listening.pools]

    async def end(servers: list[asyncio.AbstractServer]) -> None:
        for server in servers:
            server.close()
        for each in listening.pools:
            each.abort()

    servers = asyncio.run_coroutine_threadsafe(begin(), loop).result(PATIENCE_SECONDS)
    public, admin = (
        f"http://127.0.0.1:{cast('asyncio.Server', server).sockets[0].getsockname()[1]}" for server in servers
    )
    try:
        yield public, admin
    finally:
        asyncio.run_coroutine_threadsafe(end(servers), loop).result(PATIENCE_SECONDS)
        listening.close()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def asked(url: str) -> requests.Response:
    return requests.get(url, timeout=PATIENCE_SECONDS)


def test_another_vendor_works_from_end_to_end(path: Path) -> None:
    assert run("check-config", str(path)).stdout.startswith(f"{path}: fine, 2 sources")
    with serving(path) as (public, admin):
        own = f"{public}{registry.webhook_path('toy', 'box')}"
        sent = ["--frequency", "Every 4 hours", "--partner", "Lake"]
        for status in ("--initiated", "--completed"):
            assert '"accepted":1' in run("send", "--url", own, status, *sent).stdout
        assert '"accepted":1' in run("send", "--url", own, "--partner", "lake", "--frequency", "daily").stdout
        assert requests.post(own, b'{"hello": true}', timeout=PATIENCE_SECONDS).json() == {"test": True}
        assert requests.post(own, b'{"phase": "flown"}', timeout=PATIENCE_SECONDS).json()["quarantined"] == 1
        for wrong in ("toy/shop", "clevertap/box", "nobody/box"):
            assert requests.post(f"{public}/webhooks/{wrong}", b"{}", timeout=PATIENCE_SECONDS).status_code == 404

        exports = asked(f"{admin}/api/v1/exports").json()["exports"]
        found = {(each["export"], each["partner"], each["frequency"], each["declared"]) for each in exports}
        assert found == {("any", "Data Lake", "4h", False), ("nightly", "Data Lake", "24h", True)}
        [of_group] = [each for each in exports if each["export"] == "any"]
        assert of_group["state"] == "fine"
        counted = 'dataexport_webhook_quarantined_total{reason="not_a_toy",source="box"} 1.0'
        assert counted in asked(f"{admin}/metrics").text
        described = asked(f"{admin}/api/v1/openapi.json").json()["paths"]
        of_toys = json.dumps(described["/webhooks/toy/{source}"])
        assert ('"begun"' in of_toys, '"box"' in of_toys, '"shop"' in of_toys) == (True, True, False)
        assert '"box"' not in json.dumps(described["/webhooks/clevertap/{source}"])
        page = asked(admin).text
        assert "/webhooks/toy/box" in page
        assert "/webhooks/clevertap/shop" in page


def test_without_a_request_id_no_export_is_recognised_by_one(path: Path) -> None:
    with serving(path) as (public, admin):
        own = f"{public}{registry.webhook_path('toy', 'box')}"
        for day in range(1, 4):
            for partner in ("Lake", "Pond"):
                at = ["--partner", partner, "--frequency", "Every 4 hours", "--at", f"2026-01-0{day}T00:00:00"]
                assert '"accepted":1' in run("send", "--url", own, *at).stdout
        exports = asked(f"{admin}/api/v1/exports").json()["exports"]
        assert sorted(each["export"] for each in exports) == ["any", "any", "nightly"]
        assert sorted(each["completed"] for each in exports) == [0, 3, 3]


def test_a_fleet_is_made_up_in_the_form_of_each_sources_vendor(path: Path) -> None:
    made = run("simulate", "--config", str(path), "--json-lines", "--exports", "2", "--days", "2")
    records = [json.loads(line) for line in made.stdout.splitlines()]
    bodies = [(each["source"], json.loads(each["body"]).keys()) for each in records if each["body"]]
    assert {"phase" in keys for source, keys in bodies if source == "box"} == {True}
    assert {"phase" in keys for source, keys in bodies if source == "shop"} == {False}


def test_a_fleet_that_is_posted_has_the_form_of_the_vendor_in_the_url(path: Path) -> None:
    with serving(path) as (public, _):
        own = f"{public}{registry.webhook_path('toy', 'box')}"
        given = ["--url", own, "--exports", "1", "--days", "1", "--timezone", "UTC"]
        made = run("simulate", "--config", str(path), *given)
        assert (made.exit_code, "events of 1 exports" in made.stderr) == (0, True)


def test_where_a_vendor_makes_no_test_call_send_makes_none() -> None:
    url = "http://127.0.0.1:1/webhooks/toy/box"
    assert said(run("send", "--url", url, "--test-call"), 1) == "error: --test-call: toy makes no such call\n"


def test_a_vendor_that_is_not_there_is_refused_with_those_that_are(path: Path) -> None:
    path.write_text(CONFIGURATION.replace('"toy"', '"tin"'), "utf-8")
    assert "give one of clevertap, toy" in said(run("check-config", str(path)), 2)


def test_an_export_is_chosen_by_any_vendors_spelling_of_its_partner(path: Path) -> None:
    with serving(path) as (public, _):
        run("send", "--url", f"{public}{registry.webhook_path('toy', 'box')}", "--partner", "LAKE", "--frequency", "4")
    chosen = ["--source", "box", "--frequency", "4", "--partner"]
    given = ["--config", str(path), "--until", "2h", "--why", "a test"]
    assert "no export fits" in said(run("mute", *given, *chosen, "pond"), 1)
    assert run("mute", *given, *chosen, "lake").exit_code == 0


@pytest.mark.parametrize("url", ["nonsense", "http://proxy.example/other/path", "http://h/webhooks/tin/box"])
def test_a_url_that_names_no_vendor_stands_for_the_default_one(url: str) -> None:
    assert registry.adapter_at(url).name == registry.DEFAULT


def test_the_code_names_the_vendor_in_its_own_modules_only() -> None:
    """Docstrings may: they document what the program is for."""
    folder = Path(exporter.__file__).parent
    named = []
    for file in sorted(folder.rglob("*.py")):
        if "vendors" in file.parts:
            continue
        tree = ast.parse(file.read_text("utf-8"))
        documents = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        for node in ast.walk(tree):
            text = getattr(node, "value", None) if isinstance(node, ast.Constant) else getattr(node, "id", None)
            if id(node) not in documents and "clevertap" in str(text).lower():
                named.append((file.name, getattr(node, "lineno", 0)))
    assert named == []
