"""This release opens what an older one wrote, and shows the same; `scripts/golden_ledger.py` makes such ledgers."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from builders import body
from exporter.domain.exports import Declaration, Selection
from exporter.ingest.vendors.clevertap import REASONS
from exporter.ledger.sql.ledger import SqlLedger
from exporter.metrics.renderer import Renderer
from exporter.projection.projector import Projector
from golden_ledger import DAYS, DECLARED, HOUR, SINCE, SOURCES
from running import Exporter
from running_here import LocalExporter

if TYPE_CHECKING:
    from exporter.domain.events import Event

GOLDEN = Path(__file__).parent.parent / "golden"
LEDGERS = sorted(GOLDEN.glob("ledger-*.db"))
NOW = SINCE + DAYS * 24 * HOUR + 1800
DECLARATIONS = [
    Declaration("nightly", Selection("shop", partner="Microsoft Azure"), interval=24 * HOUR, grace=2 * HOUR),
    Declaration("silent", Selection("shop", request_id="nobody"), interval=4 * HOUR, grace=HOUR),
]


@pytest.fixture(params=LEDGERS, ids=lambda path: path.stem)
def copied(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return Path(shutil.copy(request.param, tmp_path / "dataexport.db"))


def rows(path: Path, table: str) -> list[tuple[object, ...]]:
    """The rows of a table that an older release knows, as they are on disk."""
    columns = {"events": "sequence, source, digest, body", "quarantine": "source, digest, reason, body"}
    with closing(sqlite3.connect(path)) as connection:
        query = f"SELECT {columns.get(table, '*')} FROM {table} ORDER BY 1, 2, 3"  # noqa: S608 - names of our own
        return connection.execute(query).fetchall()


def test_an_older_ledger_shows_the_same(copied: Path, tmp_path: Path) -> None:
    with closing(SqlLedger(f"sqlite:///{copied}")) as ledger:
        reader = Projector(ledger, {source.slug: source for source in SOURCES}, DECLARATIONS)
        collector = Renderer(reader, exports_per_source=200, reasons=REASONS)
        collector.update(NOW)
        actual = tmp_path / "ledger.text.txt"
        actual.write_bytes(collector.body(openmetrics=False).plain(b""))
    golden = GOLDEN / actual.name
    expected = golden.read_text("utf-8") if golden.exists() else ""
    assert actual.read_text("utf-8") == expected, f"where the change is meant: cp {actual} {golden}"


def test_the_events_of_an_older_ledger_are_found_by_id_and_by_group(copied: Path) -> None:
    with closing(SqlLedger(f"sqlite:///{copied}")) as ledger:
        events, upto = ledger.read(0), ledger.last_sequence()
        found = {each: list(ledger.select(each, upto)) for event in events for each in _selections(event)}
        assert found == {each: [event for event in events if each.matches(event)] for each in found}
        assert len(found) > len({event.request_id for event in events})


def _selections(event: Event) -> tuple[Selection, Selection]:
    group = Selection(event.source, None, event.partner, event.data_type, event.frequency)
    return Selection(event.source, event.request_id), group


def test_nothing_of_an_older_ledger_is_lost_and_it_goes_on_from_there(copied: Path, tmp_path: Path) -> None:
    tables = ("events", "quarantine", "delivery_counters", "declared_exports", "declared_terms", "heartbeats")
    before = {table: rows(copied, table) for table in tables}
    assert all(before.values()), "a golden ledger uses every table of its release"
    assert {name for _, name in DECLARED} == {row[1] for row in before["declared_exports"]}
    SqlLedger(f"sqlite:///{copied}").close()
    assert {table: rows(copied, table) for table in tables} == before
    with LocalExporter(tmp_path, '[[sources]]\nslug = "shop"\n') as exporter:
        assert exporter.post(body(), "shop").json()["accepted"] == 1
        events = exporter.value("dataexport_webhook_events_total", source="shop", status="initiated")
    old = [row for row in before["events"] if row[1] == "shop" and b'"Initiated"' in bytes(row[3])]  # type: ignore[call-overload]
    assert events == len(old) + 1


def test_a_newer_ledger_is_refused_with_what_to_do(copied: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(copied)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    before = rows(copied, "events")
    ended = Exporter(tmp_path).run("serve")
    assert ended.returncode == 1
    assert "a newer release" in ended.stderr
    assert "start that release, or restore a backup" in ended.stderr
    assert rows(copied, "events") == before


def test_there_is_a_ledger_to_upgrade_from() -> None:
    assert LEDGERS
