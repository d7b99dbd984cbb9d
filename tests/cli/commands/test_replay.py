"""`replay`: what is understood later is as if it had been at once, and a corrected zone reaches old events."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner

from builders import HOUR, MINUTE, body, vendor_clock
from commands import Store, error_output, run
from exporter.cli.main import main
from exporter.ingest.replay import Replay
from exporter.ingest.vendors import clevertap
from exporter.ledger.replay_store import ArrivalPosition, all_with_bodies
from running import Exporter, wait_until
from running_here import LocalExporter

if TYPE_CHECKING:
    from pathlib import Path

KOLKATA = ZoneInfo("Asia/Kolkata")
ZONED = '[[sources]]\nslug = "shop"\ntimezone = "{}"\n'


def mutated(sent: bytes) -> bytes:
    """The same with a spelling of a key that cannot be parsed."""
    return sent.replace(b'"Date and Time"', b'"Timestamp"')


def mend(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the parser know the other spelling."""
    monkeypatch.setitem(clevertap.KEY_SPELLINGS, "timestamp", "Date and Time")


def a_history(now: float) -> list[tuple[float, bytes]]:
    """Arrivals and bodies of two exports, one of which misses a run and is detected."""
    events = []
    for hours in (30, 26, 14, 10, 6, 2):
        begun = now - hours * HOUR
        events += [(begun, "Initiated", 1), (begun + 10 * MINUTE, "Completed", 1)]
    events += [(now - hours * HOUR, "Completed", 900 + hours) for hours in (25, 1)]
    events.append((now - 3 * HOUR, "Failed", 2))
    return [
        (moment + 2, body(status, vendor_clock(moment), number, Partner="Azure" if number > 2 else "S3"))
        for moment, status, number in sorted(events)
    ]


def exports(*options: str) -> list[dict[str, Any]]:
    states: list[dict[str, Any]] = json.loads(run("exports", "--json", *options).stdout)
    return states


@pytest.mark.parametrize("zone", ["UTC", "auto"])
def test_bodies_understood_after_a_fix_are_as_if_they_had_been_at_once(
    tmp_path: Path, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    history = a_history(time.time())
    for name in ("a", "b"):
        folder = tmp_path / name
        (folder / "dataexport.toml").write_text(f'[[sources]]\nslug = "default"\ntimezone = "{zone}"\n', "utf-8")
        store = Store(folder, zone)
        for number, (arrived_at, sent) in enumerate(history):
            # In the one, half of the bodies come in a form that nobody knows yet.
            store.arrive(mutated(sent) if name == "b" and number % 2 else sent, arrived_at)
        store.ledger.close()
    config = ("--config", "dataexport.toml")
    monkeypatch.chdir(tmp_path / "a")
    expected = exports(*config)
    monkeypatch.chdir(tmp_path / "b")
    assert exports(*config) != expected

    nothing = run("replay", "--quarantine", *config)
    assert (nothing.exit_code, nothing.stdout) == (0, f"{len(history) // 2} could not be parsed: missing_key\n")
    assert exports(*config) != expected

    mend(monkeypatch)
    tried = run("replay", "--quarantine", "--dry-run", *config)
    assert tried.stdout == f"{len(history) // 2} would be accepted\n"
    assert exports(*config) != expected
    done = run("replay", "--quarantine", *config)
    assert done.stdout == f"{len(history) // 2} accepted\n"
    assert exports(*config) == expected
    assert run("quarantine", *config).stdout == "nothing is in quarantine\n"
    (source,) = json.loads(run("sources", "--json", *config).stdout)
    assert source["quarantined"] == {"missing_key": len(history) // 2}  # a counter goes on
    assert run("replay", "--quarantine", *config).stdout == "nothing to replay\n"
    assert run("doctor", *config).exit_code == 0


def of_exports(exporter: LocalExporter) -> str:
    """The part of a scrape that is about exports."""
    return exporter.scrape().partition("# HELP dataexport_webhook")[0]


def test_a_running_exporter_shows_what_was_replayed_as_if_it_had_been_understood_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    now = time.time()
    sent = [
        (body("Initiated", vendor_clock(now - 9 * HOUR)), body("Completed", vendor_clock(now - 8 * HOUR))),
        (body("Initiated", vendor_clock(now - HOUR)), body("Completed", vendor_clock(now))),
    ]
    toml = ZONED.format("UTC")
    with LocalExporter(tmp_path / "a", toml) as at_once, LocalExporter(tmp_path / "b", toml) as later:
        for understood, not_yet in sent:
            for each in (understood, not_yet):
                at_once.post(each, "shop")
            later.post(understood, "shop")
            assert later.post(mutated(not_yet), "shop").json()["quarantined"] == 1
        assert of_exports(later) != of_exports(at_once)
        monkeypatch.chdir(tmp_path / "b")
        mend(monkeypatch)
        assert run("replay", "--quarantine", "--config", "dataexport.toml").stdout == "2 accepted\n"
        accepted_event = "dataexport_last_received_timestamp_seconds"
        one, other = (
            [line for line in of_exports(each).splitlines() if accepted_event not in line] for each in (later, at_once)
        )
        assert one == other
        assert later.value("dataexport_webhook_quarantined_total", source="shop", reason="missing_key") == 2
        assert later.value("dataexport_webhook_events_total", source="shop", status="completed") == 2


def test_what_stays_in_quarantine_has_its_new_reason(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.take(mutated(body("Completed", "yesterday")))
    store.take(b'{"odd": 1}')
    mend(monkeypatch)
    assert (
        run("replay", "--quarantine").stdout == "1 could not be parsed: bad_date\n1 could not be parsed: missing_key\n"
    )
    first, second = json.loads(run("quarantine", "--json").stdout)
    assert (first["reason"], second["reason"]) == ("missing_key", "bad_date")
    assert "expected as in" in second["detail"]


def test_only_one_source_or_one_reason_is_replayed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "dataexport.toml"
    path.write_text('[[sources]]\nslug = "a"\n[[sources]]\nslug = "b"\n', "utf-8")
    monkeypatch.chdir(tmp_path)
    for slug in ("a", "b", "forgotten"):
        store = Store(tmp_path, "UTC", slug)
        store.take(mutated(body("Completed", "01/06/2026 1:00:00 AM")))
        store.take(body("Completed", "yesterday"))
        store.ledger.close()
    mend(monkeypatch)
    config = ("--config", str(path))
    assert run("replay", "--quarantine", "--source", "b", "--reason", "bad_date", *config).stdout == (
        "1 could not be parsed: bad_date\n"
    )
    assert run("replay", "--quarantine", "--source", "b", "--reason", "missing_key", *config).stdout == "1 accepted\n"
    assert run("replay", "--quarantine", *config).stdout == "1 accepted\n2 could not be parsed: bad_date\n"
    assert len(json.loads(run("quarantine", "--json", *config).stdout)) == 4  # two of a source that is not there


def test_what_came_again_in_the_meantime_is_a_duplicate(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = body("Completed", vendor_clock(time.time()))
    store.take(mutated(sent))
    store.take(sent)
    mend(monkeypatch)
    assert run("replay", "--quarantine").stdout == "1 duplicates\n"
    (source,) = json.loads(run("sources", "--json").stdout)
    assert source["duplicates"] == 1


def test_two_replays_at_the_same_time_take_each_body_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.take(mutated(body("Completed", vendor_clock(time.time()))))
    mend(monkeypatch)
    (old,) = store.ledger.quarantine()
    replay = Replay(store.ledger, store.ledger.replay_store, {"default": store.source})
    outcome = replay.reinterpret(old)
    assert store.ledger.replay_store.resolve_quarantined([(old, outcome)]) == [True]
    assert store.ledger.replay_store.resolve_quarantined([(old, outcome)]) == [None]
    assert store.ledger.last_sequence() == 1


def a_ledger_of_two_sources(folder: Path) -> list[tuple[str, float, str]]:
    """A configuration with two sources and their events; those as (source, arrival, id)."""
    (folder / "dataexport.toml").write_text(ZONED.format("Asia/Kolkata") + '[[sources]]\nslug = "quiet"\n', "utf-8")
    now = time.time()
    for slug in ("shop", "quiet"):
        store = Store(folder, "Asia/Kolkata" if slug == "shop" else "auto", slug)
        for number, (arrived_at, sent) in enumerate(a_history(now)):
            store.arrive(sent.replace(b"{", b"{\r\n ", 1) if number % 2 else sent, arrived_at)
        stored = [(e.source, e.arrived_at, e.request_id) for e in store.ledger.newest(None, 1000)]
        store.ledger.close()
    return stored


def test_events_written_as_lines_are_the_same_events_in_another_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    monkeypatch.chdir(tmp_path / "a")
    config = ("--config", str(tmp_path / "a" / "dataexport.toml"))
    stored = a_ledger_of_two_sources(tmp_path / "a")
    expected = exports(*config)
    lines = run("events", "--for-replay", *config).stdout
    assert lines.count("\n") == len(stored)
    only = run("events", "--for-replay", "--source", "quiet", *config).stdout
    assert only == "".join(line for line in lines.splitlines(keepends=True) if '"quiet"' in line)
    (tmp_path / "lines").write_text(lines, "utf-8")

    monkeypatch.chdir(tmp_path)
    Store(tmp_path).ledger.close()
    assert (
        run("replay", "--source", "quiet", *config, str(tmp_path / "lines")).stdout == f"{len(stored) // 2} accepted\n"
    )
    again = CliRunner().invoke(main, ["replay", "-", *config], input=lines)
    assert again.stdout == f"{len(stored) // 2} accepted\n{len(stored) // 2} duplicates\n"
    assert exports(*config) == expected
    imported = Store(tmp_path)
    assert sorted((e.source, e.arrived_at, e.request_id) for e in imported.ledger.newest(None, 1000)) == sorted(stored)
    imported.ledger.close()


def test_every_bad_line_is_told_with_its_number_and_nothing_else_is_lost(store: Store, tmp_path: Path) -> None:
    def line(**changes: object) -> str:
        good = {"source": "default", "arrived_at": time.time(), "body": json.loads(body())}
        return json.dumps(good | changes)

    when = [json.loads(body(when=f"01/06/2026 {hour}:00:00 AM")) for hour in (1, 2, 3)]
    lines = [
        line(body=when[0]),
        "nonsense",
        "",
        line(source="elsewhere"),
        line(arrived_at=time.time() + HOUR),
        line(arrived_at="2026-06-01T03:00:00Z", body=when[1]),
        line(body={"odd": 1}),
        line(body={"is_test": True}),
        line(arrived_at="soon"),
        line(body=when[2]),
    ]
    (tmp_path / "lines").write_text("\n".join(lines), "utf-8")
    result = run("replay", "lines")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "3 accepted",
        "1 test calls",
        "4 bad lines",
        "1 could not be parsed: missing_key",
    ]
    errors = result.stderr.splitlines()
    assert [each.partition(":")[0] for each in errors] == ["line 2", "line 4", "line 5", "line 9"]
    assert "its source 'elsewhere' is not a source; the sources are default" in errors[1]
    assert "is in the future" in errors[2]
    assert store.ledger.last_sequence() == 3
    assert store.ledger.newest()[-1].arrived_at < store.ledger.newest()[0].arrived_at


def test_a_corrected_zone_reaches_old_events_of_a_running_exporter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong, right = ZONED.format("UTC"), ZONED.format("Asia/Kolkata")
    now = time.time()
    bodies = [
        body(status, vendor_clock(now - ago, KOLKATA), number)
        for ago, status, number in ((90, "Initiated", 1), (30, "Completed", 1), (20, "Initiated", 2))
    ]
    (tmp_path / "wrong").mkdir()
    (tmp_path / "right").mkdir()
    with Exporter(tmp_path / "wrong", wrong) as exporter, LocalExporter(tmp_path / "right", right) as model:
        for each in bodies:
            exporter.post(each, "shop")
            model.post(each, "shop")
        assert exporter.value("dataexport_webhook_skewed_total", source="shop") == 3
        exporter.config_path.write_text(right, "utf-8")
        assert exporter.admin("/-/reload", "POST").status_code == 200
        by_start_or_arrival = ("last_received", "last_accepted", "requests", "delay", "source_configured")

        def shown(each: Exporter) -> list[str]:
            text = each.scrape().partition("# HELP dataexport_webhook_requests")[0]
            return [line for line in text.splitlines() if not any(word in line for word in by_start_or_arrival)]

        assert shown(exporter) != shown(model)
        monkeypatch.chdir(tmp_path / "wrong")
        config = ("--config", "dataexport.toml")
        tried = run("replay", "--rebuild", "--dry-run", *config).stdout
        assert tried.splitlines()[0] == "3 of 3 events would change"
        assert sorted(line.partition(" by ")[2][-7:] for line in tried.splitlines()[1:]) == ["earlier"] * 3
        assert shown(exporter) != shown(model)
        assert run("replay", "--rebuild", *config).stdout.splitlines()[0] == "3 of 3 events were changed"
        wait_until(lambda: shown(exporter) == shown(model), "what the exporter shows is as if the zone had been right")
        assert run("replay", "--rebuild", *config).stdout == "0 of 3 events were changed\n"
        exporter.kill()
        exporter.start()
        assert shown(exporter) == shown(model)


def test_a_rebuild_on_auto_settles_as_at_first(store: Store, tmp_path: Path) -> None:
    store.ledger.close()
    auto = Store(tmp_path, "auto")
    now = time.time()
    for number in range(12):
        moment = now - (20 - number) * HOUR
        late = 20 * MINUTE if number in {7, 9} else 2
        auto.arrive(body("Completed", vendor_clock(moment, KOLKATA), number), moment + late)
    before = auto.ledger.read(0)
    assert {event.utc_offset for event in before} == {19800}
    assert run("replay", "--rebuild").stdout == "0 of 12 events were changed\n"
    config = tmp_path / "c.toml"
    config.write_text(ZONED.format("UTC").replace("shop", "default"), "utf-8")
    changed = run("replay", "--rebuild", "--config", str(config)).stdout
    assert changed.splitlines()[0] == "12 of 12 events were changed"
    assert auto.ledger.replay_generation() == 1
    assert all(event.skewed for event in auto.ledger.read(0))
    assert run("replay", "--rebuild").stdout.startswith("12 of 12 events were changed\n")
    assert auto.ledger.read(0) == before
    assert auto.ledger.replay_generation() == 2
    auto.ledger.close()


def test_a_new_parser_renames_old_events_and_one_that_understands_less_leaves_them(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.deliver("Completed", 60, 1, Partner="Bucket Co")
    store.deliver("Completed", 50, 2)
    monkeypatch.setitem(clevertap.PARTNERS, "bucket co", "Bucket Company")
    tried = run("replay", "--rebuild", "--dry-run").stdout
    assert tried == "1 of 2 events would change\n1 would get another id, partner, type, status or frequency\n"
    done = run("replay", "--rebuild").stdout
    assert done == "1 of 2 events were changed\n1 got another id, partner, type, status or frequency\n"
    assert {event.partner for event in store.ledger.read(0)} == {"Bucket Company", "Amazon S3"}
    assert {state["partner"] for state in exports()} == {"Bucket Company", "Amazon S3"}
    monkeypatch.setattr(clevertap, "KEY_SPELLINGS", {})
    monkeypatch.setattr(clevertap, "_DOCUMENTED", frozenset())
    assert run("replay", "--rebuild").stdout == "0 of 2 events were changed\n"


def test_a_rebuild_that_was_cut_off_is_told_to_readers_by_the_next_one(store: Store) -> None:
    store.deliver("Completed", 60, 1)
    (stored,) = list(all_with_bodies(store.ledger.replay_store, "default"))
    amended = stored.event._replace(utc_offset=3600)
    store.ledger.replay_store.amend([amended], last=False)
    assert store.ledger.replay_generation() == 0
    store.ledger.replay_store.amend([amended], last=False)
    store.ledger.replay_store.amend([], last=True)
    assert store.ledger.replay_generation() == 1
    store.ledger.replay_store.amend([], last=True)
    assert store.ledger.replay_generation() == 1
    assert store.ledger.read(0) == [amended]


def test_bodies_are_read_in_pages_in_the_order_of_arrival(store: Store) -> None:
    now = time.time()
    for ago in (10, 30, 20, 20.5):
        store.arrive(body("Completed", vendor_clock(now - ago), int(ago * 10)), now - ago)
    archive = store.ledger.replay_store
    page = archive.read_with_bodies("default", ArrivalPosition(), 3)
    assert [each.event.request_id for each in page] == ["300", "205", "200"]
    assert [
        each.event.request_id
        for each in archive.read_with_bodies("default", ArrivalPosition.of_event(page[-1].event), 3)
    ] == ["100"]
    assert [event.request_id for event in archive.newest_before("default", now - 20.2, 5)] == ["300", "205"]
    assert [event.request_id for event in archive.newest_before("default", now, 2)] == ["200", "100"]
    assert (archive.count_events("default"), archive.count_events("elsewhere")) == (4, 0)


@pytest.mark.parametrize(
    ("options", "said_then"),
    [
        ((), "give one of FILE, --quarantine and --rebuild"),
        (("--quarantine", "--rebuild"), "give one of FILE, --quarantine and --rebuild"),
        (("-", "--rebuild"), "give one of FILE, --quarantine and --rebuild"),
        (("--rebuild", "--reason", "bad_date"), "--reason goes with --quarantine"),
        (("-", "--dry-run"), "--dry-run goes with --quarantine or --rebuild"),
        (("missing.jsonl",), "No such file"),
        (("--rebuild", "--source", "elsewhere"), "--source: 'elsewhere' is not a source; the sources are default"),
    ],
)
def test_wrong_usage_is_told(store: Store, options: tuple[str, ...], said_then: str) -> None:
    assert store.path.exists()
    assert said_then in error_output(run("replay", *options), 2)
