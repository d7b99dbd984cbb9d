"""How a panel and a query of ours are made."""

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

from dataexport_dashboards import palette, queries

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Panel = bargauge.Panel | stat.Panel | statetimeline.Panel | table.Panel | timeseries.Panel
Kind = TypeVar("Kind", bargauge.Panel, stat.Panel, statetimeline.Panel, table.Panel, timeseries.Panel)
Named = TypeVar("Named", bargauge.Panel, statetimeline.Panel, timeseries.Panel)
Property = tuple[str, object]

DATASOURCE = "${datasource}"
SHORT_NAMES = (
    # An export has its name within its source, and is longer only where several share the name any.
    ("^(.+?) / (?!any / )(.+?) / .*$", "$1 / $2"),
    ("^(.+?) / any / (.*)$", "$1 / $2"),
    # A telephone has room for little beside the bars.
    ("/Amazon S3/", "S3"),
    ("/Google Cloud Storage/", "GCS"),
    ("/Microsoft Azure/", "Azure"),
    # What an export lacks leaves two spaces, or one at an end.
    ("/ {2,}/g", " "),
    ("/ +$/", ""),
    ("^(.{16}).{3,}(.{12})$", "$1…$2"),
)
"""Patterns of the names that legends make, and what to write instead, one after the other."""
BARS = 60
"""How many bars fit beside each other."""
MINUTES = "suffix:min"
"""The unit of what `queries.minutes` makes."""
STEPS_AT_MOST = 120
"""So many steps of a line that jumps up and down are not yet a solid area."""
DELAYS_REACH = 15
"""Minutes: on such an axis the usual seconds are a flat line, and a wrong time zone is not."""


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


def properties(*given: Property) -> list[models.DynamicConfigValue]:
    """What an override sets."""
    return [models.DynamicConfigValue(name, value) for name, value in given]


def fixed(colour: str) -> Property:
    """An override that sets the colour."""
    return ("color", {"mode": "fixed", "fixedColor": colour})


def mapped(mappings: Sequence[models.ValueMapping]) -> Property:
    """An override that sets the words for values."""
    return ("mappings", list(mappings))


def dashed() -> Property:
    """An override that draws a line as dashes."""
    return ("custom.lineStyle", {"fill": "dash", "dash": [10, 10]})


def framed(  # noqa: PLR0913 - what differs between panels
    panel: Kind, title: str, description: str, queries: Sequence[prometheus.Dataquery], *, height: int, width: int
) -> Kind:
    """What panels of every kind have."""
    panel.title(title).description(description).datasource(source_ref()).height(height).span(width)
    for each in queries:
        panel.with_target(each)
    return panel


def short_names(panel: Named) -> Named:
    """The same with the names of exports as short as they can be without two being the same."""
    for pattern, replacement in SHORT_NAMES:
        options = {"regex": pattern, "renamePattern": replacement}
        panel.with_transformation(models.DataTransformerConfig("renameByRegex", options=options))
    return panel


def _legend() -> common.VizLegendOptions:
    """The names of the series, under them."""
    return (
        common.VizLegendOptions()
        .display_mode(common_models.LegendDisplayMode.LIST)
        .placement(common_models.LegendPlacement.BOTTOM)
        .show_legend(show_legend=True)
    )


def number(  # noqa: PLR0913 - what differs between panels
    title: str,
    description: str,
    queries: Sequence[prometheus.Dataquery],
    unit: str,
    *,
    nothing: str,
    words: Sequence[models.ValueMapping] = (),
    width: int = 6,
) -> stat.Panel:
    """One large value of this moment.

    Args:
        title: of the panel.
        description: of the panel.
        queries: of which one returns a value.
        unit: of the value.
        nothing: shown in grey where none does.
        words: for values.
        width: of the panel.
    """
    return (
        framed(stat.Panel(), title, description, queries, height=3, width=width)
        .unit(unit)
        .graph_mode(common_models.BigValueGraphMode.NONE)
        # Not the text: no colour of ours can be read as text on a dark and on a white page.
        .color_mode(common_models.BigValueColorMode.BACKGROUND_SOLID)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(values=False))
        .thresholds(steps(palette.PLAIN))
        .mappings([*words, *palette.nothing_is(nothing)])
    )


def judged(  # noqa: PLR0913 - what differs between panels
    title: str,
    description: str,
    value: str,
    bad: str,
    unit: str,
    *,
    colour: str,
    nothing: str,
    words: Sequence[models.ValueMapping] = (),
    width: int = 6,
) -> stat.Panel:
    """One large value that is filled with a colour depending on something else than the value.

    Args:
        title: of the panel.
        description: of the panel.
        value: the expression.
        bad: has a series with the same labels where the value is a bad one.
        unit: of the value.
        colour: of a bad value.
        nothing: shown in grey where there is no value.
        words: for values.
        width: of the panel.
    """
    both = [query(f"({value}) unless ({bad})", instant=True), query(f"({value}) and ({bad})", ref="B", instant=True)]
    panel = number(title, description, both, unit, nothing=nothing, words=words, width=width)
    return panel.override_by_query("B", properties(fixed(colour)))


def chart(  # noqa: PLR0913 - what differs between panels
    title: str,
    description: str,
    queries: Sequence[prometheus.Dataquery],
    unit: str,
    *,
    top: float,
    nothing: str,
    width: int = 12,
    height: int = 8,
) -> timeseries.Panel:
    """Lines over time.

    Args:
        title: of the panel.
        description: of the panel.
        queries: over the shown time.
        unit: of the values.
        top: how far the axis reaches at the least, so that a flat line is not drawn over a scale of 100.
        nothing: a sentence for the time in which there is nothing to draw.
        width: of the panel.
        height: of the panel.
    """
    return (
        framed(timeseries.Panel(), title, description, queries, height=height, width=width)
        .unit(unit)
        .axis_soft_max(top)
        .no_value(nothing)
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
        .color_scheme(dashboard.FieldColor().mode(models.FieldColorModeId.PALETTE_CLASSIC))
    )


def bars(  # noqa: PLR0913 - what differs between panels
    title: str,
    description: str,
    queries: Sequence[prometheus.Dataquery],
    unit: str,
    *,
    nothing: str,
    colours: Mapping[str, str] | None = None,
    height: int = 8,
) -> timeseries.Panel:
    """How much each series grew, as stacked bars.

    Args:
        title: of the panel.
        description: of the panel.
        queries: of growth in each step.
        unit: of the growth.
        nothing: a sentence for the time in which nothing grew.
        colours: of what the names in the legend mean; others get the next of Grafana's.
        height: of the panel.
    """
    panel = (
        chart(title, description, queries, unit, top=1, nothing=nothing, height=height)
        .max_data_points(BARS)
        .draw_style(common_models.GraphDrawStyle.BARS)
        .fill_opacity(80)
        .line_width(0)
        .decimals(0)
        .min(0)
        .show_points(common_models.VisibilityMode.NEVER)
        .stacking(common.StackingConfig().mode(common_models.StackingMode.NORMAL).group("A"))
    )
    return coloured(panel, colours or {})


def coloured(panel: timeseries.Panel, colours: Mapping[str, str]) -> timeseries.Panel:
    """Lines in the colours of what they mean, by the name in the legend."""
    for name, colour in colours.items():
        panel.override_by_name(name, properties(fixed(colour)))
    return panel


def limit_line(panel: timeseries.Panel, *lines: tuple[float, str]) -> timeseries.Panel:
    """Dashed lines at these values."""
    return panel.thresholds(steps("transparent", *lines)).thresholds_style(
        common.GraphThresholdsStyleConfig().mode(common_models.GraphThresholdsStyleMode.DASHED)
    )


def shares_of_waits(  # noqa: PLR0913 - what differs between panels
    title: str, description: str, bucket: str, *, top: float, nothing: str, width: int = 12
) -> timeseries.Panel:
    """How long the median and the slowest hundredth took, by the growth of a histogram's buckets."""
    panel = chart(
        title,
        description,
        [
            # Without a request the quantile is not a number, which a comparison leaves out.
            query(f"histogram_quantile(0.5, {bucket}) >= 0", "median", "A"),
            query(f"histogram_quantile(0.99, {bucket}) >= 0", "99 of 100", "B"),
        ],
        "s",
        top=top,
        nothing=nothing,
        width=width,
        height=6,
    )
    return coloured(panel.interval("5m").min(0), {"median": palette.BUSY, "99 of 100": palette.FINE})


def event_delays(title: str, *, nothing: str, width: int) -> timeseries.Panel:
    """How late the events of each source arrived."""
    longest = queries.highest("event_delay_seconds", queries.OF_SOURCE, "source")
    panel = chart(
        title,
        "Arrival time minus event time of the newest event, the longest of each step. About 0 is usual; whole quarters "
        "of an hour suggest a wrong time zone, other long ones late deliveries. Below 0: the event is dated after its "
        "arrival.",
        [query(queries.minutes(longest), "{{source}}")],
        MINUTES,
        top=DELAYS_REACH,
        nothing=nothing,
        width=width,
        height=6,
    )
    return panel.max_data_points(STEPS_AT_MOST).line_interpolation(common_models.LineInterpolation.STEP_AFTER)


def timeline(  # noqa: PLR0913 - what differs between panels
    title: str,
    description: str,
    queries: Sequence[prometheus.Dataquery],
    words: Sequence[models.ValueMapping],
    *,
    nothing: str,
    height: int,
) -> statetimeline.Panel:
    """One bar for each series, coloured by its word."""
    return (
        framed(statetimeline.Panel(), title, description, queries, height=height, width=24)
        .unit("none")
        .mappings(list(words))
        .no_value(nothing)
        # The words have colours. Without a mode, Grafana takes a continuous scale, which has no legend.
        .color_scheme(dashboard.FieldColor().mode(models.FieldColorModeId.FIXED).fixed_color(palette.NEUTRAL))
        .show_value(common_models.VisibilityMode.AUTO)
        .merge_values(merge_values=True)
        .row_height(0.85)
        # A mixture with the background would make the words on it harder to read.
        .fill_opacity(100)
        .line_width(0)
        .thresholds(steps(palette.NEUTRAL))
        .legend(_legend())
    )


def share_bars(  # noqa: PLR0913 - what differs between panels
    title: str, description: str, made: prometheus.Dataquery, *, nothing: str, height: int, width: int
) -> bargauge.Panel:
    """A bar for each series, with its name on the left."""
    return (
        framed(bargauge.Panel(), title, description, [made], height=height, width=width)
        .orientation(common_models.VizOrientation.HORIZONTAL)
        .display_mode(common_models.BarGaugeDisplayMode.BASIC)
        .name_placement(common_models.BarGaugeNamePlacement.LEFT)
        .value_mode(common_models.BarGaugeValueMode.TEXT)
        .min_viz_height(22)
        .max_viz_height(40)
        .text(common.VizTextDisplayOptions().title_size(12).value_size(14))
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(values=False))
        .mappings(palette.nothing_is(nothing))
        .min(0)
    )
