"""Every query of every panel, asked of a real Prometheus with a past, as Grafana would ask it."""

from __future__ import annotations

import dataclasses
import functools
import re
from typing import TYPE_CHECKING, Any

import pytest
import requests

from dataexport_dashboards import ask, palette, queries
from dataexport_dashboards.stand import Stand
from tools import tool

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

BOARDS = {board["uid"]: board for board in ask.boards()}
TARGETS = [target for board in BOARDS.values() for target in ask.targets(board)]
PANELS = [(board, panel) for board in BOARDS.values() for panel in ask.panels(board)]
CHOSEN = {"dataexport-export": {"source": "shop", "export": "warehouse"}}

MAY_BE_EMPTY = (
    # Nothing runs most of the time, most runs are good ones, and the panels say so.
    "dataexport-export: Run due in",
    "dataexport-export: Last started: B",
    "dataexport-export: Last completed: B",
    "dataexport-export: Last failed: B",
    "dataexport-export: Running since: B",
    "dataexport-export: On time",
    "dataexport-export: Runs: B",
    "dataexport-export: Runs: C",
    "dataexport-export: Slots: D",
    "dataexport-export: Slots: B",
    "dataexport-export: Slots: C",
    "dataexport-export: Landed: B",
    "dataexport-export: Last check: B",
    "dataexport-export: Checks by result",
    "dataexport-export: Size of each run: B",
    "dataexport-health: TLS certificate",
    "dataexport-health: Unknown statuses",
    "dataexport-health: Unknown status words",
    "dataexport-health: Duplicate, quarantined, doubtful",
    "dataexport-health: Wrong credentials",
    "dataexport-health: Errors of the store",
    "dataexport-health: Newest backup: B",
    "dataexport-health: Backup max age",
)
"""Queries that only return what is wrong or unusual, by the beginning of their names."""


MAY_BE_MISSING = {"partner", "data_type", "owner", "runbook_url"}
"""Labels that not every export has."""
DAY = 86400


def is_table(panel: dict[str, Any]) -> bool:
    """Whether a panel shows rows and columns instead of series."""
    return bool(panel["type"] == "table")


def each_target_of(targets: Iterable[ask.Target]) -> pytest.MarkDecorator:
    """Run a test for each of these queries."""
    return pytest.mark.parametrize("target", [pytest.param(target, id=target.name) for target in targets])


def each_panel_of(panels: Iterable[tuple[dict[str, Any], dict[str, Any]]]) -> pytest.MarkDecorator:
    """Run a test for each of these panels."""
    named = [pytest.param(board, panel, id=f"{board['uid']}: {panel['title']}") for board, panel in panels]
    return pytest.mark.parametrize(("board", "panel"), named)


each_target = each_target_of(TARGETS)
each_target_of_a_chart = each_target_of(target for target in TARGETS if not is_table(target.panel))
each_table = each_panel_of((board, panel) for board, panel in PANELS if is_table(panel))
each_chart = each_panel_of((board, panel) for board, panel in PANELS if not is_table(panel))


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    for name in ("prometheus", "promtool"):
        tool(name)
    with Stand(tmp_path_factory.mktemp("stand"), exports=8, days=10, step=300) as running:
        yield running


@pytest.fixture(scope="module")
def states(stand: Stand) -> list[dict[str, Any]]:
    """What the exporter itself says of each export."""
    return stand.states()


@functools.cache
def variables(prometheus_url: str, uid: str) -> dict[str, str]:
    """One export where the dashboard is about one, else all of them."""
    return ask.choices(prometheus_url, BOARDS[uid], CHOSEN.get(uid, {}))


ANSWERS: dict[tuple[str, str], ask.HttpResponse] = {}


def asked(stand: Stand, target: ask.Target) -> ask.HttpResponse:
    """The answer to a query, asked once."""
    key = (target.name, target.expression)
    if key not in ANSWERS:
        ANSWERS[key] = ask.ask(stand.prometheus_url, target, variables(stand.prometheus_url, target.board))
    return ANSWERS[key]


def targets(board: dict[str, Any], panel: dict[str, Any]) -> list[ask.Target]:
    """The queries of one panel."""
    return [target for target in ask.targets(board) if target.panel["id"] == panel["id"]]


def label_values(stand: Stand, label: str, selector: str) -> list[str]:
    """The values of a label, as Prometheus lists them."""
    url = f"{stand.prometheus_url}/api/v1/label/{label}/values"
    answer = requests.get(url, {"match[]": selector}, timeout=60)
    found: list[str] = answer.json()["data"]
    return found


@each_target
def test_a_query_has_an_answer_of_the_right_kind(target: ask.Target, stand: Stand) -> None:
    answer = asked(stand, target)
    assert answer.kind == ("vector" if target.instant else "matrix")
    assert answer.series or target.name.startswith(MAY_BE_EMPTY)


@each_target
def test_a_legend_names_labels_that_the_answer_has(target: ask.Target, stand: Stand) -> None:
    wanted = set(re.findall(r"\{\{(\w+)\}\}", target.spec.get("legendFormat", "")))
    answer = asked(stand, target)
    assert not answer.series or wanted <= answer.labels


@each_target_of_a_chart
def test_the_series_of_a_chart_have_names_of_their_own(target: ask.Target, stand: Stand) -> None:
    legend = target.spec.get("legendFormat", "")
    names = [
        re.sub(r"\{\{(\w+)\}\}", lambda match: labels.get(match[1], ""), legend)  # noqa: B023 - used at once
        for labels in (each["metric"] for each in asked(stand, target).series)
    ]
    assert len(names) == len(set(names))


@each_table
def test_the_columns_of_a_table_are_in_the_answers(board: dict[str, Any], panel: dict[str, Any], stand: Stand) -> None:
    columns = {"Time"}
    for target in targets(board, panel):
        columns |= asked(stand, target).labels | {f"Value #{target.spec['refId']}"}
    [organize] = [each["options"] for each in panel["transformations"] if each["id"] == "organize"]
    named = {*organize["renameByName"], *organize["excludeByName"]}
    if columns > {"Time"} | {f"Value #{each['refId']}" for each in panel["targets"]}:
        assert columns <= named
        # Without anything wrong there is no alert to lead to, and so no column for it.
        assert named - columns <= queries.MADE_LABELS | MAY_BE_MISSING
    assert set(organize["indexByName"]) == set(organize["renameByName"])
    headings = set(organize["renameByName"].values())
    assert {each["matcher"]["options"] for each in panel["fieldConfig"]["overrides"]} <= {*headings, "/.*/"}
    assert {each["displayName"] for each in panel["options"].get("sortBy", [])} <= headings
    assert set(re.findall(r"__data\.fields\.(\w+)", str(panel))) <= headings


@each_chart
def test_an_override_of_a_chart_meets_a_series(board: dict[str, Any], panel: dict[str, Any], stand: Stand) -> None:
    asked_for = targets(board, panel)
    # What is 0 throughout is not drawn, but it has a colour.
    unfiltered = [
        dataclasses.replace(each, spec=each.spec | {"expr": each.expression.removesuffix(" > 0")}) for each in asked_for
    ]
    names = {
        re.sub(r"\{\{(\w+)\}\}", lambda match: each["metric"].get(match[1], ""), target.spec.get("legendFormat", ""))  # noqa: B023 - used at once
        for target in unfiltered
        for each in asked(stand, target).series
    } | {each.spec.get("legendFormat", "") for each in asked_for if each.name.startswith(MAY_BE_EMPTY)}
    for override in panel["fieldConfig"]["overrides"]:
        matcher = override["matcher"]
        if matcher["id"] == "byName":
            assert matcher["options"] in names
        elif matcher["id"] == "byFrameRefID":
            assert matcher["options"] in {each.spec["refId"] for each in asked_for}
        else:
            assert matcher["id"] == "byRegexp"
            assert any(re.search(matcher["options"].strip("/"), name) for name in names)


@pytest.mark.parametrize(
    "variable",
    [
        pytest.param((board, each), id=f"{board['uid']}: {each['name']}")
        for board in BOARDS.values()
        for each in board["templating"]["list"]
        if each["type"] == "query"
    ],
)
def test_a_variable_has_values_to_choose_from(variable: tuple[dict[str, Any], dict[str, Any]], stand: Stand) -> None:
    board, spec = variable
    chosen = variables(stand.prometheus_url, board["uid"])
    query = spec["query"]["query"]
    if query.startswith("query_result("):
        seconds = ask.span(board["time"]["from"])
        assert chosen[spec["name"]] in ask.results(stand.prometheus_url, spec, chosen, seconds)
        return
    match = re.fullmatch(r"label_values\((.*), (\w+)\)", ask.fill(query, chosen))
    assert match is not None
    assert label_values(stand, match[2], match[1].removesuffix("{}"))


def test_the_detail_without_a_choice_shows_the_most_urgent_export(stand: Stand, states: list[dict[str, Any]]) -> None:
    chosen = ask.choices(stand.prometheus_url, BOARDS["dataexport-export"], {})
    shown = {label: chosen[label] for label in queries.IDENTITY}
    codes = {each.word: each.code for each in palette.CONDITIONS}
    [state] = [codes[each["state"]] for each in states if {label: each[label] for label in shown} == shown]
    of_all = [codes[each["state"]] for each in states]
    assert state == max(of_all)
    overview = BOARDS["dataexport-overview"]
    [panel] = [each for each in ask.panels(overview) if each["title"] == "What to do"]
    rows = [asked(stand, target).series for target in targets(overview, panel)]
    assert [len(each) for each in rows] == [1, 1, 1, 1]
    assert int(float(rows[0][0]["value"][1])) == max(of_all)


def test_the_steps_of_bars_are_the_interval_or_a_part_of_it(stand: Stand) -> None:
    board = BOARDS["dataexport-export"]
    [runs] = [each for each in ask.targets(board) if each.panel["title"] == "Runs" and each.spec["refId"] == "A"]
    steps = {}
    for seconds in (3600, DAY, 7 * DAY, 30 * DAY):
        chosen = ask.choices(stand.prometheus_url, board, CHOSEN[board["uid"]], seconds)
        steps[seconds] = dataclasses.replace(runs, seconds=seconds).least_step(chosen)
    # An export of 4 hours: six bars at the least, 90 at the most, and else one for each run that is expected.
    assert steps == {3600: 600, DAY: 14400, 7 * DAY: 14400, 30 * DAY: 28800}


def test_the_states_on_the_dashboard_are_the_exporters_own(stand: Stand, states: list[dict[str, Any]]) -> None:
    words = {each.code: each.word for each in palette.CONDITIONS}
    expression = ask.fill(queries.condition(queries.CHOSEN), {"source": ".*", "export": ".*"})
    answer = requests.get(f"{stand.prometheus_url}/api/v1/query", {"query": expression}, timeout=60).json()
    shown = {
        tuple(each["metric"].get(label, "") for label in queries.IDENTITY): words[int(float(each["value"][1]))]
        for each in answer["data"]["result"]
    }
    said = {tuple(each[label] for label in queries.IDENTITY): each["state"] for each in states}
    assert shown == said
    assert {"never completed", "muted", "failed"} <= set(said.values())


def test_the_counts_on_the_overview_are_those_of_the_exporter(stand: Stand, states: list[dict[str, Any]]) -> None:
    words = [each["state"] for each in states]
    board = BOARDS["dataexport-overview"]
    counts = {
        target.panel["title"]: asked(stand, target).series[0]["value"][1]
        for target in ask.targets(board)
        if target.panel["type"] == "stat" and not target.expression.startswith("1000 *")
    }
    assert int(counts["Fine"]) == words.count("fine") + words.count("running")
    assert int(counts["Never completed"]) == words.count("never completed")
    assert int(counts["Overdue"]) == words.count("overdue")
    assert int(counts["Muted"]) == words.count("muted")
    # An export that is overdue may be stuck or failed as well, and is counted as both.
    assert int(counts["Stuck"]) >= words.count("stuck")
    assert int(counts["Failed"]) >= words.count("failed")
    assert int(counts["Not started"]) >= words.count("not started")


def test_every_row_of_the_table_has_its_state_and_its_owner(stand: Stand) -> None:
    titled = {each["title"]: each for each in ask.panels(BOARDS["dataexport-overview"])}
    panel = titled["Exports, the most urgent first"]
    rows = {
        target.spec["refId"]: {
            tuple(each["metric"].get(label, "") for label in queries.IDENTITY) for each in asked(stand, target).series
        }
        for target in targets(BOARDS["dataexport-overview"], panel)
    }
    assert rows["A"] == rows["B"] == rows["E"]
    assert rows["C"] <= rows["A"]


@each_table
def test_the_column_of_own_runbooks_is_there_only_if_an_export_has_one(
    board: dict[str, Any], panel: dict[str, Any], stand: Stand
) -> None:
    asked_for = [target for target in targets(board, panel) if "runbook_url" in target.expression]
    assert bool(asked_for) == ("Own runbook" in str(panel["transformations"]))
    for target in asked_for:
        # Without the part that chooses the most urgent export: nothing is wrong with these two.
        expression = re.sub(r" and on \([^)]*\) \(topk\(1, .*\)$", "", target.expression, flags=re.DOTALL)
        alone = dataclasses.replace(target, spec=target.spec | {"expr": expression})
        for source, export, there in (("shop", "warehouse", True), ("app", "any", False)):
            chosen = ask.choices(stand.prometheus_url, board, {"source": source, "export": export})
            answer = ask.ask(stand.prometheus_url, alone, chosen)
            assert answer.series
            assert ("runbook_url" in answer.labels) == there


@each_table
def test_the_links_to_the_status_page_are_there_only_if_its_address_is(
    board: dict[str, Any], panel: dict[str, Any], stand: Stand
) -> None:
    [organize] = [each["options"] for each in panel["transformations"] if each["id"] == "organize"]
    leads_there = "${exporter_url}/" in str(panel["fieldConfig"])
    assert (organize["renameByName"].get("page") == "Status page") == leads_there
    with_label = [target for target in targets(board, panel) if '"page"' in target.expression]
    assert len(with_label) == leads_there
    for target in with_label:
        assert "page" in asked(stand, target).labels
        without = variables(stand.prometheus_url, target.board) | {"exporter_url": ""}
        assert ask.ask(stand.prometheus_url, target, without).series == []
