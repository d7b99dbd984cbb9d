"""The command line; with its commands, the only place that wires the parts together."""

from __future__ import annotations

import click

from exporter import __version__
from exporter.commands import copies, deciding, knowledge, migration, prometheus, replaying, serving, traffic
from exporter.commands.options import FAILED, WRONG_USAGE
from exporter.errors import ConfigurationError, ExporterError


class Commands(click.Group):
    """Ends every expected failure with one sentence and its exit code, and never a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command that was named."""
        try:
            return super().invoke(ctx)
        except ConfigurationError as error:
            for problem in error.problems:
                click.echo(problem, err=True)
            ctx.exit(WRONG_USAGE)
        except ExporterError as error:
            click.echo(f"error: {error}", err=True)
            ctx.exit(FAILED)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="dataexport-exporter")
def main() -> None:
    """Know when a scheduled CleverTap data export is late.

    \b
    Example:
      dataexport-exporter serve
    """


for _command in (
    serving.serve,
    serving.check_config,
    traffic.send,
    traffic.simulate,
    knowledge.exports,
    knowledge.events,
    knowledge.sources,
    knowledge.quarantine,
    knowledge.doctor,
    replaying.replay,
    deciding.mute,
    deciding.unmute,
    deciding.retire,
    deciding.mutes,
    copies.backup,
    copies.restore,
    migration.migrate_store,
    prometheus.backfill,
    prometheus.rules,
):
    main.add_command(_command)
