"""SQLite's indexes of exports in blocks, and where the events of a request id are."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

TAKE = """
    INSERT INTO request_ids (source, request_id, first_sequence, last_sequence, number)
    VALUES (new.source, new.request_id, new.sequence, new.sequence, 1)
    ON CONFLICT (source, request_id) DO UPDATE SET
        first_sequence = min(first_sequence, excluded.first_sequence),
        last_sequence = max(last_sequence, excluded.last_sequence),
        number = number + 1;
"""
LEAVE = """
    UPDATE request_ids SET number = number - 1 WHERE source = old.source AND request_id = old.request_id;
    DELETE FROM request_ids WHERE source = old.source AND request_id = old.request_id AND number = 0;
"""


def upgrade() -> None:
    """Nothing for PostgreSQL, where a page that changed is written once between two checkpoints."""
    if op.get_bind().dialect.name != "sqlite":
        return
    op.drop_index("events_by_request", "events")
    op.drop_index("events_by_group", "events")
    block = sa.text("(sequence >> 14)")
    op.create_index("events_by_block_and_request", "events", [block, "source", "request_id", "sequence"])
    op.create_index("events_by_block_and_group", "events", [block, "source", "group_key", "sequence"])
    op.create_table(
        "request_ids",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("request_id", sa.Text, primary_key=True),
        sa.Column("first_sequence", sa.BigInteger, nullable=False),
        sa.Column("last_sequence", sa.BigInteger, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO request_ids SELECT source, request_id, min(sequence), max(sequence), count(*)"
        " FROM events GROUP BY source, request_id"
    )
    op.execute(f"CREATE TRIGGER request_id_taken AFTER INSERT ON events BEGIN {TAKE} END")
    op.execute(f"CREATE TRIGGER request_id_left AFTER DELETE ON events BEGIN {LEAVE} END")
    op.execute(
        "CREATE TRIGGER request_id_amended AFTER UPDATE OF source, request_id ON events"
        " WHEN old.source <> new.source OR old.request_id <> new.request_id"
        f" BEGIN {LEAVE} {TAKE} END"
    )
