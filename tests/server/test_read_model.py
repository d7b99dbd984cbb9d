"""What a scrape shows while the store changes underneath."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from builders import DAY, SHOP, accepted_event, at, event
from exporter.domain.epochs import GIVEN
from exporter.domain.landing import NOTHING, LandingCheck, RunKey
from exporter.ledger.sql.ledger import SqlLedger
from exporter.server.read_model import ProjectionConfig, ReadModel

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = ProjectionConfig({"shop": SHOP}, (), 200, float("inf"), float("inf"))
NOW = at("1:00")


def ledger_of(path: Path, partner: str) -> SqlLedger:
    """A new store at ``path`` with one event."""
    ledger = SqlLedger(f"sqlite:///{path}")
    ledger.append([accepted_event(event("initiated", at("0:00"), partner=partner))])
    return ledger


def partners(model: ReadModel) -> set[str]:
    """The partners of all exports that are shown."""
    states, _ = model.list_states(NOW)
    return {state.partner for state in states}


def test_a_store_that_was_replaced_is_read_at_once(tmp_path: Path) -> None:
    with closing(ledger_of(tmp_path / "ledger.db", "Before")) as ledger:
        model = ReadModel(ledger, CONFIG)
        model.catch_up(NOW)
        assert partners(model) == {"Before"}
        ledger_of(tmp_path / "other.db", "After").close()
        (tmp_path / "other.db").replace(tmp_path / "ledger.db")
        assert partners(model) == {"After"}
        body = model.scrape(NOW, openmetrics=False).body
        assert b'partner="After"' in body.plain(b"")


def test_old_checks_of_landings_are_pruned_but_the_newest_of_each_result(tmp_path: Path) -> None:
    with closing(ledger_of(tmp_path / "ledger.db", "Amazon S3")) as ledger:
        run = RunKey(at("0:10"), at("0:00"))
        for minute in range(3):
            checked_at = at("0:20") + minute * 60
            ledger.landings.append(
                LandingCheck("shop", "a", run, at("0:40"), checked_at, NOTHING, 0, 0, 0.0, "s3://bucket/"), GIVEN
            )
        model = ReadModel(ledger, replace(CONFIG, retention=DAY, quarantine_retention=DAY))
        assert model.prune(NOW + 2 * DAY) == 2
        assert model.prune(NOW + 2 * DAY) == 0
        assert [check.sequence for check in ledger.landings.read(0)] == [3]
