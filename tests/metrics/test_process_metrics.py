"""The metrics of one process, by what was observed."""

from __future__ import annotations

from exporter.metrics.process_metrics import ProcessMetrics


def test_a_response_is_counted_by_its_code_and_timed_by_its_source() -> None:
    metrics = ProcessMetrics()
    for status in (200, 200, 401):
        metrics.count_response("shop", status, 0.5)
    value = metrics.registry.get_sample_value
    counts = [value("dataexport_webhook_requests_total", {"source": "shop", "code": code}) for code in ("200", "401")]
    assert counts == [2, 1]
    assert value("dataexport_webhook_request_duration_seconds_count", {"source": "shop"}) == 3
    assert value("dataexport_webhook_request_duration_seconds_sum", {"source": "shop"}) == 1.5
