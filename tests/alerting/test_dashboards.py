"""The dashboards: as generated, complete, and naming only what the exporter really shows."""

from __future__ import annotations

import itertools
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bucket_server import bucket_server
from builders import fields, vendor_clock
from dataexport_dashboards import ask, output, palette, queries
from dataexport_dashboards.board import TAG
from dataexport_dashboards.links import EXPORTER, RUNBOOKS
from monitoring import read_yaml
from running import Series, series
from running_here import LocalExporter

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
GRAFANA = ROOT / "grafana"
RUNBOOK_PAGES = ROOT / "docs" / "runbooks"
BOARDS = {board["uid"]: board for board in ask.boards()}
PANELS = [(uid, panel) for uid, board in BOARDS.items() for panel in ask.panels(board)]
TARGETS = [target for board in BOARDS.values() for target in ask.targets(board)]

CONFIG = """
[[sources]]
slug = "shop"
timezone = "UTC"

[[exports]]
name = "orders"
source = "shop"
match = {{ partner = "Google Cloud Storage", frequency = "24h" }}

[exports.landing]
url = "s3://exports/orders/"
endpoint = "{bucket}"
region = "us-east-1"
anonymous = true
"""
MADE_BY_PROMETHEUS = {"up", "ALERTS"}
LABELS_MADE_BY_PROMETHEUS = {"job", "instance", "namespace", "pod", "alertname", "alertstate", "severity"}
KEYWORDS = {"and", "or", "unless", "bool", "offset", "inf", "nan"}

each_panel = pytest.mark.parametrize(
    "panel", [pytest.param(panel, id=f"{uid}: {panel['title']}") for uid, panel in PANELS]
)
each_board = pytest.mark.parametrize("board", [pytest.param(board, id=uid) for uid, board in BOARDS.items()])


class Names:
    """The metrics and labels that an expression names.

    Args:
        expression: in PromQL.
    """

    def __init__(self, expression: str) -> None:
        text = re.sub(r'"[^"]*"', '""', expression)
        self.selected = {
            (metric, label)
            for metric, selector in re.findall(r"([A-Za-z_:][\w:]*)\{([^}]*)\}", text)
            for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector)
        }
        grouping = r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)"
        self.labels = {
            label.strip() for group in re.findall(grouping, text) for label in group.split(",") if label.strip()
        } | {label for _, label in self.selected}
        for noise in (r"\$\{\w+\}\w*", grouping, r"\{[^}]*\}", r"\[[^\]]*\]", r"\boffset\s+\S+", r"\$\w+"):
            text = re.sub(noise, " ", text)
        words = re.findall(r"(?<![\w.])([A-Za-z_:][\w:]*)(?!\w|\s*\()", text)
        self.metrics = {word for word in words if word.lower() not in KEYWORDS}


def rules() -> list[dict[str, Any]]:
    """Every recording and alerting rule."""
    return [
        rule
        for path in sorted((ROOT / "alerts").glob("*.rules.yaml"))
        for group in read_yaml(path)["groups"]
        for rule in group["rules"]
    ]


RULES = rules()
EXPRESSIONS = [
    *(pytest.param(rule["expr"], id=rule.get("alert") or rule["record"]) for rule in RULES),
    *(pytest.param(target.expression, id=target.name) for target in TARGETS),
]


@pytest.fixture(scope="module")
def scrape(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Series]:
    """A scrape of a running exporter that has heard of a run, and looks for the files of an export."""
    begin = time.time() - 600
    half, end = begin + 120, begin + 300
    with (
        bucket_server() as bucket,
        LocalExporter(tmp_path_factory.mktemp("exporter"), CONFIG.format(bucket=bucket.url)) as running,
    ):
        for status, at in (("Initiated", begin), ("Paused", half), ("Completed", end)):
            assert running.post(fields(status, vendor_clock(at)), "shop").status_code == 200
        yield series(running.scrape())


def recorded() -> set[str]:
    """The series that rules make."""
    return {rule["record"] for rule in RULES if "record" in rule}


@pytest.mark.parametrize(("name", "text"), [pytest.param(*each, id=each[0]) for each in output.files()])
def test_the_committed_json_is_what_the_generator_writes(name: str, text: str) -> None:
    assert (GRAFANA / name).read_text("utf-8") == text, "run: grafana/generate"


def test_no_file_is_left_that_the_generator_does_not_write() -> None:
    written = {GRAFANA / name for name, _ in output.files()}
    kept = ("dashboards/*.json", "publish/*.json", "provisioning/alerting/*.yaml")
    assert {path for pattern in kept for path in GRAFANA.glob(pattern)} == written


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_metric_and_label_of_a_rule_or_a_panel_exists_in_a_scrape(expression: str, scrape: Series) -> None:
    by_metric: dict[str, set[str]] = {}
    for metric, labels in scrape:
        by_metric.setdefault(metric, set()).update(label for label, _ in labels)
    names = Names(expression)
    assert names.metrics <= by_metric.keys() | recorded() | MADE_BY_PROMETHEUS
    every_label = set().union(*by_metric.values()) | LABELS_MADE_BY_PROMETHEUS
    assert names.labels <= every_label | queries.MADE_LABELS
    for metric, label in names.selected:
        assert label in by_metric.get(metric, every_label) | LABELS_MADE_BY_PROMETHEUS, metric


def test_every_label_in_an_annotation_exists_in_a_scrape(scrape: Series) -> None:
    known = {label for _, labels in scrape for label, _ in labels} | LABELS_MADE_BY_PROMETHEUS
    for rule in RULES:
        for text in rule.get("annotations", {}).values():
            assert set(re.findall(r"\$labels\.(\w+)", text)) <= known, rule["alert"]


def test_every_metric_is_used_in_a_rule_or_a_panel(scrape: Series) -> None:
    used = {re.sub("_(bucket|sum|count)$", "", name) for name in set().union(*map(names_of, EXPRESSIONS))}
    shown = {re.sub("_(bucket|sum|count)$", "", name) for name, _ in scrape if name.startswith("dataexport_")}
    assert {name for name in shown if not name.endswith("_created")} - used == set()


def names_of(expression: Any) -> set[str]:  # noqa: ANN401 - what pytest.param returns
    """The metrics that a parameter of a test names."""
    return Names(expression.values[0]).metrics


@pytest.mark.parametrize(
    ("expression", "metrics", "labels"),
    [
        ('sum by (le) (rate(a_bucket{b=~"$c"}[5m])) / 2e3 > 0', {"a_bucket"}, {"le", "b"}),
        ("a offset 1d unless on (x, y) b and topk(3, c)", {"a", "b", "c"}, {"x", "y"}),
        ('label_replace(1 + 0 * d, "alert", "Text", "", "") or ignoring (alert) r:e', {"d", "r:e"}, {"alert"}),
        ("clamp_min(a - a offset ${__interval_ms}ms, 0) * bool_value + vector($limit)", {"a", "bool_value"}, set()),
    ],
)
def test_the_names_in_an_expression_are_found(expression: str, metrics: set[str], labels: set[str]) -> None:
    names = Names(expression)
    assert (names.metrics, names.labels) == (metrics, labels)


@each_board
def test_a_dashboard_has_a_fixed_uid_and_nothing_of_one_installation(board: dict[str, Any]) -> None:
    assert (GRAFANA / "dashboards" / f"{board['uid']}.json").is_file()
    assert board.get("id") is None
    assert TAG in board["tags"]
    assert board["title"]
    assert board["description"]
    first, *others = board["templating"]["list"]
    assert (first["name"], first["type"], first["query"]) == ("datasource", "datasource", "prometheus")
    assert not first.get("current", {}).get("value")
    for variable in others:
        assert variable["label"]
        assert variable["description"]


@each_board
def test_no_data_source_is_named_but_by_the_variable(board: dict[str, Any]) -> None:
    def found(value: object) -> Iterator[object]:
        if isinstance(value, dict):
            if "datasource" in value:
                yield value["datasource"]
            for each in value.values():
                yield from found(each)
        elif isinstance(value, list):
            for each in value:
                yield from found(each)

    named = list(found(board))
    assert named
    assert all(each == {"type": "prometheus", "uid": "${datasource}"} for each in named)


@each_board
def test_the_published_form_asks_for_the_data_source(board: dict[str, Any]) -> None:
    published = output.published(board)
    text = str(published)
    assert "${datasource" not in text
    assert text.count("${DS_PROMETHEUS}") > len(ask.panels(board))
    assert [each["name"] for each in published["__inputs"]] == ["DS_PROMETHEUS", "VAR_EXPORTER_URL"]
    [exporter] = [each for each in published["templating"]["list"] if each["type"] == "constant"]
    assert exporter["query"] == "${VAR_EXPORTER_URL}"
    assert not re.search(r"[?&]$|[?&]&", "\n".join(links(published)), re.MULTILINE)
    assert published["uid"] == board["uid"]
    required = {each["id"] for each in published["__requires"] if each["type"] == "panel"}
    assert required == {panel["type"] for panel in ask.panels(board)}


@each_board
def test_panels_have_ids_of_their_own_and_do_not_overlap(board: dict[str, Any]) -> None:
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    for one, other in itertools.combinations((panel["gridPos"] for panel in board["panels"]), 2):
        apart_x = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart_y = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart_x or apart_y
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in board["panels"])


@each_panel
def test_a_panel_says_what_it_shows_and_in_which_unit(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["targets"]


@each_panel
def test_an_instant_in_a_panel_shows_zero_as_a_word(panel: dict[str, Any]) -> None:
    settings = [panel["fieldConfig"]["defaults"]] + [
        {each["id"]: each.get("value") for each in override["properties"]}
        for override in panel["fieldConfig"]["overrides"]
    ]
    for setting in settings:
        if setting.get("unit") == "dateTimeFromNow":
            assert "0" in setting["mappings"][0]["options"]


@each_panel
def test_a_panel_uses_the_common_colours_only(panel: dict[str, Any]) -> None:
    assert set(re.findall(r"#[0-9A-Fa-f]{6}", str(panel))) <= palette.PALETTE
    assert not re.search(
        r"'(?:fixedColor|color)': '(?:dark-|light-|semi-dark-)?(?:red|green|orange|yellow)'", str(panel)
    )


@each_panel
def test_a_word_has_the_same_colour_everywhere(panel: dict[str, Any]) -> None:
    known = {each.word: each.colour for each in palette.CONDITIONS}
    for word, colour in re.findall(r"'color': '(#\w+)', 'index': \d+, 'text': '([^']+)'", str(panel)):
        assert known.setdefault(colour, word) == word


def links(value: object) -> Iterator[str]:
    """Every address in a dashboard."""
    if isinstance(value, dict):
        if isinstance(value.get("url"), str) and value["url"]:
            yield value["url"]
        for each in value.values():
            yield from links(each)
    elif isinstance(value, list):
        for each in value:
            yield from links(each)


@each_board
def test_every_link_leads_somewhere(board: dict[str, Any]) -> None:
    found = list(links(board))
    assert found
    for url in found:
        if match := re.match(r"/d/([\w-]+)\?(.*)", url):
            target = BOARDS[match[1]]
            variables = {each["name"] for each in target["templating"]["list"]}
            assert set(re.findall(r"var-(\w+)=", match[2])) <= variables
            assert "${datasource:queryparam}" in match[2]
        elif url.startswith(EXPORTER):
            assert url[len(EXPORTER) :] in {
                "/?source=${__data.fields.Source:percentencode}",
                "/?source=${__data.fields.Source:percentencode}&search=${__data.fields.Export:percentencode}",
                "/?source=${source:percentencode}&search=${export:percentencode}",
            }
        else:
            # The raw value is the address of a runbook: that of an alert, see below, or of the export's own.
            assert url in {RUNBOOKS, "${__value.raw}"}


def test_the_dashboards_lead_to_each_other() -> None:
    reached = {
        uid: {match for url in links(board) for match in re.findall(r"^/d/([\w-]+)", url)}
        for uid, board in BOARDS.items()
    }
    for uid, others in reached.items():
        assert others >= BOARDS.keys() - {uid}


@pytest.mark.parametrize("alert", [each.alert for each in palette.CONDITIONS if each.alert])
def test_the_alert_of_a_state_exists_and_has_its_runbook(alert: str) -> None:
    assert alert in {rule.get("alert") for rule in RULES}
    assert (RUNBOOK_PAGES / f"{alert}.md").is_file()
    assert f"{RUNBOOKS}/{alert}.md" in queries.condition(queries.CHOSEN, alert=True)


def test_every_dashboard_address_in_an_alert_leads_to_one_of_them() -> None:
    for rule in RULES:
        if url := rule.get("annotations", {}).get("dashboard_url"):
            match = re.search(r"/d/([\w-]+)(?:\?(.*))?$", url)
            assert match is not None
            variables = {each["name"] for each in BOARDS[match[1]]["templating"]["list"]}
            assert set(re.findall(r"var-(\w+)=", match[2] or "")) <= variables
