"""How a table of ours is made, and the columns that several of them have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.builders import common, table
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from dataexport_dashboards import palette
from dataexport_dashboards.links import RUNBOOKS, link_value, status_page_url
from dataexport_dashboards.panels import framed, mapped, properties, query, steps

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from grafana_foundation_sdk.builders import prometheus

    from dataexport_dashboards.panels import Property

LEAST_WIDTH = 85
"""Pixels of a column that gets an equal share of what the others leave, if that is too little."""
WIDTHS = {
    "State": 130,
    "Alert": 165,
    "Runbook": 70,
    "Own runbook": 100,
    "Status page": 100,
    "Landed": 75,
    "Partner": 155,
    "Type": 80,
    "Frequency": 85,
    "Severity": 80,
    "Last duration": 110,
    "Grace period": 105,
    "Max runtime": 105,
    "Quarantined": 100,
    "Time zone": 110,
    "Offset seen": 105,
}
"""Pixels of the columns that need more than an equal share: as a least width, it would push out the last column."""
TIME_WIDTH = 128
"""So wide is "a few seconds ago"."""
FILLED: Property = ("custom.cellOptions", {"type": "color-background", "mode": "basic"})
"""An override that fills the cells with the colour of their value, on which Grafana's text can be read."""


def rows(expression: str, ref: str) -> prometheus.Dataquery:
    """A query for a table: labels as columns, and the value in the column ``Value #ref``."""
    return query(expression, ref=ref, instant=True).format(PromQueryFormat.TABLE)


def grid(  # noqa: PLR0913 - what differs between panels
    title: str,
    description: str,
    queries: Sequence[prometheus.Dataquery],
    columns: Mapping[str, str],
    *,
    nothing: str,
    hidden: Sequence[str] = (),
    height: int = 10,
    width: int = 24,
    widths: Mapping[str, int] | None = None,
) -> table.Panel:
    """A table of instant queries, joined on the labels that they share.

    Args:
        title: of the panel.
        description: of the panel.
        queries: made by `rows`.
        columns: the heading of each label and of each ``Value #ref``, in the order of the columns.
        nothing: a sentence to show instead of an empty table.
        hidden: further labels and values, which are not shown.
        height: of the panel.
        width: of the panel.
        widths: of columns, in pixels, if they differ from `WIDTHS`; 0 for an equal share.
    """
    options = {
        "excludeByName": dict.fromkeys(("Time", *hidden), True),
        "indexByName": {name: place for place, name in enumerate(columns)},
        "renameByName": dict(columns),
    }
    panel = (
        framed(table.Panel(), title, description, queries, height=height, width=width)
        .unit("none")
        .no_value(nothing)
        # The sentence is for a table without rows; Grafana would write it into each empty cell as well.
        .override_by_regexp("/.*/", properties(("noValue", "")))
        .min_width(LEAST_WIDTH)
        .with_transformation(models.DataTransformerConfig("merge", options={}))
        .with_transformation(models.DataTransformerConfig("organize", options=options))
        .cell_height(common_models.TableCellHeight.SM)
        .thresholds(steps(palette.PLAIN))
    )
    for heading, pixels in (WIDTHS | dict(widths or {})).items():
        if heading in columns.values() and pixels:
            panel.override_by_name(heading, properties(("custom.width", pixels)))
    return panel


def sort(name: str, *, descending: bool) -> common.TableSortByFieldState:
    """The order of a table's rows."""
    return common.TableSortByFieldState().display_name(name).desc(desc=descending)


def ago(panel: table.Panel, *headings: str) -> table.Panel:
    """The same with instants in these columns, shown as the time since then."""
    for heading in headings:
        panel.override_by_name(
            heading,
            properties(
                ("unit", "dateTimeFromNow"),
                mapped(palette.zero_is("never")),
                ("custom.align", "left"),
                ("custom.width", TIME_WIDTH),
            ),
        )
    return panel


def left(panel: table.Panel, heading: str) -> table.Panel:
    """The same with the seconds until a deadline in this column, in one unit of time."""
    return panel.override_by_name(
        heading,
        properties(
            ("unit", "dtdurations"),
            ("decimals", 0),
            mapped(palette.nothing_is("none")),
            ("custom.align", "left"),
            ("custom.width", TIME_WIDTH),
        ),
    )


def states(panel: table.Panel) -> table.Panel:
    """The same with the codes of `palette.CONDITIONS` in the column State, shown as words."""
    return panel.override_by_name(
        "State", properties(mapped(palette.condition_words()), FILLED, ("custom.align", "center"))
    )


def state_in_a_sentence(panel: table.Panel) -> table.Panel:
    """The same with the sentences of `palette.CONDITIONS` in the column State, in several lines."""
    return panel.override_by_name(
        "State",
        properties(
            mapped(palette.condition_sentences()),
            # The first is how Grafana 12 wraps, the second how Grafana 11 does.
            ("custom.wrapText", True),
            (FILLED[0], {"type": "color-background", "mode": "basic", "wrapText": True}),
            ("custom.align", "left"),
        ),
    )


def status_page(panel: table.Panel, source: str, export: str = "") -> table.Panel:
    """The same with a link in the column Status page, which is missing without an address.

    Args:
        panel: with `queries.if_page_is_known` as the query of the column.
        source: what Grafana fills in for the source.
        export: what it fills in for the name; empty for all of the source.
    """
    return panel.override_by_name(
        "Status page",
        properties(
            ("links", [link_value("Status page", status_page_url(source, export), new_window=True)]),
        ),
    )


def runbooks(panel: table.Panel, *headings: str) -> table.Panel:
    """The same with links to the runbooks whose addresses these columns hold."""
    # The cells hold addresses, since Grafana makes a link of an empty cell as well: to nowhere, then.
    leads_there = ("links", [link_value("Runbook", "${__value.raw}", new_window=True)])
    for heading in headings:
        name = _written(f"^{RUNBOOKS}/(\\w+)\\.md$", "$1") if heading == "Alert" else _written(".+", "open")
        panel.override_by_name(heading, properties(name, leads_there))
    return panel


def _written(pattern: str, text: str) -> Property:
    """An override that shows addresses as something shorter."""
    return (
        "mappings",
        [models.RegexMap(models.DashboardRegexMapOptions(pattern, models.ValueMappingResult(text=text)))],
    )
