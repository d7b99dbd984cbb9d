"""The engine for PostgreSQL: a server that hangs soon becomes an error, and no state outlives a transaction.

Every transaction brings its own settings, so that a pooler may send each to another connection of the
server. There are no prepared statements, no session settings, and no locks but those of a transaction.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import create_engine, event

from exporter.domain.errors import StoreRefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import URL, Connection, Engine

    from exporter.ledger.postgres.connection import LimitedConnection

TRANSACTION_SECONDS = 1.4
"""Limit of a transaction; the sender gives up after three seconds."""
OPEN_SECONDS = 600.0
"""Limit of a migration, including the wait for that of another process."""
CONNECT_SECONDS = 2
"""Limit of a new connection, for each address; libpq takes less than 2 as 2."""
MIGRATION_LOCK = 0x6461746165787074
"""The advisory lock of a migration, so that two processes that start together migrate one after the other."""

_AWAY_STATES = ("08", "57P")
"""SQLSTATEs of a connection that failed, and of a server that starts or stops, by how they begin."""
_POOLER_REASONS = ("server login", "client_login_timeout", "query_wait_timeout", "pgbouncer cannot connect to server")
"""What pgbouncer answers while it has no connection to its server."""

_WITHOUT_PASSWORD = {"password": "", "passfile": f"{os.devnull}/none"}
"""An empty password in the options keeps libpq from looking for one in the environment; there is no such file."""
_WITHOUT_VERIFICATION = {"sslmode": "prefer", "sslrootcert": "", "sslnegotiation": "postgres"}
"""Options, if the URL has them, for a server whose certificate does not matter."""

_NETWORK = {
    "connect_timeout": CONNECT_SECONDS,
    "tcp_user_timeout": int(TRANSACTION_SECONDS * 1000),
    "keepalives_idle": 10,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "application_name": "dataexport-exporter",
}


def create_postgres_engine(url: URL) -> Engine:
    """Create an engine for the database. It connects on first use.

    Raises:
        ArgumentError: SQLAlchemy does not know something that the URL names.
    """
    # Imported here because the driver takes as long to import as a ledger to open, and SQLite does not need it.
    from exporter.ledger.postgres.connection import LimitedConnection  # noqa: PLC0415

    defaults: dict[str, Any] = {name: value for name, value in _NETWORK.items() if name not in url.query}
    hosts = url.query.get("host", "")
    if not isinstance(hosts, str) or "," in hosts:
        # Of several servers, connect to the one that accepts writes; after a failover, that is another.
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
        # `_begin_transaction` begins transactions. A pooler does not keep prepared statements.
        connection = LimitedConnection.connect(
            *arguments, **(defaults | options), autocommit=True, prepare_threshold=None
        )
        connection.deadline = time.monotonic() + TRANSACTION_SECONDS
        _refuse_encoding(connection)
        return connection

    event.listen(engine, "begin", _begin_transaction)
    return engine


def _refuse_encoding(connection: LimitedConnection) -> None:
    """Refuse a database that cannot store every name that a sender may choose."""
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        connection.close()
        message = (
            f"store.url: the database has the encoding {encoding}; create it with UTF8, as"
            " createdb --encoding=UTF8 --template=template0 does"
        )
        raise StoreRefusedError(message)


def is_away(url: URL, error: Exception) -> bool:
    """Whether the server of a URL does not accept connections now: it cannot be reached, or it starts or stops.

    A pooler that cannot reach its server counts as that server.

    Args:
        url: the URL of the database.
        error: what a connection to it failed with, as the cause of `exporter.domain.errors.StoreError`.
    """
    from psycopg import errors  # noqa: PLC0415 - as for `LimitedConnection`

    cause = getattr(error.__cause__, "orig", None)
    if isinstance(cause, errors.ConnectionTimeout) or (getattr(cause, "sqlstate", None) or "").startswith(_AWAY_STATES):
        return True
    if any(reason in str(cause) for reason in _POOLER_REASONS):
        return True
    # A failed connection has no SQLSTATE.
    options = {name: value for name, value in _WITHOUT_VERIFICATION.items() if name == "sslmode" or name in url.query}
    # With the options as given first, of which libpq may refuse a value.
    return _fails_to_answer(url, {}) and _fails_to_answer(url, options)


def refuses_tls(url: URL) -> bool:
    """Whether a server that is not away does not offer the TLS, or not the certificate, that ``sslmode`` asks for."""
    return _fails_to_answer(url, {})


def _fails_to_answer(url: URL, changes: Mapping[str, str]) -> bool:
    from psycopg import conninfo, errors, pq  # noqa: PLC0415 - as for `LimitedConnection`

    options = url.get_dialect()().create_connect_args(url)[1]
    try:
        parameters = conninfo.make_conninfo(**{**_NETWORK, **options, **_WITHOUT_PASSWORD, **changes})
    except errors.ProgrammingError:  # libpq does not know one of the options
        return False
    return pq.PGconn.ping(parameters.encode()) in {pq.Ping.REJECT, pq.Ping.NO_RESPONSE}


def _begin_transaction(connection: Connection) -> None:
    options = connection.get_execution_options()
    seconds = OPEN_SECONDS if options.get("opening", False) else TRANSACTION_SECONDS
    driver = cast("LimitedConnection", connection.connection.dbapi_connection)  # from `_connect`
    # A pooler lets a transaction wait while its server is away.
    driver.deadline = time.monotonic() + TRANSACTION_SECONDS
    milliseconds = int(seconds * 800)  # before the deadline, so that the server can report the cause
    # One message for all: psycopg sends a statement without parameters as it is.
    connection.exec_driver_sql(
        f"BEGIN ISOLATION LEVEL READ COMMITTED {'READ WRITE' if options.get('writing', False) else 'READ ONLY'};"
        f" SET LOCAL statement_timeout = {milliseconds}; SET LOCAL lock_timeout = {milliseconds};"
        # A process that hangs or is cut off must not keep row locks that others wait for.
        f" SET LOCAL idle_in_transaction_session_timeout = {2 * milliseconds}"
    )
    driver.deadline += seconds - TRANSACTION_SECONDS


def checks(connection: Connection) -> list[tuple[bool, str]]:
    """Findings about the server, for people: for each, whether it is good, and a sentence."""
    names = ("server_version", "synchronous_commit", "fsync", "full_page_writes", "synchronous_standby_names")
    rows = connection.exec_driver_sql("SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", (list(names),))
    settings = {row.name: row.setting for row in rows}
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
