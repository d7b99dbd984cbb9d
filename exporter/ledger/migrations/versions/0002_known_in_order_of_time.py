"""An index of what is known that grows at its end, and an identity for every database."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

COLUMNS = (
    "sequence, source, digest, request_id, partner, data_type, status, frequency, group_key,"
    " local_seconds, arrived_us, occurred_us, utc_offset, skewed, body"
)


def upgrade() -> None:
    """Make the tables anew in SQLite, which cannot drop a constraint."""
    if op.get_bind().dialect.name == "sqlite":
        for name in ("events_by_request", "events_by_group", "events_by_arrival"):
            op.drop_index(name, "events")
        op.rename_table("events", "events_before")
        op.create_table(
            "events",
            sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
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
            sa.Column("body", sa.LargeBinary, nullable=False),
            sqlite_autoincrement=True,
        )
        op.execute(f"INSERT INTO events ({COLUMNS}) SELECT {COLUMNS} FROM events_before")  # noqa: S608 - our own
        op.drop_table("events_before")
        op.create_index("events_by_request", "events", ["source", "request_id", "sequence"])
        op.create_index("events_by_group", "events", ["source", "group_key", "sequence"])
        op.create_index("events_by_arrival", "events", ["source", "arrived_us"])
    else:
        op.drop_constraint("events_once", "events")
        heads = op.create_table(
            "heads",
            sa.Column("name", sa.Text, primary_key=True),
            sa.Column("sequence", sa.BigInteger, nullable=False),
        )
        op.bulk_insert(heads, [{"name": "events", "sequence": 0}, {"name": "quarantine", "sequence": 0}])
    op.create_index("events_once", "events", ["source", "local_seconds", "digest"], unique=True)
    facts = op.create_table(
        "facts", sa.Column("name", sa.Text, primary_key=True), sa.Column("value", sa.Text, nullable=False)
    )
    op.bulk_insert(facts, [{"name": "identity", "value": secrets.token_hex(16)}])
