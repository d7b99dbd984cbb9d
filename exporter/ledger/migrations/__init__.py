"""The database's tables and their changes, one script in ``versions`` for each release that changed them.

Alembic runs the scripts. Importing it takes a tenth of a second, so this module imports it only if the
tables are not at this release's revision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import column, inspect, select, table

from exporter.domain.errors import StoreRefusedError

if TYPE_CHECKING:
    from sqlalchemy import Connection

NEWEST = "0.1.0"
"""The revision of this release's tables: that of the last script in ``versions``."""

_TABLE = "alembic_version"


def migrate(connection: Connection) -> None:
    """Bring the tables to `NEWEST`, within the transaction of ``connection``.

    Raises:
        StoreRefusedError: another release wrote them.
    """
    if _revisions(connection) != [NEWEST]:
        from exporter.ledger.migrations import upgrade  # noqa: PLC0415 - it imports Alembic

        upgrade.migrate(connection, NEWEST)


def refuse_without_tables(connection: Connection) -> None:
    """Refuse a database without tables of any release.

    Raises:
        StoreRefusedError: there is no ledger in it.
    """
    if not _revisions(connection):
        message = "store.url: there is no store in this database; start the exporter first, or give its --config"
        raise StoreRefusedError(message)


def refuse_other_tables(connection: Connection) -> None:
    """Refuse a database whose tables are not at `NEWEST`, without changing it.

    Raises:
        StoreRefusedError: it has no tables, or another release wrote them.
    """
    refuse_without_tables(connection)
    revision = _revisions(connection)[0]
    refuse_unknown(revision)
    if revision != NEWEST:
        message = f"store.url: an older release wrote this database (revision {revision}); `serve` upgrades it"
        raise StoreRefusedError(message)


def refuse_unknown(revision: str | None) -> None:
    """Refuse tables at a revision that this release cannot upgrade; None means that there are no tables.

    Raises:
        StoreRefusedError: another release wrote them.
    """
    if revision != NEWEST:
        from exporter.ledger.migrations import upgrade  # noqa: PLC0415 - it imports Alembic

        upgrade.refuse_unknown(revision)


def _revisions(connection: Connection) -> list[str]:
    if not inspect(connection).has_table(_TABLE):
        return []
    return list(connection.execute(select(column("version_num")).select_from(table(_TABLE))).scalars())
