"""Sends a test alert through Alertmanager, so that a page is seen to arrive before one is needed."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

from exporter.cli.http_client import NoAnswerError, send_request
from exporter.domain.errors import ExporterError

if TYPE_CHECKING:
    import requests

    from exporter.cli.alert_rules import Installation

ALERT = "ExportTestPage"
LASTS_MINUTES = 5
TIMEOUT_SECONDS = 10
ROUTING_SECONDS = 10
"""How long Alertmanager may need to process the alert."""


class Routed(NamedTuple):
    """Where Alertmanager sends the alert.

    Attributes:
        receivers: their names.
        suppressed_by: the ids of silences, and of alerts that inhibit it; empty if it is sent.
    """

    receivers: list[str]
    suppressed_by: list[str]


def send_test_page(url: str, installation: Installation) -> Routed:
    """Send a critical alert that ends after `LASTS_MINUTES`, and return where Alertmanager sends it.

    Args:
        url: the base URL of Alertmanager.
        installation: gives the job, by which routes may select, and the addresses of links.

    Raises:
        ExporterError: Alertmanager does not answer, or does not accept the alert.
    """
    now = datetime.now(UTC)
    alert = {
        "labels": {"alertname": ALERT, "severity": "critical", "job": installation.job},
        "annotations": {
            "summary": "A test page from dataexport-exporter.",
            "description": "Somebody ran dataexport-exporter verify --alertmanager. There is nothing to do. "
            f"It ends after {LASTS_MINUTES} minutes.",
            "runbook_url": f"{installation.runbooks}/{ALERT}.md",
            "dashboard_url": f"{installation.dashboards}/d/dataexport-overview",
        },
        "startsAt": now.isoformat(),
        "endsAt": (now + timedelta(minutes=LASTS_MINUTES)).isoformat(),
    }
    _request("POST", url, json=[alert])
    query = {"filter": [f'alertname="{ALERT}"', f"job={json.dumps(installation.job)}"]}
    deadline = time.monotonic() + ROUTING_SECONDS
    while True:
        for found in _request("GET", url, params=query).json():
            status = found["status"]
            if status["state"] != "unprocessed":
                return Routed(
                    [each["name"] for each in found["receivers"]], status["silencedBy"] + status["inhibitedBy"]
                )
        if time.monotonic() > deadline:
            message = f"--alertmanager {url}: the alert was not processed within {ROUTING_SECONDS} s; see its log"
            raise ExporterError(message)
        time.sleep(0.1)


def _request(method: str, url: str, **parts: Any) -> requests.Response:  # noqa: ANN401 - of the request
    """Post alerts, or get some."""
    try:
        response = send_request(
            method,
            f"{url.rstrip('/')}/api/v2/alerts",
            timeout=TIMEOUT_SECONDS,
            **parts,
        )
    except NoAnswerError as error:
        message = f"--alertmanager {url}: {error}"
        raise ExporterError(message) from error
    if response.status_code != HTTPStatus.OK:
        advice = "give the base URL of Alertmanager, such as http://127.0.0.1:9093"
        message = f"--alertmanager {url}: the answer is {response.status_code}; {advice}"
        raise ExporterError(message)
    return response
