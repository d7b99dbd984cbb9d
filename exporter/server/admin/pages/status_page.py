"""The status page of the admin listener, the badges, and what the templates of all pages have in common."""

from __future__ import annotations

import math
from itertools import islice, takewhile
from typing import TYPE_CHECKING, NamedTuple

from flask import Blueprint, Response, render_template, request
from werkzeug.exceptions import NotFound

from exporter import __version__
from exporter.domain import humanize
from exporter.domain.errors import StoreError
from exporter.domain.states import CONDITIONS
from exporter.ingest.vendors.registry import adapter_of, webhook_path
from exporter.server.admin.pages import badge
from exporter.server.admin.pages.export_filter import EXPORTS_PER_PAGE, ExportFilter, count_conditions
from exporter.server.admin.pages.slot_strip import LEGEND, strip

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exporter.domain.states import ExportState, SourceState
    from exporter.server.service import Service


DOCUMENTATION = "https://github.com/dataexport/dataexport-exporter/blob/main/docs/"
REFRESH_SECONDS = 15
FIRST_START_REFRESH_SECONDS = 3
"""Somebody watches whether the test call arrives."""
WORST_EXPORTS = 5
"""How many exports the top of the page names."""
RUNBOOKS = {
    "never completed": "ExportNeverCompleted",
    "overdue": "ExportOverdue",
    "stuck": "ExportRunStuck",
    "failed": "ExportRunFailed",
    "not started": "ExportNotStarted",
    "no schedule": "ExportWithoutSchedule",
}
"""The page of the runbooks for each condition that somebody has to look at."""
ICONS = dict.fromkeys(("never completed", "overdue", "stuck", "failed"), "bad")
ICONS |= {"not started": "warn", "no schedule": "warn", "muted": "muted"}


class Overview(NamedTuple):
    """What the exporter knows at one instant.

    Attributes:
        states: of all exports, the most urgent first.
        crowded: the ids of groups that several exports share.
        store_problem: why the states cannot be shown; empty if they can.
    """

    states: Sequence[ExportState] = ()
    sources: Sequence[SourceState] = ()
    crowded: frozenset[str] = frozenset()
    store_problem: str = ""

    @property
    def received_nothing(self) -> bool:
        """Whether no source has received an event yet."""
        return not self.store_problem and not any(sum(source.events.values()) for source in self.sources)


def create_blueprint(service: Service) -> Blueprint:
    """Create the blueprint of ``/`` and the badges. The page is shown, without states, if the store cannot be read."""
    pages = Blueprint("pages", __name__, template_folder="templates")
    pages.add_app_template_filter(humanize.format_age, "ago")
    pages.add_app_template_filter(humanize.format_duration, "duration")
    pages.add_app_template_filter(humanize.format_rounded, "rounded")
    pages.add_app_template_filter(humanize.format_time_left, "until")
    pages.add_app_template_filter(humanize.format_instant, "moment")
    pages.add_app_template_filter(humanize.format_offset, "offset")
    pages.add_app_template_filter(humanize.format_iso, "iso")
    pages.add_app_template_filter(humanize.format_exact, "exact")
    pages.add_app_template_filter(humanize.format_distance, "distance")
    pages.add_app_template_filter(strip, "strip")
    pages.app_context_processor(_frame)

    @pages.get("/")
    def status() -> str:
        now = service.now()
        overview = _overview(service, now)
        counts = count_conditions(overview.states, now)
        selected = ExportFilter.of(request.args)
        matching = selected.select(overview.states, now)
        pages_count = max(1, math.ceil(len(matching) / EXPORTS_PER_PAGE))
        page = min(max(selected.page, 1), pages_count)
        first = (page - 1) * EXPORTS_PER_PAGE
        return render_template(
            "status.html",
            now=now,
            overview=overview,
            counts=counts,
            icon="bad" if overview.store_problem else ICONS.get(_worst(counts), "fine"),
            worst=_worst_exports(overview.states, now),
            selected=selected,
            matching=len(matching),
            shown=matching[first : first + EXPORTS_PER_PAGE],
            first=first,
            previous_page=page - 1 if page > 1 else None,
            next_page=page + 1 if page < pages_count else None,
            owners=sorted({state.owner for state in overview.states if state.owner}),
            refresh=FIRST_START_REFRESH_SECONDS if overview.received_nothing else REFRESH_SECONDS,
            runbooks=RUNBOOKS,
            legend=LEGEND,
            paths=_webhook_paths(service),
            rejected={slug: service.process_metrics.rejected_requests(slug) for slug in service.config.sources},
            writes_fail=service.process_metrics.writes_fail,
            reload_problems=service.reload_problems,
            webhook_listen=service.config.webhook_listen,
        )

    @pages.get("/badge.svg")
    def badge_of_all() -> Response:
        now = service.now()
        counts = count_conditions(service.list_states(now)[0], now)
        return _svg(badge.of_all(counts))

    @pages.get("/exports/<export_id>/badge.svg")
    def badge_of_one(export_id: str) -> Response:
        now = service.now()
        for state in service.list_states(now)[0]:
            if state.id == export_id:
                return _svg(badge.of_one(state.export, state.condition(now)))
        raise NotFound

    return pages


def _overview(service: Service, now: float) -> Overview:
    try:
        states, sources = service.list_states(now)
        return Overview(states, sources, frozenset(service.crowded_groups(states)))
    except StoreError as error:
        return Overview(store_problem=str(error))


def _worst_exports(states: Sequence[ExportState], now: float) -> list[ExportState]:
    """Return the first of those that somebody has to look at; ``states`` are in the order of urgency."""
    return list(islice(takewhile(lambda state: state.condition(now) in RUNBOOKS, states), WORST_EXPORTS))


def _worst(counts: Mapping[str, int]) -> str:
    """Return the most urgent condition that any export is in; an empty text if there is no export."""
    return next((word for word in CONDITIONS if word in counts), "")


def _webhook_paths(service: Service) -> dict[str, str]:
    sources = [configured.source for configured in service.config.sources.values()]
    return {source.slug: webhook_path(adapter_of(source).name, source.slug) for source in sources}


def _svg(text: str) -> Response:
    return Response(text, content_type="image/svg+xml; charset=utf-8")


def _frame() -> dict[str, object]:
    """Return what every template gets: ``root`` is the relative path to ``/``, ``docs`` where the documentation is."""
    return {"root": "../" * (request.path.count("/") - 1), "version": __version__, "docs": DOCUMENTATION}
