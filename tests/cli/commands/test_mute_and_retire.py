"""Mutes and retirements: a log that is only added to, and a running exporter that heeds it at its next scrape."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING

import pytest

from builders import HOUR, MINUTE, body, vendor_clock
from commands import Store, error_output, run
from configurations import NIGHTLY, SHOP
from exporter.domain.decisions import MUTE, RETIRE, UNMUTE, UNRETIRE, ActiveDecisions, Decision
from exporter.domain.exports import ExportKey
from running import wait_until
from running_here import LocalExporter

if TYPE_CHECKING:
    from pathlib import Path


KEY = ExportKey("shop", "group", "any", "amazon s3", "events", "4h")
OTHER = ExportKey("shop", "declared", "nightly")
WHY = ("--why", "moved")

CONFIGURATION = SHOP + NIGHTLY
LABELS = {"source": "shop", "export": "any", "partner": "Amazon S3", "data_type": "events", "frequency": "4h"}


def decisions_in_effect(*decisions: Decision) -> ActiveDecisions:
    made = ActiveDecisions()
    made.apply(decisions)
    return made


def decided(kind: str, at: float, until: float = 0, key: ExportKey = KEY) -> Decision:
    return Decision(kind, key, at, until, "me", "because")


def test_the_newest_mute_holds_until_its_time_or_an_unmute() -> None:
    first, second = decided(MUTE, 1, 100), decided(MUTE, 2, 50)
    assert decisions_in_effect(first).active_mutes(99) == [first]
    assert decisions_in_effect(first).active_mutes(100) == []
    assert decisions_in_effect(first, second).active_mutes(10) == [second]
    assert decisions_in_effect(first, decided(UNMUTE, 3)).active_mutes(10) == []
    assert decisions_in_effect(decided(UNMUTE, 3), first).active_mutes(10) == [first]
    assert decisions_in_effect(first, decided(MUTE, 1, 60, OTHER), decided(UNMUTE, 3, key=OTHER)).active_mutes(10) == [
        first
    ]


def test_a_retirement_holds_until_it_is_taken_back() -> None:
    first, second = decided(RETIRE, 10), decided(RETIRE, 20)
    assert decisions_in_effect().last_retired_at(KEY) == 0
    assert decisions_in_effect(first, second).last_retired_at(KEY) == 20
    assert decisions_in_effect(first, second).last_retired_at(OTHER) == 0
    assert decisions_in_effect(first, second, decided(UNRETIRE, 30)).latest_retirements() == [first]
    assert decisions_in_effect(first, decided(UNRETIRE, 30), decided(UNRETIRE, 31)).latest_retirements() == []


def test_what_is_taken_says_which_exports_it_is_about() -> None:
    made = ActiveDecisions()
    assert made.apply([decided(MUTE, 1, 9), decided(RETIRE, 2, key=OTHER)]) == {KEY, OTHER}
    assert made.apply([]) == set()


def test_a_mute_is_seen_by_a_running_exporter_at_its_next_scrape_and_survives_a_restart(tmp_path: Path) -> None:
    with LocalExporter(tmp_path, CONFIGURATION) as exporter:
        config = ("--config", str(exporter.config_path))
        exporter.post(body("Initiated", vendor_clock(time.time() - 9 * HOUR)), "shop")
        assert exporter.value("dataexport_muted", **LABELS) == 0
        choice = ("--partner", "s3", "--frequency", "Every 4 hours", "--by", "Ann <b>", "--why", "bucket <moves>")
        done = exporter.run("mute", *config, *choice, "--for", "2h")
        assert done.returncode == 0, done
        assert re.match(r"muted until \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ: --source \"shop\" --export \"any\"", done.stdout)
        assert exporter.value("dataexport_muted", **LABELS) == 1
        assert exporter.value("dataexport_initiated_total", **LABELS) == 1
        page = exporter.admin("/").text
        assert re.search(r"ends <time [^<]*</time>, by <bdi>Ann &lt;b&gt;</bdi>: <bdi>bucket &lt;moves&gt;</bdi>", page)
        (state,) = exporter.admin("/api/v1/exports", params={"state": "muted"}).json()["exports"]
        assert (state["muted_by"], state["muted_why"]) == ("Ann <b>", "bucket <moves>")
        assert time.time() + HOUR < state["muted_until_seconds"] < time.time() + 3 * HOUR
        exporter.terminate()
        exporter.start()
        assert exporter.value("dataexport_muted", **LABELS) == 1
        (row,) = json.loads(exporter.run("mutes", *config, "--json").stdout)
        assert (row["decision"], row["export"], row["by"], row["why"]) == ("muted", "any", "Ann <b>", "bucket <moves>")
        assert exporter.run("unmute", *config, "--partner", "s3", "--why", "done").returncode == 0
        assert exporter.value("dataexport_muted", **LABELS) == 0
        assert exporter.run("mutes", *config).stdout == "nothing is muted or retired\n"


def test_a_mute_ends_by_itself(tmp_path: Path) -> None:
    with LocalExporter(tmp_path, CONFIGURATION) as exporter:
        exporter.post(body("Initiated", vendor_clock(time.time())), "shop")
        exporter.scrape()
        for until in ("2s", "8s", "32s"):  # a busy machine may look when the first is over already
            exporter.run("mute", "--config", str(exporter.config_path), "--partner", "s3", "--for", until, *WHY)
            if exporter.value("dataexport_muted", **LABELS) == 1:
                break
        else:
            pytest.fail("it was never muted")
        wait_until(lambda: exporter.value("dataexport_muted", **LABELS) == 0, "the mute ends")


def test_a_retired_export_is_gone_until_an_event_arrives(tmp_path: Path) -> None:
    with LocalExporter(tmp_path, CONFIGURATION) as exporter:
        config = ("--config", str(exporter.config_path))
        first = body("Completed", vendor_clock(time.time() - 9 * HOUR), 1)
        exporter.post(first, "shop")
        assert exporter.value("dataexport_completed_total", **LABELS) == 1
        done = exporter.run("retire", *config, "--partner", "s3", "--why", "moved")
        assert done.returncode == 0, done
        assert exporter.value("dataexport_completed_total", **LABELS) is None
        assert 'partner="Amazon S3"' not in exporter.scrape()
        assert exporter.admin("/api/v1/exports").json()["total"] == 1
        exporter.terminate()
        exporter.start()
        assert 'partner="Amazon S3"' not in exporter.scrape()
        (row,) = json.loads(exporter.run("mutes", *config, "--json").stdout)
        assert (row["decision"], row["state"], row["why"]) == ("retired", "active", "moved")
        # A duplicate does not end the retirement.
        assert exporter.post(first, "shop").json()["duplicates"] == 1
        assert 'partner="Amazon S3"' not in exporter.scrape()
        exporter.post(body("Completed", vendor_clock(time.time()), 2), "shop")
        assert exporter.value("dataexport_completed_total", **LABELS) == 2
        assert exporter.run("mutes", *config).stdout == "nothing is muted or retired\n"


def test_a_retirement_can_be_taken_back(tmp_path: Path) -> None:
    with LocalExporter(tmp_path, CONFIGURATION) as exporter:
        config = ("--config", str(exporter.config_path))
        exporter.post(body("Completed", vendor_clock(time.time() - 9 * HOUR)), "shop")
        before = exporter.scrape().partition("# HELP dataexport_webhook")[0]
        assert exporter.run("retire", *config, "--partner", "s3", *WHY).returncode == 0
        assert exporter.run("retire", *config, "--partner", "s3", *WHY).returncode == 1
        assert exporter.run("retire", *config, "--partner", "s3", "--undo", *WHY).returncode == 0
        assert exporter.scrape().partition("# HELP dataexport_webhook")[0] == before
        assert exporter.run("retire", *config, "--partner", "s3", "--undo", *WHY).returncode == 1


def test_a_declared_export_can_be_muted_in_both_ways_and_not_be_retired(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "dataexport.toml"
    declared = '[[exports]]\nname = "nightly"\nmatch = { partner = "Azure" }\ninterval = "24h"\n'
    path.write_text(declared + "muted_until = 2999-01-01T00:00:00Z\n", "utf-8")
    config = ("--config", str(path))
    (state,) = json.loads(run("exports", *config, "--json").stdout)
    assert (state["muted"], state["muted_by"], state["muted_until"]) == (
        True,
        "the configuration",
        "2999-01-01T00:00:00Z",
    )
    assert run("mute", *config, "--export", "nightly", "--for", "1h", *WHY).exit_code == 0
    (state,) = json.loads(run("exports", *config, "--json").stdout)
    assert state["muted_by"] == "the configuration"
    path.write_text(declared, "utf-8")
    (state,) = json.loads(run("exports", *config, "--json").stdout)
    assert (state["muted"], state["muted_why"], state["state"]) == (True, "moved", "muted")
    sentence = error_output(run("retire", *config, "--export", "nightly", *WHY), 1)
    assert sentence.startswith("error: 'nightly' is declared in the configuration")
    assert len(store.ledger.decisions()) == 1


def test_several_that_fit_are_listed_and_nothing_is_decided(store: Store) -> None:
    store.deliver("Initiated", MINUTE, 1)
    store.deliver("Initiated", MINUTE, 2, Partner="Azure")
    sentence = error_output(run("mute", "--source", "default", "--for", "1h", *WHY), 1)
    assert sentence.splitlines() == [
        "error: more than one export matches; narrow it by --source, --export, --partner, --data-type, --frequency:",
        '  --source "default" --export "any" --partner "Amazon S3" --data-type "events" --frequency "4h"',
        '  --source "default" --export "any" --partner "Microsoft Azure" --data-type "events" --frequency "4h"',
    ]
    sentence = error_output(run("mute", "--partner", "elsewhere", "--for", "1h", *WHY), 1)
    assert sentence.startswith("error: no export matches; these exist:\n")
    sentence = error_output(run("unmute", "--partner", "Azure", *WHY), 1)
    assert sentence.startswith('error: not muted: --source "default" --export "any" --partner "Microsoft Azure"')
    assert error_output(run("unmute", *WHY), 1) == "error: no export matches; none exists yet\n"
    assert store.ledger.decisions() == []
    for number in range(25):
        store.deliver("Initiated", MINUTE, 1, Partner=f"partner {number}")
    assert error_output(run("mute", "--for", "1h", *WHY), 1).endswith("  … and 7 more\n")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--for", "1h"), "--why is missing: The reason"),
        (("--why", "x"), "--for, --until: give either for how long, such as 8h, or until when, such as"),
        (("--for", "1h", "--until", "2999-01-01", "--why", "x"), "--for, --until: give either for how long"),
        (
            ("--until", "2020-01-01", "--why", "x"),
            "the mute would end at 2020-01-01 00:00 UTC, which is in the past; give a later time",
        ),
        (("--for", "0s", "--why", "x"), "which is in the past; give a later time"),
        (("--for", "long", "--why", "x"), "'long' is not a duration; give one such as 5h30m, 90m or 20s"),
        (("--until", "soon", "--why", "x"), "is not a date and time; give one such as"),
        (("--for", "1h", "--why", " "), "give 1 to 512 printable characters"),
        (("--for", "1h", "--why", "x" * 513), "give 1 to 512 printable characters"),
        (("--for", "1h", "--why", "x", "--by", "\x1b"), "give 1 to 512 printable characters"),
    ],
)
def test_what_is_missing_or_wrong_is_named(store: Store, options: tuple[str, ...], sentence: str) -> None:
    assert store.path.exists()
    assert sentence in error_output(run("mute", *options), 2)


def test_the_login_name_stands_for_who_decides_and_is_asked_for_where_there_is_none(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.deliver("Initiated", MINUTE, 1)
    monkeypatch.setenv("LOGNAME", "ann")
    assert run("mute", "--until", "2999-01-01", *WHY).exit_code == 0
    (decision,) = store.ledger.decisions()
    assert (decision.by, decision.until) == ("ann", 32472144000)


def test_a_user_without_a_name_has_to_say_who_decides(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.deliver("Initiated", MINUTE, 1)
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 54321)  # as in a container
    assert "--by: this user has no name; say who decides" in error_output(run("mute", "--for", "1h", *WHY), 2)
    assert run("mute", "--for", "1h", "--by", "Ann", *WHY).exit_code == 0


def test_a_mute_of_the_configuration_is_listed_and_unmute_says_where_it_is(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "dataexport.toml"
    declared = '[[exports]]\nname = "nightly"\nmatch = { partner = "Azure", data_type = "Events" }\ninterval = "24h"\n'
    path.write_text(declared + "muted_until = 2999-01-01T00:00:00Z\n", "utf-8")
    config = ("--config", str(path))
    (row,) = json.loads(run("mutes", *config, "--json").stdout)
    assert (row["decision"], row["export"]) == ("muted", "nightly")
    assert (row["partner"], row["data_type"]) == ("Microsoft Azure", "events")
    assert (row["until"], row["by"]) == ("2999-01-01T00:00:00Z", "the configuration")
    sentence = error_output(run("unmute", *config, "--export", "nightly", *WHY), 1)
    assert sentence.startswith(
        "error: muted until 2999-01-01 00:00 UTC by muted_until in the configuration: change it there: --"
    )
    assert store.ledger.decisions() == []


def test_a_second_unmute_says_that_the_export_is_not_muted(store: Store) -> None:
    store.deliver("Initiated", MINUTE, 1)
    assert run("mute", "--partner", "s3", "--for", "1h", *WHY).exit_code == 0
    assert run("unmute", "--partner", "s3", *WHY).exit_code == 0
    assert error_output(run("unmute", "--partner", "s3", *WHY), 1).startswith("error: not muted: --source")


def test_a_mute_follows_a_declaration_that_is_renamed_or_is_reported_as_left_behind(
    store: Store, tmp_path: Path
) -> None:
    assert store.path.exists()
    path = tmp_path / "dataexport.toml"
    declaration = '[[exports]]\nname = "{}"\nmatch = {{ partner = "{}" }}\ninterval = "24h"\n'
    config = ("--config", str(path))
    path.write_text(declaration.format("nightly", "Azure"), "utf-8")
    assert run("mute", *config, "--export", "nightly", "--for", "1h", *WHY).exit_code == 0

    path.write_text(declaration.format("renamed", "azure"), "utf-8")
    (row,) = json.loads(run("mutes", *config, "--json").stdout)
    assert (row["decision"], row["export"]) == ("muted", "renamed")
    (state,) = json.loads(run("exports", *config, "--json").stdout)
    assert (state["export"], state["muted"]) == ("renamed", True)

    two = declaration.format("one", "azure") + declaration.format("two", "azure")
    for toml in (declaration.format("another", "Amazon S3"), two):
        path.write_text(toml, "utf-8")
        (row,) = json.loads(run("mutes", *config, "--json").stdout)
        assert (row["decision"], row["export"]) == ("muted, left behind", "nightly")
        assert "export nightly of source default is not declared any more" in run("doctor", *config).stdout


def test_all_exports_of_a_leaked_source_are_retired_and_real_ones_come_back(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "dataexport.toml"
    path.write_text('[[exports]]\nname = "nightly"\nmatch = { partner = "Azure" }\ninterval = "24h"\n', "utf-8")
    config = ("--config", str(path))
    for partner in ("real", "made up 1", "made up 2"):
        store.deliver("Initiated", HOUR, Partner=partner)
    chosen = ("retire", *config, "--all", "--source", "default", *WHY)
    previewed = run(*chosen, "--dry-run")
    assert previewed.exit_code == 0, previewed.output
    assert previewed.stdout.endswith("3 exports, each would be retired\n")
    assert "made up 2" in previewed.stdout
    assert len(json.loads(run("exports", *config, "--json").stdout)) == 4
    assert run(*chosen).stdout.endswith("3 exports, each retired until an event of it arrives\n")
    assert [each["export"] for each in json.loads(run("exports", *config, "--json").stdout)] == ["nightly"]
    assert "no export to retire matches" in error_output(run(*chosen), 1)
    store.deliver("Completed", 0, Partner="real")
    assert {each["partner"] for each in json.loads(run("exports", *config, "--json").stdout)} == {
        "Microsoft Azure",
        "real",
    }


@pytest.mark.parametrize(
    "wrong", [("--all",), ("--dry-run", "--source", "default"), ("--all", "--undo", "--source", "default")]
)
@pytest.mark.usefixtures("store")
def test_retiring_all_needs_a_choice(wrong: tuple[str, ...]) -> None:
    assert run("retire", *WHY, *wrong).exit_code == 2
