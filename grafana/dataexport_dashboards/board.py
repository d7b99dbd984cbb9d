"""How a dashboard of ours is put together: its variables, its header, its panels in rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as models

from dataexport_dashboards import queries
from dataexport_dashboards.links import BEGINS, TITLES, header_links
from dataexport_dashboards.panels import source_ref

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from grafana_foundation_sdk.cog.builder import Builder

    from dataexport_dashboards.panels import Panel

TAG = "dataexport"
EXPORTER_URL = "http://127.0.0.1:10047"
"""The address of the status page with the default of server.admin_listen."""
LABEL_VALUES, QUERY_RESULT = 1, 3
"""Kinds of queries for a variable, by Grafana's numbers."""


def several(
    name: str, label: str, where: str, description: str, *, metric: str = "export_info"
) -> dashboard.QueryVariable:
    """A variable over the values of a label, of which any number may be chosen, and all are at first.

    Args:
        name: of the variable, and of the label.
        label: what is written beside it.
        where: the selector that narrows it.
        description: shown on hovering.
        metric: the metric that has the label.
    """
    chosen = models.VariableOption(selected=True, text=["All"], value=["$__all"])
    made = _variable(name, label, description, LABEL_VALUES, f"label_values(dataexport_{metric}{{{where}}}, {name})")
    made.sort(models.VariableSort.NATURAL_ASC).multi(multi=True).include_all(include_all=True)
    return made.all_value(".*").current(chosen)


def one(name: str, label: str, where: str, description: str) -> dashboard.QueryVariable:
    """A variable with exactly one value of a label; at first that of the most urgent export.

    Args:
        name: of the variable, and of the label.
        label: what is written beside it.
        where: the selector that narrows it.
        description: shown on hovering.
    """
    made = _variable(name, label, description, QUERY_RESULT, f"query_result({queries.most_urgent_first(name, where)})")
    # Without the label, which means that it is empty, the result is {} and the value is empty.
    return made.regex(rf'/^\{{(?:{name}=")?(.*?)"?\}} /').sort(models.VariableSort.DISABLED)


def hidden_seconds(name: str, expression: str) -> dashboard.QueryVariable:
    """A variable that nobody sees, with the whole seconds that a query returns."""
    made = _variable(name, name, "Worked out from the shown time.", QUERY_RESULT, f"query_result({expression})")
    return made.regex(r"/^\{\} (\d+)/").hide(models.VariableHide.HIDE_VARIABLE)


def _variable(name: str, label: str, description: str, kind: int, expression: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .description(description)
        .datasource(source_ref())
        .query({"query": expression, "refId": f"variable-{name}", "qryType": kind})
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
    )


def assemble(
    uid: str,
    description: str,
    variables: Sequence[Builder[models.VariableModel]],
    content: Sequence[tuple[str, Sequence[Panel]]],
    *,
    collapsed: Collection[str] = (),
) -> models.Dashboard:
    """A dashboard with the data source as its first variable, links to the others, and panels in rows.

    Args:
        uid: fixed, so that links and alerts can name it.
        description: of the dashboard.
        variables: besides the data source and the exporter's address.
        content: the title of each row, empty for the first, and its panels.
        collapsed: the titles of the rows that are shown when someone clicks them.
    """
    made = (
        dashboard.Dashboard(TITLES[uid])
        .uid(uid)
        .description(description)
        .tags([TAG])
        .timezone("browser")
        .time(BEGINS[uid], "now")
        .refresh("1m")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .with_variable(
            dashboard.DatasourceVariable("datasource")
            .label("Data source")
            .description("The Prometheus that scrapes the exporter.")
            .type("prometheus")
        )
        .with_variable(
            dashboard.ConstantVariable("exporter_url")
            .label("Exporter")
            .description("The address of the exporter's status page, without a slash at its end.")
            .value(EXPORTER_URL)
        )
    )
    for each in header_links(uid):
        made.link(each)
    for variable in variables:
        made.with_variable(variable)
    number_of_panel = 0
    for row_title, panels in content:
        row = dashboard.Row(row_title).id(number_of_panel := number_of_panel + 1) if row_title else None
        if row and row_title not in collapsed:
            made.with_row(row)
        for panel in panels:
            number_of_panel += 1
            if row and row_title in collapsed:
                row.with_panel(panel.id(number_of_panel))
            else:
                made.with_panel(panel.id(number_of_panel))
        if row and row_title in collapsed:
            made.with_row(row)
    return made.build()
