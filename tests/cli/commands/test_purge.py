"""The command `purge`: previewed, asked about, recorded, noticed by a running exporter, and without an undo."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from builders import DAY, HOUR, MINUTE, body, vendor_clock
from commands import Store, error_output, run
from exporter.domain.exports import Source
from exporter.ledger.access import Access
from exporter.ledger.sql.ledger import SqlLedger
from exporter.projection import baselines
from exporter.projection.fold.source_stats import SourceStats
from running_here import LocalExporter

if TYPE_CHECKING:
    from pathlib import Path

WHY = ("--why", "leaked", "--by", "Ann")


def window(begin: float, end: float) -> str:
    """Return a window that began and ended so many seconds ago."""
    return "..".join(datetime.fromtimestamp(time.time() - ago, UTC).isoformat() for ago in (begin, end))


def purge(since: float, until: float, *options: str, source: str = "default") -> tuple[str, ...]:
    return ("purge", "--source", source, "--received", window(since, until), *WHY, *options)


def exports() -> dict[str, int]:
    return {each["partner"]: each["completed"] for each in json.loads(run("exports", "--json").stdout)}


@pytest.fixture
def leaked(store: Store) -> Store:
    """Let a stranger announce a completion of a real export, an export that does not exist, and nonsense."""
    store.deliver("Completed", 9 * HOUR, Partner="real")
    store.deliver("Completed", 2 * HOUR, Partner="real")
    store.deliver("Initiated", 2 * HOUR, 2, Partner="made up")
    store.arrive(body("Completed", "no date"), time.time() - 2 * HOUR)
    store.deliver("Completed", MINUTE, Partner="real")
    return store


@pytest.mark.usefixtures("leaked")
def test_a_purge_is_previewed_asked_about_recorded_and_done() -> None:
    previewed = run(*purge(3 * HOUR, HOUR, "--dry-run"))
    assert previewed.exit_code == 0, previewed.output
    first, gone, changed, note, backup = previewed.stdout.splitlines()
    assert first == "in the window: 2 events, 1 quarantined and 0 refused bodies"
    assert gone.startswith('disappears: --source "default" --export "any" --partner "made up"')
    assert changed.startswith('changes: --source "default" --export "1700000001" --partner "real"')
    assert "completed 3 -> 2" in changed
    assert note.startswith('note: timezone = "auto"')
    assert backup == "note: there is no undo, so back up the store first"
    without_two = run(*purge(3 * HOUR, 30, "--dry-run")).stdout  # one run is left, so that no id recurs
    assert 'appears: --source "default" --export "any" --partner "real"' in without_two
    before = exports()
    assert before == {"real": 3, "made up": 0}

    declined = run(*purge(3 * HOUR, HOUR))  # nobody answers
    assert declined.exit_code == 1
    assert "Remove this? [y/N]" in declined.stdout
    assert exports() == before
    assert "purged" not in run("doctor").stdout

    assert run(*purge(3 * HOUR, HOUR, "--yes")).stdout.endswith(
        "removed 2 events, 1 quarantined and 0 refused bodies\n"
    )
    assert exports() == {"real": 2}
    doctor = run("doctor").stdout
    assert " by Ann (leaked): source default, received 2" in doctor
    assert "could not be parsed" not in doctor
    assert len(run("events", "--for-replay").stdout.splitlines()) == 2


def test_real_events_of_the_window_come_back_from_a_file(leaked: Store, in_a_folder: Path) -> None:
    lines = run("events", "--for-replay").stdout.splitlines(keepends=True)
    (in_a_folder / "real.jsonl").write_text("".join(line for line in lines if "made up" not in line), "utf-8")
    assert run(*purge(3 * HOUR, HOUR, "--yes")).exit_code == 0
    assert run("replay", "real.jsonl").stdout == "1 accepted\n2 duplicates\n"
    assert exports() == {"real": 3}
    assert leaked.ledger.quarantine_counts() == {}


def test_a_running_exporter_notices_a_purge_and_so_does_the_next_one(tmp_path: Path) -> None:
    with LocalExporter(tmp_path, '[[sources]]\nslug = "shop"\ntimezone = "UTC"\n') as exporter:
        began = time.time()
        exporter.post(body("Completed", vendor_clock(time.time()), 1, Partner="made up"), "shop")
        labels = {"source": "shop", "status": "completed"}
        assert exporter.value("dataexport_webhook_events_total", **labels) == 1
        received = window(time.time() - began + 1, -0.0)
        done = exporter.run(
            "purge",
            *("--config", str(exporter.config_path), "--source", "shop", "--received", received, *WHY, "--yes"),
        )
        assert done.stdout.endswith("removed 1 event, 0 quarantined and 0 refused bodies\n"), done
        for restarted in (False, True):
            if restarted:
                exporter.terminate()
                exporter.start()
            assert exporter.value("dataexport_webhook_events_total", **labels) == 0
            assert exporter.admin("/api/v1/exports").json()["exports"] == []
            assert exporter.admin("/api/v1/events").json()["events"] == []


def test_a_source_on_auto_is_dated_again_without_the_offset_that_the_stranger_settled(in_a_folder: Path) -> None:
    path = in_a_folder / "dataexport.toml"
    path.write_text('[[sources]]\nslug = "shop"\ntimezone = "auto"\n', "utf-8")
    store = Store(in_a_folder, "auto", "shop")
    now = float(int(time.time()))
    for number in range(6):
        at = now - 5 * HOUR + number
        store.arrive(body("Completed", vendor_clock(at), number), at)
    for number in range(6):
        at = now - 2 * HOUR + number
        store.arrive(body("Completed", vendor_clock(at + 45 * MINUTE), 50 + number), at)
    store.arrive(body("Completed", vendor_clock(now - 2 * MINUTE), 99), now - MINUTE)
    wrong = store.ledger.newest(limit=1)[0]
    done = run(*purge(3 * HOUR, HOUR, "--yes", "--config", "dataexport.toml", source="shop"))
    assert 'timezone = "auto": what the source received since then is dated again' in done.stdout
    (right,) = store.ledger.newest(limit=1)
    assert (wrong.utc_offset, right.utc_offset) == (45 * MINUTE, 0)
    assert right.occurred_at == now - 2 * MINUTE
    store.ledger.close()


def test_the_preview_says_what_pruning_left_nothing_to_purge_of(leaked: Store) -> None:
    (old, *_) = leaked.ledger.read(0)
    stats = SourceStats()
    stats.add(old)
    rows = {baselines.source_row_key("default"): baselines.encode_source_stats(stats)}
    store = leaked.ledger.checkpoints
    assert store.prune(store.pruning_state(), [old.sequence], rows, 99, lambda *_: False)
    note = "note: store.retention has pruned events of this source that arrived until 2"
    assert note in run(*purge(10 * HOUR, HOUR, "--dry-run")).stdout
    assert note not in run(*purge(8 * HOUR, HOUR, "--dry-run")).stdout


def test_a_purge_that_was_killed_is_finished_by_the_same_one(leaked: Store) -> None:
    ledger = SqlLedger(f"sqlite:///{leaked.path}", access=Access.WRITE)
    generation = ledger.replay_generation()
    before = time.time()
    run(*purge(3 * HOUR, HOUR, "--yes"))
    assert ledger.replay_generation() == generation + 1
    assert run(*purge(3 * HOUR, HOUR, "--yes")).stdout.startswith("in the window: 0 events")
    assert ledger.replay_generation() == generation + 2
    assert all(decision.decided_at >= before - DAY for decision in ledger.decisions())
    ledger.close()


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("received", "problem"),
    [
        ("2026-01-01T00:00Z", "is not a window; give one such as 2026-06-01T16:00Z..2026-06-01T18:30Z"),
        ("2020-01-01T00:00Z..yesterday", "'yesterday' is not a date and time"),
        ("2020-01-02T00:00Z..2020-01-01T00:00Z", "ends before it begins; give the earlier time first"),
        ("2020-01-02T00:00Z..2999-01-01T00:00Z", "ends in the future"),
    ],
)
def test_a_window_has_two_ends_in_order_that_are_over(received: str, problem: str) -> None:
    output = error_output(run("purge", "--source", "default", "--received", received, *WHY), 2)
    assert problem in " ".join(output.split())


@pytest.mark.usefixtures("store")
def test_only_a_configured_source_is_purged() -> None:
    output = error_output(run(*purge(2, 1, source="shoop")), 2)
    assert "--source: 'shoop' is not a source; the sources are default" in output
    assert Source("default").zone is None
