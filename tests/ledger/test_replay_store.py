"""The bodies of a ledger and what a replay does with them, the same in every database."""

from __future__ import annotations

import json
import subprocess
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC
from typing import TYPE_CHECKING

import pytest

from builders import HOUR, accepted_event, at, body, event, vendor_clock
from commands import error_output, run
from databases import SQLITE_DRIVERS, new_ledger
from exporter.cli.commands.replay import format_rebuild
from exporter.domain.events import QuarantinedBody
from exporter.domain.exports import Source
from exporter.ingest.intake import Intake
from exporter.ingest.replay import QuarantineSelection, Replay, ReplayResult
from exporter.ingest.vendors import clevertap
from exporter.ledger import contract as ledgers
from exporter.ledger.replay_store import ArrivalPosition
from exporter.ledger.sql import replay_store
from exporter.ledger.sql.ledger import SqlLedger
from exporter.ledger.sql.replay_store import SqlReplayStore
from running import COMMAND, Exporter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from exporter.ledger.contract import Entry

FIRST, SECOND, THIRD = (event("completed", at("0:00") + hour * HOUR, request_id=f"id {hour}") for hour in range(3))


@pytest.fixture(params=[*SQLITE_DRIVERS, "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlLedger]:
    made = new_ledger(request, tmp_path)
    yield made
    made.close()


def kept_aside(number: int) -> QuarantinedBody:
    return QuarantinedBody("shop", at("0:00") + number, "bad_date", "made up", b"{}", bytes([number]) * 16)


def test_the_arrivals_of_one_epoch_are_dated_again_in_parts(ledger: SqlLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_store, "ARRIVALS_PER_TRANSACTION", 2)
    epoch, other = (ledger.begin_epoch(boot, 0, 0) for boot in ("one boot", "another"))
    epochs = (epoch, other, epoch)
    stored = zip((FIRST, SECOND, THIRD), epochs, strict=True)
    ledger.append([accepted_event(each)._replace(epoch=of) for each, of in stored])
    archive = ledger.replay_store
    for moved in (1, 0):
        assert archive.move_arrivals(epoch.id, 5_000_000, 0) == (moved, 2)
        assert archive.move_arrivals(epoch.id, 5_000_000, 2) == (moved, 0)
    arrivals = [each.arrived_at for each in ledger.read(0)]
    assert arrivals == [FIRST.arrived_at + 5, SECOND.arrived_at, THIRD.arrived_at + 5]


def test_the_newest_events_of_an_epoch_are_those_of_one_source(ledger: SqlLedger) -> None:
    epoch = ledger.begin_epoch("one boot", 0, 0)
    stored = [FIRST, SECOND._replace(source="another"), THIRD]
    ledger.append([accepted_event(each)._replace(epoch=epoch) for each in stored])
    newest = ledger.replay_store.newest_in_epoch("shop", epoch.id, 10)
    assert [event.arrived_at for event, _ in newest] == [THIRD.arrived_at, FIRST.arrived_at]


def test_a_body_that_leaves_the_quarantine_uncounted_changes_its_own_counter_alone(ledger: SqlLedger) -> None:
    others = [replace(kept_aside(3), source="elsewhere"), replace(kept_aside(4), reason="a_reason")]
    ledger.append([*others, kept_aside(1), kept_aside(2), kept_aside(2)])

    def counted() -> Counter[tuple[str, str, str]]:
        return Counter({(each.source, each.kind, each.label): each.count for each in ledger.delivery_counters()})

    before = counted()
    assert len(before) == 4
    parsed = ledgers.TestCallReceived("shop", at("0:00"))
    bodies = [each for each in ledger.quarantine() if (each.source, each.reason) == ("shop", "bad_date")]
    for resolved, quarantined in enumerate(bodies, 1):
        assert ledger.replay_store.resolve_quarantined([(quarantined, parsed)], uncount=True) == [True]
        left = before - Counter({("shop", "quarantined", "bad_date"): resolved})
        assert dict(counted()) == dict(left) | {("shop", "test_call", ""): resolved}
    assert resolved == 2


def test_bodies_are_read_in_the_order_of_arrival(ledger: SqlLedger) -> None:
    ledger.append([accepted_event(each) for each in (SECOND, THIRD, FIRST)])
    archive = ledger.replay_store
    found = archive.read_with_bodies("shop", ArrivalPosition(), 2)
    assert [(each.event.digest, each.body) for each in found] == [
        (each.digest, accepted_event(each).body) for each in (FIRST, SECOND)
    ]
    assert [
        each.event.digest for each in archive.read_with_bodies("shop", ArrivalPosition.of_event(found[-1].event))
    ] == [THIRD.digest]
    assert [each.digest for each in archive.newest_before("shop", THIRD.arrived_at, 1)] == [SECOND.digest]
    assert [each.digest for each in archive.newest_before("shop", THIRD.arrived_at, 9)] == [FIRST.digest, SECOND.digest]
    assert (
        archive.count_events("shop"),
        archive.count_events("elsewhere"),
        archive.read_with_bodies("elsewhere", ArrivalPosition()),
    ) == (3, 0, [])


def test_each_quarantined_body_becomes_what_it_is_understood_as(ledger: SqlLedger) -> None:
    ledger.append([accepted_event(FIRST), *map(kept_aside, range(5))])
    old = ledger.quarantine(after=0)
    archive = ledger.replay_store
    told = archive.resolve_quarantined(
        [
            (old[0], accepted_event(SECOND)),
            (old[1], accepted_event(FIRST)),
            (old[2], ledgers.TestCallReceived("shop", old[2].arrived_at)),
            (old[3], replace(old[3], reason="missing_key", detail="another")),
            (old[4], old[4]),
        ]
    )
    assert told == [True, False, True, False, False]
    assert [each.digest for each in ledger.read(0)] == [FIRST.digest, SECOND.digest]
    assert ledger.body(2) == accepted_event(SECOND).body
    assert [(each.reason, each.detail) for each in ledger.quarantine(after=0)] == [
        ("missing_key", "another"),
        ("bad_date", "made up"),
    ]
    assert ledger.quarantine_counts() == {"shop": 2}
    assert [(each.kind, each.count) for each in ledger.delivery_counters()] == [
        ("duplicate", 1),
        ("quarantined", 5),
        ("test_call", 1),
    ]
    assert archive.resolve_quarantined([(old[0], accepted_event(THIRD))]) == [None]
    assert archive.resolve_quarantined([]) == []
    assert ledger.last_sequence() == 2


def test_amended_events_are_told_by_the_epoch_once_all_are_there(ledger: SqlLedger) -> None:
    ledger.append([accepted_event(each) for each in (FIRST, SECOND)])
    first, second = ledger.read(0)
    moved = first._replace(
        occurred_at=first.occurred_at - 0.5,
        utc_offset=1800,
        skewed=True,
        offset_in_text=True,
        partner="Ä",
        status="x",
    )
    ledger.replay_store.amend([moved], last=False)
    assert (ledger.read(0), ledger.replay_generation()) == ([moved, second], 0)
    ledger.replay_store.amend([], last=True)
    assert ledger.replay_generation() == 1
    ledger.replay_store.amend([], last=True)
    assert ledger.replay_generation() == 1
    ledger.replay_store.amend([second._replace(frequency="24h")], last=True)
    assert (ledger.replay_generation(), ledger.read(1)[0].frequency) == (2, "24h")
    assert ledger.body(1) == accepted_event(FIRST).body


def test_the_commands_work_on_postgresql(postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATAEXPORT_STORE_URL", postgres_url)
    ledger = SqlLedger(postgres_url)
    source = Source("default", "auto", None)
    now = time.time()
    intake = Intake(ledger, 65536)
    intake.ingest(source, body("Completed", vendor_clock(now - HOUR)), now - HOUR)
    intake.ingest(source, body("Completed", vendor_clock(now)).replace(b"Date and Time", b"Timestamp"), now)
    ledger.close()
    monkeypatch.setitem(clevertap.KEY_SPELLINGS, "timestamp", "Date and Time")
    assert run("replay", "--quarantine").stdout == "1 accepted\n"
    assert run("replay", "--rebuild").stdout == "0 of 2 events were changed\n"
    lines = run("events", "--for-replay").stdout
    (tmp_path / "lines").write_text(lines, "utf-8")
    assert [json.loads(line)["source"] for line in lines.splitlines()] == ["default"] * 2
    assert run("replay", "lines").stdout == "2 duplicates\n"
    assert run("mute", "--for", "1h", "--why", "x").exit_code == 0
    (told,) = json.loads(run("mutes", "--json").stdout)
    assert told["decision"] == "muted"
    doctor = run("doctor")
    wrong = [line for line in doctor.stdout.splitlines() if line.startswith("BAD")]
    assert [line for line in wrong if "fsync" not in line] == []  # the server of the tests does not sync
    assert "muted until" in doctor.stdout
    assert "MiB free" not in doctor.stdout
    for command, instead in (("backup", "pg_dump"), ("restore", "pg_restore")):
        assert f"with PostgreSQL, run this instead: {instead} " in error_output(run(command, "file"), 2)


SHOP = Source("shop", "UTC", UTC)


def test_what_cannot_even_be_decoded_any_more_stays_as_it_is(ledger: SqlLedger) -> None:
    ledger.append([accepted_event(FIRST), replace(kept_aside(1), body=b"nonsense")])
    replay = Replay(ledger, ledger.replay_store, {"shop": SHOP})
    (outcome,) = replay.replay_quarantine(QuarantineSelection("shop"), dry_run=False)
    assert outcome.still_quarantined == {"bad_date": 1}
    (kept,) = ledger.quarantine()
    assert kept.detail.startswith("the body is not JSON")
    before = ledger.read(0)
    *_, outcome = replay.rebuild(["shop"], dry_run=False)
    assert (outcome.unchanged, outcome.changed, ledger.replay_generation()) == (1, 0, 0)
    assert ledger.read(0) == before


class Overtaken(SqlReplayStore):
    """Another replay is always a moment faster."""

    def resolve_quarantined(
        self, pairs: Sequence[tuple[QuarantinedBody, Entry]], *, uncount: bool = False
    ) -> list[bool | None]:
        super().resolve_quarantined(pairs, uncount=uncount)
        return super().resolve_quarantined(pairs, uncount=uncount)


def test_what_another_replay_has_taken_is_not_counted(ledger: SqlLedger) -> None:
    whole = body("Completed", "01/06/2026 1:00:00 AM")
    ledger.append([replace(kept_aside(1), body=whole, arrived_at=at("1:00"))])
    archive = ledger.replay_store
    archive.__class__ = Overtaken
    (outcome,) = Replay(ledger, archive, {"shop": SHOP}).replay_quarantine(QuarantineSelection("shop"), dry_run=False)
    assert outcome == ReplayResult()
    assert ledger.last_sequence() == 1


def test_only_the_most_frequent_moves_are_told_one_by_one() -> None:
    moved = Counter({float(seconds): 20 - seconds for seconds in range(12)})
    told = format_rebuild(ReplayResult(changed=30, unchanged=2, moved_by=moved, relabelled=1), dry_run=False)
    lines = told.splitlines()
    assert lines[0] == "30 of 32 events were changed"
    assert lines[1] == "19 by 1 s later"
    assert lines[-2:] == ["and by 2 other spans", "1 got another id, partner, type, status or frequency"]


def test_lines_come_through_a_pipe_as_well(tmp_path: Path) -> None:
    exporter = Exporter(tmp_path)
    SqlLedger(f"sqlite:///{exporter.database}").close()
    line = {
        "source": "default",
        "arrived_at": "2026-06-01T01:00:02Z",
        "body": json.loads(body(when="01/06/2026 1:00:00 AM")),
    }
    ended = subprocess.run(
        [COMMAND, "replay", "-"],
        cwd=tmp_path,
        env=exporter.environment,
        input=json.dumps(line),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (0, "1 accepted\n"), ended
