"""The command `quarantine`: lists and deletes the bodies that became no event."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from exporter.cli import tables
from exporter.cli.event_sources import require_known_source, require_source
from exporter.cli.open_exporter import exporter_options, open_exporter, require_store
from exporter.cli.open_store import open_store
from exporter.cli.options import WholeNumber, output_options, source_option
from exporter.ledger.access import Access
from exporter.ledger.body_store import BodySelection

if TYPE_CHECKING:
    from exporter.cli.open_exporter import Place


@click.command()
@exporter_options
@output_options
@source_option
@click.option("--limit", default=20, type=WholeNumber(1, 100_000), help="Most bodies to list.")
@click.option("--refused", is_flag=True, help="List the newest refused bodies (400, 413, 415 …) instead.")
@click.option(
    "--delete", is_flag=True, help="Permanently delete the bodies that match --id, --reason and --source, or --all."
)
@click.option(
    "--id",
    "sequences",
    multiple=True,
    type=WholeNumber(1, 2**63 - 1),
    help="With --delete: this body. Can be repeated.",
)
@click.option("--reason", help="With --delete: bodies quarantined for this reason.")
@click.option("--all", "everything", is_flag=True, help="With --delete: all bodies.")
@click.option("--dry-run", is_flag=True, help="With --delete: only count the bodies.")
def quarantine(  # noqa: PLR0913, PLR0917 - one for each option
    place: Place,
    output: str,
    source: str | None,
    limit: int,
    sequences: tuple[int, ...],
    reason: str | None,
    *,
    refused: bool,
    delete: bool,
    everything: bool,
    dry_run: bool,
) -> None:
    """List or delete bodies that could not be parsed.

    The newest are listed first. Bodies are kept for store.quarantine_retention. Counters still include deleted bodies.

    \b
    Example:
      dataexport-exporter quarantine --json
      dataexport-exporter quarantine --refused
      dataexport-exporter quarantine --delete --source shop --reason bad_date --dry-run
    """
    if not delete:
        if sequences or reason is not None or everything or dry_run:
            message = "--id, --reason, --all and --dry-run go with --delete"
            raise click.UsageError(message)
        with open_exporter(place) as exporter:
            require_known_source(source, exporter)
            documents = exporter.list_refused(source, limit) if refused else exporter.list_quarantine(source, limit)
            table = tables.refused_table if refused else tables.quarantine_table
            tables.print_documents(documents, output, lambda: table(documents))
        return
    require_store(place, "--delete")
    if everything == bool(sequences or reason is not None or source is not None):
        message = "--delete needs either --all, or some of --id, --reason and --source"
        raise click.UsageError(message)
    if refused and reason is not None:
        message = "--reason selects quarantined bodies; select refused ones by --id, --source or --all"
        raise click.UsageError(message)
    selection = BodySelection(refused, sequences or None, source, reason)
    with open_store(place.path, Access.READ if dry_run else Access.WRITE) as (settings, _, ledger):
        require_source(source, settings, ledger)
        count = ledger.bodies.count(selection) if dry_run else ledger.bodies.delete(selection)
    bodies = f"{'refused' if refused else 'quarantined'} {'body' if count == 1 else 'bodies'}"
    click.echo(f"{count} {bodies} {'would be deleted' if dry_run else 'deleted'}")
