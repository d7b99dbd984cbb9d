"""The status page of the admin listener, as HTML."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from flask import Blueprint, render_template, request

from exporter import __version__
from exporter.domain import humanize
from exporter.domain.errors import StoreError
from exporter.ingest.vendors.registry import adapter_of, webhook_path

if TYPE_CHECKING:
    from exporter.domain.states import ExportState, SourceState
    from exporter.server.service import Service


DOCUMENTATION = "https://github.com/dataexport/dataexport-exporter/blob/main/docs/"
EXPORTS_PER_PAGE = 500
"""So that the page stays small whatever a sender makes up."""


def create_blueprint(service: Service) -> Blueprint:
    """Create the blueprint of ``/``. The page is shown, without states, even if the store cannot be read."""
    pages = Blueprint("pages", __name__, template_folder="templates")
    pages.add_app_template_filter(humanize.format_age, "ago")
    pages.add_app_template_filter(humanize.format_duration, "duration")
    pages.add_app_template_filter(humanize.format_time_left, "until")
    pages.add_app_template_filter(humanize.format_instant, "moment")
    pages.add_app_template_filter(humanize.format_offset, "offset")
    pages.add_app_template_filter(humanize.format_iso, "iso")
    pages.add_app_template_filter(humanize.format_exact, "exact")
    pages.add_app_template_filter(humanize.format_distance, "distance")
    pages.app_context_processor(_frame)

    @pages.get("/")
    def status() -> str:
        now = service.now()
        states: list[ExportState] = []
        sources: list[SourceState] = []
        crowded: set[str] = set()
        store_problem = None
        try:
            states, sources = service.list_states(now)
            crowded = service.crowded_groups(states)
        except StoreError as error:
            store_problem = str(error)
        configured = [each.source for each in service.config.sources.values()]
        pages_count = max(1, math.ceil(len(states) / EXPORTS_PER_PAGE))
        page = min(max(request.args.get("page", 1, type=int), 1), pages_count)
        first = (page - 1) * EXPORTS_PER_PAGE
        return render_template(
            "status.html",
            states=states[first : first + EXPORTS_PER_PAGE],
            first=first,
            exports_count=len(states),
            previous_page=page - 1 if page > 1 else None,
            next_page=page + 1 if page < pages_count else None,
            crowded=crowded,
            sources=sources,
            paths={source.slug: webhook_path(adapter_of(source).name, source.slug) for source in configured},
            store_problem=store_problem,
            now=now,
        )

    return pages


def _frame() -> dict[str, object]:
    """Return what every template gets: ``root`` is the relative path to ``/``, ``docs`` where the documentation is."""
    return {"root": "../" * (request.path.count("/") - 1), "version": __version__, "docs": DOCUMENTATION}
