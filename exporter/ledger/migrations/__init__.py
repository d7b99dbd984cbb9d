"""Changes of the ledger's tables, oldest first; every release opens what an older one wrote.

Alembic makes them. It takes a tenth of a second to import, so that this is done only where there is
something to make, or to refuse.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import column, inspect, select, table

if TYPE_CHECKING:
    from sqlalchemy import Connection

NEWEST = "0005"
"""The revision of this release's tables: the last one in ``versions``."""

_TABLE = "alembic_version"


def migrate(connection: Connection, revision: str = NEWEST) -> None:
    """Bring the tables to this release's, within the transaction of ``connection``.

    Raises:
        StoreRefusedError: a newer release wrote them.
    """
    if _revisions(connection) != [revision]:
        from exporter.ledger.migrations import upgrade  # noqa: PLC0415 - as said above

        upgrade.migrate(connection, revision)


def refuse_newer(found: str | None) -> None:
    """Refuse tables at a revision that this release does not know; None is none at all.

    Raises:
        StoreRefusedError: a newer release wrote them.
    """
    if found != NEWEST:
        from exporter.ledger.migrations import upgrade  # noqa: PLC0415 - as said above

        upgrade.refuse_newer(found)


def _revisions(connection: Connection) -> list[str]:
    if not inspect(connection).has_table(_TABLE):
        return []
    return list(connection.execute(select(column("version_num")).select_from(table(_TABLE))).scalars())
