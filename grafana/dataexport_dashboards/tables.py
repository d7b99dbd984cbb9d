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

STATE_WIDTH, ALERT_WIDTH = 140, 170
LEAST_WIDTH = 85
"""Pixels, so that a table of a dozen columns fits beside Grafana's menu."""
TIME_WIDTH = 115
"""So wide is "59 minutes ago"."""
WIDTHS = {
    "Export": 115,
    "Partner": 155,
    "Type": 75,
    "Last duration": 100,
    "Grace period": 100,
    "Max runtime": 100,
    "Quarantined": 100,
    "Time zone": 110,
    "Own runbook": 100,
}
"""Pixels of the columns whose heading, or what is usual in them, needs more or less."""
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
    for heading, pixels in WIDTHS.items():
        if heading in columns.values():
            panel.override_by_name(heading, properties(("custom.minWidth", pixels)))
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
                ("custom.minWidth", TIME_WIDTH),
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
            ("custom.minWidth", TIME_WIDTH),
        ),
    )


def states(panel: table.Panel, words: Sequence[models.ValueMapping], width: int = STATE_WIDTH) -> table.Panel:
    """The same with the codes of `palette.CONDITIONS` in the column State, shown as words."""
    return panel.override_by_name(
        "State",
        properties(
            mapped(words),
            FILLED,
            ("custom.align", "center" if width == STATE_WIDTH else "left"),
            ("custom.width", width),
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


def runbooks(panel: table.Panel) -> table.Panel:
    """The same with links to the runbook whose address the column Alert holds, and to that of Own runbook."""
    # The cells hold addresses, since Grafana makes a link of an empty cell as well: to nowhere, then.
    for heading, pattern, text, width in (
        ("Alert", f"^{RUNBOOKS}/(\\w+)\\.md$", "$1", ALERT_WIDTH),
        ("Own runbook", ".+", "open", 0),
    ):
        panel.override_by_name(
            heading,
            properties(
                _written(pattern, text),
                ("links", [link_value("Runbook", "${__value.raw}", new_window=True)]),
                *([("custom.width", width)] if width else []),
            ),
        )
    return panel


def _written(pattern: str, text: str) -> Property:
    """An override that shows addresses as something shorter."""
    return (
        "mappings",
        [models.RegexMap(models.DashboardRegexMapOptions(pattern, models.ValueMappingResult(text=text)))],
    )
