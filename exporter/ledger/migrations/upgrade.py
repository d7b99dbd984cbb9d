"""Making the changes that a database lacks, with Alembic."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory

from exporter.domain.errors import StoreRefusedError

if TYPE_CHECKING:
    from sqlalchemy import Connection


def migrate(connection: Connection, revision: str) -> None:
    """Make what is between the tables' revision and this one.

    Raises:
        StoreRefusedError: a newer release wrote them.
    """
    scripts = _scripts()
    context = MigrationContext.configure(
        connection,
        opts={"fn": lambda found, _: scripts._upgrade_revs(revision, found)},  # noqa: SLF001
    )
    refuse_newer(context.get_current_revision())
    with Operations.context(context):
        context.run_migrations()


def refuse_newer(found: str | None) -> None:
    """Refuse tables at a revision that this release does not know; None is none at all.

    Raises:
        StoreRefusedError: a newer release wrote them.
    """
    scripts = _scripts()
    if found is not None and found not in {script.revision for script in scripts.walk_revisions()}:
        message = (
            f"a newer release of dataexport-exporter wrote this database (its tables are at revision "
            f"{found}, this release knows up to {scripts.get_current_head()}): start that release, or restore a backup"
        )
        raise StoreRefusedError(message)


def _scripts() -> ScriptDirectory:
    return ScriptDirectory(str(Path(__file__).parent))
