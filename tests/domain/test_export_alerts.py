"""The alerts about an export that its page lists are those of the rules, and fire by the same conditions."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from exporter.domain.export_alerts import EXPORT_ALERTS
from exporter.domain.landing_history import LandingState
from exporter.domain.states import ExportState

RULES = (Path(__file__).parents[2] / "alerts" / "dataexport.rules.yaml").read_text("utf-8")
NOW = 1_800_000_000.0


def test_every_alert_whose_rule_names_an_export_is_listed() -> None:
    rules = re.findall(r"- alert: (\w+)\n(.*?)(?=\n      - |\n  - |\Z)", RULES, re.DOTALL)
    about_exports = [name for name, text in rules if "Its own runbook" in text]
    assert [alert.name for alert in EXPORT_ALERTS] == about_exports


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"deadline": NOW + 1}, set()),
        ({"deadline": NOW - 1, "interval": 60, "last_completed": 1}, {"ExportOverdue"}),
        ({"deadline": NOW - 61, "interval": 60, "last_completed": 1}, {"ExportOverdue", "ExportOverdueCritical"}),
        (
            {"deadline": NOW - 61, "interval": 60, "last_completed": 1, "severity": "critical"},
            {"ExportOverdue"},
        ),
        ({"deadline": NOW - 1, "interval": 60, "start_deadline": NOW - 2}, {"ExportNeverCompleted"}),
        ({"run_deadline": NOW - 1}, {"ExportRunStuck"}),
        ({"start_deadline": NOW - 2}, {"ExportNotStarted"}),
        ({"last_failed": 2, "last_completed": 1}, {"ExportRunFailed"}),
        ({"declared": True, "interval": 0}, {"ExportWithoutSchedule"}),
        ({"slots_missed_1d": 1}, set()),
        ({"slots_missed_1d": 2}, {"ExportMissedRuns"}),
        ({"slots_unknown_1d": 1}, {"ExportSlotsUnknown"}),
        ({"slots_over_objective_7d": 2}, {"ExportFreshnessBudgetBurn"}),
        ({"last_duration": 21, "usual_duration": 10, "completed": 11}, {"ExportRunSlow"}),
        ({"last_duration": 21, "usual_duration": 10, "completed": 10}, set()),
        ({"last_duration": 21, "completed": 11}, set()),
        ({"deadline": NOW - 1, "last_completed": 1, "landing": LandingState()}, {"ExportOverdue"}),
        (
            {"deadline": NOW - 1, "last_completed": 1, "landing": LandingState(unannounced_at=1)},
            {"ExportLandedUnannounced"},
        ),
        ({"landing": LandingState(objects=1, size=19, usual_size=100, due_at=1)}, {"ExportLandedSmall"}),
        ({"landing": LandingState(objects=1, size=20, usual_size=100, due_at=1)}, set()),
        ({"landing": LandingState(objects=1, size=1, usual_size=100, due_at=1)}, {"ExportLandedSmall"}),
        ({"landing": LandingState(objects=1, size=0, usual_size=100, due_at=1)}, set()),
    ],
)
def test_the_condition_of_an_alert_holds_for_a_state(changes: dict[str, Any], expected: set[str]) -> None:
    labels = {"source": "shop", "export": "any", "partner": "", "data_type": "", "frequency": "4h", "timezone": "UTC"}
    state = ExportState(**{"declared": False, "interval": 3600, **labels, **changes})
    assert {alert.name for alert in EXPORT_ALERTS if alert.applies(state, NOW)} == expected
