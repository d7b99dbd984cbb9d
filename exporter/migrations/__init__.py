"""Changes of the ledger's tables, oldest first; every release opens what an older one wrote."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory

from exporter.errors import StoreRefusedError

if TYPE_CHECKING:
    from sqlalchemy import Connection


def migrate(connection: Connection) -> None:
    """Bring the tables to this release's, within the transaction of ``connection``.

    Raises:
        StoreRefusedError: a newer release wrote them.
    """
    scripts = ScriptDirectory(str(Path(__file__).parent))
    head = scripts.get_current_head()
    known = {script.revision for script in scripts.walk_revisions()}
    context = MigrationContext.configure(
        connection,
        opts={"fn": lambda revision, _: scripts._upgrade_revs("head", revision)},  # noqa: SLF001
    )
    found = context.get_current_revision()
    if found is not None and found not in known:
        message = (
            f"a newer release of dataexport-exporter wrote this database (its tables are at revision "
            f"{found}, this release knows up to {head}): start that release, or restore a backup"
        )
        raise StoreRefusedError(message)
    with Operations.context(context):
        context.run_migrations()
