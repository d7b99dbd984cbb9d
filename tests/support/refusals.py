"""Assertions about an exporter whose store fails."""

from __future__ import annotations

from builders import body
from running import Exporter, assert_within, series, wait_until

RESPONSE_SECONDS = 2.0
"""Within this time the exporter responds; the vendor gives up after three seconds."""


def accept(exporter: Exporter, request_id: str) -> None:
    """Deliver an event, again and again until it is acknowledged."""
    wait_until(lambda: exporter.post(body(request_id=request_id)).status_code == 200, f"{request_id} to be accepted")


def assert_refused(exporter: Exporter, request_id: str) -> None:
    """Assert that the exporter refuses an event in time, and asks for another delivery."""

    def refused() -> float:
        response = exporter.post(body(request_id=request_id))
        assert response.status_code == 503, response.text
        assert int(response.headers["Retry-After"]) > 0
        assert response.headers["Content-Type"] == "application/problem+json"
        return response.elapsed.total_seconds()

    assert_within(RESPONSE_SECONDS, refused, "a 503")


def assert_said(exporter: Exporter, *, readable: bool) -> None:
    """Assert that readiness and metrics report the failed store; if it is readable, the metrics are complete."""
    assert exporter.admin("/-/ready").status_code == 503
    response = exporter.admin("/metrics")
    if readable:
        assert response.status_code == 200, response.text
        assert series(response.text)["dataexport_store_up", frozenset()] == 0
        assert series(response.text)["dataexport_store_errors_total", frozenset({("operation", "append")})] > 0
    else:
        assert response.status_code == 503
        assert "dataexport_" not in response.text
