"""The read-only commands: a table for people, and JSON for programs."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from builders import HOUR, MINUTE, body
from commands import Store, columns, error_output, run
from exporter.ledger.contract import PAGE_SIZE

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.usefixtures("in_a_folder")


def test_nothing_known_yet_is_said(store: Store) -> None:
    assert store.path.exists()
    for command, sentence in {
        "exports": "no export is known yet: none is declared, and no event has arrived\n",
        "events": "no event has arrived yet\n",
        "quarantine": "nothing is in quarantine\n",
        "mutes": "nothing is muted or retired\n",
    }.items():
        assert run(command).stdout == sentence
        assert json.loads(run(command, "--json").stdout) == []
    assert run("sources").stdout.splitlines()[1].split() == ["default", "auto", "0", "0", "0", "never"]


def test_exports_are_listed_with_the_most_urgent_first(store: Store) -> None:
    store.deliver("Completed", 30 * MINUTE, 1, Partner="Azure", Frequency="Daily")
    store.deliver("Initiated", 9 * HOUR, 2)
    heads, late, fine = columns(run("exports"))
    assert heads[:6] == ["STATE", "SOURCE", "EXPORT", "PARTNER", "TYPE", "FREQUENCY"]
    assert heads[6:] == ["LAST STARTED", "LAST COMPLETED", "USUAL RUN", "DEADLINE", "OWNER", "SEVERITY"]
    assert late[:6] == ["never completed", "default", "any", "Amazon S3", "events", "4h"]
    assert (late[6].endswith(" ago"), late[7]) == (True, "never")
    assert late[-2:] == ["4 h 12 min overdue", "warning"]
    assert fine[:6] == ["fine", "default", "any", "Microsoft Azure", "events", "24h"]
    assert (fine[6], fine[7].endswith(" ago")) == ("never", True)
    first, second = json.loads(run("exports", "--json").stdout)
    assert (first["state"], first["partner"], first["completed"]) == ("never completed", "Amazon S3", 0)
    assert (second["state"], second["partner"], second["completed"]) == ("fine", "Microsoft Azure", 1)


def test_filters_may_leave_nothing(store: Store) -> None:
    store.deliver("Completed", 30 * MINUTE, 1, Partner="Azure", Frequency="Daily")
    assert run("exports", "--state", "stuck").stdout == "no export matches\n"
    assert run("exports", "--owner", "nobody").stdout == "no export matches\n"
    assert len(columns(run("exports", "--state", "fine", "--owner", "", "--source", "default"))) == 2
    assert "'lost' is not one of 'never completed', 'overdue'" in error_output(run("exports", "--state", "lost"), 2)


def test_events_are_listed_newest_first(store: Store) -> None:
    for number in range(3):
        store.deliver("Completed", 10 - number, f"id {number}")
    heads, *rows = columns(run("events", "--limit", "2"))
    assert heads[:3] == ["SEQUENCE", "ARRIVED AT", "OCCURRED AT"]
    assert [row[5] for row in rows] == ["id 2", "id 1"]
    rows = json.loads(run("events", "--json", "--source", "default").stdout)
    assert [event["request_id"] for event in rows] == ["id 2", "id 1", "id 0"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", rows[0]["arrived_at"])
    assert rows[0]["utc_offset_seconds"] == 0


def test_sources_are_listed_with_their_counts_and_clocks(tmp_path: Path) -> None:
    store = Store(tmp_path, "Asia/Kolkata")
    for number in range(3):
        store.deliver("Completed", 5, number)
    store.take(b'{"odd": 1}')
    store.take(b'{"odd": 1}')
    store.ledger.close()
    configuration = tmp_path / "dataexport.toml"
    configuration.write_text('[[sources]]\nslug = "default"\ntimezone = "Asia/Kolkata"\n', "utf-8")
    _, (slug, zone, offset, *counts, _) = columns(run("sources", "--config", str(configuration)))
    assert (slug, zone, offset, counts) == ("default", "Asia/Kolkata (suspect)", "+00:00", ["3", "1", "1"])
    (source,) = json.loads(run("sources", "--config", str(configuration), "--json").stdout)
    assert (source["duplicates"], source["quarantined"], source["suspect"]) == (1, {"missing_key": 1}, True)


def test_what_was_not_understood_is_listed_and_cannot_move_the_cursor(store: Store) -> None:
    store.take(body(when=b"\\u001b[2J yesterday".decode("unicode_escape")))
    heads, row = columns(run("quarantine"))
    assert heads == ["SEQUENCE", "ARRIVED AT", "SOURCE", "REASON", "DETAIL"]
    assert row[2:4] == ["default", "unprintable_text"]
    assert "\x1b" not in run("quarantine").stdout
    (row,) = json.loads(run("quarantine", "--json").stdout)
    assert json.loads(row["body"])["Date and Time"] == "\x1b[2J yesterday"
    store.take(b"{}")
    assert len(json.loads(run("quarantine", "--json", "--limit", "1").stdout)) == 1


def test_more_events_than_a_page_are_read(store: Store) -> None:
    assert PAGE_SIZE > 20
    for number in range(21):
        store.deliver("Completed", 5, number)
    assert len(columns(run("events"))) == 1 + 20


def test_a_source_that_does_not_exist_is_wrong_usage_and_the_sources_are_listed(tmp_path: Path) -> None:
    old = Store(tmp_path, slug="old")
    old.deliver("Completed", 5)
    old.ledger.close()
    for options in ((), ("--for-replay",)):
        sentence = error_output(run("events", "--source", "defualt", *options), 2)
        assert "--source: 'defualt' is not a source; the sources are default, old\n" in sentence
    assert run("events", "--source", "default").stdout == "no event of source default has arrived yet\n"
    assert len(columns(run("events", "--source", "old"))) == 2
    assert run("events", "--source", "old", "--for-replay").stdout.count("\n") == 1


def test_a_source_that_is_no_longer_configured_is_named(tmp_path: Path) -> None:
    old = Store(tmp_path, slug="old")
    old.deliver("Completed", 5)
    old.ledger.close()
    _, default, unconfigured = run("sources").stdout.splitlines()
    assert default.split()[:2] == ["default", "auto"]
    assert re.fullmatch(r"old +not configured +\d+ s ago", unconfigured)
    configured, other = json.loads(run("sources", "--json").stdout)
    assert (configured["slug"], configured["configured"]) == ("default", True)
    assert (other["slug"], other["configured"]) == ("old", False)
    assert re.search(
        r"^ok   source old: has events, the newest of \S+Z, but is not con", run("doctor").stdout, re.MULTILINE
    )
