"""The tables of release 0.1.0; `exporter.ledger.schema` describes them."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0.1.0"
down_revision = None

SEQUENCE = sa.BigInteger().with_variant(sa.Integer, "sqlite")

ADD = """
    INSERT INTO request_ids (source, request_id, first_sequence, last_sequence, events)
    VALUES (new.source, new.request_id, new.sequence, new.sequence, 1)
    ON CONFLICT (source, request_id) DO UPDATE SET
        first_sequence = min(first_sequence, excluded.first_sequence),
        last_sequence = max(last_sequence, excluded.last_sequence),
        events = events + 1;
"""
REMOVE = """
    UPDATE request_ids SET events = events - 1 WHERE source = old.source AND request_id = old.request_id;
    DELETE FROM request_ids WHERE source = old.source AND request_id = old.request_id AND events = 0;
"""


def upgrade() -> None:
    """Create the tables, with the indexes of the database's kind."""
    _create_tables()
    if op.get_bind().dialect.name == "sqlite":
        _create_for_sqlite()
    else:
        _create_for_postgres()
    metadata = op.create_table(
        "metadata", sa.Column("name", sa.Text, primary_key=True), sa.Column("value", sa.Text, nullable=False)
    )
    op.bulk_insert(metadata, [{"name": "ledger_id", "value": secrets.token_hex(16)}])


def _create_tables() -> None:
    op.create_table(
        "events",
        sa.Column("sequence", SEQUENCE, primary_key=True, autoincrement=True),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("partner", sa.Text, nullable=False),
        sa.Column("data_type", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("frequency", sa.Text, nullable=False),
        sa.Column("group_key", sa.Text, nullable=False),
        sa.Column("local_seconds", sa.BigInteger, nullable=False),
        sa.Column("arrived_us", sa.BigInteger, nullable=False),
        sa.Column("occurred_us", sa.BigInteger, nullable=False),
        sa.Column("utc_offset", sa.Integer, nullable=False),
        sa.Column("skewed", sa.Boolean, nullable=False),
        sa.Column("offset_in_text", sa.Boolean, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("clock_us", sa.BigInteger, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("events_unique", "events", ["source", "local_seconds", "digest"], unique=True)
    op.create_index("events_by_arrival", "events", ["source", "arrived_us"])
    op.create_table(
        "quarantine",
        sa.Column("sequence", SEQUENCE, primary_key=True, autoincrement=True),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("arrived_us", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.UniqueConstraint("source", "digest", name="quarantine_unique"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "refused_bodies",
        sa.Column("sequence", SEQUENCE, primary_key=True, autoincrement=True),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("arrived_us", sa.BigInteger, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "delivery_counters",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("reason", sa.Text, primary_key=True),
        sa.Column("epoch", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("total", sa.BigInteger, nullable=False),
        sa.Column("last_arrived_us", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "declared_exports",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("first_declared_us", sa.BigInteger, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
    )
    op.create_table(
        "declared_terms",
        sa.Column("sequence", SEQUENCE, primary_key=True, autoincrement=True),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("interval_s", sa.Integer),
        sa.Column("grace_s", sa.Integer),
        sa.Column("changed_us", sa.BigInteger, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "decisions",
        sa.Column("sequence", SEQUENCE, primary_key=True, autoincrement=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("export_kind", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("partner", sa.Text, nullable=False),
        sa.Column("data_type", sa.Text, nullable=False),
        sa.Column("frequency", sa.Text, nullable=False),
        sa.Column("decided_us", sa.BigInteger, nullable=False),
        sa.Column("until_us", sa.BigInteger, nullable=False),
        sa.Column("lasts_us", sa.BigInteger, nullable=False),
        sa.Column("match", sa.Text, nullable=False),
        sa.Column("decided_by", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sqlite_autoincrement=True,
    )
    epochs = op.create_table(
        "epochs",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("boot_id", sa.Text, nullable=False),
        sa.Column("measured_us", sa.BigInteger, nullable=False),
        sa.Column("offset_us", sa.BigInteger, nullable=False),
        sa.Column("dated_us", sa.BigInteger, nullable=False),
        sa.Column("first_us", sa.BigInteger, nullable=False),
        sa.Column("last_us", sa.BigInteger, nullable=False),
    )
    numbers = ("id", "measured_us", "offset_us", "dated_us", "first_us", "last_us")
    op.bulk_insert(epochs, [{"boot_id": "", **dict.fromkeys(numbers, 0)}])
    op.create_table(
        "heartbeats",
        sa.Column("instance_id", sa.Text, primary_key=True),
        sa.Column("epoch", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("started_us", sa.BigInteger, primary_key=True),
        sa.Column("last_seen_us", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "checkpoint_header",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("last_sequence", sa.BigInteger, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("pruning_revision", sa.BigInteger, nullable=False),
        sa.Column("owner_instance_id", sa.Text, nullable=False),
    )
    op.create_table(
        "checkpoint_rows",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("document", sa.Text, nullable=False),
    )
    op.create_table(
        "retention_log",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("pruned_events", sa.BigInteger, nullable=False),
        sa.Column("last_sequence", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "baselines",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
    )
    op.create_table(
        "landing_checks",
        sa.Column("sequence", SEQUENCE, primary_key=True, autoincrement=True),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("export_id", sa.Text, nullable=False),
        sa.Column("completed_us", sa.BigInteger, nullable=False),
        sa.Column("started_us", sa.BigInteger, nullable=False),
        sa.Column("due_us", sa.BigInteger, nullable=False),
        sa.Column("checked_us", sa.BigInteger, nullable=False),
        sa.Column("result", sa.Text, nullable=False),
        sa.Column("objects", sa.BigInteger, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("newest_us", sa.BigInteger, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("total", sa.BigInteger, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("landing_checks_by_result", "landing_checks", ["export_id", "result", "sequence"])
    op.create_table(
        "leases",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("owner_instance_id", sa.Text, nullable=False),
        sa.Column("renewed_us", sa.BigInteger, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
    )


def _create_for_sqlite() -> None:
    block = sa.text("(sequence >> 14)")
    op.create_index("events_by_block_and_request_id", "events", [block, "source", "request_id", "sequence"])
    op.create_index("events_by_block_and_group", "events", [block, "source", "group_key", "sequence"])
    op.create_table(
        "request_ids",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("request_id", sa.Text, primary_key=True),
        sa.Column("first_sequence", sa.BigInteger, nullable=False),
        sa.Column("last_sequence", sa.BigInteger, nullable=False),
        sa.Column("events", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.execute(f"CREATE TRIGGER request_ids_after_insert AFTER INSERT ON events BEGIN {ADD} END")
    op.execute(f"CREATE TRIGGER request_ids_after_delete AFTER DELETE ON events BEGIN {REMOVE} END")
    op.execute(
        "CREATE TRIGGER request_ids_after_update AFTER UPDATE OF source, request_id ON events"
        " WHEN old.source <> new.source OR old.request_id <> new.request_id"
        f" BEGIN {REMOVE} {ADD} END"
    )


def _create_for_postgres() -> None:
    op.create_index("events_by_request_id", "events", ["source", "request_id", "sequence"])
    op.create_index("events_by_group", "events", ["source", "group_key", "sequence"])
    sequence_heads = op.create_table(
        "sequence_heads",
        sa.Column("table_name", sa.Text, primary_key=True),
        sa.Column("last_sequence", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(
        sequence_heads,
        [{"table_name": "events", "last_sequence": 0}, {"table_name": "quarantine", "last_sequence": 0}],
    )
