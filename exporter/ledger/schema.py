"""The tables of the ledger, in SQLite and PostgreSQL; `exporter/ledger/migrations` creates them.

Instants are whole microseconds since 1970, see `exporter.ledger.instants`. In a table with a column ``epoch``, they
are microseconds on the clock of that epoch, and `epochs` has the offset to Unix time. Only ``events.arrived_us`` and
``events.occurred_us`` are Unix time all the same, since events are indexed by it; ``clock_us`` is the arrival on the
clock of the epoch.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from exporter.ledger.duplicates import UNIQUE_KEYS

tables_metadata = MetaData()

_SEQUENCE = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers INTEGER keys only

BLOCK_BITS = 14
"""A block of SQLite's indexes has 2 ** 14 sequences; see `exporter.ledger.sql.sqlite_lookup`."""

_BLOCK = text(f"(sequence >> {BLOCK_BITS})")

events = Table(
    "events",
    tables_metadata,
    Column("sequence", _SEQUENCE, primary_key=True, autoincrement=True),
    Column("source", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("partner", Text, nullable=False),
    Column("data_type", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("frequency", Text, nullable=False),
    Column("group_key", Text, nullable=False),
    Column("local_seconds", BigInteger, nullable=False),
    Column("arrived_us", BigInteger, nullable=False),
    Column("occurred_us", BigInteger, nullable=False),
    Column("utc_offset", Integer, nullable=False),
    Column("skewed", Boolean, nullable=False),
    Column("offset_in_text", Boolean, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("clock_us", BigInteger, nullable=False),
    Index("events_unique", *UNIQUE_KEYS["events"], unique=True),
    Index("events_by_request_id", "source", "request_id", "sequence").ddl_if("postgresql"),
    Index("events_by_group", "source", "group_key", "sequence").ddl_if("postgresql"),
    Index("events_by_block_and_request_id", _BLOCK, "source", "request_id", "sequence").ddl_if("sqlite"),
    Index("events_by_block_and_group", _BLOCK, "source", "group_key", "sequence").ddl_if("sqlite"),
    Index("events_by_arrival", "source", "arrived_us"),
    sqlite_autoincrement=True,
)

quarantine = Table(
    "quarantine",
    tables_metadata,
    Column("sequence", _SEQUENCE, primary_key=True, autoincrement=True),
    Column("source", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("arrived_us", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("epoch", Integer, nullable=False),
    UniqueConstraint(*UNIQUE_KEYS["quarantine"], name="quarantine_unique"),
    sqlite_autoincrement=True,
)

refused_bodies = Table(
    "refused_bodies",
    tables_metadata,
    Column("sequence", _SEQUENCE, primary_key=True, autoincrement=True),
    Column("source", Text, nullable=False),
    Column("arrived_us", BigInteger, nullable=False),
    Column("status", Integer, nullable=False),
    Column("detail", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)

delivery_counters = Table(
    "delivery_counters",
    tables_metadata,
    Column("source", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("reason", Text, primary_key=True),
    Column("epoch", Integer, primary_key=True, autoincrement=False),
    Column("total", BigInteger, nullable=False),
    Column("last_arrived_us", BigInteger, nullable=False),
)

declared_exports = Table(
    "declared_exports",
    tables_metadata,
    Column("source", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("first_declared_us", BigInteger, nullable=False),
    Column("epoch", Integer, nullable=False),
)

declared_terms = Table(
    "declared_terms",
    tables_metadata,
    Column("sequence", _SEQUENCE, primary_key=True, autoincrement=True),
    Column("source", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("interval_s", Integer),
    Column("grace_s", Integer),
    Column("changed_us", BigInteger, nullable=False),
    Column("epoch", Integer, nullable=False),
    sqlite_autoincrement=True,
)
"""`exporter.domain.terms`, a row whenever an exporter loads a configuration with other terms."""

decisions = Table(
    "decisions",
    tables_metadata,
    Column("sequence", _SEQUENCE, primary_key=True, autoincrement=True),
    Column("kind", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("export_kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("partner", Text, nullable=False),
    Column("data_type", Text, nullable=False),
    Column("frequency", Text, nullable=False),
    Column("decided_us", BigInteger, nullable=False),
    Column("until_us", BigInteger, nullable=False),
    Column("lasts_us", BigInteger, nullable=False),
    Column("match", Text, nullable=False),
    Column("decided_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("epoch", Integer, nullable=False),
    sqlite_autoincrement=True,
)

"""``until_us`` is Unix time as somebody gave it, and 0 where the decision holds for ``lasts_us`` instead."""

epochs = Table(
    "epochs",
    tables_metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("boot_id", Text, nullable=False),
    Column("measured_us", BigInteger, nullable=False),
    Column("offset_us", BigInteger, nullable=False),
    Column("dated_us", BigInteger, nullable=False),
    Column("first_us", BigInteger, nullable=False),
    Column("last_us", BigInteger, nullable=False),
)
"""`exporter.domain.epochs.StoredEpoch`. Epoch 0 has the offset 0: its clock shows Unix time."""

heartbeats = Table(
    "heartbeats",
    tables_metadata,
    Column("instance_id", Text, primary_key=True),
    Column("epoch", Integer, primary_key=True, autoincrement=False),
    Column("started_us", BigInteger, primary_key=True),
    Column("last_seen_us", BigInteger, nullable=False),
)

checkpoint_header = Table(
    "checkpoint_header",
    tables_metadata,
    Column("name", Text, primary_key=True),
    Column("revision", BigInteger, nullable=False),
    Column("last_sequence", BigInteger, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("pruning_revision", BigInteger, nullable=False),
    Column("owner_instance_id", Text, nullable=False),
)
"""One row, ``current``."""

checkpoint_rows = Table(
    "checkpoint_rows",
    tables_metadata,
    Column("key", Text, primary_key=True),
    Column("document", Text, nullable=False),
)

retention_log = Table(
    "retention_log",
    tables_metadata,
    Column("name", Text, primary_key=True),
    Column("revision", BigInteger, nullable=False),
    Column("pruned_events", BigInteger, nullable=False),
    Column("last_sequence", BigInteger, nullable=False),
)
"""One row, ``events``."""

baselines = Table(
    "baselines",
    tables_metadata,
    Column("key", Text, primary_key=True),
    Column("revision", BigInteger, nullable=False),
    Column("document", Text, nullable=False),
)

landing_checks = Table(
    "landing_checks",
    tables_metadata,
    Column("sequence", _SEQUENCE, primary_key=True, autoincrement=True),
    Column("source", Text, nullable=False),
    Column("export_id", Text, nullable=False),
    Column("completed_us", BigInteger, nullable=False),
    Column("started_us", BigInteger, nullable=False),
    Column("due_us", BigInteger, nullable=False),
    Column("checked_us", BigInteger, nullable=False),
    Column("result", Text, nullable=False),
    Column("objects", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("newest_us", BigInteger, nullable=False),
    Column("detail", Text, nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("epoch", Integer, nullable=False),
    Index("landing_checks_by_result", "export_id", "result", "sequence"),
    sqlite_autoincrement=True,
)
"""`exporter.domain.landing.LandingCheck`. Only ``checked_us`` is on the clock of the epoch."""

leases = Table(
    "leases",
    tables_metadata,
    Column("name", Text, primary_key=True),
    Column("owner_instance_id", Text, nullable=False),
    Column("renewed_us", BigInteger, nullable=False),
    Column("epoch", Integer, nullable=False),
)
"""Which replica does what only one of them should do, and when it last said so."""

metadata_table = Table(
    "metadata",
    tables_metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)
"""Facts about the whole database, by name: `LEDGER_ID`, and those that a replay or a copy adds."""

LEDGER_ID = "ledger_id"
"""The fact that every database has: a random text that no other has."""

UNFINISHED_COPY_OF = "unfinished_copy_of"
"""The fact of a database that ``migrate-store`` is still filling: the `LEDGER_ID` of the database it copies."""

sqlite_metadata = MetaData()
"""Tables that only SQLite has."""

request_ids = Table(
    "request_ids",
    sqlite_metadata,
    Column("source", Text, primary_key=True),
    Column("request_id", Text, primary_key=True),
    Column("first_sequence", BigInteger, nullable=False),
    Column("last_sequence", BigInteger, nullable=False),
    Column("events", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""Every request id that has events: how many, and the range of their sequences.

Triggers keep it current; the migration creates them. Removing events does not narrow the range.
"""

_COUNT_REQUEST_ID = """
    INSERT INTO request_ids (source, request_id, first_sequence, last_sequence, events)
    VALUES (new.source, new.request_id, new.sequence, new.sequence, 1)
    ON CONFLICT (source, request_id) DO UPDATE SET
        first_sequence = min(first_sequence, excluded.first_sequence),
        last_sequence = max(last_sequence, excluded.last_sequence),
        events = events + 1;
"""
_UNCOUNT_REQUEST_ID = """
    UPDATE request_ids SET events = events - 1 WHERE source = old.source AND request_id = old.request_id;
    DELETE FROM request_ids WHERE source = old.source AND request_id = old.request_id AND events = 0;
"""
SQLITE_TRIGGERS = {
    "request_ids_after_insert": "CREATE TRIGGER request_ids_after_insert AFTER INSERT ON events"
    f" BEGIN {_COUNT_REQUEST_ID} END",
    "request_ids_after_delete": "CREATE TRIGGER request_ids_after_delete AFTER DELETE ON events"
    f" BEGIN {_UNCOUNT_REQUEST_ID} END",
    "request_ids_after_update": "CREATE TRIGGER request_ids_after_update AFTER UPDATE OF source, request_id ON events"
    " WHEN old.source <> new.source OR old.request_id <> new.request_id"
    f" BEGIN {_UNCOUNT_REQUEST_ID} {_COUNT_REQUEST_ID} END",
}
"""The statements that create the triggers, by name. A migration has its own copy, which never changes."""

postgres_metadata = MetaData()
"""Tables that only PostgreSQL has."""

sequence_heads = Table(
    "sequence_heads",
    postgres_metadata,
    Column("table_name", Text, primary_key=True),
    Column("last_sequence", BigInteger, nullable=False),
)
"""The newest sequence of ``events`` and ``quarantine``; a writer locks both rows until it commits."""
