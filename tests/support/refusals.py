"""What an exporter says while its store fails."""

from __future__ import annotations

from builders import body
from running import Exporter, assert_within, series, wait_until

ANSWER_SECONDS = 2.0
"""What the exporter promises; the sender gives up after three."""


def accept(exporter: Exporter, request_id: str) -> None:
    """Deliver an event as a sender does, until it is acknowledged."""
    wait_until(lambda: exporter.post(body(request_id=request_id)).status_code == 200, f"{request_id} to be taken")


def assert_refused(exporter: Exporter, request_id: str) -> None:
    """An event is not acknowledged, in time, and the sender is told to come again."""

    def refused() -> float:
        answer = exporter.post(body(request_id=request_id))
        assert answer.status_code == 503, answer.text
        assert int(answer.headers["Retry-After"]) > 0
        assert answer.headers["Content-Type"] == "application/problem+json"
        return answer.elapsed.total_seconds()

    assert_within(ANSWER_SECONDS, refused, "a 503")


def assert_said(exporter: Exporter, *, readable: bool) -> None:
    """Readiness and metrics tell that the store fails; where it can still be read, the metrics are there."""
    assert exporter.admin("/-/ready").status_code == 503
    answer = exporter.admin("/metrics")
    if readable:
        assert answer.status_code == 200, answer.text
        assert series(answer.text)["dataexport_store_up", frozenset()] == 0
        assert series(answer.text)["dataexport_store_errors_total", frozenset({("operation", "append")})] > 0
    else:
        assert answer.status_code == 503
        assert "dataexport_" not in answer.text
