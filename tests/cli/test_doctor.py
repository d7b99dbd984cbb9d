"""What the doctor finds, and what it suggests to declare."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING

import pytest

from builders import DAY, HOUR, body, vendor_clock
from commands import Store, run
from running import wait_until
from running_here import LocalExporter

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.usefixtures("in_a_folder")


def test_the_doctor_finds_nothing_wrong_with_a_healthy_exporter(store: Store) -> None:
    store.deliver("Completed", 5)
    result = run("doctor")
    assert result.exit_code == 0
    findings = result.stdout.partition("\nDeclare these")[0].splitlines()
    assert all(line.startswith("ok  ") for line in findings if line)
    assert "source default: no credential (loopback only), time zone auto" in result.stdout
    assert f"store: sqlite:///{store.path}: 1 event" in result.stdout
    assert "arrivals suggest UTC offset +00:00" in result.stdout
    in_kubernetes = run("doctor", DATAEXPORT_PORT="tcp://10.96.0.1:8080").stdout
    assert "ok   configuration: variables of Kubernetes are ignored: DATAEXPORT_PORT" in in_kubernetes


def test_the_doctor_shows_an_outage_a_silent_source_and_a_detected_export(store: Store, tmp_path: Path) -> None:
    now = time.time()
    store.ledger.record_heartbeat("first", now - 3 * DAY)
    store.ledger.record_heartbeat("second", now - 2 * DAY)
    store.deliver("Initiated", 5 * HOUR)
    store.deliver("Initiated", HOUR)
    configuration = tmp_path / "dataexport.toml"
    configuration.write_text(
        '[[sources]]\nslug = "default"\ntokens = ["a-token-of-the-default"]\n[[sources]]\nslug = "silent"\n', "utf-8"
    )
    output = run("doctor", "--config", str(configuration)).stdout
    assert "outage: no exporter was running for 1 d (from " in output
    assert "ok   source silent: no event yet" in output
    assert "ok   source default: a credential, time zone auto" in output
    assert "request id 1700000001 is an export of its own: Amazon S3, 4h" in output


def test_the_doctor_finds_what_is_wrong(tmp_path: Path) -> None:
    store = Store(tmp_path, "Asia/Kolkata")
    for number in range(3):
        store.deliver("Completed", 5, number, Frequency="One Time", Partner=f"partner {number}")
    store.take(b"{}")
    store.ledger.close()
    configuration = tmp_path / "dataexport.toml"
    configuration.write_text(
        '[limits]\nexports_per_source = 2\n[[sources]]\nslug = "default"\ntimezone = "Asia/Kolkata"\n', "utf-8"
    )
    result = run("doctor", "--config", str(configuration))
    assert result.exit_code == 1
    wrong = [line for line in result.stdout.splitlines() if line.startswith("BAD ")]
    assert len(wrong) == 3
    assert 'timezone = "Asia/Kolkata" contradicts that: set the zone of the project' in wrong[0]
    assert "1 body could not be parsed; see: dataexport-exporter quarantine" in wrong[1]
    assert "source default: 3 exports, more than limits.exports_per_source = 2" in wrong[2]
    assert "Declare these" not in result.stdout


def test_what_the_doctor_suggests_can_be_pasted_and_tells_the_same_exports_apart(store: Store, tmp_path: Path) -> None:
    for hours in (5, 1):
        store.deliver("Initiated", hours * HOUR, 7)
    store.deliver("Initiated", 9 * HOUR, 8)  # its group is the most urgent, but must not come first
    store.deliver("Initiated", HOUR, 9, Type="Profiles")
    store.deliver("Initiated", HOUR, 10, Partner='back\\slash "quoted" ünï 🚀')
    store.deliver("Initiated", HOUR, 11, Partner="x" * 128)
    store.deliver("Initiated", HOUR, 12, Partner="x" * 127 + "y")
    store.deliver("Initiated", HOUR, 13, Frequency="every 90 minutes")
    store.deliver("Initiated", HOUR, 14, Frequency="One Time")
    before = json.loads(run("exports", "--json").stdout)

    configuration = tmp_path / "suggested.toml"
    configuration.write_text(run("doctor").stdout.partition("\n[[exports]]")[2].join(("[[exports]]", "")), "utf-8")
    checked = run("check-config", str(configuration))
    assert checked.exit_code == 0, checked.output
    assert "7 declared exports" in checked.stdout

    after = json.loads(run("exports", "--config", str(configuration), "--json").stdout)
    assert [each for each in after if not each["declared"]] == [each for each in before if not each["recurring"]]

    def summary(states: list[dict[str, object]]) -> list[tuple[object, ...]]:
        names = ("partner", "data_type", "frequency", "interval_seconds", "initiated", "last_initiated")
        return sorted(tuple(str(state[name]) for name in names) for state in states)

    assert summary(after) == summary(before)
    assert "Declare these" not in run("doctor", "--config", str(configuration)).stdout


def test_a_suggested_name_is_not_one_that_is_taken(store: Store, tmp_path: Path) -> None:
    store.deliver("Initiated", HOUR)
    configuration = tmp_path / "dataexport.toml"
    configuration.write_text('[[exports]]\nname = "amazon-s3-events-4h"\nmatch = { request_id = "x" }\n', "utf-8")
    assert 'name = "amazon-s3-events-4h-2"' in run("doctor", "--config", str(configuration)).stdout


def test_the_doctor_finds_bodies_of_a_source_without_any_event_and_forgets_those_that_were_replayed(
    store: Store,
) -> None:
    store.take(b"{}")
    result = run("doctor")
    assert result.exit_code == 1
    assert "BAD  source default: 1 body could not be parsed; see: dataexport-exporter quarantine" in result.stdout
    assert "ok   source default: no event yet" in result.stdout
    elsewhere = Store(store.path.parent, "UTC", "no-longer-configured")
    elsewhere.take(b"{}")
    elsewhere.ledger.close()
    assert "no-longer-configured" not in run("doctor").stdout


def test_the_doctor_finds_a_clock_that_is_behind_what_arrived(store: Store) -> None:
    store.arrive(body("Completed", vendor_clock(time.time())), time.time() + HOUR)
    result = run("doctor")
    assert result.exit_code == 1
    assert "BAD  clock: " in result.stdout
    assert "one of the two is wrong" in result.stdout


def test_the_doctor_shows_the_room_left_and_what_is_hidden_from_a_pager(store: Store) -> None:
    for number, partner in enumerate(("Azure", "S3", "GCS")):
        store.deliver("Completed", 5, number, Partner=partner)
    assert re.search(r"^ok   store: \d+ MiB free in /", run("doctor").stdout, re.MULTILINE)
    assert run("mute", "--partner", "Azure", "--for", "1h", "--by", "Ann", "--why", "moved").exit_code == 0
    assert run("mute", "--partner", "S3", "--for", "1h", "--by", "Ann", "--why", "moved").exit_code == 0
    assert run("retire", "--partner", "S3", "--by", "Bob", "--why", "gone").exit_code == 0
    assert run("retire", "--partner", "GCS", "--by", "Bob", "--why", "gone").exit_code == 0
    store.deliver("Completed", 0, 9, Partner="GCS")
    lines = [line for line in run("doctor").stdout.splitlines() if " by " in line]
    assert [re.sub(r"\d{4}-\S+Z", "…", line) for line in lines] == [
        (
            'ok   muted until … by Ann (moved): --source "default" --export "any" --partner "Microsoft Azure" '
            '--data-type "events" --frequency "4h"'
        ),
        (
            'ok   retired since … by Bob (gone): --source "default" --export "any" --partner "Amazon S3" '
            '--data-type "events" --frequency "4h"'
        ),
    ]


def test_the_doctor_finds_a_backup_that_is_older_than_it_may_be(store: Store) -> None:
    store.deliver("Completed", 5)
    assert "ok   store: no backup is recorded\n" in run("doctor").stdout
    limited = {"DATAEXPORT_STORE_BACKUP_MAX_AGE": "26h"}
    never = run("doctor", **limited)
    assert never.exit_code == 1
    assert "BAD  store: no backup is recorded, and store.backup_max_age is 93600 s: see dataexport-" in never.stdout
    store.ledger.record_backup(time.time() - 27 * HOUR)
    assert "BAD  store: the newest backup is of 2" in run("doctor", **limited).stdout
    store.ledger.record_backup(time.time() - 25 * HOUR)
    assert "ok   store: the newest backup is of 2" in run("doctor", **limited).stdout


def test_the_doctor_names_every_export_that_can_never_be_overdue(store: Store, tmp_path: Path) -> None:
    store.deliver("Completed", 5, 1, Partner="GCS", Frequency="when it suits")
    store.deliver("Completed", 5, 2, Partner="S3", Frequency="One Time")
    configuration = tmp_path / "dataexport.toml"
    configuration.write_text('[[exports]]\nname = "nightly"\nmatch = { request_id = "7" }\n', "utf-8")
    result = run("doctor", "--config", str(configuration))
    assert result.exit_code == 1
    assert [line for line in result.stdout.splitlines() if "no schedule" in line] == [
        (
            'BAD  no schedule, so never overdue; its frequency "when it suits" gives no interval: declare it, with '
            'interval = "24h": --source "default" --export "any" --partner "Google Cloud Storage" --data-type "events" '
            '--frequency "when it suits"'
        ),
        (
            'BAD  no schedule, so never overdue; set interval = "24h" on its [[exports]] entry, or match.frequency = '
            '"one-time" if it has none: --source "default" --export "nightly"'
        ),
    ]


def test_the_doctor_names_a_group_that_more_than_one_export_is_at_work_in(store: Store) -> None:
    for number in range(10):  # an id for each run, each on time
        store.deliver("Completed", number * DAY + (number % 2) * 4 * HOUR, f"single-{number}", Frequency="24h")
    assert run("doctor").exit_code == 0
    for number in range(10):
        store.deliver("Completed", number * DAY + HOUR, f"other-{number}", Frequency="24h")
    result = run("doctor")
    assert result.exit_code == 1
    [wrong] = [line for line in result.stdout.splitlines() if line.startswith("BAD ")]
    assert "10 request ids completed within 5 intervals, so several exports share this deadline" in wrong
    assert 'match = { request_id = "single-0" }' in wrong


def test_the_doctor_names_a_source_of_which_no_event_ever_arrived(store: Store, tmp_path: Path) -> None:
    now = time.time()
    store.ledger.record_declarations([("default", "")], now - 23 * HOUR)
    assert "no event has ever arrived" not in run("doctor").stdout
    store.ledger.record_declarations([("old", "")], now - 26 * HOUR)
    configuration = tmp_path / "dataexport.toml"
    configuration.write_text('[[sources]]\nslug = "old"\n', "utf-8")
    result = run("doctor", "--config", str(configuration))
    assert result.exit_code == 1
    assert "BAD  source old: no event has ever arrived, and it was configured 1 d 2 h ago; create its" in result.stdout


def test_the_doctor_names_a_status_word_that_is_not_known_if_it_came_twice_lately(store: Store) -> None:
    for hours in (40, 29):
        store.deliver("Paused", hours * HOUR, hours)
    assert "an unknown status" not in run("doctor").stdout
    store.deliver("Paused", 60, 1)
    result = run("doctor")
    assert result.exit_code == 1
    assert (
        'BAD  source default: "paused" is an unknown status, and two events with it arrived within the last 1 d 5 h'
    ) in result.stdout


def test_after_a_reload_the_exporter_is_none_with_another_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.server.background.MAINTENANCE_SECONDS", 3600.0)
    declared = '[[exports]]\nname = "nightly"\nmatch = { partner = "Azure" }\ninterval = "24h"\n'
    with LocalExporter(tmp_path, declared) as exporter:
        config = ("--config", str(exporter.config_path))
        exporter.config_path.write_text(declared.replace("nightly", "renamed"), "utf-8")
        assert exporter.admin("/-/reload", "POST").status_code == 200
        wait_until(lambda: "another configuration" not in exporter.run("doctor", *config).stdout, "the new checkpoint")


def test_the_doctor_warns_of_a_database_on_a_network_whose_certificate_is_not_verified(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.cli.doctor.store_url.hosts_not_verified", lambda *_: ["db.example"])
    store.deliver("Completed", 5)
    result = run("doctor")
    assert result.exit_code == 1
    assert "BAD  store: the certificate of db.example is not verified" in result.stdout
    assert "add sslmode=verify-full" in result.stdout
