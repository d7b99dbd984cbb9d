"""The shipped Alertmanager configuration in a real Alertmanager: who is told what, and what is held back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
import requests

from monitoring import PATIENCE_SECONDS, Monitoring, wait_for
from ports import free_port
from tools import tool

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.proof

Labels = dict[str, str]

_jobs = count()


@pytest.fixture(scope="module")
def monitoring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitoring]:
    for name in ("prometheus", "alertmanager"):
        tool(name)
    with Monitoring(tmp_path_factory.mktemp("monitoring"), f"127.0.0.1:{free_port()}") as running:
        yield running


@pytest.fixture
def job() -> str:
    """A job of the test's own: alerts of other jobs are of no concern to it."""
    return f"job-{next(_jobs)}"


def alert(job: str, name: str, severity: str, **labels: str) -> Labels:
    return {"alertname": name, "severity": severity, "job": job, **labels}


def of_export(job: str, name: str, severity: str, **labels: str) -> Labels:
    """An alert that names an export, by default always the same one."""
    export = {"source": "prod", "export": "nightly", "partner": "Amazon S3", "data_type": "events", "frequency": "24h"}
    return alert(job, name, severity, **(export | labels))


def post(monitoring: Monitoring, *alerts: Labels, annotations: Labels | None = None, over: bool = False) -> None:
    """Tell Alertmanager what Prometheus would; annotations may name labels in braces."""
    # What began a while ago is sent at once, without waiting for more of its group.
    starts = datetime.now(UTC)
    ends = starts if over else starts + timedelta(minutes=10)
    body = [
        {
            "labels": each,
            "annotations": {name: text.format_map(each) for name, text in (annotations or {}).items()},
            "startsAt": starts.isoformat(),
            "endsAt": ends.isoformat(),
        }
        for each in alerts
    ]
    answer = requests.post(f"{monitoring.alertmanager_url}/api/v2/alerts", json=body, timeout=PATIENCE_SECONDS)
    answer.raise_for_status()


def known(monitoring: Monitoring) -> dict[frozenset[tuple[str, str]], Any]:
    """What Alertmanager knows, by labels."""
    answer = requests.get(f"{monitoring.alertmanager_url}/api/v2/alerts", timeout=PATIENCE_SECONDS)
    answer.raise_for_status()
    return {frozenset(each["labels"].items()): each for each in answer.json()}


def expect_held_back(monitoring: Monitoring, by: Labels, held: list[Labels], free: list[Labels]) -> None:
    """See that the alert ``by`` holds back just the first of the others, and none any more when it is over."""

    def others_held() -> list[Labels]:
        """In order; of several that could hold an alert back, Alertmanager names the one of the first rule."""
        now = known(monitoring)
        return [each for each in (*held, *free) if mark in now[frozenset(each.items())]["status"]["inhibitedBy"]]

    post(monitoring, by, *held, *free)
    wait_for(lambda: known(monitoring).keys() >= {frozenset(each.items()) for each in (by, *held, *free)}, "the alerts")
    mark = known(monitoring)[frozenset(by.items())]["fingerprint"]
    wait_for(lambda: others_held() == held, f"{by['alertname']} to hold back its own")
    post(monitoring, by, over=True)
    wait_for(lambda: others_held() == [], f"{by['alertname']} to let go")


def told(monitoring: Monitoring, job: str, path: str) -> list[Any]:
    """The notifications of a job's alerts that came to a receiver of plain webhooks."""
    return [
        body
        for where, body in monitoring.receiver.posts
        if where == path and any(each["labels"].get("job") == job for each in body["alerts"])
    ]


def chats(monitoring: Monitoring, path: str, word: str) -> list[Any]:
    """The chat messages at a path whose text has this word in it."""
    return [
        body["attachments"][0]
        for where, body in monitoring.receiver.posts
        if where == path and word in body["attachments"][0]["text"]
    ]


def test_a_critical_alert_pages_and_tells_the_chat(monitoring: Monitoring, job: str) -> None:
    post(monitoring, of_export(job, "ExportOverdue", "critical"), annotations={"description": f"{job} is late."})
    wait_for(lambda: told(monitoring, job, "/page"), "the page")
    wait_for(lambda: chats(monitoring, "/chat/page", job), "the message")
    assert chats(monitoring, "/chat/ticket", job) == []


def test_a_warning_becomes_a_ticket_and_information_goes_nowhere(monitoring: Monitoring, job: str) -> None:
    # Another source, so another group: neither waits for the other.
    post(
        monitoring,
        of_export(job, "ExportOverdue", "info", source="info"),
        annotations={"description": f"{job} has not started."},
    )
    post(monitoring, of_export(job, "ExportOverdue", "warning"), annotations={"description": f"{job} is late."})
    wait_for(lambda: chats(monitoring, "/chat/ticket", f"{job} is late"), "the ticket")
    post(
        monitoring,
        of_export(job, "ExportRunStuck", "warning", source="later"),
        annotations={"description": f"{job} is stuck."},
    )
    wait_for(lambda: chats(monitoring, "/chat/ticket", f"{job} is stuck"), "a later ticket")
    assert told(monitoring, job, "/page") == []
    for path in ("/chat/ticket", "/chat/page"):
        assert chats(monitoring, path, f"{job} has not started") == []


def test_the_watchdog_of_a_real_prometheus_goes_to_the_dead_man_alone_and_nothing_holds_it_back(
    monitoring: Monitoring,
) -> None:
    def heard() -> list[Any]:
        return [body for path, body in monitoring.receiver.posts if path == "/dead-man"]

    wait_for(heard, "the watchdog")
    assert {each["labels"]["alertname"] for body in heard() for each in body["alerts"]} == {"ExportWatchdog"}
    assert told(monitoring, "", "/page") == []
    # Without a job, as the watchdog is, so that it equals the watchdog's.
    down = {"alertname": "ExportExporterDown", "severity": "critical"}
    late = {"alertname": "ExportOverdue", "severity": "warning"}
    expect_held_back(monitoring, down, [late], [{"alertname": "ExportWatchdog", "severity": "none"}])


@pytest.mark.parametrize("name", ["ExportExporterDown", "ExportExporterAbsent"])
def test_without_the_exporter_all_else_of_its_job_is_held_back(monitoring: Monitoring, job: str, name: str) -> None:
    other = "ExportExporterAbsent" if name == "ExportExporterDown" else "ExportExporterDown"
    held = [
        of_export(job, "ExportOverdue", "warning"),
        of_export(job, "ExportOverdueCritical", "critical"),
        alert(job, "ExportWebhookSilent", "critical", source="prod"),
        alert(job, "ExportStoreFailing", "critical"),
        alert(job, "ExportConfigReloadFailed", "warning"),
    ]
    free = [
        of_export(f"{job}-other", "ExportOverdue", "warning"),
        alert(job, other, "critical"),
        alert(job, "SomethingElse", "warning"),
    ]
    expect_held_back(monitoring, alert(job, name, "critical"), held, free)


def test_a_failing_store_holds_back_what_follows_from_it(monitoring: Monitoring, job: str) -> None:
    held = [
        of_export(job, "ExportOverdueCritical", "critical"),
        of_export(job, "ExportMissedRuns", "warning"),
        alert(job, "ExportWebhookSilent", "critical", source="prod"),
        alert(job, "ExportWebhookSlow", "warning", source="prod"),
    ]
    free = [
        of_export(f"{job}-other", "ExportOverdueCritical", "critical"),
        alert(f"{job}-other", "ExportWebhookSlow", "warning", source="prod"),
        alert(job, "ExportWebhookRejecting", "warning", source="prod", code="401"),
        alert(job, "ExportConfigReloadFailed", "warning"),
    ]
    expect_held_back(monitoring, alert(job, "ExportStoreFailing", "critical"), held, free)


def test_a_silent_source_holds_back_its_exports_only(monitoring: Monitoring, job: str) -> None:
    held = [
        of_export(job, "ExportOverdue", "warning"),
        of_export(job, "ExportOverdueCritical", "critical", export="hourly"),
        of_export(job, "ExportNotStarted", "info"),
    ]
    free = [
        of_export(job, "ExportOverdueCritical", "critical", source="test"),
        of_export(f"{job}-other", "ExportOverdue", "warning"),
        alert(job, "ExportTimezoneSuspect", "warning", source="prod"),
    ]
    expect_held_back(monitoring, alert(job, "ExportWebhookSilent", "critical", source="prod"), held, free)


def test_a_critical_alert_holds_back_lesser_ones_of_the_same_export(monitoring: Monitoring, job: str) -> None:
    held = [
        of_export(job, "ExportOverdue", "warning"),
        of_export(job, "ExportMissedRuns", "warning"),
        of_export(job, "ExportRunSlow", "info"),
    ]
    free = [
        of_export(job, "ExportNeverCompleted", "critical", export="daily"),
        of_export(job, "ExportOverdue", "warning", export="hourly"),
        of_export(job, "ExportOverdue", "warning", partner="Microsoft Azure"),
        of_export(job, "ExportOverdue", "warning", source="test"),
        alert(job, "ExportTimezoneSuspect", "warning", source="prod"),
    ]
    expect_held_back(monitoring, of_export(job, "ExportOverdueCritical", "critical"), held, free)


def test_what_a_person_reads(monitoring: Monitoring, job: str) -> None:
    source = f"shop-{job}"  # a group of its own, and a word to find its messages by
    late = of_export(job, "ExportOverdue", "warning", source=source)
    stuck = of_export(job, "ExportRunStuck", "warning", source=source, export="backfill")
    texts = {
        "description": "Export {export} of {source} (events to Amazon S3, 24h) is 2h 5m 0s too late.",
        "runbook_url": "https://wiki.example/{alertname}.md",
        "dashboard_url": "https://grafana.example/d/dataexport-overview?var-source={source}",
    }
    post(monitoring, late, stuck, annotations=texts)
    wait_for(lambda: chats(monitoring, "/chat/ticket", source), "the message")
    [message] = chats(monitoring, "/chat/ticket", source)
    assert message["title"] == f"[FIRING: 2] Export alerts ({source})"
    assert message["title_link"] == f"https://grafana.example/d/dataexport-overview?var-source={source}"
    assert (
        message["text"].strip()
        == f"""\
ExportOverdue: nightly (warning)
Export nightly of {source} (events to Amazon S3, 24h) is 2h 5m 0s too late.
Runbook: https://wiki.example/ExportOverdue.md
Dashboard: https://grafana.example/d/dataexport-overview?var-source={source}

ExportRunStuck: backfill (warning)
Export backfill of {source} (events to Amazon S3, 24h) is 2h 5m 0s too late.
Runbook: https://wiki.example/ExportRunStuck.md
Dashboard: https://grafana.example/d/dataexport-overview?var-source={source}"""
    )

    post(monitoring, late, annotations=texts, over=True)
    post(monitoring, stuck, annotations=texts, over=True)
    over = f"Resolved: ExportRunStuck: backfill of {source}"
    wait_for(lambda: chats(monitoring, "/chat/ticket", over), "the resolution")
    [*_, message] = chats(monitoring, "/chat/ticket", over)
    assert message["title"].startswith("[")
    assert over in message["text"]
