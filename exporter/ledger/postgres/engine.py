"""PostgreSQL as a ledger's server: whatever hangs is an error soon, and nothing outlives a transaction.

Every transaction brings its own settings, so that a pooler may give each to another connection of
the server: no prepared statement, no session setting, no lock but of rows.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import create_engine, event

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine

    from exporter.ledger.postgres.connection import LimitedConnection

TRANSACTION_SECONDS = 1.4
"""What a transaction may take; the sender gives up after three seconds."""
OPEN_SECONDS = 600.0
"""What a migration may take, and the wait for that of another process."""
CONNECT_SECONDS = 2
"""What a new connection may take, for each address; less than 2 counts as 2."""
MIGRATION_LOCK = 0x6461746165787074
"""Of the transaction that migrates, so that two that start together do it one after the other."""

_NETWORK = {
    "connect_timeout": CONNECT_SECONDS,
    "tcp_user_timeout": int(TRANSACTION_SECONDS * 1000),
    "keepalives_idle": 10,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "application_name": "dataexport-exporter",
}


def create_postgres_engine(url: URL) -> Engine:
    """An engine for the database; nothing is connected yet.

    Raises:
        ArgumentError: from SQLAlchemy, where the URL names what it does not know.
    """
    # Here, since the driver takes as long to import as to open a ledger, and SQLite needs none of it.
    from exporter.ledger.postgres.connection import LimitedConnection  # noqa: PLC0415

    defaults: dict[str, Any] = {name: value for name, value in _NETWORK.items() if name not in url.query}
    hosts = url.query.get("host", "")
    if not isinstance(hosts, str) or "," in hosts:
        # Of several servers, the one that takes writes; after a failover another.
        defaults = {"target_session_attrs": "read-write", **defaults}
    engine = create_engine(
        url,
        use_native_hstore=False,  # asking for it costs a query for every connection
        pool_size=5,
        max_overflow=5,
        pool_timeout=TRANSACTION_SECONDS,
        pool_use_lifo=True,
    )

    @event.listens_for(engine, "do_connect")
    def _connect(_: object, __: object, arguments: list[Any], options: dict[str, Any]) -> LimitedConnection:
        # Transactions are begun below. A pooler does not keep prepared statements.
        connection = LimitedConnection.connect(
            *arguments, **(defaults | options), autocommit=True, prepare_threshold=None
        )
        connection.deadline = time.monotonic() + TRANSACTION_SECONDS
        return connection

    event.listen(engine, "begin", _begin_transaction)
    return engine


def _begin_transaction(connection: Connection) -> None:
    options = connection.get_execution_options()
    seconds = OPEN_SECONDS if options.get("opening", False) else TRANSACTION_SECONDS
    driver = cast("LimitedConnection", connection.connection.dbapi_connection)  # made above
    driver.deadline = time.monotonic() + seconds
    milliseconds = int(seconds * 800)  # so that the server says what it was, where it can
    # In one message: without values it goes as it is.
    connection.exec_driver_sql(
        f"BEGIN ISOLATION LEVEL READ COMMITTED {'READ WRITE' if options.get('writing', False) else 'READ ONLY'};"
        f" SET LOCAL statement_timeout = {milliseconds}; SET LOCAL lock_timeout = {milliseconds};"
        # A process that stands still, or is cut off, must not keep the rows that others wait for.
        f" SET LOCAL idle_in_transaction_session_timeout = {2 * milliseconds}"
    )


def checks(connection: Connection) -> list[tuple[bool, str]]:
    """For people: a sentence each on how it is kept, and whether that is as it should be."""
    wanted = ("server_version", "synchronous_commit", "fsync", "full_page_writes", "synchronous_standby_names")
    found = connection.exec_driver_sql("SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", (list(wanted),))
    settings = {row.name: row.setting for row in found}
    standbys = settings.get("synchronous_standby_names") or "none: what only the primary has is lost with it"
    return [
        (True, f"PostgreSQL {settings.get('server_version', 'unknown')}; synchronous standbys: {standbys}"),
        *(
            (settings.get(name, "on") != "off", f"PostgreSQL: {name} = {settings.get(name, 'unknown')}{why}")
            for name, why in (
                ("fsync", ", without which what was acknowledged may be lost"),
                ("full_page_writes", ", without which a crash may damage the database"),
                ("synchronous_commit", ", without which what was acknowledged may be lost"),
            )
        ),
    ]
