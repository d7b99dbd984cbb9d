"""The status page of the admin listener, as HTML."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, render_template

from exporter import __version__
from exporter.domain import humanize
from exporter.domain.errors import StoreError
from exporter.ingest.vendors.registry import adapter_of, webhook_path

if TYPE_CHECKING:
    from exporter.domain.states import ExportState, SourceState
    from exporter.server.service import Service


def create_blueprint(service: Service) -> Blueprint:
    """Create the blueprint of ``/``. The page is shown, without states, even if the store cannot be read."""
    pages = Blueprint("pages", __name__, template_folder="templates")
    pages.add_app_template_filter(humanize.format_age, "ago")
    pages.add_app_template_filter(humanize.format_duration, "duration")
    pages.add_app_template_filter(humanize.format_time_left, "until")
    pages.add_app_template_filter(humanize.format_instant, "moment")
    pages.add_app_template_filter(humanize.format_offset, "offset")

    @pages.get("/")
    def status() -> str:
        now = service.now()
        states: list[ExportState] = []
        sources: list[SourceState] = []
        store_problem = None
        try:
            states, sources = service.list_states(now)
        except StoreError as error:
            store_problem = str(error)
        configured = [each.source for each in service.config.sources.values()]
        return render_template(
            "status.html",
            states=states,
            sources=sources,
            paths={source.slug: webhook_path(adapter_of(source).name, source.slug) for source in configured},
            store_problem=store_problem,
            now=now,
            version=__version__,
        )

    return pages
