"""How a panel, a query and a variable of ours are made."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from dataexport_dashboards import palette

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from grafana_foundation_sdk.cog.builder import Builder

Panel = bargauge.Panel | stat.Panel | statetimeline.Panel | table.Panel | timeseries.Panel
Kind = TypeVar("Kind", bargauge.Panel, stat.Panel, statetimeline.Panel, table.Panel, timeseries.Panel)
Property = tuple[str, object]

DATASOURCE = "${datasource}"
RUNBOOKS = "https://github.com/dataexport/dataexport-exporter/blob/main/docs/runbooks"
TAG = "dataexport"
OVERVIEW_UID, EXPORT_UID, HEALTH_UID = "dataexport-overview", "dataexport-export", "dataexport-health"
KEPT = "${datasource:queryparam}&${__url_time_range}"


def source_ref() -> common_models.DataSourceRef:
    """The data source that the reader chose."""
    return common_models.DataSourceRef(type_val="prometheus", uid=DATASOURCE)


def query(expression: str, legend: str = "", ref: str = "A", *, instant: bool = False) -> prometheus.Dataquery:
    """A query over the shown time, or of its end."""
    made = prometheus.Dataquery().datasource(source_ref()).expr(expression).ref_id(ref).legend_format(legend)
    return made.instant() if instant else made.range()


def buckets(expression: str, ref: str = "A") -> prometheus.Dataquery:
    """A query for a histogram's buckets; Grafana takes each bucket's share out of the running total."""
    return query(expression, "{{le}}", ref, instant=True).format(PromQueryFormat.HEATMAP)


def steps(first: str, *more: tuple[float, str]) -> dashboard.ThresholdsConfig:
    """A colour from the bottom, and others from a value on."""
    made = [models.Threshold(value=None, color=first), *(models.Threshold(value, colour) for value, colour in more)]
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(made)


def link(title: str, url: str) -> dashboard.DashboardLink:
    """A link from a value, in this window."""
    return dashboard.DashboardLink(title).url(url)


def link_value(title: str, url: str, *, new_window: bool = False) -> dict[str, object]:
    """The same for an override, whose value the library takes as it is."""
    return {"title": title, "url": url, "targetBlank": new_window}


def detail_url(fields: Mapping[str, str]) -> str:
    """The detail dashboard of the export in a table's row.

    Args:
        fields: the variable for each label, and the column that holds it.
    """
    chosen = "&".join(f"var-{name}=${{__data.fields.{column}:percentencode}}" for name, column in fields.items())
    return f"/d/{EXPORT_UID}?{chosen}&{KEPT}"


def properties(*given: Property) -> list[models.DynamicConfigValue]:
    """What an override sets."""
    return [models.DynamicConfigValue(name, value) for name, value in given]


def fixed(colour: str) -> Property:
    """An override that sets the colour."""
    return ("color", {"mode": "fixed", "fixedColor": colour})


def framed(  # noqa: PLR0913 - what differs between panels
    panel: Kind, title: str, description: str, queries: Sequence[prometheus.Dataquery], *, height: int, width: int
) -> Kind:
    """What panels of every kind have."""
    panel.title(title).description(description).datasource(source_ref()).height(height).span(width)
    for each in queries:
        panel.with_target(each)
    return panel


def _legend() -> common.VizLegendOptions:
    """The names of the series, under them."""
    return (
        common.VizLegendOptions()
        .display_mode(common_models.LegendDisplayMode.LIST)
        .placement(common_models.LegendPlacement.BOTTOM)
        .show_legend(show_legend=True)
    )


def number(
    title: str, description: str, queries: Sequence[prometheus.Dataquery], unit: str, *, width: int = 4
) -> stat.Panel:
    """A few large values of this moment."""
    return (
        framed(stat.Panel(), title, description, queries, height=4, width=width)
        .unit(unit)
        .graph_mode(common_models.BigValueGraphMode.NONE)
        .color_mode(common_models.BigValueColorMode.VALUE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(values=False))
        .thresholds(steps(palette.FINE))
    )


def chart(  # noqa: PLR0913 - what differs between panels
    title: str,
    description: str,
    queries: Sequence[prometheus.Dataquery],
    unit: str,
    *,
    width: int = 12,
    height: int = 8,
) -> timeseries.Panel:
    """Lines over time."""
    return (
        framed(timeseries.Panel(), title, description, queries, height=height, width=width)
        .unit(unit)
        .line_width(2)
        .fill_opacity(0)
        .show_points(common_models.VisibilityMode.AUTO)
        .legend(_legend())
        .tooltip(
            common.VizTooltipOptions()
            .mode(common_models.TooltipDisplayMode.MULTI)
            .sort(common_models.SortOrder.DESCENDING)
        )
        .thresholds(steps(palette.FINE))
        .color_scheme(dashboard.FieldColor().mode(models.FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
    )


def bars(  # noqa: PLR0913 - what differs between panels
    title: str,
    description: str,
    queries: Sequence[prometheus.Dataquery],
    unit: str,
    *,
    interval: str,
    colours: Mapping[str, str] | None = None,
) -> timeseries.Panel:
    """How much each series grew, as stacked bars.

    Args:
        title: of the panel.
        description: of the panel.
        queries: of growth in each step.
        unit: of the growth.
        interval: how long each step is at the least.
        colours: of what the names in the legend mean; others get one by their name.
    """
    panel = (
        chart(title, description, queries, unit)
        .interval(interval)
        .draw_style(common_models.GraphDrawStyle.BARS)
        .fill_opacity(80)
        .line_width(0)
        .decimals(0)
        .min(0)
        .axis_soft_max(1)
        .show_points(common_models.VisibilityMode.NEVER)
        .stacking(common.StackingConfig().mode(common_models.StackingMode.NORMAL).group("A"))
    )
    return coloured(panel, colours or {})


def coloured(panel: timeseries.Panel, colours: Mapping[str, str]) -> timeseries.Panel:
    """Lines in the colours of what they mean, by the name in the legend."""
    for name, colour in colours.items():
        panel.override_by_name(name, properties(fixed(colour)))
    return panel


def dashed() -> Property:
    """An override that draws a line as dashes."""
    return ("custom.lineStyle", {"fill": "dash", "dash": [10, 10]})


def limit_line(panel: timeseries.Panel, *lines: tuple[float, str]) -> timeseries.Panel:
    """Dashed lines at these values."""
    return panel.thresholds(steps("transparent", *lines)).thresholds_style(
        common.GraphThresholdsStyleConfig().mode(common_models.GraphThresholdsStyleMode.DASHED)
    )


def shares_of_waits(title: str, description: str, bucket: str, *, width: int = 12) -> timeseries.Panel:
    """How long the median and the slowest hundredth took, by the growth of a histogram's buckets."""
    panel = chart(
        title,
        description,
        [
            query(f"histogram_quantile(0.5, {bucket})", "median", "A"),
            query(f"histogram_quantile(0.99, {bucket})", "99 of 100", "B"),
        ],
        "s",
        width=width,
    )
    return coloured(panel.interval("5m").min(0), {"median": palette.BUSY, "99 of 100": palette.FINE})


def timeline(
    title: str, description: str, queries: Sequence[prometheus.Dataquery], *, height: int
) -> statetimeline.Panel:
    """One bar for each series, coloured by its value."""
    return (
        framed(statetimeline.Panel(), title, description, queries, height=height, width=24)
        .unit("none")
        .show_value(common_models.VisibilityMode.AUTO)
        .merge_values(merge_values=True)
        .row_height(0.85)
        .fill_opacity(85)
        .line_width(0)
        .thresholds(steps(palette.NEUTRAL))
        .legend(_legend())
    )


def mapped(mappings: Sequence[models.ValueMapping]) -> Property:
    """An override that sets the words for values."""
    return ("mappings", list(mappings))


def share_bars(title: str, description: str, made: prometheus.Dataquery, *, height: int, width: int) -> bargauge.Panel:
    """A bar for each series."""
    return (
        framed(bargauge.Panel(), title, description, [made], height=height, width=width)
        .orientation(common_models.VizOrientation.HORIZONTAL)
        .display_mode(common_models.BarGaugeDisplayMode.BASIC)
        .max_viz_height(40)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(values=False))
        .min(0)
    )


def variable(  # noqa: PLR0913 - what differs between variables
    name: str, label: str, where: str, description: str, *, every: bool, several: bool
) -> dashboard.QueryVariable:
    """A variable over the values of a label.

    Args:
        name: of the variable, and of the label.
        label: what is written beside it.
        where: the selector that narrows it.
        description: shown on hovering.
        every: whether All is offered, and chosen at first.
        several: whether more than one can be chosen.
    """
    expression = f"label_values(dataexport_export_info{{{where}}}, {name})"
    made = (
        dashboard.QueryVariable(name)
        .label(label)
        .description(description)
        .datasource(source_ref())
        .query({"query": expression, "refId": f"variable-{name}", "qryType": 1})
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.NATURAL_ASC)
        .multi(several)
        .include_all(every)
    )
    if every:
        made.all_value(".*")
        text, value = ("All", "$__all")
        chosen: models.VariableOption = (
            models.VariableOption(selected=True, text=[text], value=[value])
            if several
            else models.VariableOption(selected=True, text=text, value=value)
        )
        made.current(chosen)
    return made


def assemble(  # noqa: PLR0913 - what differs between panels
    uid: str,
    title: str,
    description: str,
    variables: Sequence[Builder[models.VariableModel]],
    content: Sequence[tuple[str, Sequence[Panel]]],
    *,
    begin: str,
) -> models.Dashboard:
    """A dashboard with the data source as its first variable, links to the others, and panels in rows.

    Args:
        uid: fixed, so that links and alerts can name it.
        title: of the dashboard.
        description: of the dashboard.
        variables: besides the data source.
        content: the title of each row, empty for the first, and its panels.
        begin: the shown time begins here at first.
    """
    made = (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([TAG])
        .timezone("browser")
        .time(begin, "now")
        .refresh("1m")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .link(
            dashboard.DashboardLink("Exports")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .include_vars(include_vars=True)
            .keep_time(keep_time=True)
        )
        .link(
            dashboard.DashboardLink("Runbooks")
            .type(models.DashboardLinkType.LINK)
            .icon("doc")
            .tooltip("What each alert means, and what to do")
            .url(RUNBOOKS)
            .target_blank(target_blank=True)
        )
        .with_variable(
            dashboard.DatasourceVariable("datasource")
            .label("Data source")
            .description("The Prometheus that scrapes the exporter.")
            .type("prometheus")
        )
    )
    for each in variables:
        made.with_variable(each)
    number_of_panel = 0
    for row_title, panels in content:
        if row_title:
            number_of_panel += 1
            made.with_row(dashboard.Row(row_title).id(number_of_panel))
        for panel in panels:
            number_of_panel += 1
            made.with_panel(panel.id(number_of_panel))
    return made.build()
