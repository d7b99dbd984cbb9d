"""The log of decisions in a database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, insert, select

from exporter.domain.decisions import Decision
from exporter.domain.exports import ExportKey
from exporter.ledger.instants import from_micros, to_micros
from exporter.ledger.schema import decisions, epochs
from exporter.ledger.sql.checked_writes import insert_rows

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from exporter.domain.epochs import Epoch
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
        decisions.c.decided_us + epochs.c.offset_us,
        decisions.c.until_us,
        decisions.c.lasts_us,
        decisions.c.match,
        decisions.c.decided_by,
        decisions.c.reason,
    )
    .join(epochs, epochs.c.id == decisions.c.epoch)
    .where(decisions.c.sequence > bindparam("after"))
    .order_by(decisions.c.sequence)
)


def append_decision(connection: Connection, decision: Decision, epoch: Epoch) -> None:
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
        "decided_us": to_micros(decision.decided_at) - epoch.offset_us,
        "until_us": 0 if decision.lasts else to_micros(decision.until),
        "lasts_us": to_micros(decision.lasts),
        "match": decision.match,
        "decided_by": decision.by,
        "reason": decision.why,
        "epoch": epoch.id,
    }
    insert_rows(connection, insert(decisions), [row])


def read_decisions(database: Database, after: int) -> list[Decision]:
    """The decisions after a sequence of the log, in order."""
    return [
        Decision(
            kind=kind,
            key=ExportKey(*key),
            decided_at=from_micros(decided_us),
            until=from_micros(decided_us + lasts_us if lasts_us else until_us),
            by=by,
            why=why,
            sequence=sequence,
            lasts=from_micros(lasts_us),
            match=match,
        )
        for sequence, kind, *key, decided_us, until_us, lasts_us, match, by, why in database.cached_query(
            _DECISIONS_AFTER, after=after
        )
    ]
