"""How a table of ours is made, and the columns that several of them have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.builders import common, table
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from dataexport_dashboards import palette
from dataexport_dashboards.panels import RUNBOOKS, framed, link_value, mapped, properties, query, steps

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from grafana_foundation_sdk.builders import prometheus

    from dataexport_dashboards.panels import Property


def rows(expression: str, ref: str) -> prometheus.Dataquery:
    """A query for a table: labels as columns, and the value in the column ``Value #ref``."""
    return query(expression, ref=ref, instant=True).format(PromQueryFormat.TABLE)


def grid(  # noqa: PLR0913 - what differs between panels
    title: str,
    description: str,
    queries: Sequence[prometheus.Dataquery],
    columns: Mapping[str, str],
    *,
    hidden: Sequence[str] = (),
    widths: Mapping[str, int] | None = None,
    height: int = 10,
    width: int = 24,
) -> table.Panel:
    """A table of instant queries, joined on the labels that they share.

    Args:
        title: of the panel.
        description: of the panel.
        queries: made by `rows`.
        columns: the heading of each label and of each ``Value #ref``, in the order of the columns.
        hidden: further labels and values, which are not shown.
        widths: in pixels, by heading.
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
        .with_transformation(models.DataTransformerConfig("merge", options={}))
        .with_transformation(models.DataTransformerConfig("organize", options=options))
        .cell_height(common_models.TableCellHeight.SM)
        .thresholds(steps(palette.NEUTRAL))
    )
    for heading, pixels in (widths or {}).items():
        panel.override_by_name(heading, properties(("custom.width", pixels)))
    return panel


def sort(name: str, *, descending: bool) -> common.TableSortByFieldState:
    """The order of a table's rows."""
    return common.TableSortByFieldState().display_name(name).desc(desc=descending)


def ago(panel: table.Panel, *headings: str) -> table.Panel:
    """The same with instants in these columns, shown as the time since then."""
    for heading in headings:
        panel.override_by_name(heading, properties(("unit", "dateTimeFromNow"), mapped(palette.zero_is("never"))))
    return panel


def states(panel: table.Panel) -> table.Panel:
    """The same with the codes of `palette.CONDITIONS` in the column State, shown as their words."""
    return panel.override_by_name(
        "State",
        properties(
            mapped(palette.condition_words()),
            ("custom.cellOptions", {"type": "color-background", "mode": "basic"}),
            ("custom.align", "center"),
        ),
    )


def runbooks(panel: table.Panel) -> table.Panel:
    """The same with links to the runbook of the column Alert, and to what the column Own runbook holds."""
    panel.override_by_name(
        "Alert", properties(("links", [link_value("Runbook", f"{RUNBOOKS}/${{__value.raw}}.md", new_window=True)]))
    )
    return panel.override_by_name(
        "Own runbook", properties(_opened(), ("links", [link_value("Own runbook", "${__value.raw}", new_window=True)]))
    )


def _opened() -> Property:
    """An override that shows any address as one word."""
    return (
        "mappings",
        [models.RegexMap(models.DashboardRegexMapOptions(".+", models.ValueMappingResult(text="open")))],
    )
