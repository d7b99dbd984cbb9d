"""What the dashboards show of a step: Prometheus evaluates it over series that begin, return or change for minutes."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

from dataexport_dashboards import ask, palette, queries
from tools import tool

if TYPE_CHECKING:
    from pathlib import Path

HOUR = 3600
SOURCE = 'dataexport_webhook_last_accepted_timestamp_seconds{source="shop"}'
WHERE = 'export="nightly"'
BY = "source, export"


def counter(instance: str = "a:1") -> str:
    return f'dataexport_failed_total{{source="shop",export="nightly",instance="{instance}"}}'


def case(name: str, series: dict[str, str], grew: dict[int, int | None], expression: str, over: int) -> dict[str, Any]:
    """What a series with a sample each half an hour should have grown by at these hours; None for nothing to show."""
    filled = ask.fill(expression, ask.of_range(over) | {"__interval_ms": str(1000 * over)})
    return {
        "name": name,
        "interval": "30m",
        "input_series": [{"series": key, "values": values} for key, values in series.items()],
        "promql_expr_test": [
            {
                "expr": filled,
                "eval_time": f"{hour}h",
                "exp_samples": []
                if value is None
                else [{"labels": '{source="shop", export="nightly"}', "value": value}],
            }
            for hour, value in grew.items()
        ]
        # promtool loads no sample after the last instant.
        + [{"expr": "vector(1)", "eval_time": "30h", "exp_samples": [{"labels": "{}", "value": 1}]}],
    }


def check(tmp_path: Path, cases: list[dict[str, Any]]) -> None:
    """Let promtool evaluate the cases."""
    path = tmp_path / "growth.test.yaml"
    path.write_text(json.dumps({"evaluation_interval": "1m", "tests": cases}), "utf-8")
    done = subprocess.run(
        [tool("promtool"), "test", "rules", str(path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_grew_in_a_step(tmp_path: Path) -> None:
    expression = queries.grown("failed_total", WHERE, BY)
    shown = {SOURCE: "0x48"}

    def grew(name: str, series: dict[str, str], by: dict[int, int | None]) -> dict[str, Any]:
        # A step of an hour that ends then.
        return case(name, series, {hour - 1: value for hour, value in by.items()}, expression, HOUR)

    check(
        tmp_path,
        [
            grew("a counter that grows", shown | {counter(): "5x3 6x8"}, {1: 0, 2: 1, 3: 0}),
            # An export appears with its first event, and so with a 1.
            grew("a new series", shown | {counter(): "_x5 1x20"}, {2: None, 3: 1, 4: 0}),
            grew("a step that is not over", shown | {counter(): "_x5 1x0"}, {3: 1}),
            grew("a new series of two replicas", shown | {counter(): "_x5 1x20", counter("b:1"): "_x6 1x20"}, {3: 1}),
            # Its events of years are no growth of this hour.
            grew("the beginning of the scrapes", {SOURCE: "_x5 0x20", counter(): "_x5 500x1 502x20"}, {3: None, 4: 2}),
            grew("an export that comes back", shown | {counter(): "500x4 _x20 501x20"}, {2: 0, 5: None, 13: 1, 14: 0}),
            grew("after an outage", {SOURCE: "0x4 _x4 0x20", counter(): "7x4 _x4 9x20"}, {4: None, 5: 2, 6: 0}),
            grew("a replay that corrects downwards", shown | {counter(): "5x3 3x20"}, {2: 0, 3: 0}),
            grew("a restart of the exporter", shown | {counter(): "5x3", counter("b:1"): "_x4 6x20"}, {2: 1, 3: 0}),
        ],
    )


def test_what_grew_in_the_shown_time(tmp_path: Path) -> None:
    expression = queries.grown_in_range("failed_total", WHERE, BY)
    shown = {SOURCE: "0x96"}

    def grew(name: str, series: dict[str, str], by: dict[int, int | None]) -> dict[str, Any]:
        return case(name, series, by, expression, 12 * HOUR)

    check(
        tmp_path,
        [
            grew("a counter that grows", shown | {counter(): "5x3 6x60"}, {13: 1, 20: 0}),
            grew("a new series", shown | {counter(): "_x30 1x40"}, {17: 1}),
            grew("the beginning of the scrapes", {SOURCE: "_x30 0x40", counter(): "_x30 500x4 503x40"}, {20: 3}),
            grew("an export that comes back", shown | {counter(): "500x4 _x40 501x20"}, {24: 1}),
        ],
    )


def test_a_step_shows_an_urgent_state_that_was_short_and_a_run_only_while_it_runs(tmp_path: Path) -> None:
    labels = '{source="shop", export="nightly"}'
    values = {
        "muted": "0x60",
        "interval_seconds": "14400x60",
        "last_completed_timestamp_seconds": "1x60",
        "runs_in_progress": "0x2 1 0x60",
        # Past the deadline from the 80th to the 90th minute.
        "deadline_timestamp_seconds": "0x15 1x2 0x40",
    }
    expression = ask.fill(queries.most_urgent_of_step(WHERE), {"__interval": "1h"})
    states = {1: palette.IS_FINE, 2: palette.IS_OVERDUE, 3: palette.IS_FINE}
    check(
        tmp_path,
        [
            {
                "interval": "5m",
                "input_series": [
                    {"series": f"dataexport_{metric}{labels}", "values": value} for metric, value in values.items()
                ],
                "promql_expr_test": [
                    {
                        "expr": expression,
                        "eval_time": f"{hour}h",
                        "exp_samples": [{"labels": labels, "value": state.code}],
                    }
                    for hour, state in states.items()
                ],
            }
        ],
    )
