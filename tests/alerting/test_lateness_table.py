"""The table of failures, tickets and pages agrees with the shipped rules, fed by what the exporter would show."""

from __future__ import annotations

import re
import subprocess
from itertools import groupby
from math import ceil
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import yaml

from builders import DAY, HOUR, MIDNIGHT, MINUTE, Webhook
from exporter.domain.events import Outage
from exporter.domain.exports import Declaration, Selection
from exporter.metrics.families import LAST_ACCEPTED, column_lines
from monitoring import ROOT
from tools import tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGE = (ROOT / "docs" / "explanation" / "how-lateness-works.md").read_text("utf-8")
ROWS = re.findall(r"^\| (.+) \|$", PAGE.split("| What happened |")[1], re.MULTILINE)
RUN = 10 * MINUTE
DUE = int(MIDNIGHT) + 2 * DAY
"""When the run of each row starts, or should start."""
SEVERITIES = {"ticket": "warning", "page": "critical"}


class Setting(NamedTuple):
    """A column of the table, and how far scrapes and evaluations are apart in its test."""

    interval: int
    declared: bool
    step: int


SETTINGS = [
    Setting(interval, declared, step)
    for interval, step in ((4 * HOUR, 3 * MINUTE), (DAY, 15 * MINUTE))
    for declared in (False, True)
]


class Row(NamedTuple):
    """A row of the table: events relative to `DUE`, by an interval and its grace period."""

    events: dict[str, str]
    ran_before: bool = True
    outage: tuple[int, int] = (0, 0)
    source_is_silent: bool = False


STORIES = {
    "A run does not start": Row({}),
    "A run starts and never ends": Row({"Initiated": "0"}),
    "A run is reported as failed after 10 min, and no other run completes": Row({"Initiated": "0", "Failed": "RUN"}),
    "A run completes 2 h after its deadline": Row({"Initiated": "0", "Completed": "RUN + grace + 2 * HOUR"}),
    "The source sends nothing any more": Row({}, source_is_silent=True),
    "The exporter does not run while a completion is due; the next run completes on time": Row(
        {"Initiated": "interval", "Completed": "interval + RUN"}, outage=(-30 * MINUTE, 30 * MINUTE)
    ),
    "The very first run starts and never ends": Row({"Initiated": "0"}, ran_before=False),
    "No event ever arrives": Row({}, ran_before=False),
}


def test_the_page_has_the_rows_that_are_tested_here() -> None:
    assert [row.split(" | ")[0] for row in ROWS] == [*STORIES, "The exporter is down"]


# An undeclared daily export takes as long as the three others together.
@pytest.mark.parametrize(
    "setting", [*SETTINGS[:2], pytest.param(SETTINGS[2], marks=pytest.mark.proof), SETTINGS[3]], ids=str
)
def test_every_ticket_and_page_comes_when_the_table_says_so(setting: Setting, tmp_path: Path) -> None:
    cells = {row.split(" | ")[0]: row.split(" | ")[2 + SETTINGS.index(setting)] for row in ROWS}
    step = setting.step
    begin = DUE - setting.interval - step  # instants have to be positive on promtool's clock
    end = DUE + max(seconds for cell in cells.values() for seconds in times(cell).values()) + 2 * step
    series: list[dict[str, str]] = []
    checks: list[dict[str, Any]] = []
    for number, (name, story) in enumerate(STORIES.items()):
        series += shown(f"s{number}", story, setting, begin, end)
        for kind, severity in SEVERITIES.items():
            after = times(cells[name]).get(kind)
            expression = unsuppressed(f"s{number}", severity)
            quiet = end - begin if after is None else (ceil((DUE + after - begin) / step) - 1) * step
            checks.append({"expr": f"count_over_time(({expression})[{quiet}s:{step}s])", "eval_time": f"{quiet}s"})
            if after is not None:
                fires_at = ((DUE + after - begin) // step + 1) * step
                exactly_one = [{"labels": "{}", "value": 1}]
                checks.append({"expr": expression, "eval_time": f"{fires_at}s", "exp_samples": exactly_one})
    run_promtool(tmp_path, step, series, checks)


def test_an_exporter_that_is_down_pages_after_the_time_that_the_table_gives(tmp_path: Path) -> None:
    [*cells] = ROWS[-1].split(" | ")[2:]
    assert len(set(cells)) == 1
    after = times(cells[0])["page"]
    answered_at = 9 * MINUTE
    series = [
        {"series": 'up{job="dataexport"}', "values": "1x9 0x20"},
        {"series": 'dataexport_build_info{job="dataexport"}', "values": "1x9 stale"},
    ]
    expression = 'group(ALERTS{alertstate="firing",severity="critical"})'
    checks: list[dict[str, Any]] = [
        {"expr": expression, "eval_time": f"{answered_at + after - MINUTE}s"},
        {"expr": expression, "eval_time": f"{answered_at + after}s", "exp_samples": [{"labels": "{}", "value": 1}]},
    ]
    run_promtool(tmp_path, MINUTE, series, checks)


def times(cell: str) -> dict[str, int]:
    """Return the seconds after which a cell promises a ticket and a page."""
    found = re.findall(r"(ticket|page)(?: (\d+) h)?(?: (\d+) min)?(?:, |$)", cell)
    assert found or cell == "nothing", cell
    return {kind: int(hours or 0) * HOUR + int(minutes or 0) * MINUTE for kind, hours, minutes in found}


def shown(source: str, story: Row, setting: Setting, begin: int, end: int) -> Iterator[dict[str, str]]:
    """Yield what scrapes show of one export, as the input of a test of promtool."""
    interval = setting.interval
    names = {"interval": interval, "grace": interval * 0.2, "RUN": RUN, "HOUR": HOUR}
    declaration = Declaration("nightly", Selection("shop"), interval=interval)
    outages = [Outage(*(DUE + edge for edge in story.outage))] if story.outage[1] else []
    declared_at = DUE - interval if story.ran_before else DUE
    webhook = Webhook(declarations=[declaration] if setting.declared else [], outages=outages, declared_at=declared_at)
    deliveries = {DUE + evaluated(when, names): status for status, when in story.events.items()}
    if story.ran_before:
        deliveries |= {DUE - interval: "Initiated", DUE - interval + RUN: "Completed"}
    frequency = f"Every {interval // HOUR} hours"
    instants = [begin + number * setting.step for number in range((end - begin) // setting.step + 1)]
    values: dict[str, list[str]] = {}
    accepted_at = 0.0
    for position, now in enumerate(instants):
        while deliveries and min(deliveries) <= now:
            accepted_at = min(deliveries)
            webhook.deliver(deliveries.pop(accepted_at), accepted_at, delay=0, Frequency=frequency)
        accepted = accepted_at if story.source_is_silent else now
        lines = [f'{LAST_ACCEPTED.name}{{source="shop"}} {accepted}']
        for state in webhook.states(now).values():
            if not setting.declared or declared_at <= now:
                lines += [line.rstrip() for line in column_lines(state) if line]
        for line in lines:
            name, value = line.rsplit(" ", 1)
            # Promtool's clock begins at 0, so instants are shown relative to the beginning.
            seconds = float(value) - begin if "timestamp" in name and float(value) else float(value)
            values.setdefault(name, ["_"] * position).append(repr(seconds))
    for name, samples in values.items():
        runs = ((value, len([*same])) for value, same in groupby(samples))
        label = name.replace('source="shop"', f'source="{source}",job="dataexport"')
        # To promtool, "_x3" is three missing samples, and "1x3" is one sample and three more.
        repeated = (f"{value}x{count if value == '_' else count - 1}" for value, count in runs)
        yield {"series": label, "values": " ".join(repeated)}


def evaluated(when: str, names: dict[str, float]) -> float:
    """Return the seconds that the words of a story mean."""
    total = 0.0
    for term in when.split(" + "):
        factor, _, name = term.rpartition(" * ")
        total += float(factor or 1) * (names[name] if name in names else float(name))
    return total


def unsuppressed(source: str, severity: str) -> str:
    """Return a query for alerts about a source; a ticket counts only while no page suppresses it."""
    warning, critical = (
        f'group(ALERTS{{source="{source}",alertstate="firing",severity="{each}"}})' for each in ("warning", "critical")
    )
    return critical if severity == "critical" else f"{warning} unless {critical}"


def run_promtool(folder: Path, step: int, series: list[dict[str, str]], checks: list[dict[str, Any]]) -> None:
    """Run the shipped rules over the series and compare."""
    test = {
        "rule_files": [str(ROOT / "alerts" / "dataexport.rules.yaml")],
        "group_eval_order": ["dataexport-exports", "dataexport-slots", "dataexport-sources", "dataexport-exporter"],
        "evaluation_interval": f"{step}s",
        "tests": [{"interval": f"{step}s", "input_series": series, "promql_expr_test": checks}],
    }
    path = folder / "lateness.test.yaml"
    path.write_text(yaml.safe_dump(test), "utf-8")
    done = subprocess.run([tool("promtool"), "test", "rules", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
