"""The database's tables and their changes, one script in ``versions`` for each release that changed them.

Alembic runs the scripts. Importing it takes a tenth of a second, so this module imports it only if the
tables are not at this release's revision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import column, inspect, select, table

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
