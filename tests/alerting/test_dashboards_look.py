"""How the dashboards look, as far as their JSON shows it: each test is of one kind of panel."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from dataexport_dashboards import ask, palette

if TYPE_CHECKING:
    from collections.abc import Iterator

BOARDS = {board["uid"]: board for board in ask.boards()}
PANELS = [(uid, panel) for uid, board in BOARDS.items() for panel in ask.panels(board)]

NARROW_SCREEN = 800
MARGINS, COLUMNS, GAP = 32, 24, 8
BARS_AT_MOST = 90
"""So many stay apart on a telephone, whose charts are about 300 pixels wide."""
AROUND_A_TITLE = 48
"""Pixels of a panel's padding and of the icon that shows its description."""
PIXELS_PER_CHARACTER = 7.5


def each_panel_of(*kinds: str) -> pytest.MarkDecorator:
    """Run a test for each panel of these kinds, or for every panel."""
    chosen = [(uid, panel) for uid, panel in PANELS if not kinds or panel["type"] in kinds]
    assert chosen
    return pytest.mark.parametrize(
        "panel", [pytest.param(panel, id=f"{uid}: {panel['title']}") for uid, panel in chosen]
    )


each_board = pytest.mark.parametrize("board", [pytest.param(board, id=uid) for uid, board in BOARDS.items()])


def settings(panel: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The name of the field and its settings: of the panel's defaults, and of each override."""
    yield "", panel["fieldConfig"]["defaults"]
    for override in panel["fieldConfig"]["overrides"]:
        properties = {each["id"]: each.get("value") for each in override["properties"]}
        yield override["matcher"]["options"], properties


def urls(value: object) -> Iterator[str]:
    """Every address in a part of a dashboard."""
    if isinstance(value, dict):
        if isinstance(value.get("url"), str) and value["url"]:
            yield value["url"]
        for each in value.values():
            yield from urls(each)
    elif isinstance(value, list):
        for each in value:
            yield from urls(each)


@each_panel_of("stat", "gauge", "bargauge")
def test_a_missing_value_is_a_grey_word_and_not_in_the_colour_of_an_alarm(panel: dict[str, Any]) -> None:
    for _, setting in settings(panel):
        # Grafana writes it in the colour of the lowest threshold.
        assert "noValue" not in setting
    [missing] = [
        mapping["options"]
        for mapping in panel["fieldConfig"]["defaults"]["mappings"]
        if mapping["type"] == "special" and "null" in mapping["options"]["match"]
    ]
    assert missing["result"]["text"]
    assert missing["result"]["color"] == palette.ABSENT


@each_panel_of("table", "timeseries", "state-timeline")
def test_a_panel_without_data_says_why_in_a_sentence(panel: dict[str, Any]) -> None:
    assert panel["fieldConfig"]["defaults"]["noValue"].endswith((".", "in this range"))


@each_panel_of("table")
def test_the_sentence_of_an_empty_table_is_not_written_into_every_empty_cell(panel: dict[str, Any]) -> None:
    [everywhere] = [setting for name, setting in settings(panel) if name == "/.*/"]
    assert everywhere["noValue"] == ""
    assert panel["fieldConfig"]["overrides"][0]["matcher"] == {"id": "byRegexp", "options": "/.*/"}


@each_panel_of("state-timeline")
def test_a_timeline_has_a_fixed_colour_mode_since_no_other_has_a_legend(panel: dict[str, Any]) -> None:
    assert panel["fieldConfig"]["defaults"]["color"]["mode"] == "fixed"
    assert panel["options"]["legend"]["showLegend"]


@each_panel_of("state-timeline", "timeseries")
def test_a_panel_that_ranks_every_export_asks_for_few_points(panel: dict[str, Any]) -> None:
    # The rank has the step of the panel: on a wide screen, 200 exports would take Prometheus seconds.
    if any("[$__range:$__interval] @ end()" in target["expr"] for target in panel["targets"]):
        assert panel["maxDataPoints"] <= 400


@each_panel_of("state-timeline", "status-history")
def test_a_timeline_has_no_pager(panel: dict[str, Any]) -> None:
    assert "perPage" not in panel["options"]


@each_panel_of()
def test_a_title_fits_on_a_narrow_screen(panel: dict[str, Any]) -> None:
    pixels = (NARROW_SCREEN - MARGINS) / COLUMNS * panel["gridPos"]["w"] - GAP - AROUND_A_TITLE
    assert len(panel["title"]) * PIXELS_PER_CHARACTER <= pixels


@each_panel_of()
def test_the_time_left_is_in_one_unit(panel: dict[str, Any]) -> None:
    for _, setting in settings(panel):
        if setting.get("unit") == "dtdurations":
            assert setting["decimals"] == 0


@each_panel_of("bargauge")
def test_the_numbers_of_a_bar_gauge_are_not_cut(panel: dict[str, Any]) -> None:
    assert panel["options"]["namePlacement"] == "left"
    assert panel["options"]["minVizHeight"] == 22


@each_panel_of("timeseries")
def test_a_chart_has_colours_that_differ_and_an_axis_that_fits_a_flat_line(panel: dict[str, Any]) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    assert defaults["color"]["mode"] == "palette-classic"
    assert defaults["custom"]["axisSoftMax"] > 0


@each_board
def test_no_query_about_exports_reads_every_sample_of_a_long_time(board: dict[str, Any]) -> None:
    # Prometheus loads 50 million samples at most: those of 300 exports in a month, scraped every 15 seconds.
    of_variables = [each["query"]["query"] for each in board["templating"]["list"] if each["type"] == "query"]
    for expression in [*of_variables, *(target.expression for target in ask.targets(board))]:
        raw = re.findall(r"dataexport_(\w+)(?:\{[^}]*\})?\[\$__range\]", expression)
        assert all(metric.startswith(("webhook_", "store_")) for metric in raw), expression


@each_panel_of("timeseries")
def test_a_quantile_of_nothing_is_not_drawn(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        assert target["expr"].endswith(" >= 0") or "histogram_quantile" not in target["expr"]


@each_panel_of("timeseries")
def test_bars_become_neither_two_blocks_nor_none_nor_one_area_in_another_time_range(panel: dict[str, Any]) -> None:
    if panel["fieldConfig"]["defaults"]["custom"].get("drawStyle") == "bars":
        assert "interval" not in panel
        assert panel["maxDataPoints"] <= BARS_AT_MOST
        if {target.get("interval") for target in panel["targets"]} == {"${step}s"}:
            [step] = [each for each in BOARDS["dataexport-export"]["templating"]["list"] if each["name"] == "step"]
            assert f" / {panel['maxDataPoints']})" in step["query"]["query"]


@each_board
def test_no_link_passes_what_the_other_dashboard_does_not_offer(board: dict[str, Any]) -> None:
    for link in board["links"]:
        assert link["type"] == "link", "a list of dashboards passes All to variables that have no All"
        assert not link["includeVars"]
    for url in urls(board):
        if match := re.match(r"/d/([\w-]+)\?(.*)", url):
            offered = {each["name"]: each for each in BOARDS[match[1]]["templating"]["list"]}
            passed = re.findall(r"\$\{(\w+):queryparam\}", match[2])
            every = {each["name"] for each in board["templating"]["list"] if each.get("includeAll")}
            assert all(offered[name]["includeAll"] for name in every.intersection(passed))
            assert "$__all" not in match[2]


@each_board
def test_a_link_carries_the_time_range_of_the_dashboard_it_leads_to(board: dict[str, Any]) -> None:
    keeps_time = {link["url"] for link in board["links"] if link["keepTime"]}
    for url in urls(board):
        if match := re.match(r"/d/([\w-]+)\?(.*)", url):
            begin = BOARDS[match[1]]["time"]["from"]
            if begin == board["time"]["from"]:
                assert url in keeps_time or "${__url_time_range}" in match[2]
            else:
                assert f"from={begin}&to=now" in match[2]


@each_board
def test_a_link_to_all_exports_takes_no_filter_along_from_one(board: dict[str, Any]) -> None:
    headers = [link["url"] for link in board["links"]]
    assert [url for url in headers if "var-" in url] == []


def test_the_detail_always_shows_exactly_one_export() -> None:
    board = BOARDS["dataexport-export"]
    variables = {each["name"]: each for each in board["templating"]["list"]}
    identity = ("source", "export", "partner", "data_type", "frequency")
    for name in identity:
        assert not variables[name]["multi"]
        assert not variables[name]["includeAll"]
        assert "sort_desc" in variables[name]["query"]["query"], "the most urgent first"
    for target in ask.targets(board):
        for metric, selector in re.findall(r"(dataexport_\w+)\{([^}]*)\}", target.expression):
            if "run_duration_seconds_bucket" in metric or "event_delay" in metric:
                continue
            assert "=~" not in selector
            wanted = set(identity[:2]) if "on () count(count by" in target.expression else set(identity)
            assert set(re.findall(r'(\w+)="\$', selector)) == wanted


@each_board
def test_a_variable_has_its_query_in_one_line_since_grafana_recognises_no_other(board: dict[str, Any]) -> None:
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            assert re.fullmatch(r"(query_result|label_values)\(.+\)", variable["query"]["query"])


def test_what_a_histogram_of_several_exports_shows_is_nothing() -> None:
    [panel] = [panel for _, panel in PANELS if panel["title"] == "Runs by duration"]
    assert "== 1" in panel["targets"][0]["expr"]


@each_panel_of()
def test_a_link_in_an_empty_cell_does_not_lead_to_half_an_address(panel: dict[str, Any]) -> None:
    for url in urls(panel):
        assert "/${__value" not in url


@each_panel_of("state-timeline", "bargauge", "timeseries")
def test_the_names_of_exports_are_short(panel: dict[str, Any]) -> None:
    legends = {target.get("legendFormat", "") for target in panel["targets"]}
    if any("{{export}}" in legend for legend in legends):
        assert "renameByRegex" in {each["id"] for each in panel["transformations"]}
        assert re.search(r"\btopk\(", panel["targets"][0]["expr"]), "200 exports do not fit"


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("shop / warehouse / Amazon S3 profiles 4h", "shop / warehouse"),
        ("shop / old-project /   12h", "shop / old-project"),
        ("app / any / Amazon S3 events one-time", "app / S3 events one-time"),
        ("app / any / Google Cloud Storage  1h", "app / GCS 1h"),
        ("shop / any / Google Cloud Storage profiles one-time", "shop / GCS profiles one-time"),
        ("app / any / Microsoft Azure audit one-time", "app / Azure audit one-time"),
        ("app / any /   ", "app /"),
        ("shop / " + "x" * 128 + " / Amazon S3 events 4h", "shop / xxxxxxxxx…xxxxxxxxxxxx"),
    ],
)
def test_a_name_is_shortened(name: str, short: str) -> None:
    [panel] = [panel for _, panel in PANELS if panel["title"] == "State of each export"]
    for each in panel["transformations"]:
        between_slashes = re.fullmatch(r"/(.*)/(g?)", each["options"]["regex"])
        # Grafana matches a pattern without slashes with the whole name.
        pattern, flags = between_slashes.groups() if between_slashes else (f"^{each['options']['regex']}$", "")
        replacement = re.sub(r"\$(\d)", r"\\\1", each["options"]["renamePattern"])
        name = re.sub(pattern, replacement, name, count=0 if flags else 1)
    assert name == short


def test_what_to_do_names_the_state_the_owner_the_runbook_and_the_status_page() -> None:
    [panel] = [panel for uid, panel in PANELS if uid == "dataexport-overview" and panel["title"] == "What to do"]
    [organize] = [each["options"] for each in panel["transformations"] if each["id"] == "organize"]
    headings = set(organize["renameByName"].values())
    assert {"State", "Export", "Owner", "Runbook", "Own runbook", "Status page"} <= headings
    for target in panel["targets"]:
        assert "topk(1, " in target["expr"]
    by_name = dict(settings(panel))
    words = by_name["State"]["mappings"][0]["options"]
    explained = {each.explained: each.colour for each in (palette.NO_EXPORT, *palette.URGENT)}
    assert {sentence: word["color"] for sentence, word in words.items()} == explained
    assert all(f'"sentence", "{each}"' in panel["targets"][0]["expr"] for each in explained)
    [link] = by_name["Status page"]["links"]
    assert link["url"].startswith("${exporter_url}/")


@each_board
def test_no_link_leads_to_the_status_page_but_from_a_column_that_is_missing_without_an_address(
    board: dict[str, Any],
) -> None:
    assert "exporter_url" in {each["name"] for each in board["templating"]["list"]}
    elsewhere = [*urls(board["links"])]
    for panel in ask.panels(board):
        for name, setting in settings(panel):
            if name != "Status page":
                elsewhere += urls(setting)
                continue
            for url in urls(setting):
                assert url.startswith("${exporter_url}/?")
                assert 'label_replace(vector(1), "address", "${exporter_url}", "", "")' in str(panel["targets"])
    assert not any("exporter_url" in url for url in elsewhere)


@each_panel_of("timeseries")
def test_only_waits_of_seconds_have_an_axis_in_seconds_which_grafana_divides_at_33_20(panel: dict[str, Any]) -> None:
    expressions = [target["expr"] for target in panel["targets"]]
    if any(re.search(r"_(?:delay|duration|age|runtime)_seconds\b", each) for each in expressions):
        assert panel["fieldConfig"]["defaults"]["unit"] == "suffix:min"
        assert all(re.fullmatch(r"round\(\(.*\) / 60, 0\.1\)", each) for each in expressions)
    elif panel["fieldConfig"]["defaults"]["unit"] in {"s", "m", "h", "ms", "dthms", "dtdurations"}:
        assert all(each.startswith("histogram_quantile(") for each in expressions), "seconds at the most"


@each_panel_of("timeseries", "state-timeline")
def test_a_long_time_range_hides_nothing_that_was_short(panel: dict[str, Any]) -> None:
    # An instant of each step, an hour at 30 days, would miss most runs, and an outage of the store.
    short = r"dataexport_(runs_in_progress|last_run_duration_seconds|event_delay_seconds|store_up)\b|process_resident"
    for target in panel["targets"]:
        if re.search(short, target["expr"]):
            of_a_step = rf"(?:max|min)_over_time\((?:{short})[^\]]*\[\$__rate_interval\]\)"
            of_a_week = rf"quantile_over_time\(.*(?:{short}).*\[7d:1h\]\)"
            state = "max_over_time\\(.*\\[\\$__interval:5m\\]\\)"
            if panel["title"] == "State of each export":
                assert panel["maxDataPoints"] == 400, "of 200 exports, all states would take Prometheus seconds"
            else:
                assert re.search(f"{of_a_step}|{of_a_week}|{state}", target["expr"], re.DOTALL)


@each_panel_of("timeseries")
def test_a_line_of_a_month_that_jumps_up_and_down_is_no_solid_area(panel: dict[str, Any]) -> None:
    if re.search(r"event_delay|runs_in_progress", str(panel["targets"])):
        assert panel["maxDataPoints"] <= 120
    if "event_delay" in str(panel["targets"]):
        assert panel["fieldConfig"]["defaults"]["custom"]["axisSoftMax"] == 15, "minutes, so that seconds are flat"


@each_panel_of()
def test_no_panel_guesses_why_it_is_empty_from_what_the_export_is(panel: dict[str, Any]) -> None:
    assert not re.search(r"one-time|new one", panel["fieldConfig"]["defaults"].get("noValue", ""))


def test_nothing_to_do_names_every_state_and_is_not_what_an_overview_of_nothing_shows() -> None:
    [panel] = [panel for _, panel in PANELS if panel["title"] == "What to do"]
    sentence = panel["fieldConfig"]["defaults"]["noValue"]
    for each in palette.URGENT:
        assert each.word.replace("no schedule", "without a schedule") in sentence
    assert re.search(r"or label_replace\(-1 \* absent\(dataexport_muted\{[^}]*\}\), .*\)$", panel["targets"][0]["expr"])


@pytest.mark.parametrize("title", ["Over budget in a week", "Error budget used in 7 days", "Error budget left"])
def test_a_panel_of_the_budget_explains_what_a_single_slot_does(title: str) -> None:
    [panel] = [panel for _, panel in PANELS if panel["title"] == title]
    assert re.search(r"\bsingle\b", panel["description"])


@each_panel_of("bargauge")
def test_an_empty_bar_gauge_is_not_large(panel: dict[str, Any]) -> None:
    assert panel["gridPos"]["h"] <= 10


@each_panel_of("timeseries", "table")
def test_a_panel_that_is_empty_when_all_is_well_is_small(panel: dict[str, Any]) -> None:
    if panel["fieldConfig"]["defaults"]["noValue"].startswith("None"):
        assert panel["gridPos"]["h"] <= 6


@each_board
def test_panels_beside_each_other_have_one_height(board: dict[str, Any]) -> None:
    heights: dict[int, set[int]] = {}
    for panel in ask.panels(board):
        heights.setdefault(panel["gridPos"]["y"], set()).add(panel["gridPos"]["h"])
    assert all(len(each) == 1 for each in heights.values())


@pytest.mark.parametrize("title", ["On time", "Last failed", "Last completed"])
def test_a_value_is_judged_by_what_it_means_and_not_by_its_size(title: str) -> None:
    [panel] = [panel for _, panel in PANELS if panel["title"] == title]
    good, bad = panel["targets"]
    assert " unless " in good["expr"]
    assert bad["expr"] != good["expr"]
    [override] = panel["fieldConfig"]["overrides"]
    assert override["matcher"] == {"id": "byFrameRefID", "options": bad["refId"]}
    assert override["properties"][0]["value"]["fixedColor"] in palette.ALARMING
