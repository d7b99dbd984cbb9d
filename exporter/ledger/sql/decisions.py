"""The log of decisions in a database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, insert, select

from exporter.domain.decisions import Decision
from exporter.domain.exports import ExportKey
from exporter.ledger.instants import from_micros, to_micros
from exporter.ledger.schema import decisions

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from exporter.ledger.sql.database import Database


_DECISIONS_AFTER = (
    select(
        decisions.c.sequence,
        decisions.c.kind,
        decisions.c.source,
        decisions.c.export_kind,
        decisions.c.name,
        decisions.c.partner,
        decisions.c.data_type,
        decisions.c.frequency,
        decisions.c.decided_us,
        decisions.c.until_us,
        decisions.c.decided_by,
        decisions.c.reason,
    )
    .where(decisions.c.sequence > bindparam("after"))
    .order_by(decisions.c.sequence)
)


def append_decision(connection: Connection, decision: Decision) -> None:
    """Append a decision within a transaction."""
    key = decision.key
    row = {
        "kind": decision.kind,
        "source": key.source,
        "export_kind": key.kind,
        "name": key.name,
        "partner": key.partner,
        "data_type": key.data_type,
        "frequency": key.frequency,
        "decided_us": to_micros(decision.decided_at),
        "until_us": to_micros(decision.until),
        "decided_by": decision.by,
        "reason": decision.why,
    }
    connection.execute(insert(decisions), [row])


def read_decisions(database: Database, after: int) -> list[Decision]:
    """The decisions after a sequence of the log, in order."""
    return [
        Decision(kind, ExportKey(*key), from_micros(decided_us), from_micros(until_us), by, why, sequence)
        for sequence, kind, *key, decided_us, until_us, by, why in database.cached_query(_DECISIONS_AFTER, after=after)
    ]
