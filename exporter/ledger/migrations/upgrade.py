"""Runs the scripts in ``versions`` with Alembic."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory

from exporter.domain.errors import StoreRefusedError

if TYPE_CHECKING:
    from sqlalchemy import Connection

UNRELEASED = frozenset({"0001", "0002", "0003", "0004", "0005"})
"""Revisions of databases made during development, before release 0.1.0."""


def migrate(connection: Connection, revision: str) -> None:
    """Run the scripts between the tables' revision and ``revision``.

    Raises:
        StoreRefusedError: another release wrote the tables.
    """
    scripts = _scripts()
    context = MigrationContext.configure(
        connection,
        opts={"fn": lambda current, _: scripts._upgrade_revs(revision, current)},  # noqa: SLF001
    )
    refuse_unknown(context.get_current_revision())
    with Operations.context(context):
        context.run_migrations()


def refuse_unknown(revision: str | None) -> None:
    """Refuse tables at a revision that this release cannot upgrade; None means that there are no tables.

    Raises:
        StoreRefusedError: another release wrote them.
    """
    if revision in UNRELEASED:
        message = (
            f"this database was made before release 0.1.0 (its tables are at revision {revision}), and no release "
            "opens it: start with a new one"
        )
        raise StoreRefusedError(message)
    scripts = _scripts()
    if revision is not None and revision not in {script.revision for script in scripts.walk_revisions()}:
        message = (
            f"a newer release of dataexport-exporter wrote this database (its tables are at revision {revision}, "
            f"this release knows up to {scripts.get_current_head()}): start that release, or restore a backup"
        )
        raise StoreRefusedError(message)


def _scripts() -> ScriptDirectory:
    return ScriptDirectory(str(Path(__file__).parent))
