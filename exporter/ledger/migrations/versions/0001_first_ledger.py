"""The ledger of release 0.1."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

SEQUENCE = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables."""
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
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("source", "digest", name="events_once"),
        sqlite_autoincrement=True,
    )
    op.create_index("events_by_request", "events", ["source", "request_id", "sequence"])
    op.create_index("events_by_group", "events", ["source", "group_key", "sequence"])
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
        sa.UniqueConstraint("source", "digest", name="quarantine_once"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "tallies",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("label", sa.Text, primary_key=True),
        sa.Column("total", sa.BigInteger, nullable=False),
        sa.Column("last_us", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "declarations",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("declared_us", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "watches",
        sa.Column("watch", sa.Text, primary_key=True),
        sa.Column("began_us", sa.BigInteger, primary_key=True),
        sa.Column("seen_us", sa.BigInteger, nullable=False),
    )
