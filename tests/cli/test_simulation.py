"""The made-up fleet: what it sends is what it says it sends, and the faults are where it says they are."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner

from builders import DAY, HOUR, MINUTE, instant
from exporter.cli.main import main
from exporter.cli.simulation import (
    BatchingLedger,
    SimulatedExport,
    fleet,
    history,
    import_history,
    outcome_by_shares,
    post,
)
from exporter.config.loader import load
from exporter.domain.errors import ExporterError
from exporter.projection.projector import Projector
from running_here import LocalExporter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from click.testing import Result

    from exporter.cli.simulation import SimulatedWebhook

BERLIN = ZoneInfo("Europe/Berlin")
SINCE = instant("2026-05-31T22:00:00Z")  # midnight in Berlin
PLAN = SimulatedExport(0, "shop", BERLIN, 1700000001, "Amazon S3", "Events", 4 * HOUR, typical_runtime=10 * MINUTE)
FINE = outcome_by_shares(0, 0, 0)


def simulated(  # noqa: PLR0913, PLR0917 - all that a history depends on
    exports: int = 8,
    days: float = 3,
    seed: int = 1,
    outcome_of: Callable[[SimulatedExport, float, float], str] = FINE,
    plans: Iterable[SimulatedExport] | None = None,
    since: float = SINCE,
) -> list[SimulatedWebhook]:
    chosen = fleet(exports, [("shop", BERLIN)], since, seed) if plans is None else plans
    return list(history(chosen, since, since + days * DAY, seed, outcome_of))


def never(_: object) -> None:
    pytest.fail("there was nothing to do")


def fields(webhook: SimulatedWebhook) -> dict[str, Any]:
    assert webhook.body is not None
    body: dict[str, Any] = json.loads(webhook.body)
    return body


def announced(webhooks: Iterable[SimulatedWebhook], status: str) -> list[datetime]:
    """When, on the sender's clock."""
    bodies = [fields(webhook) for webhook in webhooks if webhook.body]
    return [
        datetime.strptime(each["Date and Time"], "%d/%m/%Y %I:%M:%S %p")  # noqa: DTZ007 - it has no zone
        for each in bodies
        if each["Status"] == status
    ]


def command(tmp_path: Path, *arguments: str) -> Result:
    environment = {"DATAEXPORT_STORE_URL": f"sqlite:///{tmp_path / 'dataexport.db'}"}
    return CliRunner(env=environment).invoke(main, ["simulate", *arguments])


def test_the_same_seed_gives_the_same_history_and_another_one_another() -> None:
    assert simulated() == simulated()
    assert simulated() != simulated(seed=2)


def test_arrivals_come_in_order_and_within_the_span() -> None:
    arrivals = [webhook.at for webhook in simulated(outcome_of=outcome_by_shares(0.2, 0.2, 0.2))]
    assert arrivals == sorted(arrivals)
    assert arrivals[0] >= SINCE
    assert arrivals[-1] <= SINCE + 3 * DAY


@pytest.mark.parametrize("month", ["2026-03-28T23:00:00Z", "2026-10-23T22:00:00Z"])
def test_runs_begin_at_the_same_times_of_day_when_summer_time_changes(month: str) -> None:
    starts = announced(simulated(plans=[PLAN], since=instant(month)), "Initiated")
    assert [start.hour for start in starts][:12] == [0, 4, 8, 12, 16, 20] * 2
    assert {start.minute < 3 for start in starts} == {True}


def test_a_run_is_announced_at_its_start_and_at_its_end() -> None:
    webhooks = simulated(plans=[PLAN], days=1)
    starts, ends = announced(webhooks, "Initiated"), announced(webhooks, "Completed")
    assert len(starts) == len(ends) == 6
    assert all(start < end for start, end in zip(starts, ends, strict=True))
    assert {fields(webhook)["Export Request Id"] for webhook in webhooks} == {PLAN.request_id}


def test_a_late_run_starts_after_its_grace_and_before_the_next_one() -> None:
    webhooks = simulated(plans=[PLAN], outcome_of=outcome_by_shares(1, 0, 0))
    assert webhooks
    for each in webhooks:
        assert each.fault is not None
        assert each.fault.kind == "late"
        if fields(each)["Status"] == "Initiated":
            assert 48 * MINUTE < each.at - each.fault.due_at < 4 * HOUR


def test_a_missed_run_sends_nothing_and_is_told_at_its_slot() -> None:
    webhooks = simulated(plans=[PLAN], days=0.9, outcome_of=outcome_by_shares(0, 1, 0))
    assert [webhook.at for webhook in webhooks] == [SINCE + slot * 4 * HOUR for slot in range(6)]
    assert [webhook.body for webhook in webhooks] == [None] * 6
    assert all(webhook.fault and webhook.fault.due_at == webhook.at for webhook in webhooks)


def test_a_stuck_run_never_completes() -> None:
    webhooks = simulated(plans=[PLAN], outcome_of=outcome_by_shares(0, 0, 1))
    assert {fields(webhook)["Status"] for webhook in webhooks} == {"Initiated"}


def test_faults_come_at_the_rates_that_were_asked_for() -> None:
    webhooks = simulated(exports=40, days=20, outcome_of=outcome_by_shares(0.05, 0.1, 0.15))
    due = {(each.fault.request_id, each.fault.due_at): each.fault.kind for each in webhooks if each.fault}
    counts = Counter(due.values())
    runs = len(due) + len(announced(filter(lambda each: not each.fault, webhooks), "Initiated"))
    assert counts["late"] / runs == pytest.approx(0.05, abs=0.02)
    assert counts["missed"] / runs == pytest.approx(0.1, abs=0.02)
    assert counts["stuck"] / runs == pytest.approx(0.15, abs=0.02)


def test_a_fault_leaves_all_other_runs_as_they_were() -> None:
    fine = simulated()
    faulty = simulated(outcome_of=outcome_by_shares(0.1, 0.1, 0.1))
    assert {each for each in faulty if each.fault is None} < set(fine)


def test_one_time_runs_have_an_id_each_and_can_be_stuck_only() -> None:
    once = SimulatedExport(0, "shop", BERLIN, 1, "Amazon S3", "Events", 0, typical_runtime=600)
    webhooks = simulated(plans=[once], days=60, outcome_of=outcome_by_shares(0.5, 0.5, 0))
    assert not any(each.fault for each in webhooks)
    assert {fields(webhook)["Frequency"] for webhook in webhooks} == {"One Time"}
    ids = Counter(fields(webhook)["Export Request Id"] for webhook in webhooks)
    assert len(ids) > 10
    assert set(ids.values()) == {2}
    stuck = simulated(plans=[once], days=60, outcome_of=outcome_by_shares(0, 0, 1))
    assert all(each.fault and each.fault.kind == "stuck" for each in stuck)


def test_an_export_can_have_a_new_id_for_each_run() -> None:
    plan = SimulatedExport(
        0, "shop", BERLIN, 1, "Amazon S3", "Events", 4 * HOUR, typical_runtime=600, new_id_each_run=True
    )
    webhooks = simulated(plans=[plan], days=1)
    assert len({fields(webhook)["Export Request Id"] for webhook in webhooks}) == 6


def settings_file(tmp_path: Path, zone: str) -> Path:
    path = tmp_path / "dataexport.toml"
    path.write_text(
        f"""
        [[sources]]
        slug = "one"
        timezone = "{zone}"
        [[sources]]
        slug = "two"
        timezone = "{zone}"
        [[exports]]
        name = "nightly"
        source = "one"
        match = {{ request_id = "1" }}
        interval = "24h"
        """,
        "utf-8",
    )
    return path


@pytest.mark.parametrize("zone", ["auto", "Europe/Berlin"])
def test_a_ledger_knows_a_history_as_if_it_had_listened(tmp_path: Path, zone: str) -> None:
    settings = load(settings_file(tmp_path, zone), {})
    sources = [("one", BERLIN), ("two", BERLIN)]
    ends = SINCE + 3 * DAY + 2 * HOUR
    webhooks = list(history(fleet(16, sources, SINCE, 1), SINCE, ends, 1, FINE))
    ledger = BatchingLedger(f"sqlite:///{tmp_path / 'new.db'}")

    accepted = import_history(iter(webhooks), ledger, settings, (SINCE, ends))

    assert accepted == len(webhooks) == ledger.last_sequence()
    events = ledger.read(0)
    assert [event.arrived_at for event in events] == [webhook.at for webhook in webhooks]
    assert all(0 <= event.arrived_at - event.occurred_at < 9 for event in events)
    assert ledger.outages() == []
    assert dict(ledger.declaration_times()) == {("one", "nightly"): SINCE}
    ledger.record_heartbeat("served", ends + 10)
    assert ledger.outages() == []
    ledger.record_heartbeat("served", ends + HOUR)
    assert [(outage.began_at, outage.ended_at) for outage in ledger.outages()] == [(ends + 10, ends + HOUR)]
    projector = Projector(ledger, settings.sources_without_credentials)
    projector.catch_up()
    assert {state.condition(ends) for state in projector.list_states(ends)} <= {"fine", "running"}
    assert {state.slug for state in projector.list_sources() if state.events["initiated"]} == {"one", "two"}
    assert ledger.quarantine() == []
    ledger.close()


def test_a_ledger_with_events_is_not_mixed_with_made_up_ones(tmp_path: Path) -> None:
    settings = load(None, {})
    ledger = BatchingLedger(f"sqlite:///{tmp_path / 'new.db'}")
    plans = fleet(1, [("default", UTC)], SINCE, 1)
    assert import_history(history(plans, SINCE, SINCE + DAY, 1, FINE), ledger, settings, (SINCE, SINCE + DAY)) == 2
    with pytest.raises(ExporterError, match="give a new database"):
        import_history(iter(()), ledger, settings, (SINCE, SINCE + DAY))
    ledger.close()


def test_it_is_committed_a_thousand_at_a_time(tmp_path: Path) -> None:
    settings = load(None, {})
    ledger = BatchingLedger(f"sqlite:///{tmp_path / 'new.db'}")
    plans = [
        SimulatedExport(number, "default", UTC, number, "Amazon S3", "Events", 4 * HOUR, typical_runtime=600)
        for number in range(40)
    ]
    webhooks = list(history(plans, SINCE, SINCE + 3 * DAY, 1, FINE))
    seen = set()

    def watched() -> Iterator[SimulatedWebhook]:
        for each in webhooks:
            seen.add(ledger.last_sequence())
            yield each

    import_history(watched(), ledger, settings, (SINCE, SINCE))
    assert seen == {0, 1000}
    assert ledger.last_sequence() == len(webhooks) > 1000
    ledger.close()


def test_lists_are_posted_as_fast_as_it_goes() -> None:
    sent: list[str] = []
    webhooks = simulated(exports=40, days=2, outcome_of=outcome_by_shares(0, 0.1, 0))
    posted = post(iter(webhooks), sent.append, 0, never)
    assert posted == sum(each.body is not None for each in webhooks)
    lists = [json.loads(text) for text in sent]
    assert [len(each) for each in lists[:-1]] == [100] * (len(lists) - 1)
    assert [each for bodies in lists for each in bodies] == [fields(webhook) for webhook in webhooks if webhook.body]


def test_posting_can_keep_the_distances_shortened_by_a_factor() -> None:
    done: list[object] = []
    webhooks = simulated(plans=[PLAN], days=0.2)
    post(iter(webhooks), lambda text: done.append(len(json.loads(text))), 3600, done.append)
    arrivals = [webhook.at for webhook in webhooks]
    pauses = [(later - earlier) / 3600 for earlier, later in pairwise(arrivals)]
    assert done == [1, pauses[0], 1, pauses[1], 1, pauses[2], 1]


def test_nothing_is_posted_of_an_empty_history() -> None:
    assert post(iter(()), never, 0, never) == 0


def test_the_command_fills_a_new_database(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 'demo.db'}"
    result = command(tmp_path, "--store", store, "--exports", "4", "--days", "2")
    assert result.exit_code == 0, result.output
    assert "events of 4 exports in 2 days" in result.stderr
    ledger = BatchingLedger(store)
    assert ledger.last_sequence() > 10
    ledger.close()
    again = command(tmp_path, "--store", store)
    assert again.exit_code == 1
    assert "give a new database" in again.stderr


def test_the_command_prints_arrivals_bodies_and_faults(tmp_path: Path) -> None:
    arguments = ("--jsonl", "--exports", "8", "--days", "4", "--until", "2026-06-05T00:00:00", "--missed", "0.2")
    result = command(tmp_path, *arguments, "--timezone", "auto")
    assert result.exit_code == 0, result.output
    assert result.stdout == command(tmp_path, *arguments, "--timezone", "UTC").stdout
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert {tuple(row) for row in rows} == {("arrived_at", "source", "body", "fault")}
    missed = [row for row in rows if row["body"] is None]
    assert missed
    assert all(row["fault"]["kind"] == "missed" and row["arrived_at"] is None for row in missed)
    assert max(row["arrived_at"] or 0 for row in rows) <= instant("2026-06-05T00:00:00Z")


def test_the_command_posts_to_a_running_exporter(tmp_path: Path) -> None:
    toml = '[[sources]]\nslug = "default"\ntimezone = "Europe/Berlin"\ntokens = ["a-made-up-token!"]\n'
    (tmp_path / "token").write_text("a-made-up-token!", "utf-8")
    with LocalExporter(tmp_path, toml) as exporter:
        url = f"{exporter.webhook_url}/webhooks/clevertap/default"
        arguments = ["simulate", "--url", url, "--days", "2", "--late", "0", "--missed", "0", "--stuck", "0"]
        done = exporter.run(*arguments, "--token-file", str(tmp_path / "token"))
        assert done.returncode == 0, done.stderr
        states = json.loads(exporter.run("exports", "--json", "--config", str(exporter.config_path)).stdout)
        assert len(states) > 20
        assert {state["state"] for state in states} <= {"fine", "running"}
        refused = exporter.run(*arguments)
        assert refused.returncode == 1
        assert "401" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "give one of --store, --url and --jsonl"),
        (("--jsonl", "--url", "http://127.0.0.1:1"), "give one of --store, --url and --jsonl"),
        (("--jsonl", "--late", "0.6", "--missed", "0.5"), "together they are 1.11"),
        (("--jsonl", "--late", "1.5"), "'1.5': give a number from 0 to 1"),
        (("--jsonl", "--days", "0"), "'0': give a number above 0, up to 3660"),
        (("--jsonl", "--exports", "0"), "'0': give a whole number from 1 to 100000"),
        (("--jsonl", "--until", "yesterday"), "'yesterday' is not a date and time"),
        (("--store", "sqlite:///new.db", "--until", "2999-01-01"), "--until is in the future"),
        (("--jsonl", "--timezone", "Berlin"), "no time zone 'Berlin'"),
    ],
)
def test_wrong_options_are_refused_with_a_sentence(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    result = command(tmp_path, *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
