"""The addresses that dashboards lead to: each other, the runbooks, and the exporter's own pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as models

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

RUNBOOKS = "https://github.com/dataexport/dataexport-exporter/blob/main/docs/runbooks"
OVERVIEW_UID, EXPORT_UID, HEALTH_UID = "dataexport-overview", "dataexport-export", "dataexport-health"
TITLES = {OVERVIEW_UID: "Exports overview", EXPORT_UID: "Export detail", HEALTH_UID: "Exporter health"}
BEGINS = {OVERVIEW_UID: "now-24h", EXPORT_UID: "now-30d", HEALTH_UID: "now-24h"}
"""Where the shown time of each dashboard begins at first."""
SAME_SOURCE = "${datasource:queryparam}"
SAME_TIME = "${__url_time_range}"
EXPORTER = "${exporter_url}"


def own_time(uid: str) -> str:
    """The time that a dashboard shows at first, as part of an address."""
    return f"from={BEGINS[uid]}&to=now"


def link(title: str, url: str) -> dashboard.DashboardLink:
    """A link from a value, in this window."""
    return dashboard.DashboardLink(title).url(url)


def link_value(title: str, url: str, *, new_window: bool = False) -> dict[str, object]:
    """The same for an override, whose value the library takes as it is."""
    return {"title": title, "url": url, "targetBlank": new_window}


def board_url(uid: str, time: str, variables: str = "") -> str:
    """The address of a dashboard.

    Args:
        uid: of the dashboard.
        time: `SAME_TIME`, or its `own_time`.
        variables: those to set; the others get what the dashboard chooses at first.
    """
    return f"/d/{uid}?{variables}{'&' if variables else ''}{time}&{SAME_SOURCE}"


def detail_url(fields: Mapping[str, str]) -> str:
    """The detail dashboard of the export in a table's row.

    Args:
        fields: the variable for each label, and the column that holds it.
    """
    chosen = "&".join(f"var-{name}=${{__data.fields.{column}:percentencode}}" for name, column in fields.items())
    return board_url(EXPORT_UID, own_time(EXPORT_UID), chosen)


def status_page_url(source: str, export: str = "") -> str:
    """The exporter's status page with what it shows of one source or export.

    Args:
        source: what Grafana fills in for the source.
        export: what it fills in for the name; empty for all of the source.
    """
    search = f"&search=${{{export}:percentencode}}" if export else ""
    return f"{EXPORTER}/?source=${{{source}:percentencode}}{search}"


def header_links(uid: str) -> Iterator[dashboard.DashboardLink]:
    """The links at the top of a dashboard: to the others without its filters, and to the runbooks."""
    for other, title in TITLES.items():
        if other == uid:
            continue
        made = dashboard.DashboardLink(title).type(models.DashboardLinkType.LINK).icon("dashboard")
        if BEGINS[other] == BEGINS[uid]:
            yield made.keep_time(keep_time=True).url(f"/d/{other}?{SAME_SOURCE}")
        else:
            yield made.url(board_url(other, own_time(other)))
    made = dashboard.DashboardLink("Runbooks").type(models.DashboardLinkType.LINK).icon("doc").url(RUNBOOKS)
    yield made.tooltip("What each alert means, and what to do").target_blank(target_blank=True)
