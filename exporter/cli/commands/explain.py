"""The command `explain`: why one export is in its state."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from exporter.cli import tables
from exporter.cli.export_selector import ExportSelector, select_export
from exporter.cli.exporter_access import candidate_of_export
from exporter.cli.open_exporter import exporter_options, open_exporter
from exporter.cli.options import selector_options
from exporter.domain.state_filter import StateFilter

if TYPE_CHECKING:
    from exporter.cli.open_exporter import Place


@click.command()
@exporter_options
@selector_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with everything.")
def explain(place: Place, *, as_json: bool, **labels: str | None) -> None:
    """Show why an export is in its state.

    Prints since when, why its deadline is what it is, who owns it, and its newest events. --json has its
    slots and runs as well.

    \b
    Example:
      dataexport-exporter explain --export nightly-s3
    """
    with open_exporter(place) as exporter:
        listed = [candidate_of_export(document) for document in exporter.list_exports(StateFilter())]
        document = exporter.export_detail(select_export(ExportSelector(**labels), listed).id)
        tables.print_document(document, lambda: tables.explanation(document, time.time()), as_json=as_json)
